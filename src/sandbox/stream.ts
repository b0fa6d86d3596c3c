import type { SseEvent } from '../wire/index.ts';
import type { EventStream, Interruption, StreamRead } from '../upstream/index.ts';

/** A step of a scripted stream: these events, after this pause. */
export interface Step {
  readonly afterMs: number;
  readonly events: readonly SseEvent[];
}

export interface Script {
  readonly steps: readonly Step[];
  /** How it ends after the last step. */
  readonly end: StreamRead;
  /** To the first event. */
  readonly timeoutMs: number;
  /** Between events. */
  readonly idleMs: number;
}

/** Waits; false if the waiting was cut short. */
export type Wait = (ms: number, signal: Interruption) => Promise<boolean>;

/**
 * Plays a script as a stream of events. It goes on only while it is read, so that a slow reader holds it back;
 * the deadlines of the attempt hold as they do for a real provider.
 */
export class ScriptedStream implements EventStream {
  readonly #script: Script;
  readonly #wait: Wait;
  readonly #caller: Interruption;
  readonly #hangUp = new AbortController();
  #next = 0;
  #isReading = false;
  #ending: StreamRead | undefined;

  constructor(script: Script, wait: Wait, caller: Interruption) {
    this.#script = script;
    this.#wait = wait;
    this.#caller = caller;
    if (caller.aborted) this.abort();
    else caller.addEventListener('abort', this);
  }

  /** The caller's signal. */
  handleEvent(): void {
    this.abort();
  }

  async read(): Promise<StreamRead> {
    if (this.#isReading) throw new Error('a read of this stream is already under way');
    if (this.#ending !== undefined) return this.#ending;
    const step = this.#script.steps[this.#next];
    if (step === undefined) return this.#finish(this.#script.end);
    const limitMs = this.#next === 0 ? this.#script.timeoutMs : this.#script.idleMs;
    this.#isReading = true;
    const isUndisturbed = await this.#wait(Math.min(step.afterMs, limitMs), this.#hangUp.signal);
    this.#isReading = false;
    if (!isUndisturbed) return this.#finish({ kind: 'failed', failure: 'aborted' });
    if (step.afterMs > limitMs) return this.#finish({ kind: 'failed', failure: 'timeout' });
    this.#next += 1;
    return { kind: 'events', events: step.events };
  }

  /** The next step is played when it is read for. */
  holdBack(): void {}

  abort(): void {
    this.#finish({ kind: 'failed', failure: 'aborted' });
    this.#hangUp.abort();
  }

  leave(): void {
    this.abort();
  }

  #finish(ending: StreamRead): StreamRead {
    this.#caller.removeEventListener('abort', this);
    this.#ending ??= ending;
    return this.#ending;
  }
}
