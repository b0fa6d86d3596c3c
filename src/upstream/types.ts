import type { EventBlock, SseEvent, TransportFailure } from '../wire/index.ts';

/**
 * What tells that a call is over before its end. An `AbortSignal` is one; a caller with thousands of calls a second uses an
 * object of its own, for each `AbortSignal` that is made costs several times what it is good for (Node 20).
 */
export interface Interruption {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: (() => void) | { handleEvent(): void }): void;
  removeEventListener(type: 'abort', listener: (() => void) | { handleEvent(): void }): void;
}

/** One call to one provider. */
export interface Attempt {
  /** Provider id: picks the connection pool. */
  readonly provider: string;
  /** From the catalogue, never from a request. */
  readonly baseUrl: string;
  /** The credential; leaves the vault only to get here. */
  readonly apiKey: string;
  /** JSON text, or its UTF-8. */
  readonly body: string | Uint8Array;
  readonly stream: boolean;
  /** Public id of the model, for providers inside the daemon (the sandbox). */
  readonly model: string;
  readonly requestId: string;
  /** W3C trace context to pass on, if the client sent one. */
  readonly traceparent: string | undefined;
  /** To the end of a JSON answer, or to the first event of a stream. */
  readonly timeoutMs: number;
  /** Between two events of a stream; comments and blank lines are none. */
  readonly idleMs: number;
}

/** What one read of a stream brought. After `end` or `failed` there is nothing more. */
export type StreamRead =
  | { readonly kind: 'events'; readonly events: readonly (SseEvent | EventBlock)[] }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly failure: TransportFailure };

/** A stream of events under way. Holds back the provider when it is read slower than it sends (64 KiB). */
export interface EventStream {
  /** All events that have come since the last read, joined; waits for at least one. One read at a time. */
  read(): Promise<StreamRead>;
  /** Nothing more is wanted until the next read: at most one event, or one piece of a long one, still comes of the connection. Not while a read waits. */
  holdBack(): void;
  /** Drops the connection. Reads after it end as `aborted`. Safe to call twice. */
  abort(): void;
  /**
   * The answer is whole, whatever may still come: reads after it end as `aborted`, and the connection is kept for the next call if
   * the stream ends within a second, without much more being said. Many providers end it in a packet of its own, after `[DONE]`.
   */
  leave(): void;
}

export type Reply =
  | { readonly kind: 'failed'; readonly failure: TransportFailure; readonly sent: boolean }
  /** Any answer that is not an event stream: JSON, HTML, an error. */
  | { readonly kind: 'whole'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly text: string }
  /** A 2xx answer of `text/event-stream`. */
  | { readonly kind: 'stream'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly stream: EventStream };

/** The only door through which a request leaves for a provider. */
export interface Upstream {
  /** What its streams have brought and nobody has read yet, in characters; left out where nothing ever waits. */
  readonly unread?: number;
  /** Sends one attempt. Never throws for what a network or provider does; such ends are values. */
  send(attempt: Attempt, signal: Interruption): Promise<Reply>;
  /**
   * `GET {baseUrl}/models` with a key: the probe that costs nothing, and the check of a BYOK key.
   * The reply is always `whole` or `failed`.
   */
  listModels(target: { readonly provider: string; readonly baseUrl: string; readonly apiKey: string; readonly timeoutMs: number }): Promise<Exclude<Reply, { kind: 'stream' }>>;
  close(): Promise<void>;
}
