'use strict';
// The main text of the single executable: what bin/findtoken.js is elsewhere. The program lies in the executable as it lies in the
// package's dist/, each text by itself with its compiled code, so that a short command reads and compiles no more than it does there.
const { getRawAsset } = require('node:sea');
const { pathToFileURL } = require('node:url');
const { loaderOf } = require('../bin/load.js');

/** What is carried is looked at where it lies; nothing is copied. Undefined where there is no such asset. */
function read(name) {
  try {
    return Buffer.from(getRawAsset(name));
  } catch (error) {
    if (error.code === 'ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The executable has Node's own modules and no others. */
function requireBuiltIn(name) {
  try {
    return require(name);
  } catch (error) {
    if (error.code !== 'ERR_UNKNOWN_BUILTIN_MODULE') throw error;
    throw Object.assign(new Error(`${name} is not part of this executable`), { code: 'MODULE_NOT_FOUND' });
  }
}

const loader = loaderOf({
  read,
  text: (file) => read(file).latin1Slice(),
  nameOf: (file) => file,
  urlOf: () => pathToFileURL(process.execPath).href,
  require: requireBuiltIn,
  // better-sqlite3's native module is carried beside its text.
  fits: () => true,
});

/** For .ci/code-cache.cjs, which runs this text while its assets are still files. */
module.exports = loader.program().then(async ({ main }) => {
  await main(process.argv);
  return { loader, main };
});
