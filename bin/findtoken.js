#!/usr/bin/env node
'use strict';
const { FILES, loaderOf, tooOld } = require('./load.js');

async function start() {
  const why = tooOld(process.version);
  const loaded = why === undefined ? await loaderOf(FILES).program() : undefined;
  if (loaded !== undefined) return loaded.main(process.argv);
  process.stderr.write(`findtoken: ${why || 'dist/program.json is missing; build it with `npm run build`.'}\n`);
  process.exitCode = 1;
  return undefined;
}

void start();
