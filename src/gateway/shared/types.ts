import type { OutgoingHttpHeaders } from 'node:http';
import type { KeyOwner } from '../../ledger/index.ts';
import type { HealthEntry, HealthEvent } from '../../routing/index.ts';
import type { Lease, LimitRefusal } from '../limits.ts';
import type { MetricsRecord } from '../metrics.ts';
import type { SignUpWish } from '../sign-up-limits.ts';
import type { Answer, Call, Streamed } from '../types.ts';

/**
 * What holds for all that serve, whether that is one process or several. With one it lies in its memory (`alone`); with several
 * it lies at the desk of the primary process, and each of them asks there (`member`).
 */
export interface Shared {
  readonly limits: AccountLimits;
  readonly health: SharedHealth;
  readonly signUps: SignUpGate;
  readonly addresses: AddressGate;
  /** Absent where one process serves: all runs are its own. */
  readonly neighbours?: Neighbours;
  /** What is counted, over all who serve. */
  measure(own: () => MetricsRecord): Promise<MetricsRecord>;
  /** How many processes serve. */
  workers(): number;
}

/** The limits of an account, over all its keys. */
export interface AccountLimits {
  /** Takes one token and one place. @param id the request's. @throws Fault `rate_limit_exceeded`, or the hold of this request throws it. */
  enter(owner: Pick<KeyOwner, 'accountId' | 'requestsPerMinute'>, id: string): Lease;
  /** As `enter`, for a request that takes no hold afterwards. @throws Fault `rate_limit_exceeded` */
  enterWithoutHold(owner: Pick<KeyOwner, 'accountId' | 'requestsPerMinute'>, id: string): Promise<Lease>;
  /** What the account's headers say at the moment, for a request that is refused before it takes anything. */
  standing(owner: Pick<KeyOwner, 'accountId' | 'requestsPerMinute'>): Lease['headers'] | Promise<Lease['headers']>;
}

/** What is known of the providers' health. */
export interface SharedHealth {
  /** Keyed by `healthKey`; a missing entry is healthy. */
  readonly entries: ReadonlyMap<string, HealthEntry>;
  observe(key: string, event: HealthEvent): void;
  /** Marks the one request that an open circuit lets through. False where another request has been quicker. */
  reserve(key: string): boolean | Promise<boolean>;
  isDown(key: string): boolean;
}

export interface SignUpGate {
  /** @throws Fault `rate_limit_exceeded` (429) */
  enter(wish: SignUpWish): void | Promise<void>;
}

/** Connections by the address they come from. */
export interface AddressGate {
  /** Counts a connection. `refuse` is called if there are too many, now or a moment later. Returns what takes it back. */
  arrived(address: string, refuse: () => void): () => void;
}

/** The runs under an `Idempotency-Key` of the other processes. */
export interface Neighbours {
  /**
   * Hears the run of another process that stands under this name, to its end.
   * Undefined: nobody else has one, and nobody else can begin one until `forgotten` is told once for each time that this was said.
   * @param onBegun called when its answer begins in pieces: from then on the call is never told undefined
   * @throws Fault `idempotency_conflict` where it was another request
   */
  hear(call: Call, name: string, bodyHash: Uint8Array, onBegun: () => void): Promise<Answer | Streamed | undefined>;
  /** The name is free again, unless other calls of this process were given it as well. */
  forgotten(name: string): void;
}

/** What may be asked of the desk; it answers in the primary process. */
export interface ToDesk {
  readonly enter: { readonly ask: readonly [id: string, accountId: string, perMinute: number | undefined]; readonly answer: LimitRefusal | undefined };
  readonly leave: { readonly ask: string; readonly answer: void };
  readonly standing: { readonly ask: readonly [accountId: string, perMinute: number | undefined]; readonly answer: Lease['headers'] };
  readonly observed: { readonly ask: readonly [key: string, event: HealthEvent]; readonly answer: void };
  readonly reserve: { readonly ask: string; readonly answer: boolean };
  readonly signUp: { readonly ask: SignUpWish; readonly answer: LimitRefusal | undefined };
  /** Answers with who has the run; undefined: it is now the asker's. */
  readonly claim: { readonly ask: string; readonly answer: number | undefined };
  readonly forgotten: { readonly ask: string; readonly answer: void };
  readonly pass: { readonly ask: readonly [member: number, message: Message]; readonly answer: void };
  readonly arrived: { readonly ask: readonly [connection: number, address: string]; readonly answer: void };
  readonly parted: { readonly ask: number; readonly answer: void };
  readonly beat: { readonly ask: MetricsRecord; readonly answer: void };
  readonly measureAll: { readonly ask: undefined; readonly answer: MetricsRecord };
}

/** What the desk says to each that serves. */
export interface ToMember {
  readonly entered: { readonly ask: readonly [id: string, headers: Readonly<Record<string, string>>]; readonly answer: void };
  readonly health: { readonly ask: readonly [key: string, entry: HealthEntry]; readonly answer: void };
  readonly passed: { readonly ask: readonly [member: number, message: Message]; readonly answer: void };
  readonly crowded: { readonly ask: number; readonly answer: void };
  readonly measure: { readonly ask: undefined; readonly answer: MetricsRecord };
  /** So many processes serve from now on. */
  readonly workers: { readonly ask: number; readonly answer: void };
  /** A process that served is gone. */
  readonly lost: { readonly ask: number; readonly answer: void };
}

/** What two that serve say to each other of one call that hears the other's run. `hearing` is a number of the one that hears. */
export type Message =
  | { readonly kind: 'join'; readonly hearing: number; readonly name: string; readonly bodyHash: Uint8Array; readonly httpVersion: string }
  | { readonly kind: 'left'; readonly hearing: number; readonly isStopping: boolean }
  | { readonly kind: 'took'; readonly hearing: number; readonly characters: number }
  | Heard;

/** What one that hears is told. */
export type Heard =
  | { readonly kind: 'head'; readonly hearing: number; readonly status: number; readonly headers: OutgoingHttpHeaders }
  | { readonly kind: 'part'; readonly hearing: number; readonly text: string }
  | { readonly kind: 'end'; readonly hearing: number; readonly trailers: OutgoingHttpHeaders }
  | { readonly kind: 'answer'; readonly hearing: number; readonly answer: Answer | Streamed }
  | { readonly kind: 'other'; readonly hearing: number; readonly requestId: string }
  | { readonly kind: 'gone'; readonly hearing: number; readonly requestId: string }
  | { readonly kind: 'failed'; readonly hearing: number }
  | { readonly kind: 'none'; readonly hearing: number };
