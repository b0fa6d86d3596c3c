// What a start costs: the script and the single executable side by side, in CPU time, for the wall's is the machine's mood.
// node test/bench/startup.mjs [runs]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BINARY = join(ROOT, 'dist', 'findtoken');
const PROGRAMS = { script: [process.execPath, join(ROOT, 'bin', 'findtoken.js')], binary: [BINARY] };
/** With nothing loaded, with the catalogue, with the database. */
const COMMANDS = [['--version'], ['models'], ['accounts', 'list']];
const ROUNDS = 3;
/** A shell adds up what its children cost; `times` tells it in its second line. */
const LOOP = 'i=0; n=$1; shift; while [ $i -lt $n ]; do "$@" >/dev/null 2>&1; i=$((i+1)); done; times';

function cpuMsOf(home, runs, command) {
  const told = execFileSync('bash', ['-c', LOOP, 'bash', String(runs), ...command], { env: { HOME: home, PATH: process.env.PATH, LC_ALL: 'C' }, encoding: 'utf8' });
  const times = [...told.trim().split('\n')[1].matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1_000);
  return times.reduce((sum, ms) => sum + ms, 0) / runs;
}

if (!existsSync(BINARY)) {
  console.error('there is no dist/findtoken; `npm run build:binary` makes it');
  process.exit(1);
}
const runs = Number(process.argv[2] ?? 20);
const home = mkdtempSync(join(tmpdir(), 'findtoken-startup-'));
try {
  execFileSync(BINARY, ['accounts', 'create', 'ann@example.com'], { env: { HOME: home }, stdio: 'ignore' });
  console.log(`dist/findtoken has ${(statSync(BINARY).size / 1e6).toFixed(0)} MB; the script runs on Node ${process.versions.node}; best of ${ROUNDS} times ${runs} starts`);
  for (const args of COMMANDS) {
    const best = {};
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, program] of Object.entries(PROGRAMS)) best[name] = Math.min(best[name] ?? Infinity, cpuMsOf(home, runs, [...program, ...args]));
    }
    console.log(`${args.join(' ').padEnd(16)} script ${best.script.toFixed(0)} ms, binary ${best.binary.toFixed(0)} ms of CPU: ${(best.binary / best.script).toFixed(2)} x`);
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
