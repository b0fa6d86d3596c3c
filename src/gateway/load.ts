import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Fault } from '../faults.ts';

/** How often the event loop is looked at. */
const RESOLUTION_MS = 20;
/** Over how long its lag is judged: one long task is not yet too much work. */
const WINDOW_MS = 1_000;

export interface LoadRules {
  /** Calls at once, over all accounts. */
  readonly inFlight: number;
  readonly loopLagMs: number;
}

/**
 * How much the process has to do. Beyond the bounds new work is turned away, so that what runs is not slowed.
 * The lag is the median of a second's looks at the event loop: a loop that is late at every turn is overloaded, one long task is not.
 */
export class Load {
  readonly #rules: LoadRules;
  #lagMs = 0;
  #calls: { readonly size: number } = { size: 0 };
  #stop: () => void = () => undefined;

  constructor(rules: LoadRules) {
    this.#rules = rules;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  get lagMs(): number {
    return this.#lagMs;
  }

  /** Begins to look. @param calls the calls under way */
  watch(calls: { readonly size: number }): void {
    this.#calls = calls;
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const timer = setInterval(() => {
      this.judge(delay.percentile(50) / 1e6 - RESOLUTION_MS);
      delay.reset();
    }, WINDOW_MS);
    timer.unref();
    this.#stop = () => {
      clearInterval(timer);
      delay.disable();
    };
  }

  /** Takes the lag of the last second. */
  judge(lagMs: number): void {
    this.#lagMs = Math.max(0, lagMs);
  }

  stop(): void {
    this.#stop();
  }

  /** Turns new work away while there is too much. @throws Fault `overloaded` (503) */
  admit(): void {
    const { inFlight, loopLagMs } = this.#rules;
    // Whoever asks is among them already.
    if (this.inFlight > inFlight) throw overloaded(`The server has ${inFlight} requests running, its limit.`);
    if (this.#lagMs > loopLagMs) throw overloaded('The server has more to do than it can.');
  }
}

function overloaded(why: string): Fault {
  return new Fault('overloaded', { fill: { detail: `${why} Try again in a moment.` }, retryAfterS: 2 });
}
