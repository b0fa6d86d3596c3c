import type { Account, ApiKey, ByokKey, ProviderKey, RequestRow, Transfer, UsageGrouping, UsageTotals } from '../ledger/index.ts';
import { formatUsdExact, usdNumber } from '../money/index.ts';

/** The JSON of accounts, keys, balances, rows and lists. Names are the contract's (section 2) and never change. */

/** A page of things. `next` is the `after` of the following page, null on the last. */
export interface ListView<T> {
  readonly object: 'list';
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly next: string | null;
}

export interface AccountView {
  readonly id: string;
  readonly object: 'account';
  readonly email: string;
  readonly status: string;
  /** In debt after a refund or dispute: no request is served. */
  readonly frozen: boolean;
  readonly balance: number;
  readonly balance_exact: string;
  readonly held: number;
  readonly held_exact: string;
  readonly available: number;
  readonly available_exact: string;
  /** Null: the setting `limits.requests_per_minute` holds. */
  readonly requests_per_minute: number | null;
  readonly created: number;
  readonly last_activity: number;
}

export interface KeyView {
  readonly id: string;
  readonly object: 'api_key';
  readonly name: string;
  readonly key: string;
  readonly created: number;
  readonly last_used: number | null;
  readonly revoked: number | null;
}

export interface BalanceView {
  readonly object: 'balance';
  readonly currency: 'usd';
  readonly balance: number;
  readonly balance_exact: string;
  readonly held: number;
  readonly held_exact: string;
  readonly available: number;
  readonly available_exact: string;
  readonly byok: { readonly month: string; readonly requests: number; readonly free_requests: number; readonly remaining_free: number };
}

export interface RequestView {
  readonly id: string;
  readonly object: 'billing_log';
  readonly created: number;
  readonly model: string;
  readonly requested_model: string;
  readonly provider: string;
  readonly mode: string;
  readonly stream: boolean;
  readonly status: string;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly usage_origin: string;
  readonly cost: number;
  readonly cost_exact: string;
  readonly latency_ms: number;
  readonly first_byte_ms: number | null;
  readonly attempts: number;
  readonly key_id: string;
}

export interface TransferView {
  readonly id: number;
  readonly object: 'transfer';
  readonly created: number;
  readonly kind: string;
  readonly debit: string;
  readonly credit: string;
  readonly amount: number;
  readonly amount_exact: string;
  readonly reference: string;
  readonly note: string;
}

export interface UsageView {
  readonly object: 'usage';
  /** What the groups are, such as `model` or `day`. */
  readonly by: UsageGrouping;
  readonly group: string;
  readonly requests: number;
  readonly errors: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly cost: number;
  readonly cost_exact: string;
  readonly provider_cost: number;
  readonly provider_cost_exact: string;
  readonly fee: number;
  readonly fee_exact: string;
  readonly shortfall: number;
  readonly shortfall_exact: string;
}

export interface ByokView {
  readonly id: string;
  readonly object: 'byok_key';
  readonly provider: string;
  readonly name: string;
  readonly region: string | null;
  readonly key: string;
  readonly created: number;
}

export interface ProviderKeyView {
  readonly object: 'provider_key';
  readonly provider: string;
  readonly key: string;
  readonly updated: number;
}

/** `listView([1], undefined)` is `{object:"list", data:[1], has_more:false, next:null}`. */
export function listView<T>(rows: readonly T[], next: string | undefined): ListView<T> {
  return { object: 'list', data: rows, has_more: next !== undefined, next: next ?? null };
}

export function accountView(account: Account): AccountView {
  return {
    id: account.id,
    object: 'account',
    email: account.email,
    status: account.status,
    frozen: account.frozen,
    ...purseView(account),
    requests_per_minute: account.requestsPerMinute ?? null,
    created: seconds(account.createdMs),
    last_activity: seconds(account.activityMs),
  };
}

/** Rounded for showing, and exact for adding up. */
function purseView({ balance, held }: Pick<Account, 'balance' | 'held'>): Pick<BalanceView, 'balance' | 'balance_exact' | 'held' | 'held_exact' | 'available' | 'available_exact'> {
  const available = balance - held;
  return {
    balance: usdNumber(balance), balance_exact: formatUsdExact(balance),
    held: usdNumber(held), held_exact: formatUsdExact(held),
    available: usdNumber(available), available_exact: formatUsdExact(available),
  };
}

export function keyView(key: ApiKey): KeyView {
  return {
    id: key.id,
    object: 'api_key',
    name: key.name,
    key: `sk-ft_…${key.last4}`,
    created: seconds(key.createdMs),
    last_used: optionalSeconds(key.lastUsedMs),
    revoked: optionalSeconds(key.revokedMs),
  };
}

export function balanceView(
  account: Pick<Account, 'balance' | 'held'>,
  byok: { readonly month: string; readonly requests: number; readonly freeRequests: number },
): BalanceView {
  return {
    object: 'balance',
    currency: 'usd',
    ...purseView(account),
    byok: {
      month: byok.month,
      requests: byok.requests,
      free_requests: byok.freeRequests,
      remaining_free: Math.max(0, byok.freeRequests - byok.requests),
    },
  };
}

/** A row of the billing log. `status` is `ok`, `aborted`, `recovered` or the error's code. */
export function requestView(row: RequestRow): RequestView {
  return {
    id: row.id,
    object: 'billing_log',
    created: seconds(row.createdMs),
    model: row.model,
    requested_model: row.requestedModel,
    provider: row.provider,
    mode: row.mode,
    stream: row.stream,
    status: row.status,
    prompt_tokens: row.promptTokens,
    cached_tokens: row.cachedTokens,
    completion_tokens: row.completionTokens,
    total_tokens: row.promptTokens + row.completionTokens,
    usage_origin: row.usageOrigin,
    cost: usdNumber(row.cost),
    cost_exact: formatUsdExact(row.cost),
    latency_ms: row.latencyMs,
    first_byte_ms: row.firstByteMs ?? null,
    attempts: row.attempts,
    key_id: row.keyId,
  };
}

export function transferView(transfer: Transfer): TransferView {
  return {
    id: transfer.seq,
    object: 'transfer',
    created: seconds(transfer.atMs),
    kind: transfer.kind,
    debit: transfer.debit,
    credit: transfer.credit,
    amount: usdNumber(transfer.amount),
    amount_exact: formatUsdExact(transfer.amount),
    reference: transfer.reference,
    note: transfer.note,
  };
}

export function usageView(by: UsageGrouping, totals: UsageTotals): UsageView {
  return {
    object: 'usage',
    by,
    group: totals.group,
    requests: totals.requests,
    errors: totals.errors,
    prompt_tokens: totals.promptTokens,
    cached_tokens: totals.cachedTokens,
    completion_tokens: totals.completionTokens,
    total_tokens: totals.promptTokens + totals.completionTokens,
    cost: usdNumber(totals.cost),
    cost_exact: formatUsdExact(totals.cost),
    provider_cost: usdNumber(totals.providerCost),
    provider_cost_exact: formatUsdExact(totals.providerCost),
    fee: usdNumber(totals.fee),
    fee_exact: formatUsdExact(totals.fee),
    shortfall: usdNumber(totals.shortfall),
    shortfall_exact: formatUsdExact(totals.shortfall),
  };
}

/** A registered key of a provider, masked: the books keep its last four characters in the clear, nothing else. */
export function byokView(key: ByokKey): ByokView {
  return {
    id: key.id,
    object: 'byok_key',
    provider: key.provider,
    name: key.name,
    region: key.region ?? null,
    key: `sk-…${key.last4}`,
    created: seconds(key.createdMs),
  };
}

export function providerKeyView(key: ProviderKey): ProviderKeyView {
  return { object: 'provider_key', provider: key.provider, key: `sk-…${key.last4}`, updated: seconds(key.updatedMs) };
}

function seconds(timeMs: number): number {
  return Math.floor(timeMs / 1000);
}

function optionalSeconds(timeMs: number | undefined): number | null {
  return timeMs === undefined ? null : seconds(timeMs);
}

/** The answer to something deleted or revoked, in OpenAI's shape. */
export function deletedView<Kind extends string>(object: Kind, id: string): { readonly id: string; readonly object: Kind; readonly deleted: true } {
  return { id, object, deleted: true };
}
