'use strict';
// Preloaded with `node --require`: every text of the bundle that the process runs is noted, one file a line, in the file TRACE_LOADS.
const { appendFileSync } = require('node:fs');
const vm = require('node:vm');

const { Script } = vm;
vm.Script = class extends Script {
  constructor(source, options) {
    appendFileSync(process.env.TRACE_LOADS, `${options.filename}\n`);
    super(source, options);
  }
};
