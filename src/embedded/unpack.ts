import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { makeFolder } from '../disk.ts';

/** A native module as the executable carries it. */
export interface CarriedAddon {
  /** `better_sqlite3.node` */
  readonly name: string;
  /** SHA-256 in hex, fixed when the executable was built: the file's name, so that another version has another file. */
  readonly hash: string;
  readonly bytes: Uint8Array;
  /** Who runs the process; undefined where the system knows no such thing. */
  readonly uid: number | undefined;
}

/** A folder that is kept, or a new one that lives as long as the start. */
export type Place = { readonly folder: string } | { readonly freshUnder: string };

export interface LoadedAddon {
  /** Opens the very file that was loaded, in whichever thread. */
  readonly file: string;
  readonly exports: object;
}

/** Others may write. */
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Loads a native module from a file of this user's own, unpacking it where it is missing or not what the executable carries.
 * What is loaded is code: folder and file must belong to the user and be writable by nobody else, and the file's bytes are
 * compared with the carried ones, all of them, through the handle that is then loaded. So nothing can change in between.
 * @throws Error that names every place tried and why not, with the mend.
 */
export function loadPrivateCopy(addon: CarriedAddon, places: readonly Place[]): LoadedAddon {
  const refusals: string[] = [];
  for (const place of places) {
    try {
      return 'folder' in place ? loadIn(place.folder, addon) : loadInFresh(place.freshUnder, addon);
    } catch (error) {
      refusals.push(`${'folder' in place ? place.folder : place.freshUnder}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`${addon.name} could not be unpacked and loaded (${refusals.join('; ')}). Set FINDTOKEN_CACHE_DIR to a folder of this user's own, on a disk that programs may run from.`);
}

/** Loads a native module into this thread, by way of Node's own loader. A module that is loaded already is the same one. */
export function loadAddon(file: string): object {
  const module = { exports: {} };
  process.dlopen(module, file);
  return module.exports;
}

function loadIn(folder: string, addon: CarriedAddon): LoadedAddon {
  makeFolder(folder);
  assertPrivate(folder, addon.uid);
  const ending = extname(addon.name);
  const file = join(folder, `${addon.name.slice(0, -ending.length)}-${addon.hash.slice(0, 16)}${ending}`);
  const handle = openSame(file, addon) ?? (write(file, addon.bytes), openSame(file, addon));
  if (handle === undefined) throw new Error('the file is not what was just written to it');
  const byHandle = `/proc/self/fd/${handle}`;
  if (existsSync(byHandle)) return { file: byHandle, exports: loadAddon(byHandle) };
  closeSync(handle);
  return { file, exports: loadAddon(file) };
}

/** The handle keeps the file alive, so its folder need not stay. Without /proc there is only the name, and the folder does. */
function loadInFresh(parent: string, addon: CarriedAddon): LoadedAddon {
  const folder = mkdtempSync(join(parent, 'findtoken-'));
  let file: string | undefined;
  try {
    const loaded = loadIn(folder, addon);
    ({ file } = loaded);
    return loaded;
  } finally {
    if (file === undefined || !file.startsWith(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

function assertPrivate(folder: string, uid: number | undefined): void {
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw new Error('it is no folder');
  if (uid === undefined) return;
  if (found.uid !== uid) throw new Error('it belongs to another user');
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) throw new Error('other users may write to it');
}

/** An open file that is ours and holds these bytes, undefined where there is none. */
function openSame(file: string, { bytes, uid }: CarriedAddon): number | undefined {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    // Missing, or a link: both are replaced.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ELOOP')) return undefined;
    throw error;
  }
  const found = fstatSync(handle);
  const isOurs = found.isFile() && (uid === undefined || (found.uid === uid && (found.mode & WRITABLE_BY_OTHERS) === 0));
  if (isOurs && found.size === bytes.length && readFileSync(handle).equals(bytes)) return handle;
  closeSync(handle);
  return undefined;
}

/** Under another name first, so that who starts meanwhile never sees half a file. */
function write(file: string, bytes: Uint8Array): void {
  const part = `${file}.${globalThis.crypto.randomUUID()}.part`;
  try {
    writeFileSync(part, bytes, { flag: 'wx', mode: 0o600 });
    renameSync(part, file);
  } finally {
    rmSync(part, { force: true });
  }
}
