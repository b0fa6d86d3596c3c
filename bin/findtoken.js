#!/usr/bin/env node
import { existsSync } from 'node:fs';

const program = new URL('../dist/cli.js', import.meta.url);
if (existsSync(program)) {
  const { main } = await import(program.href);
  await main(process.argv);
} else {
  process.stderr.write('findtoken: dist/cli.js is missing; build it with `npm run build`.\n');
  process.exitCode = 1;
}
