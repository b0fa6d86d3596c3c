import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Connection, openConnection, storageTrouble, takeDaemonLock } from './connection.ts';
import { LedgerError } from './errors.ts';
import { assertMigrated, MIGRATIONS } from './schema.ts';

/** What SQLite keeps beside a database in WAL mode. */
const JOURNALS = ['-wal', '-shm'] as const;

/** Pages a step; between two steps the process can be interrupted. 16 MiB of 4 KiB pages. */
const STEP_PAGES = 4_096;

/**
 * Copies the books as they are at this moment into a new file (0600), while a daemon goes on writing: the copy is one moment of
 * them, proved sound and on the disk before it bears its name. What is already at `to` is replaced by the rename, so whoever
 * must keep it asks before. A key file of the vault is not in it.
 * @returns the copy's size in bytes
 * @throws LedgerError `ledger_missing`, or `ledger_unfit` where `to` is the database itself by another name, a file cannot be read or
 *   written, or the copy is not sound
 */
export async function backupLedger({ path, to }: { readonly path: string; readonly to: string }): Promise<{ readonly bytes: number }> {
  return refused(to, async () => {
    const source = openConnection({ path, readonly: true });
    try {
      assertMigrated(source, path);
      if (isSameFile(path, to)) throw new LedgerError('ledger_unfit', `${to} is the database itself. Name another file.`);
      return await copyInto(source, to);
    } finally {
      source.close();
    }
  });
}

/**
 * Puts a backup in the place of the books. The file that is replaced is kept beside them under the name that is returned;
 * undefined where there was none. The daemon's lock is held meanwhile.
 * @throws LedgerError `ledger_locked` while a daemon runs; `ledger_newer`, `ledger_unfit` where the backup is not one, before anything is changed
 */
export async function restoreLedger({ path, from, stamp }: { readonly path: string; readonly from: string; /** Made part of the kept file's name. */ readonly stamp: string }): Promise<{ readonly kept: string | undefined; readonly bytes: number }> {
  const lock = takeDaemonLock(path);
  try {
    return await refused(from, async () => {
      const arriving = `${path}.arriving`;
      // A reader makes journals beside the backup and leaves them there; a backup is one file before and after.
      const made = JOURNALS.map((ending) => from + ending).filter((journal) => !existsSync(journal));
      const source = openConnection({ path: from, readonly: true });
      try {
        assertBackup(source, from);
        await copyInto(source, arriving);
      } finally {
        source.close();
        for (const journal of made) rmSync(journal, { force: true });
      }
      const kept = setAside(path, stamp);
      renameSync(arriving, path);
      syncFolder(path);
      return { kept, bytes: statSync(path).size };
    });
  } finally {
    lock.close();
  }
}

async function copyInto(source: Connection, to: string): Promise<{ readonly bytes: number }> {
  const part = `${to}.part`;
  try {
    closeSync(openSync(part, 'w', 0o600));
    chmodSync(part, 0o600);
    // Within a transaction of the reader the copy sees one moment; without it, it would start again at every write of another process.
    source.exec('BEGIN');
    source.prepare('SELECT count(*) FROM notes').get();
    await source.backup(part, { progress: () => STEP_PAGES });
    source.exec('COMMIT');
    assertSound(part);
    const handle = openSync(part, 'r+');
    fsyncSync(handle);
    closeSync(handle);
    const { size } = statSync(part);
    // A journal that somebody's copy of this name was left with would be played into this one.
    for (const ending of JOURNALS) rmSync(to + ending, { force: true });
    renameSync(part, to);
    syncFolder(to);
    return { bytes: size };
  } finally {
    for (const leftover of [part, ...JOURNALS.map((ending) => part + ending)]) rmSync(leftover, { force: true });
  }
}

function assertSound(path: string): void {
  const copy = openConnection({ path, readonly: false });
  try {
    const found = String(copy.pragma('quick_check(1)', { simple: true }));
    if (found !== 'ok') throw new LedgerError('ledger_unfit', `The copy of the books is not sound (${found}). Run \`findtoken doctor\`, and look at the disk.`);
  } finally {
    copy.close();
  }
}

/** Older books are brought up to date at the next start, newer ones are refused as everywhere. */
function assertBackup(source: Connection, from: string): void {
  const tables = source.prepare(`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('wallets', 'accounts', 'transfers', 'requests', 'notes')`).pluck().get();
  if (tables !== 5n) throw new LedgerError('ledger_unfit', `${from} is a database, but not one of findtoken. Name a file that \`findtoken backup\` made.`);
  const version = Number(source.pragma('user_version', { simple: true }));
  if (version > MIGRATIONS.length) throw new LedgerError('ledger_newer', `${from} has schema ${version}, this findtoken knows ${MIGRATIONS.length}. Use the newer findtoken that made it.`);
  const found = String(source.pragma('quick_check(1)', { simple: true }));
  if (found !== 'ok') throw new LedgerError('ledger_unfit', `${from} is damaged (${found}). Take another backup; nothing was changed.`);
}

/**
 * A file that no longer opens is kept with its journals, for they belong together. Journals may be there without it, where it alone was
 * moved away: what came in its place would be taken for theirs.
 * @returns the name under which the file is kept; undefined where there was none
 */
function setAside(path: string, stamp: string): string | undefined {
  const kept = `${path}.replaced-${stamp}`;
  const there = ['', ...JOURNALS].filter((ending) => existsSync(path + ending));
  for (const ending of there) renameSync(path + ending, kept + ending);
  return there.includes('') ? kept : undefined;
}

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => statSync(file, { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev;
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** The disk's and the file system's faults, told as the ledger's. */
async function refused<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = storageTrouble(error) ?? (error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code)) ? String(error.code) : undefined);
    if (code === undefined) throw error;
    throw new LedgerError('ledger_unfit', `${path} cannot be used (${code}). Check that it is a findtoken database, that its folder is there and who may read and write it.`);
  }
}
