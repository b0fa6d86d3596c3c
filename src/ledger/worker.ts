import { parentPort, workerData } from 'node:worker_threads';
import { createBooks, type Books } from './books.ts';
import { openConnection, rememberFile, storageTrouble } from './connection.ts';
import { perform, type Operation, type Outcome } from './operations.ts';
import { isGrouped, packHoldResult, packReceipt, unpack, type Told } from './packing.ts';
import type { FromWorker, ToWorker, WriterOptions } from './writer.ts';

/** SQLite hands the write lock to whoever asks first; without a pause a busy daemon starves the command line. */
const PAUSE_MS = 0.5;
/** While nobody writes for so large a part of the time, others come in without a pause. */
const FREE_PART = 1 / 8;
/** Over how much time that part is reckoned. */
const WINDOW_MS = 50;

/** How often the path is looked at while there is something to write. */
const LOOK_MS = 1_000;

/** The thread that owns the only writing connection: one batch, one answer after its commit. */
function serve({ path, boot }: WriterOptions, port: NonNullable<typeof parentPort>): void {
  const db = openConnection({ path, readonly: false });
  const books = createBooks(db, boot);
  const isInPlace = rememberFile(path);
  const leaveRoom = createPause();
  let lookedMs = performance.now();
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'end') {
      db.close();
      port.close();
      return;
    }
    const startedMs = leaveRoom.before(performance.now());
    const isDue = startedMs - lookedMs > LOOK_MS;
    if (isDue) lookedMs = startedMs;
    // A file that is gone stays gone: every later batch is refused as well.
    if (isDue && !isInPlace()) throw new Error(`${path} was moved or deleted while the daemon used it`);
    const answers = commitAll(books, message.operations.map(unpack));
    leaveRoom.after(performance.now());
    port.postMessage({ kind: 'done', answers } satisfies FromWorker);
  });
  port.postMessage({ kind: 'ready' } satisfies FromWorker);
}

interface Pause {
  /** Waits, where too little time was left free of late; returns the time after it. */
  before(nowMs: number): number;
  after(nowMs: number): void;
}

function createPause(): Pause {
  const never = new Int32Array(new SharedArrayBuffer(4));
  let startedMs = 0;
  let endedMs = performance.now();
  let freeMs = WINDOW_MS;
  let busyMs = 0;
  return {
    before(nowMs) {
      freeMs += nowMs - endedMs;
      startedMs = nowMs;
      if (freeMs < (freeMs + busyMs) * FREE_PART) {
        Atomics.wait(never, 0, 0, PAUSE_MS);
        startedMs = performance.now();
        freeMs += startedMs - nowMs;
      }
      return startedMs;
    },
    after(nowMs) {
      busyMs += nowMs - startedMs;
      endedMs = nowMs;
      const excess = (freeMs + busyMs) / WINDOW_MS;
      if (excess <= 1) return;
      freeMs /= excess;
      busyMs /= excess;
    },
  };
}

/** Neighbours that share what they sum up go into one transaction, every other write into its own; the order is kept. */
function commitAll(books: Books, operations: readonly Operation[]): readonly Told[] {
  if (operations.every(({ name }) => isGrouped(name))) return commitBatch(books, operations);
  const answers: Told[] = [];
  for (let from = 0; from < operations.length; ) {
    let to = from + 1;
    while (isGroupedAt(operations, from) && isGroupedAt(operations, to)) to += 1;
    answers.push(...commitBatch(books, operations.slice(from, to)));
    from = to;
  }
  return answers;
}

function isGroupedAt(operations: readonly Operation[], at: number): boolean {
  const operation = operations[at];
  return operation !== undefined && isGrouped(operation.name);
}

/** All in one transaction; where one operation throws, each in its own, so that it harms none of its neighbours. */
function commitBatch(books: Books, operations: readonly Operation[]): readonly Told[] {
  try {
    return books.commit(() => operations.map((operation) => answer(books, operation)));
  } catch (error) {
    if (operations.length === 1) return [failure(error)];
    return operations.map((operation) => {
      try {
        return books.commit(() => answer(books, operation));
      } catch (own) {
        return failure(own);
      }
    });
  }
}

function answer(books: Books, operation: Operation): Told {
  if (operation.name === 'hold') return packHoldResult(books.hold(...operation.args));
  if (operation.name === 'settle') return packReceipt(books.settle(...operation.args));
  return { ok: true, value: perform(books, operation.name, operation.args) };
}

function failure(error: unknown): Outcome {
  return { ok: false, message: error instanceof Error ? error.message : String(error), storage: storageTrouble(error) };
}

if (parentPort !== null) serve(workerData, parentPort);
