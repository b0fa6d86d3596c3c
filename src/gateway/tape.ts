import type { OutgoingHttpHeaders } from 'node:http';
import type { Interruption } from '../upstream/index.ts';
import { drained, STOPPING } from './send.ts';
import type { Outlet, Timing } from './types.ts';

/** A run ahead of its quickest listener by more than this waits for it. */
const AHEAD_MAX = 65_536;
/** A longer answer is passed on and forgotten: it cannot be joined or replayed, and who falls behind by more than this is let go. */
const KEPT_MAX = 16 * 1_048_576;
const COMMENT = ': keep-alive\n\n';

/** Who hears a tape: a call of this process, or one of another. */
export interface Hearer {
  readonly res: Outlet;
  readonly signal: Interruption;
  readonly req: { readonly httpVersion: string };
}

/** One who hears a tape, from `join` to `leave`. */
export interface Listener {
  /** Which part it takes next, counted from the first part there ever was. */
  at: number;
  taken: number;
  /** What it would take next is forgotten. */
  isBehind: boolean;
}

/** How it ended for a listener: it heard all · it left or stalled · it was too slow · the run ended before its answer did. */
export type Heard = 'whole' | 'left' | 'behind' | 'cut';

/**
 * A stream's answer as it is written once and heard by many: the call's own client, those who join it, those who come afterwards.
 * It stands where a client's response would, so that a stream is relayed the same way with or without listeners.
 */
export class Tape implements Outlet {
  headersSent = false;
  writableEnded = false;
  /** A tape has no client that could leave; who listens is the business of the run. */
  readonly destroyed = false;
  /** One that is far behind its fellow who left may need long to catch up, and reads all the same. */
  readonly endsStalls = true;
  /** Resolves when the head is out. */
  readonly opened: Promise<void>;
  #open: () => void = () => undefined;
  #status = 0;
  #headers: OutgoingHttpHeaders = {};
  #trailers: OutgoingHttpHeaders = {};
  readonly #listeners = new Set<Listener>();
  readonly #onDrain = new Set<() => void>();
  #parts: string[] = [];
  #dropped = 0;
  #size = 0;
  #isForgetful = false;
  #isCut = false;
  #changed = new Turn();

  constructor() {
    this.opened = new Promise((resolve) => (this.#open = resolve));
  }

  /** Bytes written so far; undefined where the beginning is forgotten. */
  get keptSize(): number | undefined {
    return this.#isForgetful ? undefined : this.#size;
  }

  get writableNeedDrain(): boolean {
    return this.#isAhead();
  }

  writeHead(status: number, headers: OutgoingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
    this.headersSent = true;
    this.#open();
  }

  write(bytes: string): boolean {
    this.#parts.push(bytes);
    this.#size += bytes.length;
    if (this.#size > KEPT_MAX) {
      this.#isForgetful = true;
      this.#forget();
    }
    this.#changed.next();
    return !this.#isAhead();
  }

  addTrailers(trailers: OutgoingHttpHeaders): void {
    this.#trailers = trailers;
  }

  end(): void {
    this.writableEnded = true;
    this.#changed.next();
  }

  /** The run is over: an answer that has not been ended by now never will be, and nobody shall wait for more of it. */
  over(): void {
    if (this.writableEnded) return;
    this.#isCut = true;
    this.end();
  }

  on(_event: 'drain', listener: () => void): void {
    this.#onDrain.add(listener);
  }

  off(_event: 'drain', listener: () => void): void {
    this.#onDrain.delete(listener);
  }

  /** A place from which the whole tape will be heard; undefined where its beginning is forgotten. To be given back by `leave`. */
  join(): Listener | undefined {
    if (this.#isForgetful) return undefined;
    const listener: Listener = { at: 0, taken: 0, isBehind: false };
    this.#listeners.add(listener);
    return listener;
  }

  leave(listener: Listener): void {
    this.#listeners.delete(listener);
    this.#moved();
  }

  /** Plays the tape to a call's client from the beginning, and goes on with what is still being written. */
  async play(listener: Listener, call: Hearer, timing: Timing, headers: Readonly<Record<string, string>>): Promise<Heard> {
    await this.opened;
    const { trailer, ...plain } = this.#headers;
    call.res.writeHead(this.#status, { ...plain, ...(trailer === undefined || call.req.httpVersion === '1.0' ? {} : { trailer }), ...headers });
    const wasOver = this.writableEnded;
    for (;;) {
      if (listener.isBehind) return 'behind';
      const part = this.#parts[listener.at - this.#dropped];
      if (part !== undefined) {
        listener.at += 1;
        listener.taken += part.length;
        this.#moved();
        if (wasOver && part === COMMENT) continue;
        if (!call.res.write(part, 'latin1') && !(await drained(call.res, timing.writeStallMs, call.signal))) return 'left';
      } else if (this.#isCut) return 'cut';
      else if (this.writableEnded) {
        call.res.addTrailers(this.#trailers);
        call.res.end();
        return 'whole';
      } else if (isGone(call.signal)) return 'left';
      else await this.#changed.orAbort(call.signal);
    }
  }

  /** With nobody listening it runs on, how long being the run's to say; but not where nobody could come back to what it tells. */
  #isAhead(): boolean {
    if (this.#listeners.size === 0) return this.#isForgetful;
    return this.#size - Math.max(...[...this.#listeners].map(({ taken }) => taken)) > AHEAD_MAX;
  }

  #moved(): void {
    if (this.#isForgetful) this.#forget();
    if (!this.#isAhead()) for (const listener of this.#onDrain) listener();
  }

  /** Drops what nobody will take. The slowest is not waited for: it would stop the others, or be waited for in vain. */
  #forget(): void {
    let first = this.#dropped + this.#parts.length;
    for (const listener of this.#listeners) {
      listener.isBehind ||= this.#size - listener.taken > KEPT_MAX;
      if (!listener.isBehind && listener.at < first) first = listener.at;
    }
    this.#parts.splice(0, first - this.#dropped);
    this.#dropped = first;
  }
}

/** True when the connection itself is gone; a daemon that stops still has a word to say. */
export function isGone(signal: Interruption): boolean {
  return signal.aborted && signal.reason !== STOPPING;
}

/** Wakes everybody who waits for the next change. */
class Turn {
  #waiting = new Set<() => void>();

  next(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  orAbort(signal: Interruption): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      if (!signal.aborted) signal.addEventListener('abort', wake);
    });
  }
}
