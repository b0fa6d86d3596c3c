#!/usr/bin/env node
'use strict';
const { FILES, loaderOf } = require('./load.js');

void loaderOf(FILES).program().then((loaded) => {
  if (loaded !== undefined) return loaded.main(process.argv);
  process.stderr.write('findtoken: dist/program.json is missing; build it with `npm run build`.\n');
  process.exitCode = 1;
  return undefined;
});
