'use strict';
// Runs the commands that people wait for, and writes down the code that V8 has made of the program by then.
// node code-cache.cjs                 for dist/, started by .ci/build.mjs
// node code-cache.cjs FOLDER ASSETS   for the single executable whose main text and files lie in FOLDER, started by
//                                     .ci/build-binary.mjs with the Node that it embeds; ASSETS tells in JSON which file each asset is
const { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { FILES, loaderOf, SUFFIX } = require('../bin/load.js');

const FIRST = ['--version'];
const COMMANDS = [['accounts', 'create', 'ann@example.com'], ['balance'], ['keys', 'list']];

async function startInDist() {
  // Anew: code that is loaded from a cache keeps what that one says, such as a name that its text no longer has.
  const loader = loaderOf({ ...FILES, read: (file) => (file.endsWith(SUFFIX) ? undefined : FILES.read(file)) });
  const { main } = await loader.program();
  await main(process.argv);
  return { loader, main };
}

/** The main text asks for its assets as it will inside of the executable; here they are read from their files. */
function startInExecutable(folder, assets) {
  const fileOf = (name) => {
    if (assets[name] === undefined) throw Object.assign(new Error(`no asset ${name}`), { code: 'ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND' });
    return readFileSync(assets[name]);
  };
  const sea = { isSea: () => true, getAsset: (name, encoding) => fileOf(name).toString(encoding), getRawAsset: (name) => new Uint8Array(fileOf(name)).buffer };
  const load = Module._load;
  Module._load = (request, ...rest) => (request === 'node:sea' ? sea : load(request, ...rest));
  return require(join(folder, 'findtoken.cjs'));
}

async function make(folder, started) {
  process.argv = ['node', 'findtoken', ...FIRST];
  const { loader, main } = await started();
  for (const command of COMMANDS) await main(['node', 'findtoken', ...command]);
  // Whatever became of them (SQLite's module may be missing here), their code is known now.
  process.exitCode = 0;
  for (const name of loader.vendorNames()) await loader.vendor(name);
  for (const [name, script] of loader.scripts) {
    const file = join(folder, `${name}.${SUFFIX}`);
    writeFileSync(`${file}.new`, script.createCachedData());
    renameSync(`${file}.new`, file);
  }
}

const [folder, assets] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'findtoken-build-'));
for (const name of Object.keys(process.env)) if (/^(FINDTOKEN_|XDG_|NODE_OPTIONS$)/.test(name)) delete process.env[name];
process.env.HOME = home;
const made = folder === undefined ? make(join(__dirname, '..', 'dist'), startInDist) : make(folder, () => startInExecutable(folder, JSON.parse(readFileSync(assets, 'utf8'))));
void made.finally(() => rmSync(home, { recursive: true, force: true }));
