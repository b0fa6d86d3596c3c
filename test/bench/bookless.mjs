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
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, 'config'), join(folder, 'config'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const common = { absWorkingDir: ROOT, bundle: true, platform: 'node', target: 'node20', format: 'esm', packages: 'external', jsx: 'automatic', minifyWhitespace: true, logLevel: 'warning', define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' } };
  const program = join(folder, 'program.mjs');
  await build({ ...common, stdin: { contents: `import { main } from './src/cli/index.ts';\nawait main(process.argv);\n`, resolveDir: ROOT, sourcefile: 'entry.ts' }, outfile: program, plugins: [standIn] });
  await build({ ...common, entryPoints: [join(ROOT, 'src', 'ledger', 'worker.ts')], outfile: join(folder, 'ledger-worker.js') });
  return program;
}

const standIn = {
  name: 'stand-in',
  setup(bundle) {
    bundle.onResolve({ filter: /ledger\/index\.ts$/ }, ({ importer }) => (importer.includes('/src/ledger/') ? undefined : { path: STAND_IN }));
  },
};
