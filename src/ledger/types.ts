import type { UsdE8 } from '../money/index.ts';
import type {
  Account, AccountStatus, ApiKey, AuditReport, ByokKey, DaemonState, Granted, HoldRequest, HoldResult, IdempotencyClaim, IdempotencyStanding, KeyOwner,
  MinuteTotals, NoteRead, Page, ProviderKey, Receipt, RequestEnd, RequestFilter, RequestRow, Settlement, Statement, Transfer, UsageGrouping,
  UsageTotals,
} from './records.ts';
import type { LifeLedger } from './life-types.ts';
import type { Sent, Told } from './packing.ts';
import type { SpaceRules, StorageState } from './space.ts';
import type { RechargeLedger } from './recharge-types.ts';

export type * from './records.ts';
export type { Sent, Told } from './packing.ts';
export type * from './life-types.ts';
export type * from './recharge-types.ts';
export type { StorageState } from './space.ts';

/**
 * The books. Everything asynchronous, for a second engine may stand behind the same door; no method speaks of SQLite.
 * A method that writes is durable when its promise resolves. Ids are minted by the caller.
 */
export interface Ledger extends RechargeLedger, LifeLedger {
  createAccount(account: { readonly id: string; readonly email: string; readonly status: AccountStatus; readonly nowMs: number }): Promise<Account | 'email_taken'>;
  /** By id or e-mail address (case-insensitive). */
  findAccount(idOrEmail: string): Promise<Account | undefined>;
  listAccounts(): Promise<readonly Account[]>;
  setAccountStatus(accountId: string, status: AccountStatus, nowMs: number): Promise<boolean>;
  setAccountLimit(accountId: string, requestsPerMinute: number | undefined): Promise<boolean>;

  /** `most`: the account has so many live ones, and may have no more; counted where it is written, so that no two can be the last. */
  createKey(key: { readonly id: string; readonly accountId: string; readonly name: string; readonly hash: Uint8Array; readonly last4: string; readonly nowMs: number }): Promise<'made' | { readonly most: number }>;
  /** Newest first, revoked ones too; with a page, at most `limit` of those made before `after`. */
  listKeys(accountId: string, page?: { readonly limit: number; readonly after: string | undefined }): Promise<readonly ApiKey[]>;
  /** A key by its id, whoever has it; undefined where there is none. */
  keyById(keyId: string): Promise<ApiKey | undefined>;
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
  /**
   * Settles or releases what dead processes left open: called before listening, with the daemon's lock held.
   * With a `life`, what that one alone left open: a process that served for this one has died.
   */
  recover(nowMs: number, life?: string): Promise<{ readonly released: number; readonly settled: number }>;

  /**
   * Binds a client's `Idempotency-Key` to the request that is about to run, before its hold; durable when it resolves.
   * A key whose request was refused before its hold, was released, or is older than `keepMs` is free again.
   */
  claimIdempotency(claim: IdempotencyClaim): Promise<IdempotencyStanding>;

  /** An operator's manual credit; negative takes back, at most what is available. Idempotent by reference. */
  grant(grant: { readonly accountId: string; readonly amount: UsdE8; readonly reference: string; readonly note: string; readonly nowMs: number }): Promise<Granted | 'no_account' | 'insufficient_credits'>;
  listTransfers(filter: { readonly accountId?: string; readonly limit: number; readonly after?: string }): Promise<Page<Transfer>>;
  /** The transfers that are not of requests: grants, recharges, refunds, disputes, expired credits. Newest first. */
  listMovements(filter: { readonly accountId?: string; readonly limit: number; readonly after?: string }): Promise<Page<Transfer>>;
  /** What moved from one midnight (UTC) to another, by kind, and how customers stood before and after, as one moment of the books tells it. */
  statement(span: { readonly fromMs: number; readonly toMs: number }): Promise<Statement>;

  listRequests(filter: RequestFilter, page: { readonly limit: number; readonly after?: string }): Promise<Page<RequestRow>>;
  /** Requests that ended after the cursor, in the order of ending, for `logs --follow`. Without a cursor: no rows, and the cursor of now. */
  requestsSince(cursor: string | undefined, filter: RequestFilter, limit: number): Promise<{ readonly rows: readonly RequestRow[]; readonly cursor: string }>;
  findRequest(id: string): Promise<RequestRow | undefined>;
  /**
   * Removes ended requests that were begun and ended before a moment, in one transaction that looks at `most` rows: `removed` of them are
   * gone, and `next` says where to go on; undefined: nothing is left. Holds, transfers and totals stay, and so does the newest row.
   */
  removeRequests(wish: { readonly beforeMs: number; readonly most: number; readonly after?: string }): Promise<{ readonly removed: number; readonly next: string | undefined }>;
  /** Requests that ended within a span, whole days (UTC) of it, whose rows were removed for their age, and what they cost. */
  removedRequests(span: { readonly accountId?: string; readonly fromMs: number; readonly toMs: number }): Promise<{ readonly requests: number; readonly cost: UsdE8 }>;
  /**
   * Removes minutes of the oldest day from the minutes' rollup, `most` rows or a minute in one transaction, where the day lies before a
   * moment and no row of a request that ended in it is left. The days' totals stay. `isLast`: nothing more is due.
   */
  removeMinutes(wish: { readonly beforeMs: number; readonly most: number }): Promise<{ readonly removed: number; readonly isLast: boolean }>;
  /** The midnight (UTC) from which on minutes are kept; 0: all of them are. */
  minutesFrom(): Promise<number>;
  /** Whole days, and the minutes before and after them. A minute that the span only touches counts whole, and so does a day whose minutes were removed. */
  usageTotals(by: UsageGrouping, span: { readonly accountId?: string; readonly fromMs: number; readonly toMs: number }): Promise<readonly UsageTotals[]>;
  /** The same in several groupings, whose sums agree: one moment of the books tells them all. */
  usageTables(groupings: readonly UsageGrouping[], span: { readonly accountId?: string; readonly fromMs: number; readonly toMs: number }): Promise<readonly (readonly UsageTotals[])[]>;
  /** Minutes in which nothing ended are left out; a minute that the span only touches counts whole. Oldest first. */
  usageByMinute(span: { readonly fromMs: number; readonly toMs: number }): Promise<readonly MinuteTotals[]>;
  byokCount(accountId: string, month: string): Promise<number>;

  /** A new key, or a known one anew. `most`: the account has so many, and may have no more. `changed`: `noted` no longer stands so, and nothing was written. */
  saveByokKey(key: ByokKey, noted?: NoteRead): Promise<'saved' | 'changed' | { readonly most: number }>;
  /** Newest first. */
  listByokKeys(accountId: string): Promise<readonly ByokKey[]>;
  removeByokKey(accountId: string, id: string): Promise<boolean>;
  /** In place of the one before. `changed`: `noted` no longer stands so, and the one before is still there. */
  saveProviderKey(key: ProviderKey, noted?: NoteRead): Promise<'saved' | 'changed'>;
  listProviderKeys(): Promise<readonly ProviderKey[]>;
  removeProviderKey(provider: string): Promise<boolean>;
  /** Every sealed row is handed to `reseal` and written back, in one transaction, with the notes set in it. Returns how many. */
  resealAll(reseal: { readonly byok: (key: ByokKey) => Uint8Array; readonly provider: (key: ProviderKey) => Uint8Array; readonly notes: Readonly<Record<string, string>> }): Promise<number>;

  /** Small facts about this installation: its id, which master key is used. */
  note(name: string): Promise<string | undefined>;
  setNote(name: string, value: string): Promise<void>;
  /** Sets a note where there is none of this name, and returns what stands then. */
  noteOnce(name: string, value: string): Promise<string>;
  publish(state: DaemonState): Promise<void>;
  daemonState(): Promise<DaemonState | undefined>;

  /** The last link of the transfers' hash chain, to be noted where the database is not; undefined before the first transfer. */
  chainHead(): Promise<{ readonly seq: bigint; /** 64 hex characters */ readonly hash: string } | undefined>;
  /** The hash of the link that ends with this transfer, should there be one. */
  chainHash(seq: bigint): Promise<string | undefined>;

  audit(): Promise<AuditReport>;
  /** How the disk under the books stands. @throws Error where the folder is gone or cannot be asked. */
  storage(): Promise<StorageState>;
  close(): Promise<void>;
  /** The daemon's form only: resolves with the reason if the writing thread dies. No write is possible afterwards; reads are. */
  readonly failed?: Promise<Error>;
  /** The daemon's form only: writes for a process that serves for this one. */
  readonly forward?: Forward;
}

/**
 * A write of another process, and what became of it, as `openForwarding` and `forward` pack them: who carries them from process to
 * process need not look inside. `life` is put on each hold.
 */
export type Forward = (sent: Sent, life: string) => Promise<Told>;

export interface OpenLedger {
  /** File of the database; its folder is made (0700) where missing. */
  readonly path: string;
  /**
   * `daemon`: takes the one-daemon lock and writes through the worker thread in groups.
   * `cli`: short transactions of its own in this thread. `read`: refuses to write, and fails where the file is missing.
   */
  readonly as: 'daemon' | 'cli' | 'read';
  /** The daemon's form: room on the disk that is kept for ending what runs; none without it. */
  readonly space?: SpaceRules;
  /** Told before books of an older findtoken are brought forward, which takes minutes where they are large and holds up this thread. */
  readonly onOlder?: (books: { readonly schema: number; readonly needed: number }) => void;
}
