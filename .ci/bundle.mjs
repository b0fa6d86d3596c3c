// Bundles the program's texts: src/cli/index.ts → one text of our own code, each package beside it as a text that is loaded when it is
// asked for. bin/load.js puts them together, from files or, in the single executable, from what it carries.
// Loading ink, stripe and undici from their many files costs a second; a bundle a third of it, compiled code a third of that.
import { build } from 'esbuild';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { builtinModules, createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { partOfUndici } from './undici.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const PROGRAM = 'src/cli/index.ts';
export const MANIFEST = 'program.json';
/** What stands in config/, read once and for all: src/settings/built-in.ts takes it where the texts are still those it was read from. */
export const CATALOG = 'catalog.json';
const CATALOG_TEXTS = ['models.yaml', 'providers.yaml'];

/** How a source file loads a CommonJS package late, and how it asks where one lies. */
const LATE = 'createRequire(import.meta.url)(';
const WHERE = 'createRequire(import.meta.url).resolve(';

/**
 * SQLite's module is native and cannot be bundled, but the dozen files of JavaScript around it can: finding and reading them takes a
 * tenth of a short command. They belong to their module, so those that are installed are used where they are of another version.
 */
const SQLITE = 'better-sqlite3';
const SQLITE_SHELL = isInstalled(SQLITE)
  ? `module.exports = __fits(${JSON.stringify(createRequire(import.meta.url)(`${SQLITE}/package.json`).version)}) ? require('${SQLITE}') : __need('${SQLITE}')`
  : `module.exports = __need('${SQLITE}')`;

/** Where there is no compiler npm leaves it out; whatever needs a database then says so. */
function isInstalled(name) {
  try {
    return createRequire(import.meta.url).resolve(`${name}/package.json`) !== '';
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return false;
    throw error;
  }
}

/** Packages that are texts of their own. Each short command does without any of them. */
const PACKAGES = ['nodemailer', 'pino', 'stripe', 'undici', 'uqr', 'yaml'];
/** Ink, React and what JSX becomes belong to each other: one text, one React. */
const SCREENS = { ink: 'ink', react: 'react', 'react/jsx-runtime': 'jsx' };

/**
 * A built-in module that is loaded when the first of its names is used: Node takes 4 ms for node:child_process, which commander
 * asks for and uses for nothing here, and 2 ms for node:crypto.
 */
const LAZY = `const __lazy = (path, names) => {
  const lazy = {};
  for (const name of names) {
    const get = () => {
      const value = __need(path)[name];
      Object.defineProperty(lazy, name, { enumerable: true, value });
      return value;
    };
    Object.defineProperty(lazy, name, { enumerable: true, configurable: true, get });
  }
  return lazy;
};`;

export const OPTIONS = {
  minifyWhitespace: true,
  // So that a place in a stack trace is still a place.
  lineLimit: 200,
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node20',
  jsx: 'automatic',
  charset: 'ascii',
  sourcemap: 'linked',
  // The map's paths already lead to the sources, which are not shipped twice.
  sourcesContent: false,
  // The licences are gathered in one file; see writeNotices.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
};
export const DEFINE = { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' };
const namesOf = (path) => Object.keys(createRequire(import.meta.url)(path));
const isBuiltIn = (path) => path.startsWith('node:') || builtinModules.includes(path);

/** Writes the program's texts and the list of them into `outdir`, and returns what esbuild tells of each. */
export async function bundleProgram(outdir) {
  const built = await ended([buildProgram(outdir), buildPackages(outdir)]);
  await writeCatalog(outdir);
  await writeManifest(outdir);
  return built.flat();
}

/**
 * Waits for every build, also where one fails: what still ran would write into a folder that is being removed.
 * @throws Error as the first of them does
 */
export async function ended(builds) {
  await Promise.allSettled(builds);
  return Promise.all(builds);
}

/** Our own code, as the body of an async function, for that of the screens awaits at the top of its modules. */
async function buildProgram(outdir) {
  const exports = await screenExports();
  return build({
    ...OPTIONS,
    outdir,
    stdin: { contents: `import { main } from './${PROGRAM}';\n__exports.main = main;\n`, resolveDir: ROOT, sourcefile: 'entry.js' },
    entryNames: 'program-[hash]',
    format: 'esm',
    define: { ...DEFINE, 'import.meta.url': '__url' },
    banner: { js: `(async (require, __vendor, __fits, __url, __exports) => { 'use strict'; const __need = require; ${LAZY}` },
    footer: { js: '})' },
    plugins: [outside(exports), latePackages()],
  });
}

/**
 * Each package as a function of `require`, `module` and `exports`. It is resolved as an import, as the sources say it: what a package gives
 * to `require` may be something else (stripe's is its constructor, without the name by which it is imported).
 */
async function buildPackages(outdir) {
  const banner = { js: '(function (require, module, exports) {' };
  const footer = { js: '})' };
  const ofOne = (name) => ({
    ...OPTIONS, outdir, stdin: { contents: `export * from '${name}';\n`, resolveDir: ROOT, sourcefile: 'entry.js' },
    entryNames: `${name}-[hash]`, format: 'cjs', define: DEFINE, banner, footer, plugins: [partOfUndici(ROOT)],
  });
  const screens = `${Object.entries(SCREENS).map(([path, name]) => `import * as ${name} from '${path}';`).join('\n')}\n__module.exports = { ${Object.values(SCREENS).join(', ')} };\n`;
  return ended([
    ...PACKAGES.map((name) => build(ofOne(name))),
    build({
      ...OPTIONS,
      outdir,
      stdin: { contents: screens, resolveDir: ROOT, sourcefile: 'entry.js' },
      minify: true,
      entryNames: 'screens-[hash]',
      format: 'esm',
      define: { ...DEFINE, 'import.meta.url': "'file:///screens.js'" },
      // Ink's layout engine would fetch its own text, a data: address, and with that load all of Node's HTTP client; without it, it decodes it.
      banner: { js: "(async (require, __module) => { 'use strict'; const __need = require, fetch = undefined;" },
      footer: { js: '})' },
      // Ink asks for it only under DEV=true, and it is not installed.
      plugins: [emptyModule('react-devtools-core'), builtIns()],
    }),
  ]);
}

/** The names that a screen may import, by package: they stand in the text that takes the package's place. */
async function screenExports() {
  const named = await Promise.all(Object.keys(SCREENS).map(async (path) => [path, Object.keys(await import(path)).filter((name) => name !== 'default' && name !== 'module.exports')]));
  return new Map(named);
}

/** What is no part of the program's own text: built-ins and native addons by `require`, packages by the loader. */
function outside(screens) {
  return {
    name: 'outside',
    setup(bundle) {
      bundle.onResolve({ filter: /.*/ }, ({ path, namespace }) => {
        if (path === SQLITE) return namespace === 'sqlite' ? { path: createRequire(import.meta.url).resolve(SQLITE) } : { path, namespace: 'sqlite' };
        // What bindings does is done already where better-sqlite3's own files are not used.
        if (isBuiltIn(path) || path === 'bindings' || path === 'keytar') return { path, namespace: 'needed' };
        if (PACKAGES.includes(path)) return { path, namespace: 'package' };
        return screens.has(path) ? { path, namespace: 'screen' } : undefined;
      });
      bundle.onLoad({ filter: /.*/, namespace: 'needed' }, ({ path }) => ({ contents: `module.exports = ${isBuiltIn(path) ? `__lazy(${JSON.stringify(path)}, ${JSON.stringify(namesOf(path))})` : `__need(${JSON.stringify(path)})`}` }));
      bundle.onLoad({ filter: /.*/, namespace: 'sqlite' }, () => ({ contents: SQLITE_SHELL, resolveDir: ROOT }));
      bundle.onLoad({ filter: /.*/, namespace: 'package' }, ({ path }) => ({ contents: `module.exports = __vendor(${JSON.stringify(path)})` }));
      bundle.onLoad({ filter: /.*/, namespace: 'screen' }, ({ path }) => ({ contents: `export const { ${screens.get(path).join(', ')} } = (await __vendor('screens')).${SCREENS[path]};` }));
    },
  };
}

function builtIns() {
  return {
    name: 'built-ins',
    setup(bundle) {
      bundle.onResolve({ filter: /.*/ }, ({ path }) => (isBuiltIn(path) ? { path, namespace: 'needed' } : undefined));
      bundle.onLoad({ filter: /.*/, namespace: 'needed' }, ({ path }) => ({ contents: `module.exports = __need(${JSON.stringify(path)})` }));
    },
  };
}

/**
 * A package that a file loads late with createRequire is part of the bundle and still runs only when it is asked for: finding
 * and reading its many files took half of the time of a short command.
 */
export function latePackages() {
  return {
    name: 'late-packages',
    setup(bundle) {
      bundle.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        return text.includes(LATE) || text.includes(WHERE) ? { contents: text.replaceAll(LATE, 'require(').replaceAll(WHERE, 'require.resolve('), loader: 'ts' } : undefined;
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

/** A hundredth of the time that reading YAML takes. Nothing there is a variable, so data are data. */
async function writeCatalog(outdir) {
  const read = await Promise.all(CATALOG_TEXTS.map(async (name) => {
    const text = await readFile(join(ROOT, 'config', name), 'utf8');
    return [name, { text, data: parse(text, { version: '1.2' }) }];
  }));
  await writeFile(join(outdir, CATALOG), JSON.stringify(Object.fromEntries(read)));
}

/** Lists the files by what they are, for bin/load.js: their names bear a hash of their text. */
async function writeManifest(outdir) {
  const names = (await readdir(outdir)).filter((name) => name.endsWith('.js')).map((name) => name.slice(0, -'.js'.length));
  const find = (prefix) => names.find((name) => name.startsWith(`${prefix}-`) && !name.startsWith('ledger-worker'));
  const vendors = Object.fromEntries([...PACKAGES, 'screens'].map((name) => [name, find(name)]));
  await writeFile(join(outdir, MANIFEST), `${JSON.stringify({ program: find('program'), vendors }, undefined, 2)}\n`);
}
