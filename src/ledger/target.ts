import { existsSync, lstatSync, realpathSync, rmSync, statSync, type Stats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Connection, isServed, openConnection, storageTrouble } from './connection.ts';
import { LedgerError } from './errors.ts';

/** What SQLite keeps beside a database in WAL mode. */
export const JOURNALS = ['-wal', '-shm'] as const;
/** Everything that may lie beside a database under its name. */
const COMPANIONS = [...JOURNALS, '-journal', '.lock', '.rotating', '.migrating', '.ballast', '.arriving'] as const;

/**
 * Sees to it that a backup of the books at `path` destroys nothing but an older one: what stands at `to` is a plain file with books
 * of findtoken of any schema, and nobody serves from them.
 * @returns whether something stands there
 * @throws LedgerError `ledger_unfit` where `to` is the database, or one of its companions, by whatever name, or is anything else
 */
export async function assertTarget(path: string, to: string): Promise<'free' | 'books'> {
  // SQLite keeps its journals beside the file that a link leads to. What is written at `to` takes the journals of that name away.
  const ours = [path, realpathSync(path)].flatMap((name) => ['', ...COMPANIONS].map((ending) => name + ending));
  const touched = ['', ...JOURNALS].map((ending) => to + ending);
  if (touched.some((file) => ours.some((own) => isSameFile(own, file)))) {
    throw new LedgerError('ledger_unfit', `${to} is the database itself, or a file that it keeps beside it. Name another file.`);
  }
  const found = lstatSync(to, { throwIfNoEntry: false });
  if (found === undefined) return 'free';
  if (!found.isFile()) throw new LedgerError('ledger_unfit', `${to} is ${kindOf(found)}, and nothing but an older backup is replaced. Name a file.`);
  if (!(await holdsBooks(to))) throw new LedgerError('ledger_unfit', `${to} is no database of findtoken, and nothing but an older backup is replaced. Name another file, or move this one away.`);
  if (isServed(to)) throw new LedgerError('ledger_unfit', `A daemon runs on ${to}. Name another file.`);
  return 'books';
}

/** Whether two names lead to one file, or would if it were made. */
export function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => statSync(file, { bigint: true, throwIfNoEntry: false }));
  if (a !== undefined && b !== undefined) return a.ino === b.ino && a.dev === b.dev;
  return a === b && placeOf(one) === placeOf(other);
}

/** Whether these are books of findtoken, of whatever schema. */
export function areBooks(db: Connection): boolean {
  const tables = db.prepare(`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('wallets', 'accounts', 'transfers', 'requests', 'notes')`).pluck().get();
  return tables === 5n;
}

/** Reads a file that stays one file: a reader makes journals beside it, and leaves them there. */
export async function readAlone<T>(file: string, work: (db: Connection) => T | Promise<T>): Promise<T> {
  const made = JOURNALS.map((ending) => file + ending).filter((journal) => !existsSync(journal));
  try {
    const db = openConnection({ path: file, readonly: true });
    try {
      return await work(db);
    } finally {
      db.close();
    }
  } finally {
    for (const journal of made) rmSync(journal, { force: true });
  }
}

async function holdsBooks(file: string): Promise<boolean> {
  try {
    return await readAlone(file, areBooks);
  } catch (error) {
    // An empty file is a database that keeps no journal of ours, any other one is none.
    if (storageTrouble(error)?.startsWith('SQLITE_NOTADB') === true || (error instanceof LedgerError && error.code === 'ledger_unfit')) return false;
    throw error;
  }
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder';
  if (found.isSymbolicLink()) return 'a link';
  return found.isFIFO() ? 'a pipe' : 'no plain file';
}

/** A name with the links of its folder followed. */
function placeOf(file: string): string {
  const absolute = resolve(file);
  const folder = dirname(absolute);
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(absolute));
}
