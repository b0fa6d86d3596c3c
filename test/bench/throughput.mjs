// Whole answers and streams back to back: how many a second, at which CPU time, all servers alive side by side on one core.
// They take one-second slices in turn, in reversing order, so that a ratio compares neighbours in time.
import { EVENTS_A_STREAM, isStream, requestBody } from './canned.mjs';
import { cpuUs, median, quantile, rssMib, table } from './figures.mjs';
import { load } from './load.mjs';

const STREAMS_AT_ONCE = 32;
/** After so many the code that serves them is compiled as it will be. */
const WARM = { answers: 15_000, streams: 1_500 };
/** Where the product is compared with itself and not with peers, fewer rounds tell enough. */
const SIDE_ROUNDS = 7;

/** Whole answers at each number of connections, and to bodies of 128 KiB. */
export async function measureJson(bench) {
  const { connections, isQuick, isPlain } = bench.plan;
  const suites = [];
  for (const c of connections) suites.push(await suite(bench, 'json', c, c === 64 ? bench.plan.rounds : Math.min(bench.plan.rounds, SIDE_ROUNDS)));
  if (!isQuick && !isPlain) suites.push(await suite(bench, 'big', 64, Math.min(bench.plan.rounds, SIDE_ROUNDS)));
  const at = (c) => suites.find((one) => one.kind === 'json' && one.connections === c) ?? NOTHING;
  const many = isPlain && !connections.includes(64) ? suites.find((one) => one.connections > 1) ?? NOTHING : at(64);
  return {
    suites,
    measures: {
      'json/bare': many.ratio('findtoken', 'bare'), 'json/nginx': many.ratio('findtoken', 'nginx'), 'json/portkey': many.ratio('findtoken', 'portkey'),
      'json/caddy': many.ratio('findtoken', 'caddy'), 'json/bookless': many.ratio('findtoken', 'bookless'), 'json-p99/bookless': many.ratio('findtoken', 'bookless', 'p99Us'),
      'one-p50/bare': at(1).ratio('findtoken', 'bare', 'p50Us'), 'one-p50/portkey': at(1).ratio('findtoken', 'portkey', 'p50Us'),
    },
  };
}

/** Streams of 200 events, as fast as they go. */
export async function measureSse(bench) {
  const found = await suite(bench, 'sse', Math.min(Math.max(...bench.plan.connections), STREAMS_AT_ONCE), bench.plan.rounds);
  return { suites: [found], measures: { 'sse/bare': found.ratio('findtoken', 'bare'), 'sse/portkey': found.ratio('findtoken', 'portkey') } };
}

const NOTHING = { ratio: () => undefined };

/** One answer of each server, read whole, before anything is measured: a fast wrong answer wins every bench. */
async function probe({ name, port, paths, headers }, kind) {
  const answer = await fetch(`http://127.0.0.1:${port}${paths[kind]}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers(kind) }, body: requestBody(kind) });
  const text = await answer.text();
  const events = text.split('\n').filter((line) => line.startsWith('data: {')).length;
  const isRight = isStream(kind) ? events >= EVENTS_A_STREAM - 1 && text.includes('data: [DONE]') : text.includes('"completion_tokens":48');
  if (answer.status !== 200 || !isRight) throw new Error(`${name} answers ${answer.status} to a ${kind} request, with ${events} events: ${text.slice(0, 300)}`);
}

/** V8 compiles what runs often, by and by: a busy machine, on which less runs in the time, gives it more time. */
async function warmUp({ rig, plan }, server, { kind, connections }) {
  const enough = isStream(kind) ? WARM.streams : WARM.answers;
  let answers = 0;
  for (let turn = 0; turn < 3 && (turn === 0 || (connections > 1 && answers < enough)); turn += 1) {
    answers += (await load(rig, server, { kind, connections, seconds: plan.warmUpSeconds })).answers;
  }
}

async function suite(bench, kind, connections, rounds) {
  const { rig, plan } = bench;
  const servers = (await bench.fleet()).filter(({ paths }) => paths[kind] !== undefined);
  for (const server of servers) await probe(server, kind);
  for (const server of servers) await warmUp(bench, server, { kind, connections });
  const slices = new Map(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const beforeUs = cpuUs(server.pid);
      const slice = await load(rig, server, { kind, connections, seconds: plan.seconds });
      const afterUs = cpuUs(server.pid);
      slices.get(server.name).push({ ...slice, cpuUs: beforeUs === undefined || afterUs === undefined ? Number.NaN : (afterUs - beforeUs) / slice.answers });
    }
  }
  return report(bench, servers, { kind, connections, rounds, slices });
}

function report({ say, plan }, servers, { kind, connections, rounds, slices }) {
  const of = (name, field) => (slices.get(name) ?? []).map((slice) => slice[field]);
  const figures = new Map(servers.map(({ name, pid }) => [name, {
    perS: median(of(name, 'perS')), best: Math.max(...of(name, 'perS')), cpuUs: median(of(name, 'cpuUs')), p50Us: median(of(name, 'p50Us')), p99Us: median(of(name, 'p99Us')),
    rssMib: rssMib(pid), answers: total(of(name, 'answers')), bad: total(of(name, 'bad')),
  }]));
  const has = (name) => figures.has(name);
  const ratios = (name, other, field = 'perS') => of(name, field).map((value, round) => value / of(other, field)[round]);
  const quartiles = (name) => (has('bare') ? [0.25, 0.5, 0.75].map((share) => quantile(ratios(name, 'bare'), share).toFixed(2)) : ['-', '-', '-']);
  const rows = servers.map(({ name }) => {
    const { perS, best, cpuUs: cpu, p50Us, p99Us, rssMib: rss, answers, bad } = figures.get(name);
    const [low, middle, high] = quartiles(name);
    return [name, thousands(perS), thousands(best), middle, `${low}-${high}`, has('nginx') ? median(ratios(name, 'nginx')).toFixed(2) : '-',
      Number.isNaN(cpu) ? '-' : cpu.toFixed(0), (p50Us / 1000).toFixed(2), (p99Us / 1000).toFixed(2), rss?.toFixed(0) ?? '-', answers, bad];
  });
  const each = isStream(kind) ? 'stream' : 'request';
  say(`\n${TITLES[kind]}: ${connections} connection${connections === 1 ? '' : 's'}, ${rounds} rounds of ${plan.seconds} s\n`);
  say(table([['server', isStream(kind) ? 'events/s' : 'requests/s', 'best', '× bare', 'quartiles', '× nginx', `CPU µs/${each}`, 'p50 ms', 'p99 ms', 'RSS MiB', 'answers', 'bad'], ...rows]));
  const bad = total([...figures.values()].map((one) => one.bad));
  if (bad > 0) say(`\nFAILED: ${bad} answers were not whole or not 2xx`);
  return {
    kind, connections, rows: Object.fromEntries(figures), bad,
    ratio: (name, other, field) => (has(name) && has(other) ? median(ratios(name, other, field)) : undefined),
  };
}

const TITLES = { json: 'Whole answers to bodies of 300 bytes', big: 'Whole answers to bodies of 128 KiB', sse: `Streams of ${EVENTS_A_STREAM} events back to back` };

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function thousands(perS) {
  return perS >= 10_000 ? `${(perS / 1000).toFixed(1)}k` : perS.toFixed(0);
}
