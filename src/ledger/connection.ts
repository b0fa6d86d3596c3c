import { chmodSync, closeSync, existsSync, lstatSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { makeFolder, rightsOf, whyNoFiles, whyNot } from '../disk.ts';
import { LedgerError, StorageFault } from './errors.ts';
import { builtSqlite, embeddedSqlite } from './native.ts';

export type Connection = Database.Database;

/** Before 3.51.3 two connections on one WAL database could lose a commit; the daemon and the CLI are two. */
const SQLITE_LEAST = [3, 51, 3] as const;

const BUSY_TIMEOUT_MS = 5_000;

/** What every connection is set to, and how each setting reads back. SQLite forgets all but the first at every open. */
const PRAGMAS = [
  ['journal_mode', 'WAL', 'wal'],
  ['synchronous', 'FULL', '2'],
  ['foreign_keys', 'ON', '1'],
  ['trusted_schema', 'OFF', '0'],
  ['mmap_size', '0', '0'],
  ['wal_autocheckpoint', '4000', '4000'],
  // A journal that a long reader made grow is cut back to this when it begins anew.
  ['journal_size_limit', '67108864', '67108864'],
] as const;

export interface ConnectionOptions {
  readonly path: string;
  readonly readonly: boolean;
}

/**
 * Opens a connection that keeps what it commits: WAL, fsync at every commit, foreign keys. A writing one makes the file
 * (0600) and its folder (0700) where missing. Every integer is read as a bigint.
 * @throws LedgerError `ledger_missing` on a readonly connection without a file; `ledger_unfit` where SQLite is too old or
 *   a setting does not take (an in-memory or network file system).
 */
export function openConnection(options: ConnectionOptions): Connection {
  if (options.readonly && !existsSync(options.path)) {
    throw new LedgerError('ledger_missing', `There is no database at ${options.path}. Make one with \`findtoken init\`, or check database.path.`);
  }
  if (!options.readonly) makePrivateFile(options.path);
  const db = openFile(options);
  try {
    db.defaultSafeIntegers(true);
    assertVersion(db);
    for (const [name, value, expected] of PRAGMAS) setPragma(db, options.readonly, name, value, expected);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Opens the books to read them.
 * @throws LedgerError as `openConnection`; `ledger_missing` also where the file is empty: whoever made it was stopped before it wrote, or its disk was full
 */
export function openToRead(path: string): Connection {
  if (statSync(path, { throwIfNoEntry: false })?.size === 0) throw new LedgerError('ledger_missing', `${path} is empty. \`findtoken init\` makes a database of it.`);
  return openConnection({ path, readonly: true });
}

/**
 * Takes the one-daemon lock: an exclusive transaction on a file of its own, which dies with the process however it ends.
 * @throws LedgerError `ledger_locked` where another daemon holds it.
 */
export function takeDaemonLock(path: string): Connection {
  const lockPath = `${path}.lock`;
  return takeLock(lockPath, () => isHeld(migratingLock(path))
    ? `${path} is being brought up to date by another findtoken, which takes a while where it is large. Start the daemon again once that is done.`
    : `Another daemon uses ${path} (it holds ${lockPath}). Stop it first, or give this one another database.path.`);
}

/** The file whose lock is the sign that books are being brought forward; it is gone afterwards. */
export function migratingLock(path: string): string {
  return `${path}.migrating`;
}

/** Raises that sign. Who looks at it holds it for a moment, which is waited for. */
export function takeMigratingLock(path: string): Connection {
  return takeLock(migratingLock(path), () => `${path} is being brought up to date by another findtoken.`, BUSY_TIMEOUT_MS);
}

/** Whether a daemon, of whatever version, serves from these books. */
export function isServed(path: string): boolean {
  return isHeld(`${path}.lock`);
}

/** Whether somebody holds a lock. It leaves nothing: the file may lie in a folder of others. */
export function isHeld(lockPath: string): boolean {
  if (lstatSync(lockPath, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const lock = new Database(lockPath, withBinding({ readonly: true, fileMustExist: true, timeout: 0 }));
  try {
    lock.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (storageTrouble(error)?.startsWith('SQLITE_BUSY') === true) return true;
    throw error;
  } finally {
    lock.close();
  }
}

/**
 * Keeps others from changing the master key of these books meanwhile: of two changes at once each would write over the key that the
 * other has just sealed every row with. The lock dies with the process however it ends.
 * @throws LedgerError `ledger_locked` where somebody else is about it
 */
export function lockRotation(path: string): { release(): void } {
  const lock = takeLock(`${path}.rotating`, () => `The master key of ${path} is being changed by another command. Run this one again once that is done; nothing was changed.`);
  return { release: () => void lock.close() };
}

function takeLock(lockPath: string, refusal: () => string, timeout = 0): Connection {
  makePrivateFile(lockPath);
  const lock = new Database(lockPath, withBinding({ timeout }));
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_BUSY')) throw error;
    throw new LedgerError('ledger_locked', refusal());
  }
}

/**
 * Remembers which file was opened. SQLite goes on writing into a file that was moved or deleted, and what it commits
 * there is gone at the next start; the answer says whether the paths of database and journals still lead to the same files.
 * A journal counts from when it is first seen: SQLite makes it at the first write, and keeps it while a connection is open.
 */
export function rememberFile(path: string): () => boolean {
  const known = new Map<string, { readonly ino: bigint; readonly dev: bigint }>();
  const isSame = (file: string): boolean => {
    const now = statSync(file, { bigint: true, throwIfNoEntry: false });
    const before = known.get(file);
    if (before === undefined && now !== undefined) known.set(file, now);
    return before === undefined || (now !== undefined && now.ino === before.ino && now.dev === before.dev);
  };
  const files = [path, `${path}-wal`, `${path}-shm`];
  files.forEach(isSame);
  return () => files.every(isSame);
}

/** SQLite's code, such as `SQLITE_FULL`, where the error is the disk's or the file's fault; undefined for a bug of ours. */
export function storageTrouble(error: unknown): string | undefined {
  if (!(error instanceof Database.SqliteError)) return undefined;
  return /^SQLITE_(FULL|IOERR|READONLY|CORRUPT|NOTADB|BUSY|LOCKED|CANTOPEN|PERM|NOMEM|PROTOCOL)/.test(error.code) ? error.code : undefined;
}

/** Whether the disk has no room, by SQLite's code or the system's. The file that readers share is made at the first look: for that room SQLite has a code of its own. */
export function isFull(trouble: string): boolean {
  return /SQLITE_FULL|SQLITE_IOERR_SHMSIZE|ENOSPC|EDQUOT/.test(trouble);
}

/** The refusal of a file that SQLite does not open or read, for `storageTrouble`, with a mend that fits. */
export function unfit(path: string, trouble: string): LedgerError {
  const told = `${path} cannot be opened (${trouble})`;
  if (isFull(trouble)) return new LedgerError('ledger_unfit', `${told}: the disk of ${dirname(path)} is full. Free some space there, then run the command again.`);
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(trouble)) return new LedgerError('ledger_unfit', `${told}. It is damaged, or no database of findtoken: restore a backup with \`findtoken restore FILE\`, or name another one in database.path.`);
  if (!/^SQLITE_(CANTOPEN|READONLY|PERM)/.test(trouble)) return new LedgerError('ledger_unfit', `${told}. Look at the disk, and who else has the file open.`);
  // SQLite keeps its journals beside the file, so that who may not write the folder cannot read the file either.
  const why = whyNoFiles(dirname(path));
  if (why?.endsWith('(EROFS)') === true) return new LedgerError('ledger_unfit', `${told}: ${why}. Copy the file to where findtoken may write, for a journal is kept beside it.`);
  return new LedgerError('ledger_unfit', `${told}: ${rightsOf(path)}; ${rightsOf(dirname(path))}. Run findtoken as the user whose they are, or give both to this one.`);
}

/** Turns the disk's faults into the refusal of FAULTS, and leaves every other error as it is. */
export function refusalOf(error: unknown): unknown {
  const trouble = storageTrouble(error);
  return trouble === undefined ? error : new StorageFault(trouble);
}

/** The journal files that SQLite makes beside it take their mode from this file. */
function makePrivateFile(path: string): void {
  try {
    makeFolder(dirname(path));
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
  } catch (error) {
    const why = whyNot(path, error);
    if (why === undefined) throw error;
    throw new LedgerError('ledger_unfit', `${path} cannot be made or written: ${why}. Let this user write there, or set database.path to another place.`);
  }
}

function openFile({ path, readonly }: ConnectionOptions): Connection {
  return new Database(path, withBinding({ readonly, fileMustExist: true, timeout: BUSY_TIMEOUT_MS }));
}

/**
 * Options for every database that is opened: in the single executable they bear the native module. The package's types know the
 * module's path only; it takes the loaded module as well.
 */
export function withBinding(options: Database.Options): Database.Options {
  const nativeBinding = embeddedSqlite() ?? builtSqlite();
  return nativeBinding === undefined ? options : Object.assign(options, { nativeBinding });
}

function setPragma(db: Connection, readonly: boolean, name: string, value: string, expected: string): void {
  // A reader cannot change how the file keeps its journal, only see that it is right.
  if (!(readonly && name === 'journal_mode')) db.pragma(`${name} = ${value}`);
  const found = String(db.pragma(name, { simple: true }));
  if (found !== expected) throw new LedgerError('ledger_unfit', `SQLite does not take ${name} = ${value} (it says ${found}). Keep the database on a local disk.`);
}

function assertVersion(db: Connection): void {
  const version = String(db.prepare('SELECT sqlite_version()').pluck().get());
  const parts = version.split('.').map(Number);
  const difference = SQLITE_LEAST.map((least, at) => (parts[at] ?? 0) - least).find((step) => step !== 0) ?? 0;
  if (difference < 0) throw new LedgerError('ledger_unfit', `SQLite ${version} can lose commits; ${SQLITE_LEAST.join('.')} or newer is needed. Reinstall better-sqlite3.`);
}
