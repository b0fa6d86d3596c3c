import { parentPort, workerData } from 'node:worker_threads';
import { createBooks, type Books } from './books.ts';
import { openConnection, rememberFile, storageTrouble } from './connection.ts';
import { perform, type Operation, type Outcome } from './operations.ts';
import { isGrouped, packHoldResult, packReceipt, unpack, type Told } from './packing.ts';
import { Space } from './space.ts';
import type { FromWorker, ToWorker, WriterOptions } from './writer.ts';

/** SQLite hands the write lock to whoever asks first; without a pause a busy daemon starves the command line. */
const PAUSE_MS = 0.5;
/** While nobody writes for so large a part of the time, others come in without a pause. */
const FREE_PART = 1 / 8;
/** Over how much time that part is reckoned. */
const WINDOW_MS = 50;

/** How often room is made for one write on a full disk. */
const ROOM_TRIES = 2;

/** How often the path is looked at, whether or not there is something to write. */
const LOOK_MS = 500;

/** The thread that owns the only writing connection: one batch, one answer after its commit. */
function serve({ path, boot, space: rules }: WriterOptions, port: NonNullable<typeof parentPort>): void {
  const db = openConnection({ path, readonly: false });
  const books = createBooks(db, boot);
  const space = rules === undefined ? undefined : new Space(path, rules, () => performance.now());
  const desk: Desk = { books, space, fold: () => void db.pragma('wal_checkpoint(PASSIVE)') };
  const isInPlace = rememberFile(path);
  // A file that is gone stays gone: the thread ends, and with it every later write.
  const look = setInterval(() => {
    if (!isInPlace()) throw new Error(`${path} was moved or deleted while the daemon used it`);
  }, LOOK_MS);
  const leaveRoom = createPause();
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'end') {
      clearInterval(look);
      db.close();
      port.close();
      return;
    }
    leaveRoom.before(performance.now());
    const answers = commitAll(desk, message.operations.map(unpack));
    leaveRoom.after(performance.now());
    port.postMessage({ kind: 'done', answers } satisfies FromWorker);
  });
  port.postMessage({ kind: 'ready' } satisfies FromWorker);
}

/** What an operation is done with. */
interface Desk {
  readonly books: Books;
  readonly space: Space | undefined;
  /** Folds the journal into the file, so that it is written anew from its beginning. */
  fold(): void;
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
function commitAll(desk: Desk, operations: readonly Operation[]): readonly Told[] {
  if (operations.every(({ name }) => isGrouped(name))) return commitBatch(desk, operations);
  const answers: Told[] = [];
  for (let from = 0; from < operations.length; ) {
    let to = from + 1;
    while (isGroupedAt(operations, from) && isGroupedAt(operations, to)) to += 1;
    answers.push(...commitBatch(desk, operations.slice(from, to)));
    from = to;
  }
  return answers;
}

function isGroupedAt(operations: readonly Operation[], at: number): boolean {
  const operation = operations[at];
  return operation !== undefined && isGrouped(operation.name);
}

/** All in one transaction; where one operation throws, each in its own, so that it harms none of its neighbours. */
function commitBatch(desk: Desk, operations: readonly Operation[]): readonly Told[] {
  const { books } = desk;
  try {
    return books.commit(() => operations.map((operation) => answer(desk, operation)));
  } catch (error) {
    stopIfDoomed(error);
    const trouble = storageTrouble(error);
    // Another process kept the write lock for as long as one waits; each by itself would wait as long again, and all writes behind them.
    if (trouble?.startsWith('SQLITE_BUSY') === true) return operations.map(() => failure(error));
    if (operations.length === 1 && trouble !== 'SQLITE_FULL') return [failure(error)];
    return operations.map((operation) => commitAlone(desk, operation));
  }
}

/** One operation in a transaction of its own; where the disk is full, again with the room that can be made. */
function commitAlone(desk: Desk, operation: Operation): Told {
  for (let tries = 0; ; tries += 1) {
    try {
      return desk.books.commit(() => answer(desk, operation));
    } catch (error) {
      stopIfDoomed(error);
      if (storageTrouble(error) !== 'SQLITE_FULL' || tries === ROOM_TRIES) return failure(error);
      desk.space?.relieve();
      desk.fold();
    }
  }
}

/** After an fsync that failed nobody knows what is on the disk, and a damaged page spoils more with each write: the thread ends. */
function stopIfDoomed(error: unknown): void {
  if (/^SQLITE_(IOERR_(DIR_)?FSYNC|CORRUPT|NOTADB)/.test(storageTrouble(error) ?? '')) throw error;
}

function answer({ books, space }: Desk, operation: Operation): Told {
  if (space?.admits(operation.name) === false) return NO_ROOM;
  if (operation.name === 'hold') return packHoldResult(books.hold(...operation.args));
  if (operation.name === 'settle') return packReceipt(books.settle(...operation.args));
  return { ok: true, value: perform(books, operation.name, operation.args) };
}

const NO_ROOM: Outcome = { ok: false, message: 'the disk is almost full', storage: 'the disk is almost full' };

function failure(error: unknown): Outcome {
  return { ok: false, message: error instanceof Error ? error.message : String(error), storage: storageTrouble(error) };
}

if (parentPort !== null) serve(workerData, parentPort);
