import type { EventBlock, SseEvent, TransportFailure } from '../wire/index.ts';
import { Intake } from './intake.ts';
import type { EventStream, StreamRead } from './types.ts';

/** Undelivered event text beyond which the provider is held back, in characters. */
const HIGH_WATER_CHARS = 65_536;

/** What all streams of a process have brought and nobody has read yet, in characters. */
export interface Unread {
  chars: number;
}

/** What the queue may do to the connection behind it. */
export interface Flow {
  /** False where this connection cannot be held back. */
  pause(): boolean;
  resume(): void;
  drop(): void;
  leave(): void;
}

/**
 * Bytes in, events out. Events that one socket read brought are delivered by one `read`, because the waiting reader is
 * woken in a microtask, after the whole read was parsed: on busy streams that is a tenth more events a second.
 */
export class EventQueue implements EventStream {
  readonly #flow: Flow;
  readonly #intake: Intake;
  readonly #maxQueuedChars: number;
  readonly #unread: Unread;
  #events: (SseEvent | EventBlock)[] = [];
  #queuedChars = 0;
  #paused = false;
  #ending: StreamRead | undefined;
  #wake: ((read: StreamRead) => void) | undefined;
  #wakeDue = false;
  readonly #deliver = (): void => {
    this.#wakeDue = false;
    const wake = this.#wake;
    if (wake === undefined) return;
    this.#wake = undefined;
    wake(this.#next());
  };

  /** @param unread counts what waits here, as long as it waits */
  constructor(flow: Flow, caps: { readonly maxEventChars: number; readonly maxQueuedChars: number }, unread: Unread) {
    this.#flow = flow;
    this.#intake = new Intake(caps.maxEventChars);
    this.#maxQueuedChars = caps.maxQueuedChars;
    this.#unread = unread;
  }

  /** The provider is held back, so its silence proves nothing. */
  get heldBack(): boolean {
    return this.#paused;
  }

  /**
   * Takes bytes of the body; true if they completed an event.
   * @throws RangeError when an event passes its cap, or what is undelivered passes its own because the connection cannot be held back.
   */
  write(bytes: Buffer): boolean {
    const events = this.#intake.push(bytes);
    if (events.length === 0) return false;
    this.#enqueue(events);
    return true;
  }

  /**
   * The body is over. An event that only lacks its blank line still counts as the scanner says.
   * @throws RangeError when the last event passes its cap.
   */
  end(): void {
    this.#enqueue(this.#intake.end());
    this.#finish({ kind: 'end' });
  }

  /** The connection failed: what came before it is still delivered. */
  fail(failure: TransportFailure): void {
    this.#finish({ kind: 'failed', failure });
  }

  /** Nothing of it is wanted any more: what was not delivered is dropped. */
  discard(): void {
    this.#empty();
    this.#ending = { kind: 'failed', failure: 'aborted' };
    this.#wakeSoon();
  }

  read(): Promise<StreamRead> {
    if (this.#wake !== undefined) return Promise.reject(new Error('a read of this stream is already under way'));
    if (this.#events.length > 0 || this.#ending !== undefined) return Promise.resolve(this.#next());
    return new Promise((resolve) => {
      this.#wake = resolve;
      // Not before somebody waits: what comes of it would wait here in addition to what the reader has not got rid of yet.
      this.#goOn();
    });
  }

  holdBack(): void {
    if (!this.#paused && this.#wake === undefined && this.#ending === undefined) this.#paused = this.#flow.pause();
  }

  abort(): void {
    this.discard();
    this.#flow.drop();
  }

  leave(): void {
    this.discard();
    this.#flow.leave();
  }

  #enqueue(events: readonly (SseEvent | EventBlock)[]): void {
    let chars = 0;
    for (const event of events) {
      this.#events.push(event);
      chars += 'bytes' in event ? event.bytes.length : event.data.length + event.name.length;
    }
    this.#queuedChars += chars;
    this.#unread.chars += chars;
    if (this.#queuedChars > HIGH_WATER_CHARS && !this.#paused && this.#wake === undefined) {
      this.#paused = this.#flow.pause();
    }
    if (this.#queuedChars > this.#maxQueuedChars) throw new RangeError(`more than ${this.#maxQueuedChars} characters of events wait to be read`);
    if (events.length > 0) this.#wakeSoon();
  }

  #finish(ending: StreamRead): void {
    this.#ending ??= ending;
    this.#wakeSoon();
  }

  #wakeSoon(): void {
    if (this.#wake === undefined || this.#wakeDue) return;
    this.#wakeDue = true;
    queueMicrotask(this.#deliver);
  }

  #next(): StreamRead {
    if (this.#events.length === 0) return this.#ending ?? { kind: 'events', events: [] };
    const events = this.#events;
    this.#empty();
    return { kind: 'events', events };
  }

  #empty(): void {
    this.#events = [];
    this.#unread.chars -= this.#queuedChars;
    this.#queuedChars = 0;
  }

  #goOn(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#flow.resume();
  }
}
