import type { Dispatcher } from 'undici';

import type { TransportFailure } from '../wire/index.ts';
import { EventQueue } from './events.ts';
import type { Flow, Unread } from './events.ts';
import { failureOf } from './failure.ts';
import type { Scratch } from './scratch.ts';
import { canHoldBack } from './sockets.ts';
import type { Interruption, Reply } from './types.ts';

/** The conditions under which one request runs. */
export interface Terms {
  /** To the end of a whole answer, or to the first event of a stream. */
  readonly timeoutMs: number;
  /** Between two events of a stream. */
  readonly idleMs: number;
  readonly maxBodyBytes: number;
  readonly maxEventChars: number;
  /** Whether an event stream is handed over as a stream; else it is read whole like any other body. */
  readonly streams: boolean;
  readonly signal: Interruption | undefined;
  readonly scratch: Scratch;
  readonly unread: Unread;
}

/**
 * As much as one read of a socket brings. A connection that was held back has two of them waiting; they are taken up one by one, so
 * that no reader is given more at once than the provider's connection brings when nothing waits.
 */
const TURN_BYTES = 65_536;

/** What a stream that was left may still take, in milliseconds and bytes, before its connection is not worth waiting for. */
const LEFT_MS = 1_000;
const LEFT_BYTES = 65_536;

const NO_HEADERS: Readonly<Record<string, string>> = {};

type Head = Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>[2];

/**
 * One request on its way, as undici's handler.
 *
 *   waiting ──head──▶ whole body ──end──▶ over
 *      │       └────▶ events ────────end──▶ over
 *      │                 └──left──────end──▶ over
 *      └── a deadline, the signal, the network, a cap: over at once, and the socket is gone
 *
 * One timer an exchange: undici's own are off, because keep-alive comments and blank lines defeat them.
 */
export class Exchange implements Dispatcher.DispatchHandler, Flow {
  readonly #terms: Terms;
  /** Until the reply is told: a stream goes on for long, and its head with all its fields need not. */
  #settle: ((reply: Reply) => void) | undefined;
  readonly #expired = (): void => this.#fail('timeout');
  readonly #takeRead = (): void => {
    if (this.#stream === undefined || this.#chunks.length === 0) return;
    const bytes = this.#joined();
    if (!this.#over) this.#takeEvents(this.#stream, bytes);
  };
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sent = false;
  #over = false;
  #status = 0;
  #headers: Readonly<Record<string, string>> = NO_HEADERS;
  #canHoldBack = false;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #stream: EventQueue | undefined;
  #streaming = false;
  #left = false;

  constructor(terms: Terms, settle: (reply: Reply) => void) {
    this.#terms = terms;
    this.#settle = settle;
  }

  /** Starts the clock and listens for the caller's hanging up; false where that has happened already. */
  begin(): boolean {
    if (this.#terms.signal?.aborted === true) {
      this.#fail('aborted');
      return false;
    }
    this.#terms.signal?.addEventListener('abort', this);
    this.#arm(this.#terms.timeoutMs);
    return true;
  }

  /** The signal's listener: an object instead of a closure a request. */
  handleEvent(): void {
    this.#chunks = [];
    this.#stream?.discard();
    this.#fail('aborted');
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // A request that ended while it waited for its connection cannot be taken out of undici's queue before this moment.
    if (this.#over) controller.abort(new Error('over before it was sent'));
    else this.#sent = true;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, head: Head): void {
    // They are pieces of what the socket's first read brought, and would keep all of that, up to 64 KiB, while the answer lasts.
    controller.rawHeaders = null;
    if (this.#over || status < 200) return;
    this.#status = status;
    this.#headers = flat(head);
    if (status >= 300 && status < 400) return this.#fail('redirect');
    const encoding = (this.#headers['content-encoding'] ?? '').trim().toLowerCase();
    if (encoding !== '' && encoding !== 'identity') return this.#fail('encoding');
    if (this.#terms.streams && status < 300 && isEventStream(this.#headers)) {
      this.#stream = new EventQueue(this, { maxEventChars: this.#terms.maxEventChars, maxQueuedChars: this.#terms.maxBodyBytes }, this.#terms.unread);
      this.#canHoldBack = canHoldBack(this.#headers);
      this.#tell({ kind: 'stream', status, headers: this.#headers, stream: this.#stream });
      this.#headers = NO_HEADERS;
    } else if (Number(this.#headers['content-length']) > this.#terms.maxBodyBytes) {
      this.#fail('too_large');
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    if (this.#stream !== undefined && !this.#left) {
      // One socket read brings many chunks: they are joined and decoded at once, after the last of them.
      if (this.#chunks.length === 0) {
        queueMicrotask(this.#takeRead);
        this.#bytes = 0;
      }
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes > TURN_BYTES && this.#canHoldBack && !controller.paused) {
        controller.pause();
        setImmediate(nextTurn, this);
      }
      return;
    }
    this.#bytes += chunk.length;
    if (this.#left) {
      if (this.#bytes > LEFT_BYTES) this.#fail('aborted');
      return;
    }
    if (this.#bytes > this.#terms.maxBodyBytes) return this.#fail('too_large');
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#left) return this.#release();
    if (this.#stream !== undefined) {
      this.#takeRead();
      if (this.#over || !this.#withinCap(this.#stream, undefined)) return;
      this.#release();
      return;
    }
    this.#release();
    this.#tell({ kind: 'whole', status: this.#status, headers: this.#headers, text: this.#joined().toString('utf8') });
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#fail(failureOf(error, this.#sent));
  }

  /** Goes on with what is left of a large piece, unless its reader has had enough meanwhile. */
  takeTurn(): void {
    if (!this.#over && this.#stream?.heldBack === false) this.#controller?.resume();
  }

  pause(): boolean {
    if (this.#over || this.#controller === undefined || !this.#canHoldBack) return false;
    clearTimeout(this.#timer);
    this.#controller.pause();
    return true;
  }

  resume(): void {
    if (this.#over) return;
    this.#arm(this.#terms.idleMs);
    this.#controller?.resume();
  }

  drop(): void {
    this.#chunks = [];
    this.#fail('aborted');
  }

  leave(): void {
    if (this.#over || this.#left) return;
    this.#left = true;
    this.#chunks = [];
    this.#bytes = 0;
    this.#arm(LEFT_MS);
    this.#controller?.resume();
  }

  /** What has come and was not taken yet. */
  #joined(): Buffer {
    const chunks = this.#chunks;
    const [only] = chunks;
    this.#chunks = [];
    if (chunks.length === 1 && only !== undefined) return only;
    return this.#stream === undefined ? Buffer.concat(chunks) : this.#terms.scratch.join(chunks);
  }

  #takeEvents(stream: EventQueue, chunk: Buffer): void {
    const wasHeldBack = stream.heldBack;
    const gotEvent = this.#withinCap(stream, chunk);
    if (!gotEvent || wasHeldBack || stream.heldBack) return;
    if (this.#streaming) this.#timer?.refresh();
    else this.#arm(this.#terms.idleMs);
    this.#streaming = true;
  }

  /** Feeds the stream (undefined: its end); false where nothing came of it, or where it broke its cap. */
  #withinCap(stream: EventQueue, chunk: Buffer | undefined): boolean {
    try {
      if (chunk !== undefined) return stream.write(chunk);
      stream.end();
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#fail('too_large');
      return false;
    }
  }

  #tell(reply: Reply): void {
    this.#settle?.(reply);
    this.#settle = undefined;
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#expired, ms);
  }

  #release(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#terms.signal?.removeEventListener('abort', this);
  }

  #fail(failure: TransportFailure): void {
    if (this.#over) return;
    // What came before the failure is still delivered; it may itself be a worse one.
    this.#takeRead();
    if (this.#over) return;
    this.#release();
    this.#chunks = [];
    if (this.#stream === undefined) this.#tell({ kind: 'failed', failure, sent: this.#sent });
    else this.#stream.fail(failure);
    this.#controller?.abort(new Error(failure));
  }
}

function nextTurn(exchange: Exchange): void {
  exchange.takeTurn();
}

function isEventStream(headers: Readonly<Record<string, string>>): boolean {
  return /^\s*text\/event-stream\s*(;|$)/i.test(headers['content-type'] ?? '');
}

/** Repeated headers joined by a comma, as RFC 9110 section 5.3 allows. */
function flat(head: Head): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name in head) {
    const value = head[name];
    if (name === '__proto__' || value === undefined) continue;
    headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return headers;
}
