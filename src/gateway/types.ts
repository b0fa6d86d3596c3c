import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Model } from '../catalog/index.ts';
import type { Link } from '../crew/index.ts';
import type { KeyOwner, Ledger, Mode } from '../ledger/index.ts';
import type { UsdE8 } from '../money/index.ts';
import type { Payments } from '../payments/index.ts';
import type { Settings } from '../settings/index.ts';
import type { Interruption, Upstream } from '../upstream/index.ts';
import type { Vault } from '../vault/index.ts';
import type { Endings } from './endings.ts';
import type { KeyedRuns } from './idempotency.ts';
import type { Load } from './load.ts';
import type { Metrics, MetricsRecord } from './metrics.ts';
import type { PlayMoney } from './play.ts';
import type { Shared, ToDesk } from './shared/types.ts';

/** Time as the gateway is given it: tests drive it by hand. */
export interface Clock {
  /** Wall clock, Unix milliseconds: for the books and for ids. */
  nowMs(): number;
  /** Never goes back: for durations. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal: Interruption): Promise<void>;
}

/** A credential ready to be sent, and where to. */
export interface Credential {
  readonly provider: string;
  readonly baseUrl: string;
  readonly apiKey: string;
}

/** Finds credentials. The daemon builds it from settings, ledger and vault; the gateway never sees a sealed key. */
export interface Credentials {
  /** Providers for which the operator has a key, afresh. */
  operatorProviders(): Promise<ReadonlySet<string>>;
  /** At once where it was looked at a moment ago. */
  operator(provider: string): Credential | undefined | Promise<Credential | undefined>;
  /** The account's registered key, newest first. @throws Fault where it cannot be unsealed. */
  registered(accountId: string, provider: string): Promise<Credential | undefined>;
}

/** Fixed spans of the HTTP side, in milliseconds. They are arguments so that tests need not wait. */
export interface Timing {
  /** Silence after which a stream gets a comment. */
  readonly keepAliveMs: number;
  /** How long a reader may leave a full buffer before it counts as gone. */
  readonly writeStallMs: number;
  /** How long a stream whose choices have all ended may take for its usage and `[DONE]`. */
  readonly finishGraceMs: number;
  /** How often a running stream's cost so far is made durable. */
  readonly progressMs: number;
  /** How long a call under an `Idempotency-Key` goes on without a client, for a repeat to join it. */
  readonly rejoinMs: number;
  /** For the request's head and body to arrive. */
  readonly bodyMs: number;
}

/** What the gateway is built of. */
export interface GatewayParts {
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly upstream: Upstream;
  /** Present only with the sandbox on. */
  readonly sandbox: Upstream | undefined;
  readonly credentials: Credentials;
  /** Absent where nobody can recharge: neither Stripe nor the sandbox is there. */
  readonly payments?: Payments | undefined;
  /** Opened when the first secret is to be sealed. */
  readonly vault: () => Promise<Vault>;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  /** The way to the primary, where this process is one of several that serve. */
  readonly desk?: Link<ToDesk>;
  readonly timing?: Partial<Timing>;
}

/** Parts, and what the gateway keeps while it runs. */
export interface Running extends GatewayParts {
  readonly timing: Timing;
  readonly health: Shared['health'];
  readonly limits: Shared['limits'];
  readonly signUps: Shared['signUps'];
  readonly addresses: Shared['addresses'];
  readonly neighbours: Shared['neighbours'];
  readonly keyed: KeyedRuns;
  readonly endings: Endings;
  readonly play: PlayMoney;
  readonly load: Load;
  readonly metrics: Metrics;
  /** The API's description, by the catalogue it was made with: when settings are read again they stay one object, their catalogue does not. */
  readonly described: WeakMap<object, string>;
  /** Models of which their provider said that it answers in streams only; when settings are read again it is asked anew. */
  readonly streamsOnly: WeakSet<Model>;
  /** What is counted, over all who serve. */
  measure(): Promise<MetricsRecord>;
  /** How many processes serve. */
  workers(): number;
  /** True from the first moment of a drain. */
  isDraining(): boolean;
}

export interface Log {
  /** One line for each request. */
  access(line: AccessLine): void;
  /** Something an operator must know. `detail` bears no secret, prompt or upstream body. */
  warn(event: string, detail: Readonly<Record<string, string | number>>): void;
  error(event: string, error: unknown): void;
}

export interface AccessLine {
  readonly req_id: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly dur_ms: number;
  readonly account_id?: string | undefined;
  readonly key_id?: string | undefined;
  /** Of the caller's `traceparent`, where it is a valid one. */
  readonly trace_id?: string | undefined;
  readonly chat?: ChatLine | undefined;
}

/** What a chat call adds to its access line. */
export interface ChatLine {
  readonly mode: Mode;
  readonly model_requested: string;
  readonly model_used: string;
  readonly provider: string;
  readonly attempts: number;
  readonly stream: boolean;
  readonly in_tok: number;
  readonly cached_tok: number;
  readonly out_tok: number;
  readonly cost: string;
  readonly ttft_ms: number | undefined;
  /** Of `dur_ms`, what was spent waiting for providers, up to the first words of the answer. */
  readonly upstream_ms: number;
  /** Present, and true, where the client hung up before the end. */
  readonly client_abort?: true | undefined;
  /** What the client's SDK says of itself, such as `js 6.49.0`, and how often it has asked already. */
  readonly sdk?: string | undefined;
  readonly retry_count?: number | undefined;
  /** `ok`, `aborted`, or the error's code. */
  readonly end: string;
}

/** One HTTP request being answered. */
export interface Call {
  readonly id: string;
  readonly req: IncomingMessage;
  readonly res: Outlet;
  readonly method: string;
  readonly path: string;
  readonly query: Pick<URLSearchParams, 'get' | 'getAll' | 'has'>;
  /** Monotonic. */
  readonly startedMs: number;
  /** Aborts when the client is gone before its answer is whole, and when a drain runs out. */
  readonly signal: Interruption;
  /** The request's body, where it has been read and checked already. Let go of once it is parsed. */
  body?: Buffer | undefined;
  /** What the call has spent waiting for providers, up to the first words of its answer: not our doing. */
  readonly waits: { ms: number };
}

/** Where an answer is written: a client's response, or the tape of a call that others may join. */
export interface Outlet {
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  readonly writableNeedDrain: boolean;
  /** It gives up readers that stall by itself: who writes to it waits as long as it takes. */
  readonly endsStalls?: true;
  writeHead(status: number, headers: OutgoingHttpHeaders): unknown;
  /** Takes text of one character a byte. False when no more should be written before `drain`. */
  write(bytes: string, encoding: 'latin1'): boolean;
  addTrailers(trailers: OutgoingHttpHeaders): void;
  end(body?: string): unknown;
  on(event: 'drain', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
}

/** An answer that is sent in one piece. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a string as plain text. */
  readonly body: object | string;
  /** What the billing headers say; absent outside `/v1`. */
  readonly billing?: Billing;
  readonly chat?: ChatLine;
  /** Drop the connection afterwards: the request's body was not read. */
  readonly close?: boolean;
}

/** The figures of the headers `X-FindToken-*`. */
export interface Billing {
  readonly mode: Mode;
  readonly cost: UsdE8;
  /** Standard only. */
  readonly balance: UsdE8 | undefined;
}

/** The answer has left already, piece by piece. */
export interface Streamed {
  readonly streamed: true;
  readonly status: number;
  /** Absent on a repeat of a call under an `Idempotency-Key`. */
  readonly chat?: ChatLine;
}

export type Handler = (running: Running, call: Call, owner: KeyOwner) => Promise<Answer | Streamed>;
