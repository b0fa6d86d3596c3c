// npm run bench [-- --quick --only PARTS --servers NAMES --rounds N --c N,N --seconds N --folder DIR --json --prof DIR --against DIR --rows N --write [FILE]]
// Measures findtoken beside nginx, a bare Node proxy, itself without its books, caddy and Portkey, prints the table of targets, and
// exits 1 where a must is missed or an answer was not whole. `--only` takes of: json, sse, ttft, paced, idle, stalled, start, ledger,
// rows, cli, crash, workers. `--quick` is for trying: short, and no bar counts. `--json` prints the figures for a machine. `--prof` keeps
// findtoken's CPU profiles; `--against` adds another checkout, built, as `before`; `--write` puts this run into docs/performance.md.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openRig } from './rig.mjs';
import { isAvailable, SERVERS, startServer, startUpstreams } from './servers.mjs';
import { writePage } from './page.mjs';
import { PARTS } from './parts.mjs';
import { isMet, targetTable, verdicts } from './targets.mjs';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
/** All that was told, for the page. */
const said = [];

const { values: given } = parseArgs({
  options: {
    rounds: { type: 'string' }, c: { type: 'string' }, seconds: { type: 'string', default: '1' }, quick: { type: 'boolean', default: false },
    only: { type: 'string' }, servers: { type: 'string' }, folder: { type: 'string' }, json: { type: 'boolean', default: false },
    prof: { type: 'string' }, against: { type: 'string' }, write: { type: 'string' }, rows: { type: 'string' },
  },
  args: process.argv.slice(2).flatMap((word, at, words) => (word === '--write' && (words[at + 1] ?? '--').startsWith('--') ? ['--write', PAGE] : [word])),
});
const plan = {
  isQuick: given.quick,
  /** Connections were named: only whole answers at these, nothing beside. */
  isPlain: given.c !== undefined,
  rounds: Number(given.rounds ?? (given.quick ? 3 : 15)),
  seconds: Number(given.seconds),
  warmUpSeconds: given.quick ? 1 : 4,
  connections: (given.c ?? (given.quick ? '64' : '64,256,1')).split(',').map(Number),
  /** Request rows of the largest books. */
  rows: given.rows === undefined ? undefined : Number(given.rows),
  parts: given.only === undefined ? Object.keys(PARTS) : given.only.split(','),
};
const unknown = plan.parts.filter((name) => PARTS[name] === undefined);
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}; the parts are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
if (given.write === PAGE && (plan.isQuick || plan.parts.length < Object.keys(PARTS).length || given.servers !== undefined || plan.isPlain)) {
  console.error(`--write without a file is for a whole run: it replaces every figure of ${PAGE}; name another file to try it`);
  process.exit(2);
}
process.exitCode = (await main()) ? 0 : 1;

/** Runs every part; true where each answer was whole and 2xx and, but for a quick run, no must was missed. */
async function main() {
  const rig = openRig({ folder: given.folder, profiles: given.prof, against: given.against });
  const notes = [...rig.notes];
  const wanted = given.servers?.split(',') ?? (given.against === undefined ? SERVERS : [...SERVERS, 'before']);
  const names = wanted.filter((name) => isAvailable(rig, name));
  if (wanted.includes('portkey') && !names.includes('portkey')) notes.push('no Portkey: its row is missing; `npm run bench:setup` installs it');
  for (const note of notes) say(`note: ${note}`);
  let origins;
  const fleet = [];
  const bench = {
    rig, plan, say,
    origins: async () => (origins ??= await startUpstreams(rig)),
    /** The servers, started once and alive side by side. */
    fleet: async () => {
      for (const name of names.slice(fleet.length)) fleet.push(await startServer(rig, name, await bench.origins()));
      return fleet;
    },
  };
  try {
    const suites = [];
    const measures = {};
    let bad = 0;
    for (const name of plan.parts) {
      const startedMs = performance.now();
      const found = await PARTS[name](bench).catch(failed(name));
      Object.assign(measures, found.measures);
      suites.push(...(found.suites ?? [{ kind: name, measures: found.measures }]));
      bad += (found.bad ?? 0) + (found.suites ?? []).reduce((sum, suite) => sum + suite.bad, 0);
      console.error(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    }
    for (const { name, audit } of fleet) if (audit !== undefined && name !== 'bookless') say(`\n${name} audit: ${await audit().then((text) => text.trim().split('\n').at(-1), (error) => `FAILED, ${error.message}`)}`);
    const reached = verdicts(measures);
    if (reached.length > 0) say(`\n${targetTable(reached)}`);
    if (given.write !== undefined) writePage(given.write, { notes, lines: said, targets: targetTable(reached) });
    if (given.json) console.log(JSON.stringify(suites.map(({ kind, connections, rows, measures: some }) => ({ kind, connections, rows, measures: some }))));
    return bad === 0 && (plan.isQuick || reached.every(isMet));
  } finally {
    await rig.close();
  }
}

/** What a part could not measure fails the run, and the other parts are measured all the same. */
function failed(name) {
  return (error) => {
    say(`\nFAILED: ${name}: ${error.message}`);
    return { measures: {}, bad: 1 };
  };
}

/** The report goes to stdout, unless a machine reads there. */
function say(line) {
  said.push(line);
  (given.json ? console.error : console.log)(line);
}
