import type { Interruption } from '../upstream/index.ts';

type Listener = (() => void) | { handleEvent(): void };

/**
 * One call's signal and the means to give it: the client left, or the daemon stops. It tells its listeners once, in the order in
 * which they came. An `AbortController` and its signal would do the same at many times the cost (measured; Node 20).
 * `const one = new Interrupter(); one.abort('x')` leaves `one.aborted` true and `one.reason` `'x'`.
 */
export class Interrupter implements Interruption {
  aborted = false;
  reason: unknown = undefined;
  /** Most calls have one listener at a time. */
  readonly #listeners: Listener[] = [];

  /** Interrupts, the first time; later calls change nothing. */
  abort(reason?: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.#listeners.splice(0)) {
      if (typeof listener === 'function') listener();
      else listener.handleEvent();
    }
  }

  addEventListener(_type: 'abort', listener: Listener): void {
    if (!this.aborted && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }
}
