/** What the single executable carries inside itself, and every other installation has as files. Outside of it each answer is undefined. */
import { tmpdir, homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { getAsset, getRawAsset, isSea } from 'node:sea';
import { loadPrivateCopy } from './unpack.ts';
import type { LoadedAddon, Place } from './unpack.ts';

export { loadAddon } from './unpack.ts';
export type { LoadedAddon } from './unpack.ts';

/** The asset that names every addon carried, each with the SHA-256 that the build gave it. */
const ADDONS = 'addons.json';

/** Whether this is the single executable: then it is its own runtime, and no script can be named to run it again. */
export function isEmbedded(): boolean {
  return isSea();
}

/**
 * A text that the executable carries, under the name that it has in the package: `embeddedText('config/models.yaml')`.
 * @throws Error on a name that is not carried: a fault of the build.
 */
export function embeddedText(name: string): string | undefined {
  return isSea() ? getAsset(name, 'utf8') : undefined;
}

/**
 * Loads a native module that the executable carries, from a private file that it is unpacked to; undefined too where the
 * build had no such module.
 * @throws Error that names every folder tried, and the mend.
 */
export function openEmbeddedAddon(name: string): LoadedAddon | undefined {
  if (!isSea()) return undefined;
  const hash = hashOf(name, getAsset(ADDONS, 'utf8'));
  if (hash === undefined) return undefined;
  const content = getRawAsset(name);
  const bytes = typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content);
  return loadPrivateCopy({ name, hash, bytes, uid: process.getuid?.() }, placesOf(process.env));
}

function hashOf(name: string, addons: string): string | undefined {
  const known: unknown = JSON.parse(addons);
  const hash = typeof known === 'object' && known !== null ? Object.entries(known).find(([key]) => key === name)?.[1] : undefined;
  return typeof hash === 'string' ? hash : undefined;
}

/** Where the module may be unpacked, in order. A folder that was named is the only one. */
function placesOf(env: Readonly<Record<string, string | undefined>>): readonly Place[] {
  const named = env['FINDTOKEN_CACHE_DIR'];
  if (named !== undefined && named !== '') return [{ folder: named }];
  // The XDG rules have a relative path ignored, and a home may be empty.
  const cache = [env['XDG_CACHE_HOME'], join(env['HOME'] ?? homedir(), '.cache')].find((path) => path !== undefined && isAbsolute(path));
  return [...(cache === undefined ? [] : [{ folder: join(cache, 'findtoken') }]), { freshUnder: tmpdir() }];
}
