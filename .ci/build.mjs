// Makes dist/: the texts of the program (.ci/bundle.mjs), src/ledger/worker.ts → ledger-worker.js, and the code that V8 makes of them.
import { execFileSync } from 'node:child_process';
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleProgram, CATALOG, DEFINE, ended, latePackages, MANIFEST, OPTIONS, PROGRAM } from './bundle.mjs';
import { noticesOf, packagesOf } from './notices.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
/** Beside the files it replaces, for a rename is atomic only within one file system. */
const STAGE = join(DIST, `.stage-${process.pid}`);
/** What .ci/build-binary.mjs makes stays; it is no part of this build. */
const BINARY = /^findtoken(\.NOTICES\.txt)?$/;
const NOTICES = 'NOTICES.txt';
const WORKER = 'src/ledger/worker.ts';
/** Names that stay the same from build to build, and are moved last. */
const FIXED = [NOTICES, 'ledger-worker.js', 'ledger-worker.js.map', CATALOG, MANIFEST];
/** A process started from the build before may still load one of its packages; a package to be published takes none of them along. */
const STALE_AFTER_MS = ['pack', 'publish'].includes(process.env.npm_command) ? -1 : 10 * 60_000;

async function buildWorker() {
  return build({
    ...OPTIONS,
    outdir: STAGE,
    entryPoints: { 'ledger-worker': WORKER },
    format: 'esm',
    // Native addons are found beside their package, and cannot be bundled.
    external: ['better-sqlite3', 'keytar'],
    define: DEFINE,
    plugins: [latePackages()],
    // CommonJS packages call require() for built-ins, which an ES module lacks.
    banner: { js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);" },
  });
}

/** What is bundled is given away with it, and so are its licences. */
async function writeNotices(built) {
  await writeFile(join(STAGE, NOTICES), await noticesOf(ROOT, packagesOf(built.map(({ metafile }) => metafile))));
}

/**
 * Moves the stage's files into dist one by one: those first whose names bear a hash of their text, the list of them last.
 * So a process that starts meanwhile finds either the old program or the new one, never a half of each.
 */
async function publish() {
  const built = await readdir(STAGE);
  for (const name of [...built.filter((name) => !FIXED.includes(name)), ...FIXED.filter((name) => built.includes(name))]) {
    await rename(join(STAGE, name), join(DIST, name));
  }
  for (const name of await readdir(DIST)) {
    const [text = ''] = name.split('.');
    if (BINARY.test(name) || built.includes(name) || (name.endsWith('.cache') && built.includes(`${text}.js`))) continue;
    const found = await stat(join(DIST, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > STALE_AFTER_MS) await rm(join(DIST, name), { recursive: true, force: true });
  }
}

const why = createRequire(import.meta.url)('../bin/load.js').tooOld(process.version);
if (why !== undefined) {
  console.error(`build: ${why}`);
  process.exit(1);
}
const missing = [PROGRAM, WORKER].filter((entry) => !existsSync(join(ROOT, entry)));
if (missing.length > 0) {
  console.error(`build: there is no ${missing.join(' and no ')}; nothing was built. These files are the program's entries: write them first.`);
  process.exit(1);
}
const startedMs = Date.now();
await mkdir(STAGE, { recursive: true });
try {
  const built = await ended([bundleProgram(STAGE), buildWorker()]);
  await writeNotices(built.flat());
  await publish();
  execFileSync(process.execPath, [join(ROOT, '.ci', 'code-cache.cjs')], { stdio: ['ignore', 'ignore', 'pipe'] });
  console.log(`build: the program in dist/ in ${Date.now() - startedMs} ms`);
} catch (error) {
  // esbuild has already printed its own errors, each with file and line.
  if (!Array.isArray(error?.errors)) throw error;
  console.error('build: failed; dist is as it was.');
  process.exitCode = 1;
} finally {
  await rm(STAGE, { recursive: true, force: true });
}
