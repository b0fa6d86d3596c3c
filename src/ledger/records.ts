import type { Charge, UsdE8 } from '../money/index.ts';

export type AccountStatus = 'pending' | 'active' | 'deactivated';
export type Mode = 'standard' | 'byok';

export interface Account {
  /** `acct_…`, minted by the caller. */
  readonly id: string;
  readonly email: string;
  readonly status: AccountStatus;
  /** A refund or dispute took more than there was: no request is served until the debt is paid. */
  readonly frozen: boolean;
  readonly balance: UsdE8;
  readonly held: UsdE8;
  /** Overrides `limits.requests_per_minute`; undefined: the setting. */
  readonly requestsPerMinute: number | undefined;
  readonly createdMs: number;
  readonly activityMs: number;
}

export interface ApiKey {
  /** `key_…` */
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
  readonly last4: string;
  readonly createdMs: number;
  readonly lastUsedMs: number | undefined;
  readonly revokedMs: number | undefined;
}

/** What the door needs of a key, in one read. */
export interface KeyOwner {
  readonly keyId: string;
  readonly accountId: string;
  readonly status: AccountStatus;
  readonly frozen: boolean;
  readonly balance: UsdE8;
  readonly held: UsdE8;
  readonly requestsPerMinute: number | undefined;
  /** Providers for which the account has a registered key. */
  readonly byokProviders: readonly string[];
  /** The region of the newest of those keys by provider, where it is not the provider's main address. */
  readonly byokRegions: ReadonlyMap<string, string>;
}

export interface HoldRequest {
  /** The request's id; a second hold with it changes nothing and answers as the first did. */
  readonly id: string;
  readonly accountId: string;
  readonly keyId: string;
  readonly mode: Mode;
  readonly model: string;
  readonly requestedModel: string;
  readonly provider: string;
  readonly stream: boolean;
  /** The most it may cost. For BYOK: the most that the fee may be, held only beyond the free requests. */
  readonly ceiling: UsdE8;
  /** BYOK only: the counter's month (`2026-11`, UTC) and how many of it are free. */
  readonly byok: { readonly month: string; readonly free: number } | undefined;
  readonly nowMs: number;
  /** The life of the process that asks, where that is not the one that writes; see `recover`. */
  readonly life?: string | undefined;
}

export type HoldResult =
  | { readonly ok: true; readonly balance: UsdE8; readonly held: UsdE8; /** BYOK within the free requests: costs nothing. */ readonly free: boolean }
  | { readonly ok: false; readonly reason: 'insufficient_credits'; readonly available: UsdE8 }
  | { readonly ok: false; readonly reason: 'account_inactive'; readonly status: AccountStatus; readonly frozen: boolean; readonly available: UsdE8 };

/** A client's `Idempotency-Key`, told by hashes. */
export interface IdempotencyClaim {
  readonly accountId: string;
  /** 32 bytes each. */
  readonly keyHash: Uint8Array;
  readonly bodyHash: Uint8Array;
  /** The request that will run under the key, should it be free. */
  readonly requestId: string;
  readonly nowMs: number;
  /** How long a key stands for its request. */
  readonly keepMs: number;
}

/** `taken`: the key stands for a request that has cost something or still may; `status` and `cost` are its recorded outcome. */
export type IdempotencyStanding =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'taken'; readonly isSameBody: boolean; readonly requestId: string; readonly status: string; readonly cost: UsdE8 };

/** What a finished request writes beside its money. */
export interface RequestEnd {
  readonly id: string;
  /** `ok`; or the error's code, such as `providers_unavailable`; or `aborted`: the client hung up. */
  readonly status: string;
  /** The model and provider that served; empty strings keep those of the hold. */
  readonly model: string;
  readonly provider: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  readonly usageOrigin: 'reported' | 'estimated' | 'unknown';
  readonly latencyMs: number;
  /** To the first byte for the client; undefined where none went out. */
  readonly firstByteMs: number | undefined;
  readonly attempts: number;
  readonly nowMs: number;
  /** The price applied, for the audit: 1e-12 USD a token. */
  readonly price: { readonly input: bigint; readonly cachedInput: bigint; readonly output: bigint; /** usage fee or BYOK fee, ppm */ readonly rate: bigint } | undefined;
}

export interface Settlement extends RequestEnd {
  readonly charge: Charge;
}

/** The last of the six values: what the account was charged, durable. */
export interface Receipt {
  readonly id: string;
  /** False where the hold was already settled or released: nothing changed, and `cost` is what it was. */
  readonly first: boolean;
  /** What the account paid. */
  readonly cost: UsdE8;
  /** What it could not pay; on the operator's side. */
  readonly shortfall: UsdE8;
  readonly balance: UsdE8;
  readonly held: UsdE8;
}

export interface RequestRow {
  readonly id: string;
  readonly createdMs: number;
  readonly accountId: string;
  readonly keyId: string;
  readonly model: string;
  readonly requestedModel: string;
  readonly provider: string;
  readonly mode: Mode;
  readonly stream: boolean;
  /** `open` while it runs; `ok`, `aborted`, `recovered` or an error code afterwards. */
  readonly status: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  readonly usageOrigin: 'reported' | 'estimated' | 'unknown';
  readonly cost: UsdE8;
  readonly providerCost: UsdE8;
  readonly fee: UsdE8;
  readonly shortfall: UsdE8;
  readonly latencyMs: number;
  readonly firstByteMs: number | undefined;
  readonly attempts: number;
}

export interface RequestFilter {
  readonly accountId?: string;
  readonly fromMs?: number;
  /** Exclusive. */
  readonly toMs?: number;
  /** When it ended, which is when it was charged; the other two are of its beginning. */
  readonly ended?: { readonly fromMs: number; readonly toMs: number };
  readonly model?: string;
  readonly keyId?: string;
  readonly mode?: Mode;
  readonly status?: string;
}

/** A page, newest first. `next` is the cursor of the following page, undefined on the last. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly next: string | undefined;
}

export type TransferKind = 'usage' | 'fee' | 'shortfall' | 'grant' | 'grant_back' | 'recharge' | 'recharge_fee' | 'refund' | 'dispute' | 'dispute_won' | 'expiry';

export interface Transfer {
  readonly seq: number;
  readonly kind: TransferKind;
  /** Account id, or a system account's name such as `provider_cost`. */
  readonly debit: string;
  readonly credit: string;
  readonly amount: UsdE8;
  readonly reference: string;
  readonly note: string;
  readonly atMs: number;
}

/** All transfers of a kind within a span, and what they changed. */
export interface Movement {
  readonly kind: TransferKind;
  readonly amount: UsdE8;
  /** Of customers' credits. */
  readonly customers: UsdE8;
  /** Of our fees. */
  readonly fees: UsdE8;
  /** Of what the payment service has taken in for us. */
  readonly stripe: UsdE8;
}

/** How customers stand at a moment: the sum of all balances above zero, and of those below. */
export interface Standing {
  readonly owed: UsdE8;
  readonly debts: UsdE8;
}

/** A span of the books: `opening` and what `movements` changed of customers' credits make `closing`. */
export interface Statement {
  readonly opening: Standing;
  readonly movements: readonly Movement[];
  readonly closing: Standing;
}

/** A sealed BYOK key. `sealed` is the vault's envelope; only the vault can read it. */
export interface ByokKey {
  readonly id: string;
  readonly accountId: string;
  readonly provider: string;
  readonly region: string | undefined;
  readonly name: string;
  readonly last4: string;
  readonly sealed: Uint8Array;
  readonly createdMs: number;
}

/** The operator's own key for a provider, sealed. */
export interface ProviderKey {
  readonly provider: string;
  readonly last4: string;
  readonly sealed: Uint8Array;
  readonly updatedMs: number;
}

/** A note as somebody read it: what is written on the strength of it is written only while it stands so. */
export interface NoteRead {
  readonly name: string;
  /** Undefined: there was none. */
  readonly value: string | undefined;
}

/** A difference between the books and themselves. */
export interface AuditFinding {
  /** Which invariant, `I1`…`I12`, or `charge` for a cost that is not tokens × price. */
  readonly rule: string;
  readonly subject: string;
  readonly expected: string;
  readonly found: string;
}

export interface AuditReport {
  readonly accounts: number;
  readonly transfers: number;
  readonly requests: number;
  readonly openHolds: number;
  readonly findings: readonly AuditFinding[];
}

/** Totals of one group over a span, from the rollups. */
export interface UsageTotals {
  /** The model, key id, account id, provider, mode or day (`2026-11-23`) of this group. */
  readonly group: string;
  readonly requests: number;
  readonly errors: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly cost: UsdE8;
  readonly providerCost: UsdE8;
  readonly fee: UsdE8;
  readonly shortfall: UsdE8;
}

/** Totals of the requests that ended within one minute. */
export interface MinuteTotals {
  /** The minute's first moment. */
  readonly minuteMs: number;
  readonly requests: number;
  readonly errors: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly cost: UsdE8;
}

export type UsageGrouping = 'model' | 'key' | 'account' | 'provider' | 'mode' | 'day';

export interface Granted {
  /** False where this reference was granted before: nothing changed. */
  readonly first: boolean;
  readonly balance: UsdE8;
}

/** What only the daemon knows, published about once a second for the CLI. */
export interface DaemonState {
  readonly pid: number;
  readonly version: string;
  readonly url: string;
  readonly startedMs: number;
  readonly beatMs: number;
  /** JSON text: in-flight counts, health entries; the readers parse it. */
  readonly detail: string;
}
