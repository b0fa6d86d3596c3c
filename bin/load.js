'use strict';
// Loads the program that `npm run build` made. Plain CommonJS, and each text with the code that V8 made of it at build time:
// a short command spends most of its time on being read and compiled otherwise.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { constants, Script } = require('node:vm');

const DIST = join(__dirname, '..', 'dist');
/** Compiled code fits one version of Node on one kind of machine; elsewhere it is not even looked at. */
const SUFFIX = `${process.version}-${process.platform}-${process.arch}.cache`;

/** What has been loaded, by the name of its text: the build asks each for its compiled code. */
const scripts = new Map();
const vendors = new Map();
/** The build's list of its files. A program that runs while another is built goes on with the names it began with. */
let manifest;

/** The file's text, or undefined where there is no such file. */
function read(file, encoding) {
  try {
    return readFileSync(join(DIST, file), encoding);
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The function that a text of the build is. Its file name bears a hash, so that compiled code never belongs to another text. */
function load(name) {
  const filename = join(DIST, `${name}.js`);
  // The build writes ASCII alone, and this is the quickest way to read it.
  const source = readFileSync(filename, 'latin1');
  const cachedData = read(`${name}.${SUFFIX}`);
  const script = new Script(source, { filename, cachedData, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER });
  scripts.set(name, script);
  return script.runInThisContext();
}

/** A package, when it is first asked for; Ink's is a promise, for its layout engine is. */
function vendor(name) {
  if (!vendors.has(name)) {
    const module = { exports: {} };
    const made = load(manifest.vendors[name])(require, module, module.exports);
    vendors.set(name, made instanceof Promise ? made.then(() => module.exports) : module.exports);
  }
  return vendors.get(name);
}

/**
 * Whether better-sqlite3 is installed in the very version whose text the program bears, with its module where npm builds it.
 * Where it is not, its own files look for what there is, and say what is missing.
 */
function fits(version) {
  try {
    require.resolve('better-sqlite3/build/Release/better_sqlite3.node');
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return false;
    throw error;
  }
  return require('better-sqlite3/package.json').version === version;
}

/** The program's exports; undefined where nothing was built. */
async function program() {
  const list = read('program.json', 'utf8');
  if (list === undefined) return undefined;
  manifest = JSON.parse(list);
  const exported = {};
  await load(manifest.program)(require, vendor, fits, pathToFileURL(join(DIST, `${manifest.program}.js`)).href, exported);
  return exported;
}

module.exports = { program, scripts, suffix: SUFFIX, vendor, vendorNames: () => Object.keys(manifest?.vendors ?? {}) };
