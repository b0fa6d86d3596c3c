'use strict';
// Runs the commands that people wait for, and writes down the code that V8 has made of the program by then. Started by .ci/build.mjs.
const { mkdtempSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { program, scripts, suffix, vendor, vendorNames } = require('../bin/load.js');

const DIST = join(__dirname, '..', 'dist');
const COMMANDS = [['--version'], ['accounts', 'create', 'ann@example.com'], ['balance'], ['keys', 'list']];

async function make() {
  const { main } = await program();
  for (const command of COMMANDS) await main(['node', 'findtoken', ...command]);
  // Whatever became of them (SQLite's module may be missing here), their code is known now.
  process.exitCode = 0;
  for (const name of vendorNames()) await vendor(name);
  for (const [name, script] of scripts) {
    const file = join(DIST, `${name}.${suffix}`);
    writeFileSync(`${file}.new`, script.createCachedData());
    renameSync(`${file}.new`, file);
  }
}

const home = mkdtempSync(join(tmpdir(), 'findtoken-build-'));
for (const name of Object.keys(process.env)) if (/^(FINDTOKEN_|XDG_|NODE_OPTIONS$)/.test(name)) delete process.env[name];
process.env.HOME = home;
make().finally(() => rmSync(home, { recursive: true, force: true }));
