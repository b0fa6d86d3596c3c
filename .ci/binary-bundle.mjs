// The program as a single executable takes it: one CommonJS text without files beside it, and another for the ledger's thread.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { partOfUndici } from './undici.mjs';

/** The entry calls what bin/findtoken.js calls. */
const ENTRY = "import { main } from './src/cli/index.ts';\nawait main(process.argv);\n";

/** Native modules are carried beside the program and reach it by way of src/embedded; these never load. */
const ABSENT = /^(bindings|keytar)$/;
/** Ink asks for it only under DEV=true, and it is not installed. */
const EMPTY = /^react-devtools-core$/;

/**
 * Ink's layout engine awaits at the top of its module, which CommonJS does not know and Node's executables want: so the
 * modules become one ES module without a single import left, and its text the body of an async function.
 */
const BANNER = `'use strict';const __require=require,__url=require('node:url').pathToFileURL(process.execPath).href;
const __resolve=()=>{throw new Error('the single executable has no modules to resolve')};(async()=>{`;
const FOOTER = `})().catch((error)=>{process.stderr.write(\`findtoken: \${error?.stack??error}\\n\`);process.exitCode=1});`;

/** Writes findtoken.cjs and ledger-worker.js into `outdir`, and returns what esbuild tells of both. */
export async function bundleForBinary({ root, outdir }) {
  const common = {
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    jsx: 'automatic',
    legalComments: 'none',
    metafile: true,
    plugins: [partOfUndici(root), selfContained()],
    define: { 'import.meta.url': '__url', 'import.meta.resolve': '__resolve', 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' },
    banner: { js: BANNER },
    footer: { js: FOOTER },
    logLevel: 'warning',
  };
  const built = await Promise.all([
    build({ ...common, stdin: { contents: ENTRY, resolveDir: root, sourcefile: 'entry.js' }, outfile: join(outdir, 'findtoken.cjs') }),
    build({ ...common, entryPoints: ['src/ledger/worker.ts'], outfile: join(outdir, 'ledger-worker.js') }),
  ]);
  return built.map(({ metafile }) => metafile);
}

/** Built-ins are asked of the executable's own `require`; nothing else is left outside. */
function selfContained() {
  const isBuiltIn = (path) => path.startsWith('node:') || builtinModules.includes(path);
  return {
    name: 'self-contained',
    setup(bundle) {
      bundle.onResolve({ filter: /.*/ }, ({ path }) => {
        if (isBuiltIn(path)) return { path, namespace: 'built-in' };
        if (ABSENT.test(path)) return { path, namespace: 'absent' };
        return EMPTY.test(path) ? { path, namespace: 'empty' } : undefined;
      });
      bundle.onLoad({ filter: /.*/, namespace: 'built-in' }, ({ path }) => ({ contents: `module.exports = __require(${JSON.stringify(path)})` }));
      bundle.onLoad({ filter: /.*/, namespace: 'absent' }, ({ path }) => ({ contents: `throw Object.assign(new Error('${path} is not part of this executable'), { code: 'MODULE_NOT_FOUND' })` }));
      bundle.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {}' }));
      // A package that is loaded late is part of the bundle here, and still runs only when it is asked for.
      bundle.onLoad({ filter: /\/src\/.*\.tsx?$/ }, ({ path }) => {
        const contents = readFileSync(path, 'utf8').replaceAll('createRequire(import.meta.url)(', 'require(');
        return { contents, loader: path.endsWith('x') ? 'tsx' : 'ts' };
      });
    },
  };
}
