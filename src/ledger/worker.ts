import { parentPort, workerData } from 'node:worker_threads';
import { createBooks, type Books } from './books.ts';
import { openConnection, rememberFile, storageTrouble } from './connection.ts';
import { perform, type Operation, type Outcome } from './operations.ts';
import type { FromWorker, ToWorker, WriterOptions } from './writer.ts';

/** SQLite hands the write lock to whoever asks first; without a pause a busy daemon starves the command line. */
const PAUSE_MS = 0.5;

/** How often the path is looked at while there is something to write. */
const LOOK_MS = 1_000;

/** The thread that owns the only writing connection: one batch, one transaction, one answer after its commit. */
function serve({ path, boot, nativeFile }: WriterOptions, port: NonNullable<typeof parentPort>): void {
  const db = openConnection({ path, readonly: false, nativeBinding: nativeFile === undefined ? undefined : loadNative(nativeFile) });
  const books = createBooks(db, boot);
  const never = new Int32Array(new SharedArrayBuffer(4));
  const isInPlace = rememberFile(path);
  let committedMs = 0;
  let lookedMs = performance.now();
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'end') {
      db.close();
      port.close();
      return;
    }
    const pauseMs = committedMs + PAUSE_MS - performance.now();
    if (pauseMs > 0) Atomics.wait(never, 0, 0, pauseMs);
    const isDue = performance.now() - lookedMs > LOOK_MS;
    if (isDue) lookedMs = performance.now();
    // A file that is gone stays gone: every later batch is refused as well.
    if (isDue && !isInPlace()) throw new Error(`${path} was moved or deleted while the daemon used it`);
    const outcomes = commitBatch(books, message.operations);
    committedMs = performance.now();
    port.postMessage({ kind: 'done', outcomes } satisfies FromWorker);
  });
  port.postMessage({ kind: 'ready' } satisfies FromWorker);
}

/** All in one transaction; where one operation throws, each in its own, so that it harms none of its neighbours. */
function commitBatch(books: Books, operations: readonly Operation[]): readonly Outcome[] {
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

function answer(books: Books, operation: Operation): Outcome {
  return { ok: true, value: perform(books, operation.name, operation.args) };
}

function failure(error: unknown): Outcome {
  return { ok: false, message: error instanceof Error ? error.message : String(error), storage: storageTrouble(error) };
}

/** The single executable has no node_modules: the thread loads the native module from the file that it was unpacked to. */
function loadNative(file: string): object {
  const module = { exports: {} };
  process.dlopen(module, file);
  return module.exports;
}

if (parentPort !== null) serve(workerData, parentPort);
