import { createBooks } from './books.ts';
import { type Connection, openConnection, openToRead, refusalOf, rememberFile, storageTrouble, takeDaemonLock, unfit } from './connection.ts';
import { createDoor, type Access } from './door.ts';
import { closedError, LedgerError } from './errors.ts';
import { assertMigrated, bringForward, bringForwardAlone } from './forward.ts';
import { lazily } from './lazy.ts';
import { perform, type Operation, type WriteArgs, type WriteName, type WriteResults } from './operations.ts';
import { failureOf, pack, signed, toldFailure, unpackTold, type Sent, type Told } from './packing.ts';
import { storageOf, type StorageState } from './space.ts';
import type { Ledger, OpenLedger } from './types.ts';
import { startWriter } from './writer.ts';

/**
 * Opens the books in one of their three forms; see `OpenLedger`. A `daemon` or `cli` form makes the file and brings its
 * schema up to date.
 * @throws LedgerError whose code and message name the mend: `ledger_locked`, `ledger_missing`, `ledger_newer`,
 *   `ledger_older`, `ledger_unfit`.
 */
export async function openLedger(options: OpenLedger): Promise<Ledger> {
  try {
    return options.as === 'daemon' ? await openForDaemon(options) : openInThread(options, options.as === 'read');
  } catch (error) {
    const trouble = storageTrouble(error);
    throw trouble === undefined ? error : unfit(options.path, trouble);
  }
}

/** One connection in this thread. A write is one transaction of its own; other processes wait for it at most a moment. */
function openInThread({ path, onOlder }: OpenLedger, readonly: boolean): Ledger {
  const db = readonly ? openToRead(path) : openConnection({ path, readonly });
  try {
    if (!readonly) bringForwardAlone(db, path, onOlder);
    assertMigrated(db, path);
    // As much a name of this life as a random one, and without the 2 ms that Node takes for its dice.
    const books = createBooks(lazily(db), `${process.pid}-${process.hrtime.bigint()}`);
    // A command may wait for minutes, for a payment or an answer, and another may put a backup in the file's place meanwhile.
    const isInPlace = readonly ? () => true : rememberFile(path);
    const access: Access = {
      read: async (work) => guarded(db, () => work(books)),
      write: async (name, ...args) => {
        if (readonly) throw new LedgerError('ledger_read_only', `${path} was opened for reading only.`);
        if (!isInPlace()) throw new LedgerError('ledger_unfit', `${path} was moved or replaced while it was open; nothing was written. Run the command again.`);
        return guarded(db, () => books.commit(() => perform(books, name, args)));
      },
      storage: () => storageOf(path, undefined, undefined),
      close: async () => void db.close(),
      failed: undefined,
    };
    return createDoor(access);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The lock, the worker that writes, and a connection of this thread's own that reads every row afresh. */
async function openForDaemon({ path, space, onOlder }: OpenLedger): Promise<Ledger> {
  const lock = takeDaemonLock(path);
  try {
    const first = openConnection({ path, readonly: false });
    try {
      bringForward(first, path, onOlder);
    } finally {
      first.close();
    }
    const boot = mintBoot();
    const writer = await startWriter({ path, boot, space });
    const db = openConnection({ path, readonly: true });
    const books = createBooks(db, boot);
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await writer.drain();
      // The worker's connection goes last, so that it folds the journal into the file.
      db.close();
      await writer.end();
      lock.close();
    };
    return createDoor({
      read: async (work) => guarded(db, () => work(books)),
      write: writer.write,
      storage: () => storageOf(path, space, writer.trouble),
      close: () => (closed ??= close()),
      failed: writer.failed,
      forward: (sent, life) => writer.pass(signed(sent, life)).catch(toldFailure),
    });
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** What a process that serves for the daemon asks of it. */
export interface Forwarding {
  readonly path: string;
  /** Brings a write to the daemon's `forward`. */
  readonly carry: (sent: Sent) => Promise<Told>;
  /** How the disk stands by the daemon's word: it alone writes, and knows what the disk made of the last write. */
  readonly storage: () => Promise<StorageState>;
}

/**
 * The books of a process that serves for the daemon: it reads every row afresh on a connection of its own, and what it writes is
 * `carry`'s to bring to the daemon. Its writes are as durable as the daemon's own.
 * @throws LedgerError as `openLedger` does; what `carry` throws is what the write throws.
 */
export function openForwarding({ path, carry, storage }: Forwarding): Ledger {
  const db = openConnection({ path, readonly: true });
  assertMigrated(db, path);
  const books = createBooks(db, '');
  return createDoor({
    read: async (work) => guarded(db, () => work(books)),
    async write<K extends WriteName>(name: K, ...args: WriteArgs[K]): Promise<WriteResults[K]> {
      const outcome = unpackTold(await carry(pack({ name, args } as Operation)));
      if (outcome.ok) return outcome.value as WriteResults[K];
      throw failureOf(outcome);
    },
    storage,
    close: async () => void db.close(),
    failed: undefined,
  });
}

function guarded<T>(db: Connection, work: () => T): T {
  if (!db.open) throw closedError();
  try {
    return work();
  } catch (error) {
    throw refusalOf(error);
  }
}

/** Names this life of the process, so that holds of another one are known for abandoned. */
function mintBoot(): string {
  return globalThis.crypto.randomUUID();
}
