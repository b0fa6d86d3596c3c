import { readFileSync } from 'node:fs';
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
 * From 13 on the package brings its module along and shows nobody where.
 * @throws Error with the mend, where the module would end this Node without a word
 */
export function builtSqlite(): string | undefined {
  let file: string;
  try {
    file = createRequire(import.meta.url).resolve('better-sqlite3/build/Release/better_sqlite3.node');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'MODULE_NOT_FOUND') return undefined;
    if (code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error;
    if (major() < READY_MADE_FROM) throw new Error(`The better-sqlite3 that is installed needs Node ${READY_MADE_FROM} or newer, and this is ${process.version}: ${AGAIN}.`);
    return undefined;
  }
  if (major() === HOOKED && readFileSync(file).includes(HOOK)) {
    throw new Error(`The better-sqlite3 that is installed was built with the headers of Node 24.19 or newer, and this Node (${process.version}) would end at any moment with it: ${AGAIN}, in a checkout with \`npm install --no-save better-sqlite3@13\`; or use Node 22, or the single executable.`);
  }
  return file;
}

const AGAIN = 'install findtoken again with the Node that runs it';
/** The first Node for which a version of better-sqlite3 brings its module ready-made. With an older one that module crashes. */
const READY_MADE_FROM = 22;
/**
 * The Node whose headers, from 24.19 on, have each connection and statement take back a hook when it is collected. Where that happens outside of
 * JavaScript, Node aborts: in a daemon in the middle of its calls, and a command when it has ended. A module that was built so has this name in it.
 * Source: nodejs/node issue 65446; better-sqlite3 13 is built otherwise.
 */
const HOOKED = 24;
const HOOK = 'RemoveEnvironmentCleanupHook';

function major(): number {
  return Number.parseInt(process.version.slice(1), 10);
}
