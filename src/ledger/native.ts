import { createRequire } from 'node:module';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { isEmbedded, loadAddon, openEmbeddedAddon } from '../embedded/index.ts';

/** Threads inherit what is set under it when they are started. */
const FILE = 'findtoken: file of better_sqlite3.node';

/**
 * SQLite as the single executable carries it; undefined elsewhere, where better-sqlite3 finds its own beside itself.
 * It is unpacked once a process, and every later connection and thread loads that very file: two copies of SQLite in one
 * process would release each other's file locks. Source: sqlite.org/howtocorrupt.html, section 2.2.1.
 */
export function embeddedSqlite(): object | undefined {
  if (!isEmbedded()) return undefined;
  const known = getEnvironmentData(FILE);
  if (typeof known === 'string') return loadAddon(known);
  const opened = openEmbeddedAddon('better_sqlite3.node');
  if (opened !== undefined) setEnvironmentData(FILE, opened.file);
  return opened?.exports;
}

/**
 * Where npm built SQLite's module; undefined where it is not there, and better-sqlite3 looks for it in its own ways, of which this
 * is the one that nearly always finds it. Its search reads a stack trace and half a dozen folders: 2 ms of a short command.
 */
export function builtSqlite(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('better-sqlite3/build/Release/better_sqlite3.node');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
