'use strict';
// Loads the program that `npm run build` made, from files or from what the single executable carries. Plain CommonJS, and each text with
// the code that V8 made of it at build time: a short command spends most of its time on being read and compiled otherwise.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { constants, Script } = require('node:vm');

const DIST = join(__dirname, '..', 'dist');
/** Compiled code fits one version of Node on one kind of machine; elsewhere it is not even looked at. */
const SUFFIX = `${process.version}-${process.platform}-${process.arch}.cache`;

/** The least Node: `engines` of package.json, which npm only warns about. */
const LEAST = [20, 20];

/** What to say to an older Node, before it is asked for what it lacks; undefined where it is new enough. */
function tooOld(version) {
  const [major, minor] = version.slice(1).split('.').map(Number);
  if (major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1])) return undefined;
  return `Node ${LEAST.join('.')} or newer is needed, and this is ${version}: install a newer one, or take the single executable, which needs none. docs/install.md tells both.`;
}

/** The program as files of the package. */
const FILES = {
  read(file) {
    try {
      return readFileSync(join(DIST, file));
    } catch (error) {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }
  },
  // The build writes ASCII alone, and this is the quickest way to read it.
  text: (file) => readFileSync(join(DIST, file), 'latin1'),
  /** What a stack trace calls the text. The compiled code bears the name as well, and it wins: with a folder in it, it would be that of who built it. */
  nameOf: (file) => `dist/${file}`,
  urlOf: (file) => pathToFileURL(join(DIST, file)).href,
  require,
  fits,
};

/**
 * Whether better-sqlite3 is installed in the very version whose text the program bears, with its module where npm builds it.
 * Where it is not, its own files look for what there is, and say what is missing. From 13 on they show nobody what lies below them.
 */
function fits(version) {
  try {
    require.resolve('better-sqlite3/build/Release/better_sqlite3.node');
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return false;
    throw error;
  }
  return require('better-sqlite3/package.json').version === version;
}

/** Reads the program from `place`; nothing is read before it is asked for. */
function loaderOf(place) {
  /** What has been loaded, by the name of its text: the build asks each for its compiled code. */
  const scripts = new Map();
  const vendors = new Map();
  /** The build's list of its files. A program that runs while another is built goes on with the names it began with. */
  let manifest;

  /** The function that a text of the build is. Its file name bears a hash, so that compiled code never belongs to another text. */
  function load(name) {
    const file = `${name}.js`;
    const cachedData = place.read(`${name}.${SUFFIX}`);
    const script = new Script(place.text(file), { filename: place.nameOf(file), cachedData, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER });
    scripts.set(name, script);
    return script.runInThisContext();
  }

  /** A package, when it is first asked for; Ink's is a promise, for its layout engine is. */
  function vendor(name) {
    if (!vendors.has(name)) {
      const module = { exports: {} };
      const made = load(manifest.vendors[name])(place.require, module, module.exports);
      vendors.set(name, made instanceof Promise ? made.then(() => module.exports) : module.exports);
    }
    return vendors.get(name);
  }

  /** The program's exports; undefined where nothing was built. */
  async function program() {
    const list = place.read('program.json');
    if (list === undefined) return undefined;
    manifest = JSON.parse(list.toString());
    const exported = {};
    await load(manifest.program)(place.require, vendor, place.fits, place.urlOf(`${manifest.program}.js`), exported);
    return exported;
  }

  return { program, scripts, vendor, vendorNames: () => Object.keys(manifest?.vendors ?? {}) };
}

module.exports = { FILES, loaderOf, SUFFIX, tooOld };
