import { Worker } from 'node:worker_threads';
import { embeddedText } from '../embedded/index.ts';
import { closedError, LedgerError, StorageFault } from './errors.ts';
import type { Operation, WriteArgs, WriteName, WriteResults } from './operations.ts';
import { failureOf, pack, unpackTold, type Sent, type Told } from './packing.ts';
import type { SpaceRules } from './space.ts';

/** A larger batch would keep the command line waiting for the write lock. */
const BATCH_MAX = 512;

/** How long writes may gather while every turn of the event loop brings more. */
const GATHER_MS = 5;

/** Of a batch nothing outlives its answer: a young generation of V8's own size would only be memory that is passed through. */
const THREAD = { maxYoungGenerationSizeMb: 6 } as const;

export interface WriterOptions {
  readonly path: string;
  readonly boot: string;
  readonly space?: SpaceRules | undefined;
}

export interface Writer {
  write<K extends WriteName>(name: K, ...args: WriteArgs[K]): Promise<WriteResults[K]>;
  /** As `write`, of one that is packed already, and for an answer that is passed on as it is. */
  pass(sent: Sent): Promise<Told>;
  /** Takes no more writes; resolves when those that were taken are durable. */
  drain(): Promise<void>;
  /** Ends the thread, which closes its connection. */
  end(): Promise<void>;
  /** Resolves with the reason if the thread dies; every pending and later write is then refused. */
  readonly failed: Promise<Error>;
  /** What the disk did to the last write; undefined where it took it. */
  readonly trouble: string | undefined;
}

/** What the thread says: that it is ready, or what became of a batch. */
export type FromWorker = { readonly kind: 'ready' } | { readonly kind: 'done'; readonly answers: readonly Told[] };
export type ToWorker = { readonly kind: 'batch'; readonly operations: readonly Sent[] } | { readonly kind: 'end' };

interface Pending {
  readonly sent: Sent;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  /** Whether the answer is passed on as the thread told it. */
  readonly asTold: boolean;
}

/**
 * Starts the thread that owns the only writing connection. Writes gather while one batch is on its way, and go out
 * together when it is durable: no timer, and one fsync for all of them.
 */
export async function startWriter(options: WriterOptions): Promise<Writer> {
  const worker = startThread(options);
  const queue = new Queue(worker);
  await queue.ready;
  return {
    write: (name, ...args) => queue.add(name, args),
    pass: (sent) => queue.pass(sent),
    drain: () => queue.drain(),
    end: () => queue.end(),
    failed: queue.failed,
    get trouble() {
      return queue.trouble;
    },
  };
}

/** The thread's program lies beside this file while that is TypeScript, beside the bundle once it is built, or in the single executable. */
function startThread(workerData: WriterOptions): Worker {
  const carried = embeddedText('ledger-worker.js');
  if (carried !== undefined) return new Worker(carried, { eval: true, workerData, resourceLimits: THREAD });
  return new Worker(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './ledger-worker.js', import.meta.url), { workerData, resourceLimits: THREAD });
}

class Queue {
  trouble: string | undefined;
  readonly ready: Promise<void>;
  readonly failed: Promise<Error>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #waiting: Pending[] = [];
  #inFlight: Pending[] = [];
  #sendDue = false;
  #refusal: Error | undefined;
  #onIdle: (() => void) | undefined;
  #tellFailure: (error: Error) => void = () => undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    this.failed = new Promise((resolve) => (this.#tellFailure = resolve));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    this.ready = new Promise((resolve, reject) => {
      void this.failed.then(reject);
      worker.on('message', (message: FromWorker) => (message.kind === 'ready' ? resolve() : this.#settle(message.answers)));
    });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => this.#fail(new Error(`it stopped with code ${code}`)));
  }

  add<K extends WriteName>(name: K, args: WriteArgs[K]): Promise<WriteResults[K]> {
    // Each name's arguments and answer belong together; the queue in between does not look at either.
    return new Promise((resolve, reject) => this.#push({ sent: pack({ name, args } as Operation), resolve: resolve as (value: unknown) => void, reject, asTold: false }));
  }

  pass(sent: Sent): Promise<Told> {
    return new Promise((resolve, reject) => this.#push({ sent, resolve: resolve as (value: unknown) => void, reject, asTold: true }));
  }

  #push(pending: Pending): void {
    if (this.#refusal !== undefined) return pending.reject(this.#refusal);
    this.#waiting.push(pending);
    this.#sendSoon();
  }

  drain(): Promise<void> {
    this.#refusal ??= closedError();
    if (this.#inFlight.length + this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }

  async end(): Promise<void> {
    this.#worker.postMessage({ kind: 'end' } satisfies ToWorker);
    await this.#exited;
  }

  /**
   * Sends when a turn of the event loop has brought nothing new, or after `GATHER_MS`. A batch of one would make all others
   * wait for its fsync, and where the threads share a core it would take the time in which the others could have come.
   */
  #sendSoon(): void {
    if (this.#sendDue || this.#inFlight.length > 0) return;
    this.#sendDue = true;
    const untilMs = performance.now() + GATHER_MS;
    let before = 0;
    const look = (): void => {
      const { length } = this.#waiting;
      if (length > before && length < BATCH_MAX && performance.now() < untilMs) {
        before = length;
        setImmediate(look);
        return;
      }
      this.#sendDue = false;
      this.#send();
    };
    setImmediate(look);
  }

  #send(): void {
    if (this.#inFlight.length > 0 || this.#waiting.length === 0) return;
    this.#inFlight = this.#waiting.splice(0, BATCH_MAX);
    this.#worker.postMessage({ kind: 'batch', operations: this.#inFlight.map(({ sent }) => sent) } satisfies ToWorker);
  }

  #settle(answers: readonly Told[]): void {
    const batch = this.#inFlight;
    this.#inFlight = [];
    if (this.#waiting.length > 0) this.#sendSoon();
    batch.forEach((pending, at) => {
      const told = answers[at];
      if (told === undefined) return pending.reject(new Error('the ledger worker gave no answer'));
      // An answer is an outcome, or the list of a write that succeeded.
      if (!('ok' in told) || told.ok) this.trouble = undefined;
      else if (told.storage !== undefined) this.trouble = told.storage;
      conclude(pending, told);
    });
    if (this.#inFlight.length + this.#waiting.length === 0) this.#onIdle?.();
  }

  /** Whether the batch on its way was committed is not known; `recover` finds out at the next start. */
  #fail(cause: Error): void {
    const pending = [...this.#inFlight, ...this.#waiting];
    this.#inFlight = [];
    this.#waiting = [];
    const closing = this.#refusal instanceof LedgerError;
    const refusal = new StorageFault(`the ledger worker died: ${cause.message}`);
    this.trouble = refusal.detail;
    if (!closing) this.#refusal ??= refusal;
    for (const { reject } of pending) reject(refusal);
    if (!closing || pending.length > 0) this.#tellFailure(cause);
    this.#onIdle?.();
  }
}

function conclude({ resolve, reject, asTold }: Pending, told: Told): void {
  if (asTold) return resolve(told);
  const outcome = unpackTold(told);
  if (outcome.ok) resolve(outcome.value);
  else reject(failureOf(outcome));
}
