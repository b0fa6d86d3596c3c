// What the command line costs to start, in CPU time, as a ratio to what cannot be less: an empty Node that opens the same database,
// and for the screen Ink as node_modules has it.
// npm run bench:cli [-- ROUNDS]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './figures.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(ROOT, 'bin', 'findtoken.js');
/** Starts in one measurement: a shell adds up what its children cost, to the millisecond. */
const STARTS = 5;
/** A shell adds up what its children cost; `times` tells it in its second line. */
const LOOP = 'i=0; n=$1; shift; while [ $i -lt $n ]; do "$@" >/dev/null 2>&1 </dev/null || exit 1; i=$((i+1)); done; times';
/** The least that a program with a database does: open it, and read. */
const OPEN = 'new (require("better-sqlite3"))(process.argv[1], { readonly: true }).prepare("SELECT 1 FROM accounts").get()';
const INK = 'import { render, Text } from "ink"; import { createElement } from "react"; const { unmount } = render(createElement(Text, null, "x")); unmount();';

/**
 * Measures in turns and answers rows `{ what, reached, must, unit }`: `reached` is the median of the paired ratios of CPU time.
 * @param {{ rounds?: number, say?: (line: string) => void }} options
 */
export async function measureCli({ rounds = 9, say = () => undefined } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'findtoken-bench-cli-'));
  const env = { HOME: home, PATH: process.env.PATH, LC_ALL: 'C' };
  const findtoken = (...args) => [process.execPath, PROGRAM, ...args];
  try {
    const [command, ...args] = findtoken('accounts', 'create', 'ann@example.com');
    execFileSync(command, args, { env, stdio: 'ignore' });
    const database = JSON.parse(execFileSync(process.execPath, [PROGRAM, 'config', 'show', '--json'], { env, encoding: 'utf8' }));
    const node = [process.execPath, '-e', OPEN, pathOf(database, home)];
    const ink = [process.execPath, '--input-type=module', '-e', INK];
    const rows = [];
    for (const { what, baseline, must } of [
      { what: '--version', baseline: node, must: 1.6 },
      { what: 'keys list', baseline: node, must: 1.6 },
      { what: 'balance', baseline: node, must: 1.6 },
      { what: 'stats --once', baseline: ink, must: 0.5 },
    ]) {
      const subject = findtoken(...what.split(' '));
      const pairs = [];
      for (let round = 0; round < rounds; round += 1) {
        const order = round % 2 === 0 ? [subject, baseline] : [baseline, subject];
        const [first, second] = order.map((program) => cpuMs(env, program));
        pairs.push(round % 2 === 0 ? [first, second] : [second, first]);
      }
      const reached = median(pairs.map(([mine, theirs]) => mine / theirs));
      say(`${what}: ${median(pairs.map(([mine]) => mine)).toFixed(0)} ms of CPU against ${median(pairs.map(([, theirs]) => theirs)).toFixed(0)} ms`);
      rows.push({ what: `CPU time of \`${what}\` to ${baseline === ink ? 'Ink from node_modules' : 'an empty Node that opens the database'}`, reached, must, unit: '×' });
    }
    return rows;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function cpuMs(env, command) {
  const told = execFileSync('bash', ['-c', LOOP, 'bash', String(STARTS), ...command], { env, cwd: ROOT, encoding: 'utf8' });
  const times = [...told.trim().split('\n').at(-1).matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1_000);
  return times.reduce((sum, ms) => sum + ms, 0) / STARTS;
}

/** Where `config show --json` says that the database is. */
function pathOf(settings, home) {
  const found = JSON.stringify(settings).match(/"([^"]*findtoken\.db)"/)?.[1];
  if (found === undefined) throw new Error('config show --json names no database');
  return found.replace(/^~/, home);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = await measureCli({ rounds: Number(process.argv[2] ?? 9), say: console.log });
  for (const { what, reached, must, unit } of rows) console.log(`${reached <= must ? 'ok    ' : 'MISSED'} ${what}: ${reached.toFixed(2)} ${unit} (must ≤ ${must})`);
  process.exitCode = rows.every(({ reached, must }) => reached <= must) ? 0 : 1;
}
