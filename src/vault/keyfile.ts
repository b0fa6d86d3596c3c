import * as crypto from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { makeFolder, whyNot } from '../disk.ts';
import { VaultError } from './error.ts';
import type { MasterKey } from './master.ts';
import { formatMasterKeys, parseMasterKeys } from './master.ts';
import type { Place } from './place.ts';

const FILE_BYTES_MAX = 16_384;

/**
 * A file that only its owner can read, in a folder of its own.
 * Both ways of writing go through a whole new file beside it: a crash leaves the old text or the new one, never half of one.
 */
export function filePlace(file: string, home: string): Place {
  const label = `file ${tilde(file, home)}`;
  return {
    note: `file:${file}`,
    label,
    writable: true,
    read: () => readKeys(file, label),
    create: async (key) => {
      await inFolder(file, label, [key], async (fresh) => {
        // Unlike a rename, a link never takes the place of a file that is already there.
        await fs.link(fresh, file).catch((error: unknown) => {
          if (codeOf(error) !== 'EEXIST') throw error;
        });
        await fs.unlink(fresh);
      });
      return readKeys(file, label);
    },
    replace: (keys) => inFolder(file, label, keys, (fresh) => fs.rename(fresh, file)),
  };
}

/**
 * Refuses a key file that lies in the database's folder or below it, where one copy would take both.
 * A database directly in the home folder (or above it) makes no folder of its own: then only its very folder counts.
 * @throws VaultError `bad_place`
 */
export async function refuseBesideDatabase(place: { readonly file: string; readonly databasePath: string; readonly home: string }): Promise<void> {
  const keyFolder = await realFolder(path.dirname(place.file));
  const dataFolder = await realFolder(path.dirname(place.databasePath));
  const home = await realFolder(place.home);
  const beside = isWithin(home, dataFolder) ? keyFolder === dataFolder : isWithin(keyFolder, dataFolder);
  if (!beside) return;
  throw new VaultError('bad_place', `The master key ${tilde(place.file, place.home)} would lie in the database's folder ${tilde(dataFolder, place.home)}, where one copy takes both. Set secrets.master_key to file:/another/folder/master.key, or database.path to another folder.`);
}

async function readKeys(file: string, label: string): Promise<readonly MasterKey[]> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw unusable(file, label, 'read', error);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > FILE_BYTES_MAX) throw new VaultError('malformed_key', `The master key's ${label} is no key file. Name another one in secrets.master_key.`);
    refuseOthers(stat, label, file);
    const keys = parseMasterKeys(await handle.readFile('utf8'), label);
    if (keys.length === 0) throw new VaultError('malformed_key', `The master key's ${label} is empty. Put the key back, or remove the file if nothing was ever sealed.`);
    return keys;
  } finally {
    await handle.close();
  }
}

/** Root may own it as well, for root reads everything anyway. Windows knows neither owners nor modes of this kind. */
function refuseOthers(stat: { readonly mode: number; readonly uid: number }, label: string, file: string): void {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  if (stat.uid !== uid && stat.uid !== 0) {
    throw new VaultError('file_too_open', `The master key's ${label} belongs to another user (${stat.uid}). Run findtoken as that user, or \`chown ${uid} ${file}\`.`);
  }
  if ((stat.mode & 0o077) !== 0) {
    throw new VaultError('file_too_open', `The master key's ${label} can be read by others (mode ${(stat.mode & 0o777).toString(8).padStart(4, '0')}). Run \`chmod 600 ${file}\`; if others may have read it, \`findtoken rotate-master-key\` afterwards.`);
  }
}

/** Writes the keys to a new 0600 file in the key file's folder, made 0700 if need be, and lets `put` move it into its place. */
async function inFolder(file: string, label: string, keys: readonly MasterKey[], put: (fresh: string) => Promise<void>): Promise<void> {
  const folder = path.dirname(file);
  const fresh = `${file}.${crypto.randomBytes(6).toString('hex')}`;
  try {
    makeFolder(folder);
    try {
      await fs.writeFile(fresh, `${formatMasterKeys(keys)}\n`, { flag: 'wx', mode: 0o600, flush: true });
      await put(fresh);
    } finally {
      await fs.rm(fresh, { force: true });
    }
    await syncFolder(folder);
  } catch (error) {
    throw error instanceof VaultError ? error : unusable(file, label, 'write', error);
  }
}

/** A new name in a folder outlives a power cut only once the folder is synced. Windows opens no folders. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unusable(file: string, label: string, verb: 'read' | 'write', error: unknown): VaultError {
  return new VaultError('file_unusable', `The master key's ${label} cannot be ${verb === 'read' ? 'read' : 'written'}: ${whyNot(file, error) ?? 'an unknown error'}. Mend its rights or its folder's, or name another file in secrets.master_key.`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}

/** The folder with its links followed, as far down as it exists. */
async function realFolder(folder: string): Promise<string> {
  const absolute = path.resolve(folder);
  try {
    return await fs.realpath(absolute);
  } catch (error) {
    const parent = path.dirname(absolute);
    if (codeOf(error) !== 'ENOENT' || parent === absolute) return absolute;
    return path.join(await realFolder(parent), path.basename(absolute));
  }
}

function isWithin(inner: string, outer: string): boolean {
  const way = path.relative(outer, inner);
  return way === '' || (!way.startsWith('..') && !path.isAbsolute(way));
}

function tilde(file: string, home: string): string {
  return isWithin(file, home) ? path.join('~', path.relative(home, file)) : file;
}
