import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { takesFiles, whyNot } from '../disk.ts';
import { type Connection, isFull, openConnection, openToRead, storageTrouble, takeDaemonLock, unfit } from './connection.ts';
import { LedgerError } from './errors.ts';
import { MIGRATIONS } from './schema.ts';
import { areBooks, assertTarget, isSameFile, JOURNALS, readAlone } from './target.ts';
import { inWorkshop } from './workshop.ts';

/** Pages a step; between two steps the process can be interrupted. 16 MiB of 4 KiB pages. */
const STEP_PAGES = 4_096;

/**
 * Copies the books, those of an older findtoken too, as they are at this moment into a new file (0600), while a daemon goes on writing: the copy is one moment of
 * them, proved sound and on the disk before it bears its name. An older backup at `to` is replaced, once `replaces` has not
 * thrown; nothing else is. A key file of the vault is not in it.
 * @returns the copy's size in bytes
 * @throws LedgerError `ledger_missing`, `ledger_newer`, or `ledger_unfit` where `to` is anything but free or an older backup, a file cannot be
 *   read or written, is no books, or the copy is not sound
 */
export async function backupLedger({ path, to, replaces }: { readonly path: string; readonly to: string; /** Asks whoever must know. */ readonly replaces?: () => Promise<void> }): Promise<{ readonly bytes: number }> {
  const source = openBooks(path);
  return refused({ path: to, into: to }, async () => {
    try {
      if ((await assertTarget(path, to)) === 'books') await replaces?.();
      // Looked at again at the end: somebody may have put something there meanwhile.
      return await copyInto(source, to, () => assertTarget(path, to));
    } finally {
      source.close();
    }
  });
}

/** @throws LedgerError that names the books, not the place for their copy */
function openBooks(path: string): Connection {
  try {
    const source = openToRead(path);
    try {
      // As they are: who has installed a newer findtoken wants a copy before it brings them forward, for there is no way back without.
      assertBooks(source, path);
      return source;
    } catch (error) {
      source.close();
      throw error;
    }
  } catch (error) {
    const trouble = storageTrouble(error);
    throw trouble === undefined ? error : unfit(path, trouble);
  }
}

/**
 * Puts a backup in the place of the books. The file that is replaced is kept beside them under the name that is returned;
 * undefined where there was none. The daemon's lock is held meanwhile.
 * @throws LedgerError `ledger_locked` while a daemon runs; `ledger_newer`, `ledger_unfit` where the backup is not one, or is the books
 *   themselves by another name, before anything is changed
 */
export async function restoreLedger({ path, from, stamp }: { readonly path: string; readonly from: string; /** Made part of the kept file's name. */ readonly stamp: string }): Promise<{ readonly kept: string | undefined; readonly bytes: number; /** Of an older findtoken, to be brought forward first. */ readonly isOlder: boolean }> {
  if (isSameFile(path, from)) throw new LedgerError('ledger_unfit', `${from} is the database itself. Name a backup.`);
  const lock = takeDaemonLock(path);
  try {
    return await refused({ path: from, into: path }, async () => {
      const arriving = `${path}.arriving`;
      // To open a pipe would wait for whoever writes into it.
      const found = statSync(from, { throwIfNoEntry: false });
      if (found?.isFile() === false || found?.size === 0) throw new LedgerError('ledger_unfit', `${from} is ${found.isFile() ? 'empty' : 'no plain file'}. Name a file that \`findtoken backup\` made.`);
      const isOlder = await readAnywhere(from, arriving, async (source) => {
        const version = assertBackup(source, from);
        await copyInto(source, arriving, async () => undefined);
        return version < MIGRATIONS.length;
      });
      const kept = setAside(path, stamp);
      renameSync(arriving, path);
      syncFolder(path);
      return { kept, bytes: statSync(path).size, isOlder };
    });
  } finally {
    lock.close();
  }
}

/**
 * Reads a file that may lie where nothing can be written, on a snapshot or in a folder of others. SQLite keeps journals beside a file that
 * it reads, so such a one is read as a copy.
 */
async function readAnywhere<T>(file: string, to: string, work: (db: Connection) => Promise<T>): Promise<T> {
  if (takesFiles(dirname(file)) || !existsSync(file)) return readAlone(file, work);
  return inWorkshop(to, async (folder) => {
    const copy = join(folder, 'source.db');
    for (const ending of ['', '-wal']) {
      if (!existsSync(file + ending)) continue;
      await copyFile(file + ending, copy + ending);
      chmodSync(copy + ending, 0o600);
    }
    return readAlone(copy, work);
  });
}

/** @param mayLand rejects where the copy shall not take its name after all */
async function copyInto(source: Connection, to: string, mayLand: () => Promise<unknown>): Promise<{ readonly bytes: number }> {
  return inWorkshop(to, async (folder) => {
    const part = join(folder, 'copy.db');
    closeSync(openSync(part, 'wx', 0o600));
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
    await mayLand();
    // A journal that somebody's copy of this name was left with would be played into this one.
    for (const ending of JOURNALS) rmSync(to + ending, { force: true });
    renameSync(part, to);
    syncFolder(to);
    return { bytes: size };
  });
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

/** Older books are brought up to date at the next start, newer ones are refused as everywhere. @returns their version */
function assertBackup(source: Connection, from: string): number {
  const version = assertBooks(source, from);
  const found = String(source.pragma('quick_check(1)', { simple: true }));
  if (found !== 'ok') throw new LedgerError('ledger_unfit', `${from} is damaged (${found}). Take another backup; nothing was changed.`);
  return version;
}

function assertBooks(source: Connection, from: string): number {
  if (!areBooks(source)) throw new LedgerError('ledger_unfit', `${from} is a database, but not one of findtoken. Name one that is, or a file that \`findtoken backup\` made.`);
  const version = Number(source.pragma('user_version', { simple: true }));
  if (version > MIGRATIONS.length) throw new LedgerError('ledger_newer', `${from} has schema ${version}, this findtoken knows ${MIGRATIONS.length}. Use the newer findtoken that made it.`);
  return version;
}

/**
 * A file that no longer opens is kept with its journals, for they belong together. Journals may be there without it, where it alone was
 * moved away: what came in its place would be taken for theirs.
 * @returns the name under which the file is kept; undefined where there was none
 */
function setAside(path: string, stamp: string): string | undefined {
  const kept = unusedName(`${path}.replaced-${stamp}`);
  const there = ['', ...JOURNALS].filter((ending) => existsSync(path + ending));
  for (const ending of there) renameSync(path + ending, kept + ending);
  return there.includes('') ? kept : undefined;
}

/** Two restores may fall into one second, or a clock that was set back come to it again; neither takes the place of what another keeps. */
function unusedName(wanted: string): string {
  const isTaken = (name: string): boolean => ['', ...JOURNALS].some((ending) => existsSync(name + ending));
  let name = wanted;
  for (let no = 2; isTaken(name); no += 1) name = `${wanted}-${no}`;
  return name;
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/**
 * The disk's and the file system's faults, told as the ledger's.
 * @param place `path`: the file that was named; `into`: what the copy is made beside
 */
async function refused<T>({ path, into }: { readonly path: string; readonly into: string }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const trouble = storageTrouble(error);
    const why = trouble ?? whyNot(path, error);
    if (why === undefined) throw error;
    if (isFull(why)) throw new LedgerError('ledger_unfit', `There is no room left for the copy in ${dirname(into)} (${trouble ?? why}). Free some and try again; nothing was changed.`);
    if (!existsSync(dirname(into))) throw new LedgerError('ledger_unfit', `There is no folder ${dirname(into)}. Make it, or name another place.`);
    if (trouble === undefined) throw new LedgerError('ledger_unfit', `${path} cannot be used: ${why}. Name another place, or let this user read and write there.`);
    if (/^SQLITE_(CANTOPEN|READONLY|PERM)/.test(trouble)) throw unfit(path, trouble);
    throw new LedgerError('ledger_unfit', `${path} cannot be used (${trouble}). Check that it is a findtoken database, and look at the disk.`);
  }
}
