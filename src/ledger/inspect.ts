import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { openToRead, storageTrouble, takeDaemonLock, unfit, withBinding } from './connection.ts';
import { LedgerError } from './errors.ts';
import { MIGRATIONS } from './schema.ts';

/** What can be seen of the file itself; whoever reads it judges. */
export interface Inspection {
  /** `ok`, or the first thing that is wrong. */
  readonly integrity: string;
  readonly foreignKeys: 'ok' | 'broken' | 'not checked';
  readonly sqlite: string;
  readonly schema: number;
  /** The schema that this program writes. */
  readonly schemaKnown: number;
  readonly bytes: number;
  /** Of the journal that is not yet folded into the file. */
  readonly walBytes: number;
  /** Permission bits of the file and its folder. */
  readonly fileMode: number;
  readonly folderMode: number;
  /** A daemon holds the lock. */
  readonly locked: boolean;
}

/**
 * Looks at the file of the books without changing it. Its settings are proved by opening it: every connection sets and reads them back.
 * @param deep reads every row and every index, and the references between tables; else only the pages and what they hold
 * @throws LedgerError as `openLedger`, but for an unknown schema, which is reported
 */
export function inspectLedger({ path, folder, deep }: { readonly path: string; readonly folder: string; readonly deep: boolean }): Inspection {
  try {
    const isLocked = existsSync(`${path}.lock`) && holdsLock(path);
    const db = openToRead(path);
    try {
      const check = deep ? db.pragma('integrity_check(1)', { simple: true }) : db.pragma('quick_check(1)', { simple: true });
      return {
        integrity: String(check),
        foreignKeys: deep ? (db.prepare('SELECT 1 FROM pragma_foreign_key_check LIMIT 1').get() === undefined ? 'ok' : 'broken') : 'not checked',
        sqlite: String(db.prepare('SELECT sqlite_version()').pluck().get()),
        schema: Number(db.pragma('user_version', { simple: true })),
        schemaKnown: MIGRATIONS.length,
        bytes: statSync(path).size,
        walBytes: statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0,
        fileMode: statSync(path).mode & 0o777,
        folderMode: statSync(folder).mode & 0o777,
        locked: isLocked,
      };
    } finally {
      db.close();
    }
  } catch (error) {
    const trouble = storageTrouble(error);
    throw trouble === undefined ? error : unfit(path, trouble);
  }
}

/** Loads the native module and asks it for its version. @throws what the loader says where it was built for another machine */
export function sqliteVersion(): string {
  const db = new Database(':memory:', withBinding({}));
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

function holdsLock(path: string): boolean {
  try {
    takeDaemonLock(path).close();
    return false;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'ledger_locked') return true;
    throw error;
  }
}
