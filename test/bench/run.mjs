// npm run bench [-- --rounds N --c N --seconds N --quick --only json|sse --servers nginx,bare,findtoken --folder DIR --json
//   --prof DIR --against DIR --write FILE]
// `--c 1,64,256` runs whole answers at each; `--write docs/performance.md` puts this run's figures there; `--prof` keeps findtoken's CPU
// profiles; `--against` adds another checkout, built, as `before`.
// All servers live side by side and take one-second slices in turn, so that a ratio compares neighbours in time.
import { parseArgs } from 'node:util';
import { EVENTS_A_STREAM, requestBody } from './canned.mjs';
import { cpuUs, median, quantile, rssMib, table } from './figures.mjs';
import { load } from './load.mjs';
import { openRig } from './rig.mjs';
import { startServer, startUpstreams } from './servers.mjs';
import { writePage } from './page.mjs';
import { judge } from './targets.mjs';

const STREAMS_AT_ONCE = 32;
/** All that was told, for the page. */
const said = [];

const { values: given } = parseArgs({
  options: {
    rounds: { type: 'string' }, c: { type: 'string', default: '64' }, seconds: { type: 'string', default: '1' }, quick: { type: 'boolean', default: false },
    only: { type: 'string' }, servers: { type: 'string', default: 'nginx,bare,findtoken' }, folder: { type: 'string' }, json: { type: 'boolean', default: false },
    prof: { type: 'string' }, against: { type: 'string' }, write: { type: 'string' },
  },
});
const plan = {
  rounds: Number(given.rounds ?? (given.quick ? 3 : 15)),
  seconds: Number(given.seconds),
  warmUpSeconds: given.quick ? 1 : 4,
  kinds: given.only === undefined ? ['json', 'sse'] : [given.only],
  /** Whole answers at each number of connections, streams at the largest that makes sense. */
  connections: { json: given.c.split(',').map(Number), sse: [Math.min(Math.max(...given.c.split(',').map(Number)), STREAMS_AT_ONCE)] },
};
process.exitCode = (await main()) ? 0 : 1;

/** Runs every suite; true where each answer was whole and 2xx and, but for a quick run, no bar was missed. */
async function main() {
  const rig = openRig({ folder: given.folder, profiles: given.prof, against: given.against });
  try {
    for (const note of rig.notes) say(`note: ${note}`);
    const origins = await startUpstreams(rig);
    const names = given.servers.split(',').filter((name) => name !== 'nginx' || rig.tools.nginx);
    const servers = [];
    for (const name of names) servers.push(await startServer(rig, name, origins));
    for (const server of servers) for (const kind of plan.kinds) await probe(server, kind);
    const suites = [];
    for (const kind of plan.kinds) for (const connections of plan.connections[kind]) suites.push(await suite(rig, servers, kind, connections));
    for (const { name, audit } of servers) {
      if (audit !== undefined) say(`\n${name} audit: ${await audit().then((text) => text.trim().split('\n').at(-1), (error) => `FAILED, ${error.message}`)}`);
    }
    if (given.write !== undefined) writePage(given.write, { notes: rig.notes, lines: said });
    if (given.json) console.log(JSON.stringify(suites.map(({ kind, connections, rows }) => ({ kind, connections, rows }))));
    return suites.every(({ bad, missed }) => bad === 0 && missed === 0);
  } finally {
    await rig.close();
  }
}

/** One answer of each server, read whole, before anything is measured: a fast wrong answer wins every bench. */
async function probe({ name, port, paths, headers }, kind) {
  const answer = await fetch(`http://127.0.0.1:${port}${paths[kind]}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: requestBody(kind) });
  const text = await answer.text();
  const events = text.split('\n').filter((line) => line.startsWith('data: {')).length;
  const isRight = kind === 'sse' ? events >= EVENTS_A_STREAM - 1 && text.includes('data: [DONE]') : text.includes('"completion_tokens":48');
  if (answer.status !== 200 || !isRight) throw new Error(`${name} answers ${answer.status} to a ${kind} request, with ${events} events: ${text.slice(0, 300)}`);
}

async function suite(rig, servers, kind, connections) {
  for (const server of servers) await load(rig, server, { kind, connections, seconds: plan.warmUpSeconds });
  const slices = new Map(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const beforeUs = cpuUs(server.pid);
      const slice = await load(rig, server, { kind, connections, seconds: plan.seconds });
      const afterUs = cpuUs(server.pid);
      slices.get(server.name).push({ ...slice, cpuUs: beforeUs === undefined || afterUs === undefined ? Number.NaN : (afterUs - beforeUs) / slice.answers });
    }
  }
  return report(servers, kind, connections, slices);
}

function report(servers, kind, connections, slices) {
  const of = (name, field) => (slices.get(name) ?? []).map((slice) => slice[field]);
  const ratios = (name, other) => of(name, 'perS').map((perS, round) => perS / of(other, 'perS')[round]);
  const figures = new Map(servers.map(({ name, pid }) => [name, {
    perS: median(of(name, 'perS')), best: Math.max(...of(name, 'perS')), cpuUs: median(of(name, 'cpuUs')), p50Us: median(of(name, 'p50Us')), p99Us: median(of(name, 'p99Us')),
    rssMib: rssMib(pid), answers: total(of(name, 'answers')), bad: total(of(name, 'bad')),
  }]));
  const has = (name) => figures.has(name);
  const quartiles = (name) => (has('bare') ? [0.25, 0.5, 0.75].map((share) => quantile(ratios(name, 'bare'), share).toFixed(2)) : ['-', '-', '-']);
  const rows = servers.map(({ name }) => {
    const { perS, best, cpuUs: cpu, p50Us, p99Us, rssMib: rss, answers, bad } = figures.get(name);
    const [low, middle, high] = quartiles(name);
    return [name, thousands(perS), thousands(best), middle, `${low}-${high}`, has('nginx') ? median(ratios(name, 'nginx')).toFixed(2) : '-',
      Number.isNaN(cpu) ? '-' : cpu.toFixed(0), (p50Us / 1000).toFixed(2), (p99Us / 1000).toFixed(2), rss?.toFixed(0) ?? '-', answers, bad];
  });
  const what = kind === 'sse' ? 'events/s' : 'requests/s';
  const each = kind === 'sse' ? 'stream' : 'request';
  say(`\n${kind === 'sse' ? `Streams of ${EVENTS_A_STREAM} events back to back` : 'Whole answers'}: ${connections} connections, ${plan.rounds} rounds of ${plan.seconds} s\n`);
  say(table([['server', what, 'best', '× bare', 'quartiles', '× nginx', `CPU µs/${each}`, 'p50 ms', 'p99 ms', 'RSS MiB', 'answers', 'bad'], ...rows]));
  const summary = {
    kind, connections, rows: Object.fromEntries(figures), bad: total([...figures.values()].map(({ bad }) => bad)),
    ratio: (name, other) => (has(name) && has(other) ? median(ratios(name, other)) : undefined), figure: (name) => figures.get(name),
  };
  const verdicts = judge(summary);
  summary.missed = given.quick ? 0 : verdicts.filter((line) => line.startsWith('MISSED')).length;
  for (const line of verdicts) say(`- ${line}`);
  if (summary.bad > 0) say(`FAILED: ${summary.bad} answers were not whole or not 2xx`);
  return summary;
}

/** The report goes to stdout, unless a machine reads there. */
function say(line) {
  said.push(line);
  (given.json ? console.error : console.log)(line);
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function thousands(perS) {
  return perS >= 10_000 ? `${(perS / 1000).toFixed(1)}k` : perS.toFixed(0);
}
