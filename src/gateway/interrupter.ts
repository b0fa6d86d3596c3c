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
  /** Most calls have one listener at a time, so that a list is made only for more: a list's first place costs as much as sixteen. */
  #first: Listener | undefined;
  #others: Listener[] | undefined;

  /** Interrupts, the first time; later calls change nothing. */
  abort(reason?: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const listeners = [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others ?? [])];
    this.#first = undefined;
    this.#others = undefined;
    for (const listener of listeners) {
      if (typeof listener === 'function') listener();
      else listener.handleEvent();
    }
  }

  addEventListener(_type: 'abort', listener: Listener): void {
    if (this.aborted || this.#first === listener || this.#others?.includes(listener) === true) return;
    if (this.#first === undefined) this.#first = listener;
    else (this.#others ??= []).push(listener);
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    if (this.#first === listener) {
      this.#first = this.#others?.shift();
      return;
    }
    const at = this.#others?.indexOf(listener) ?? -1;
    if (at !== -1) this.#others?.splice(at, 1);
  }
}
