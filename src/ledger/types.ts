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
}

export type HoldResult =
  | { readonly ok: true; readonly balance: UsdE8; readonly held: UsdE8; /** BYOK within the free requests: costs nothing. */ readonly free: boolean }
  | { readonly ok: false; readonly reason: 'insufficient_credits'; readonly available: UsdE8 }
  | { readonly ok: false; readonly reason: 'account_inactive'; readonly status: AccountStatus; readonly frozen: boolean };

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

/**
 * The books. Everything asynchronous, for a second engine may stand behind the same door; no method speaks of SQLite.
 * A method that writes is durable when its promise resolves. Ids are minted by the caller.
 */
export interface Ledger {
  createAccount(account: { readonly id: string; readonly email: string; readonly status: AccountStatus; readonly nowMs: number }): Promise<Account | 'email_taken'>;
  /** By id or e-mail address (case-insensitive). */
  findAccount(idOrEmail: string): Promise<Account | undefined>;
  listAccounts(): Promise<readonly Account[]>;
  setAccountStatus(accountId: string, status: AccountStatus, nowMs: number): Promise<boolean>;
  setAccountLimit(accountId: string, requestsPerMinute: number | undefined): Promise<boolean>;

  createKey(key: { readonly id: string; readonly accountId: string; readonly name: string; readonly hash: Uint8Array; readonly last4: string; readonly nowMs: number }): Promise<void>;
  /** Newest first, revoked ones too. */
  listKeys(accountId: string): Promise<readonly ApiKey[]>;
  /** False where the account has no such key. Revoking twice keeps the first time. */
  revokeKey(accountId: string, keyId: string, nowMs: number): Promise<boolean>;
  /** The owner of a live key by the SHA-256 of it; read afresh at every call. Undefined: unknown or revoked. */
  findKey(hash: Uint8Array): Promise<KeyOwner | undefined>;

  hold(request: HoldRequest): Promise<HoldResult>;
  /** Notes what a stream has cost so far; a crash afterwards settles at it. No answer is awaited by the relay. */
  progress(id: string, end: Settlement): Promise<void>;
  settle(settlement: Settlement): Promise<Receipt>;
  /** Ends a request at no cost. A free BYOK request that failed is given back to the month. */
  release(end: RequestEnd): Promise<Receipt>;
  /** Settles or releases what a dead process left open; called before listening, with the daemon's lock held. */
  recover(nowMs: number): Promise<{ readonly released: number; readonly settled: number }>;

  /** An operator's manual credit; negative takes back, at most what is available. Idempotent by reference. */
  grant(grant: { readonly accountId: string; readonly amount: UsdE8; readonly reference: string; readonly note: string; readonly nowMs: number }): Promise<Granted | 'no_account' | 'insufficient_credits'>;
  listTransfers(filter: { readonly accountId?: string; readonly limit: number; readonly after?: string }): Promise<Page<Transfer>>;

  listRequests(filter: RequestFilter, page: { readonly limit: number; readonly after?: string }): Promise<Page<RequestRow>>;
  /** Requests that ended after the cursor, in the order of ending, for `logs --follow`. Without a cursor: no rows, and the cursor of now. */
  requestsSince(cursor: string | undefined, filter: RequestFilter, limit: number): Promise<{ readonly rows: readonly RequestRow[]; readonly cursor: string }>;
  findRequest(id: string): Promise<RequestRow | undefined>;
  usageTotals(by: UsageGrouping, span: { readonly accountId?: string; readonly fromMs: number; readonly toMs: number }): Promise<readonly UsageTotals[]>;
  byokCount(accountId: string, month: string): Promise<number>;

  saveByokKey(key: ByokKey): Promise<void>;
  /** Newest first. */
  listByokKeys(accountId: string): Promise<readonly ByokKey[]>;
  removeByokKey(accountId: string, id: string): Promise<boolean>;
  saveProviderKey(key: ProviderKey): Promise<void>;
  listProviderKeys(): Promise<readonly ProviderKey[]>;
  removeProviderKey(provider: string): Promise<boolean>;
  /** Every sealed row is handed to `reseal` and written back, in one transaction, with the notes set in it. Returns how many. */
  resealAll(reseal: { readonly byok: (key: ByokKey) => Uint8Array; readonly provider: (key: ProviderKey) => Uint8Array; readonly notes: Readonly<Record<string, string>> }): Promise<number>;

  /** Small facts about this installation: its id, which master key is used. */
  note(name: string): Promise<string | undefined>;
  setNote(name: string, value: string): Promise<void>;
  publish(state: DaemonState): Promise<void>;
  daemonState(): Promise<DaemonState | undefined>;

  audit(): Promise<AuditReport>;
  close(): Promise<void>;
  /** The daemon's form only: resolves with the reason if the writing thread dies. No write is possible afterwards; reads are. */
  readonly failed?: Promise<Error>;
}

export interface OpenLedger {
  /** File of the database; its folder is made (0700) where missing. */
  readonly path: string;
  /**
   * `daemon`: takes the one-daemon lock and writes through the worker thread in groups.
   * `cli`: short transactions of its own in this thread. `read`: refuses to write, and fails where the file is missing.
   */
  readonly as: 'daemon' | 'cli' | 'read';
  /** Loads the native module from an object instead of node_modules (the single executable). */
  readonly nativeBinding?: object;
  /** The same module's file: the daemon's writing thread loads it by itself, for a loaded module cannot be handed to a thread. */
  readonly nativeFile?: string;
}
