import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { Fault } from '../faults.ts';

/** How often the event loop is looked at. */
const RESOLUTION_MS = 20;
/** Over how long its lag is judged: one long task is not yet too much work. */
const WINDOW_MS = 1_000;

/** The part of the heap that the bodies of all calls under way may come to; the rest is the daemon's own. */
const BODIES_PART = 0.5;
/**
 * What bodies may come to while they arrive, measured by the heap too: they lie beside it, and its bound follows the machine's memory.
 * Those that no key came with may take an eighth of it, so that strangers cannot shut the door for callers.
 */
const ARRIVING_PART = 0.25;
const STRANGERS_PART = 0.125;

export interface LoadRules {
  /** Calls at once, over all accounts. */
  readonly inFlight: number;
  readonly loopLagMs: number;
  /** The largest body: one alone always has room. */
  readonly bodyBytes: number;
}

/** Counts the bytes of bodies that are arriving. */
export class Arriving {
  readonly #roomBytes: () => number;
  readonly #within: Arriving | undefined;
  #bytes = 0;

  /** @param within what counts them as well */
  constructor(roomBytes: () => number, within?: Arriving) {
    this.#roomBytes = roomBytes;
    this.#within = within;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Makes room for bytes that have come. Where there is none, what to refuse them with (`overloaded`, 503), and nothing is counted. */
  take(bytes: number): Fault | undefined {
    if (this.#bytes + bytes > this.#roomBytes()) return overloaded('The server has no memory for more request bodies at once.');
    const refusal = this.#within?.take(bytes);
    if (refusal === undefined) this.#bytes += bytes;
    return refusal;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    this.#within?.give(bytes);
  }
}

/** A call under way, as far as it is looked at here. */
interface Writing {
  readonly res: { readonly writableLength: number };
}

interface CallsUnderWay {
  readonly size: number;
  now(): readonly Writing[];
}

/**
 * How much the process has to do. Beyond the bounds new work is turned away, so that what runs is not slowed.
 * The lag is the median of a second's looks at the event loop: a loop that is late at every turn is overloaded, one long task is not.
 */
export class Load {
  readonly #rules: LoadRules;
  readonly #roomBytes: number;
  /** The bodies of calls with a key, and of all others. */
  readonly arriving: Arriving;
  /** The bodies of calls without one. */
  readonly strangers: Arriving;
  #takenBytes = 0;
  #lagMs = 0;
  #calls: CallsUnderWay = { size: 0, now: () => [] };
  #stop: () => void = () => undefined;

  constructor(rules: LoadRules) {
    this.#rules = rules;
    const { heap_size_limit: heapBytes } = getHeapStatistics();
    this.#roomBytes = heapBytes * BODIES_PART;
    const roomBytes = () => Math.max(heapBytes * ARRIVING_PART, rules.bodyBytes);
    this.arriving = new Arriving(roomBytes);
    this.strangers = new Arriving(() => roomBytes() * STRANGERS_PART, this.arriving);
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  /** Bytes of answers that their clients have not taken; counted at the asking. */
  get unsentBytes(): number {
    let bytes = 0;
    for (const { res } of this.#calls.now()) bytes += res.writableLength;
    return bytes;
  }

  get lagMs(): number {
    return this.#lagMs;
  }

  /** Begins to look. @param calls the calls under way */
  watch(calls: CallsUnderWay): void {
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

  /**
   * Refuses a body for which the heap has no room beside those of the calls under way: a heap that is full ends the process.
   * @param heapBytes what the body may come to
   * @throws Fault `invalid_request` (400) where it is too large for the whole of it, `overloaded` (503) where it is for what is left
   */
  readonly weigh = (heapBytes: number): void => {
    if (heapBytes > this.#roomBytes) {
      throw new Fault('invalid_request', { fill: { detail: 'The request body holds more values than this server has memory for. Send fewer, or start the daemon with a larger heap (NODE_OPTIONS=--max-old-space-size=MEGABYTES).' } });
    }
    if (this.#takenBytes + heapBytes > this.#roomBytes) throw overloaded('The server has no memory for so large a request beside those that run.');
  };

  /** `weigh`, and keeps the room until it is given back. */
  take(heapBytes: number): void {
    this.weigh(heapBytes);
    this.#takenBytes += heapBytes;
  }

  give(heapBytes: number): void {
    this.#takenBytes -= heapBytes;
  }
}

function overloaded(why: string): Fault {
  return new Fault('overloaded', { fill: { detail: `${why} Try again in a moment.` }, retryAfterS: 2 });
}
