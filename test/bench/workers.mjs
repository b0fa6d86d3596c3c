// npm run bench:workers: what a second process that serves is worth. Streams with an event every 20 ms are added until they are no
// longer held; a stream is held where 99 % of its events come within 100 ms of being sent. Servers run on all cores, for that is what
// several processes are for, and share them with the load: what counts is one process against two in the same run.
import { availableParallelism } from 'node:os';
import { PACE_MS } from './canned.mjs';
import { cpuUs, median, rssMib, table } from './figures.mjs';
import { listen, load } from './load.mjs';
import { freePort } from './rig.mjs';
import { startFindtoken } from './servers.mjs';

const COUNTS = [1, 2];
const STEPS = [100, 200, 300, 400, 500, 600, 800];
/** Beyond this share of streams that are not held, more streams tell nothing. */
const LEAST_HELD = 0.5;
const REST_MS = 3_000;
const MS = 1000;

/** Streams held, CPU time of an event, requests a second and RAM with one process and with two. */
export async function measureWorkers({ rig, plan, say, origins }) {
  const cores = Object.assign(Object.create(rig), { serverCore: `0-${availableParallelism() - 1}` });
  const [seconds, settleSeconds, rounds] = plan.isQuick ? [2, 1, 1] : [5, 2, 3];
  const steps = plan.isQuick ? STEPS.slice(0, 4) : STEPS;
  const servers = [];
  for (const workers of COUNTS) {
    const server = await startFindtoken(cores, await freePort(), await origins(), { name: `workers-${workers}`, yaml: { server: { workers } } });
    servers.push({ ...server, workers, restingMib: Number.NaN, paced: new Map(), perS: [], busyMib: 0 });
  }
  // The port answers with the first worker; the last one is up a moment later.
  await pause(REST_MS);
  for (const server of servers) server.restingMib = rssMib(server.pid);
  let bad = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) bad += await oneRound(rig, server, { steps, seconds, settleSeconds });
  }
  for (const server of servers) {
    await server.audit();
    await rig.end(server.pid);
  }
  const [one, two] = servers;
  say(`\nProcesses that serve: an event every ${PACE_MS} ms a stream, ${rounds} rounds of ${seconds} s a step; held is a stream of which 99 % of the events come within 100 ms\n`);
  say(table([
    ['streams', 'workers', 'held', 'events of those due', 'CPU µs/event', 'late p50 ms', 'late p99 ms'],
    ...steps.flatMap((streams) => servers.flatMap(({ workers, paced }) => (paced.has(streams) ? [pacedRow(streams, workers, paced.get(streams))] : []))),
  ]));
  say('');
  say(table([
    ['workers', 'most streams held', 'requests/s, 64 connections', 'RAM at rest MiB', 'RAM after the load MiB'],
    ...servers.map((server) => [server.workers, mostHeld(server), median(server.perS).toFixed(0), server.restingMib.toFixed(0), server.busyMib.toFixed(0)]),
  ]));
  return { measures: { 'workers-held': mostHeld(two) / mostHeld(one), 'workers-mib': two.restingMib - one.restingMib }, bad };
}

/** More and more streams, as far as the server keeps up, then whole answers. */
async function oneRound(rig, server, { steps, seconds, settleSeconds }) {
  let bad = 0;
  for (const streams of steps) {
    let beforeUs;
    const found = await listen(rig, server, { mode: 'paced', kind: 'paced', streams, seconds, settleSeconds }, () => (beforeUs ??= cpuUs(server.pid)));
    const { events, elapsedS, broken, held, p50Us, p99Us } = found.at(-1);
    const slice = { held, share: events / ((streams * elapsedS * MS) / PACE_MS), cpuUs: (cpuUs(server.pid) - beforeUs) / events, p50Us, p99Us };
    server.paced.set(streams, [...(server.paced.get(streams) ?? []), slice]);
    bad += broken;
    server.busyMib = Math.max(server.busyMib, rssMib(server.pid));
    if (held < streams * LEAST_HELD) break;
  }
  const { perS, bad: refused } = await load(rig, server, { kind: 'json', connections: 64, seconds });
  server.perS.push(perS);
  return bad + refused;
}

function pacedRow(streams, workers, slices) {
  const of = (field) => median(slices.map((slice) => slice[field]));
  return [streams, workers, of('held').toFixed(0), `${(of('share') * 100).toFixed(0)} %`, of('cpuUs').toFixed(0), (of('p50Us') / MS).toFixed(1), (of('p99Us') / MS).toFixed(1)];
}

function mostHeld({ paced }) {
  return Math.max(...[...paced.values()].map((slices) => median(slices.map(({ held }) => held))));
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
