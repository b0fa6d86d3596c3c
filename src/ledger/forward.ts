import { rmSync } from 'node:fs';
import { createChainBooks } from './chain.ts';
import { type Connection, isHeld, isServed, migratingLock, takeDaemonLock, takeMigratingLock } from './connection.ts';
import { LedgerError } from './errors.ts';
import { CHAINED, MIGRATIONS, schemaVersion } from './schema.ts';
import type { OpenLedger } from './types.ts';

type Told = OpenLedger['onOlder'];

/**
 * Brings the file to this program's schema, one transaction a version. Whoever calls it for older books holds the daemon's lock; the
 * others are told meanwhile what goes on.
 * @throws LedgerError `ledger_newer` where a newer findtoken made it: its rows may mean what this one cannot know.
 */
export function bringForward(db: Connection, path: string, onOlder?: Told): void {
  const version = schemaVersion(db, path);
  if (version === 0 || version === MIGRATIONS.length) return migrate(db, path);
  onOlder?.({ schema: version, needed: MIGRATIONS.length });
  const sign = takeMigratingLock(path);
  try {
    migrate(db, path);
  } finally {
    sign.close();
    for (const ending of ['', '-journal']) rmSync(migratingLock(path) + ending, { force: true });
  }
}

/** Others may be about the same, or a daemon of this version may be starting: so long is waited for them. */
const LOCK_TRIES = 20;
const LOCK_PAUSE_MS = 50;

/**
 * Brings the schema up to date where no daemon runs: its statements are those of its own version, and it could neither hold nor settle.
 * @throws LedgerError `ledger_older` under a daemon, or while another is about it
 */
export function bringForwardAlone(db: Connection, path: string, onOlder?: Told): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 1; isOlder(db, path); tries += 1) {
    const lock = freeLock(path);
    if (lock === undefined) {
      if (tries === LOCK_TRIES) throw olderBooks(path, schemaVersion(db, path));
      Atomics.wait(never, 0, 0, LOCK_PAUSE_MS);
      continue;
    }
    try {
      bringForward(db, path, onOlder);
    } finally {
      lock.close();
    }
  }
  migrate(db, path);
}

/** A reader cannot migrate. @throws LedgerError `ledger_older` or `ledger_newer` where the file's schema is not this program's. */
export function assertMigrated(db: Connection, path: string): void {
  const version = schemaVersion(db, path);
  if (version < MIGRATIONS.length) throw olderBooks(path, version);
}

/** Whether these are books of an older findtoken; a file without books is not. @throws LedgerError `ledger_newer` */
function isOlder(db: Connection, path: string): boolean {
  const version = schemaVersion(db, path);
  return version > 0 && version < MIGRATIONS.length;
}

function migrate(db: Connection, path: string): void {
  while (schemaVersion(db, path) < MIGRATIONS.length) {
    db.exec('BEGIN IMMEDIATE');
    try {
      // Read again under the lock: another process may have been first.
      const version = schemaVersion(db, path);
      const next = MIGRATIONS[version];
      if (next !== undefined) {
        db.exec(next);
        // Transfers of before the chain are linked with the step itself: an audit between it and the first write would find the link missing.
        if (version + 1 >= CHAINED) createChainBooks(db).extend(undefined);
        db.pragma(`user_version = ${version + 1}`);
      }
      db.exec('COMMIT');
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}

/** What fits whoever meets older books: to wait, to restart a daemon, or to start one. */
function olderBooks(path: string, version: number): LedgerError {
  if (isHeld(migratingLock(path))) return new LedgerError('ledger_older', `${path} is being brought up to date by another findtoken, which takes a while where it is large. Run the command again once that is done; nothing was changed.`);
  if (isServed(path)) return new LedgerError('ledger_older', `A daemon of an older findtoken runs on ${path}. Restart it with this one first; nothing was changed.`);
  return new LedgerError('ledger_older', `${path} has schema ${version}, this findtoken needs ${MIGRATIONS.length}. Start the daemon once to bring it up to date; \`findtoken backup FILE\` before that keeps the way back.`);
}

/** The daemon's lock; undefined where somebody has it. */
function freeLock(path: string): Connection | undefined {
  try {
    return takeDaemonLock(path);
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'ledger_locked') return undefined;
    throw error;
  }
}
