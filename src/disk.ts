/** Folders, and why a path cannot be used. */
import { accessSync, constants, mkdirSync, statSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';

/**
 * Makes a folder and those above it where they are missing. One step at a time: Node's own recursion never comes back from below /proc.
 * @throws Error as the system has it; `whyNot` tells it to people
 */
export function makeFolder(folder: string, mode = 0o700): void {
  if (lookAt(folder)?.isDirectory() === true) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent, mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    // Another process may have been quicker.
    if (codeOf(error) !== 'EEXIST' || lookAt(folder)?.isDirectory() !== true) throw error;
  }
}

/**
 * Why the system does not let a path be used, for the middle of a sentence: "/srv/books belongs to user 0 (mode 0755), and findtoken
 * runs as user 1000 (EACCES)". Undefined where the error is none of the system's.
 */
export function whyNot(path: string, error: unknown): string | undefined {
  const code = codeOf(error);
  return code === undefined || !/^E[A-Z0-9]+$/.test(code) ? undefined : `${reasonOf(resolve(path), code)} (${code})`;
}

/** Whether something is there. @throws Error in words, where this user may not even look: to take that for "no" would have it made anew */
export function isThere(path: string): boolean {
  try {
    return lookAt(path) !== undefined;
  } catch (error) {
    throw new Error(`${path} cannot be looked at: ${whyNot(path, error) ?? String(error)}. Run findtoken as the user whose it is, or name another place.`);
  }
}

/**
 * Where a user's settings lie: `$XDG_CONFIG_HOME`, or `~/.config` without it. The XDG rules have an empty or relative path ignored; it
 * would lead to wherever the command happens to be run.
 */
export function configHome(told: string | undefined, home: string): string {
  return told !== undefined && isAbsolute(told) ? told : join(home, '.config');
}

/** Whether this user can make files in a folder: it may, and the disk is not one to be read only. */
export function takesFiles(folder: string): boolean {
  return whyNoFiles(folder) === undefined;
}

/** Why not, as `whyNot` tells it. */
export function whyNoFiles(folder: string): string | undefined {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return whyNot(folder, error) ?? String(error);
  }
}

/** To whom the deepest part of a path belongs that can be seen: "/srv/books belongs to user 0 (mode 0755), and findtoken runs as user 1000". */
export function rightsOf(path: string): string {
  const [deepest, found] = deepestOf(resolve(path));
  if (found === undefined) return `${deepest} cannot be looked at`;
  const user = process.geteuid?.();
  const mode = (found.mode & 0o7777).toString(8).padStart(4, '0');
  return user === undefined ? `${deepest} is not ours to use` : `${deepest} belongs to user ${found.uid} (mode ${mode}), and findtoken runs as user ${user}`;
}

function reasonOf(path: string, code: string): string {
  const [deepest, found] = deepestOf(path);
  switch (code) {
    case 'EACCES':
    case 'EPERM': return rightsOf(path);
    case 'EROFS': return `the disk of ${deepest} is mounted to be read only`;
    case 'ENOSPC':
    case 'EDQUOT': return `the disk of ${deepest} is full`;
    case 'EISDIR': return `${path} is a folder`;
    case 'EEXIST':
    case 'ENOTDIR': return found?.isDirectory() === false ? `${deepest} is no folder` : `${path} is in the way`;
    case 'ENOENT': return deepest === dirname(path) ? `${deepest} takes nothing new` : `in ${deepest} no folder can be made`;
    default: return `${path} is not ours to use`;
  }
}

/** The path itself, or the nearest one above it that is there and can be seen. */
function deepestOf(path: string): readonly [string, Stats | undefined] {
  try {
    const found = lookAt(path);
    if (found !== undefined) return [path, found];
  } catch (error) {
    // Who may not look into a folder sees the folder itself.
    if (codeOf(error) === undefined) throw error;
  }
  const parent = dirname(path);
  return parent === path ? [path, undefined] : deepestOf(parent);
}

function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Below a file there is nothing either.
    if (codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
