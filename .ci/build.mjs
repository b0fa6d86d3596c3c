// Bundles the program: src/cli/index.ts → dist/cli.js with lazily loaded chunks, src/ledger/worker.ts → dist/ledger-worker.js.
// Loading ink, stripe and undici from their many files costs a second; one bundle costs a third of it.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
/** Beside the files it replaces, for a rename is atomic only within one file system. */
const STAGE = join(DIST, `.stage-${process.pid}`);
/** What .ci/build-binary.mjs makes stays; it is no part of this build. */
const BINARY = 'findtoken';
const ENTRIES = { cli: 'src/cli/index.ts', 'ledger-worker': 'src/ledger/worker.ts' };
/** A process started from the build before may still load one of its chunks; a package takes none of them along. */
const STALE_AFTER_MS = ['pack', 'publish'].includes(process.env.npm_command) ? -1 : 10 * 60_000;

/** How a source file loads a CommonJS package late. */
const LATE = 'createRequire(import.meta.url)(';

/** esbuild's settings; the output goes to `outdir`. */
function settings(outdir) {
  return {
    absWorkingDir: ROOT,
    entryPoints: ENTRIES,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    jsx: 'automatic',
    sourcemap: 'linked',
    // The map's paths already lead to the sources, which are not shipped twice.
    sourcesContent: false,
    legalComments: 'none',
    // Native addons are found beside their package, and cannot be bundled.
    external: ['better-sqlite3', 'keytar'],
    // Ink asks for it only under DEV=true, and it is not installed.
    plugins: [emptyModule('react-devtools-core'), latePackages()],
    define: { 'process.env.NODE_ENV': '"production"' },
    // CommonJS packages call require() for built-ins, which an ES module lacks.
    banner: { js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);" },
    logLevel: 'warning',
  };
}

/**
 * A package that a file loads late with createRequire is part of the bundle and still runs only when it is asked for: finding
 * and reading its many files took half of the time of a short command.
 */
function latePackages() {
  return {
    name: 'late-packages',
    setup(bundle) {
      bundle.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        return text.includes(LATE) ? { contents: text.replaceAll(LATE, 'require('), loader: 'ts' } : undefined;
      });
    },
  };
}

function emptyModule(name) {
  return {
    name: `empty:${name}`,
    setup(bundle) {
      bundle.onResolve({ filter: new RegExp(`^${name}$`) }, (found) => ({ path: found.path, namespace: 'empty' }));
      bundle.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'export default {}' }));
    },
  };
}

/**
 * Moves the stage's files into dist one by one: chunks first, for their names bear a hash of their text, entries last.
 * So a process that starts meanwhile finds either the old program or the new one, never a half of each.
 */
async function publish() {
  const built = await readdir(STAGE);
  const isEntry = (name) => name.replace(/\.js(\.map)?$/, '') in ENTRIES;
  for (const name of [...built.filter((name) => !isEntry(name)), ...built.filter(isEntry)]) {
    await rename(join(STAGE, name), join(DIST, name));
  }
  for (const name of await readdir(DIST)) {
    if (name === BINARY || built.includes(name)) continue;
    const found = await stat(join(DIST, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > STALE_AFTER_MS) await rm(join(DIST, name), { recursive: true, force: true });
  }
}

const missing = Object.values(ENTRIES).filter((entry) => !existsSync(join(ROOT, entry)));
if (missing.length > 0) {
  console.error(`build: there is no ${missing.join(' and no ')}; nothing was built. These files are the program's entries: write them first.`);
  process.exit(1);
}
const startedMs = Date.now();
await mkdir(STAGE, { recursive: true });
try {
  await build(settings(STAGE));
  await publish();
  console.log(`build: dist/cli.js and dist/ledger-worker.js in ${Date.now() - startedMs} ms`);
} catch (error) {
  // esbuild has already printed its own errors, each with file and line.
  if (!Array.isArray(error?.errors)) throw error;
  console.error(`build: ${error.errors.length} error(s); dist is as it was.`);
  process.exitCode = 1;
} finally {
  await rm(STAGE, { recursive: true, force: true });
}
