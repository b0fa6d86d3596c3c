// findtoken without its books, for the bench alone: the same program, bundled anew with a ledger in whose place holds and settlements
// are answered from memory. What durability costs is the difference. Nothing of it is in dist, and no setting reaches it.
import { build } from 'esbuild';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STAND_IN = fileURLToPath(new URL('bookless-ledger.ts', import.meta.url));

/** Builds it into a folder and returns the program's file; `serve --config FILE` as its arguments. */
export async function buildBookless(folder) {
  const program = await bundle(folder, 'program.mjs', `import { main } from './src/cli/index.ts';\nawait main(process.argv);\n`, [standIn]);
  await bundle(folder, 'ledger-worker.js', `import './src/ledger/worker.ts';\n`);
  return program;
}

/** Bundles a text that imports from the project's root, as the build does it but for the packages, which stay outside. */
export async function bundle(folder, name, contents, plugins = []) {
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, 'config'), join(folder, 'config'), { recursive: true });
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const outfile = join(folder, name);
  await build({
    absWorkingDir: ROOT, bundle: true, platform: 'node', target: 'node20', format: 'esm', packages: 'external', jsx: 'automatic', minifyWhitespace: true, logLevel: 'warning',
    define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' }, stdin: { contents, resolveDir: ROOT, sourcefile: 'entry.ts' }, outfile, plugins,
  });
  return outfile;
}

const standIn = {
  name: 'stand-in',
  setup(bundling) {
    bundling.onResolve({ filter: /ledger\/index\.ts$/ }, ({ importer }) => (importer === STAND_IN || importer.includes('/src/ledger/') ? undefined : { path: STAND_IN }));
  },
};
