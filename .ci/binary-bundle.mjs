// The texts of the single executable: the program as every build makes it, the main text that finds it there, and the ledger's thread
// as one text, for a thread is started there from a text and not from a file.
import { build } from 'esbuild';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { bundleProgram, ended, latePackages } from './bundle.mjs';

/** Native modules are carried beside the program and reach it by way of src/embedded; these never load. */
const ABSENT = /^(bindings|keytar)$/;

const BANNER = `'use strict';const __require=require,__url=require('node:url').pathToFileURL(process.execPath).href;`;

/** Writes the program, findtoken.cjs and ledger-worker.js into `outdir`, and returns what esbuild tells of each. */
export async function bundleForBinary({ root, outdir }) {
  const common = { absWorkingDir: root, bundle: true, format: 'cjs', platform: 'node', target: 'node24', legalComments: 'none', metafile: true, logLevel: 'warning' };
  const built = await ended([
    bundleProgram(outdir),
    build({ ...common, entryPoints: ['.ci/binary-entry.cjs'], outfile: join(outdir, 'findtoken.cjs') }),
    build({
      ...common,
      // A thread's text is run as a script: what it declares at its top would be the global's, where a name such as `crypto` cannot be set.
      format: 'iife',
      entryPoints: ['src/ledger/worker.ts'],
      outfile: join(outdir, 'ledger-worker.js'),
      plugins: [latePackages(), selfContained()],
      define: { 'import.meta.url': '__url' },
      banner: { js: BANNER },
    }),
  ]);
  return built.flat().map(({ metafile }) => metafile);
}

/** Built-ins are asked of the executable's own `require`; nothing else is left outside. */
function selfContained() {
  const isBuiltIn = (path) => path.startsWith('node:') || builtinModules.includes(path);
  return {
    name: 'self-contained',
    setup(bundle) {
      bundle.onResolve({ filter: /.*/ }, ({ path }) => {
        if (isBuiltIn(path)) return { path, namespace: 'built-in' };
        return ABSENT.test(path) ? { path, namespace: 'absent' } : undefined;
      });
      bundle.onLoad({ filter: /.*/, namespace: 'built-in' }, ({ path }) => ({ contents: `module.exports = __require(${JSON.stringify(path)})` }));
      bundle.onLoad({ filter: /.*/, namespace: 'absent' }, ({ path }) => ({ contents: `throw Object.assign(new Error('${path} is not part of this executable'), { code: 'MODULE_NOT_FOUND' })` }));
    },
  };
}
