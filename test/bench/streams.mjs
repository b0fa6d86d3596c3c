// Streams as they are in life: how much later the first event comes, and what an event costs where each comes by itself.
import { PACE_MS } from './canned.mjs';
import { cpuUs, median, table } from './figures.mjs';
import { listen } from './load.mjs';
import { direct } from './servers.mjs';

const FEW_STREAMS = 8;
const PACED_STREAMS = 200;
const MS = 1000;

/** The delay of the first event at low load, over what the upstream alone takes, in slices of a second in turns. */
export async function measureFirst({ rig, plan, say, origins, fleet }) {
  const servers = [direct(await origins()), ...(await fleet()).filter(({ name, paths }) => name !== 'caddy' && paths.first !== undefined)];
  const slice = async (server, seconds) => (await listen(rig, server, { mode: 'first', kind: 'first', streams: FEW_STREAMS, seconds })).at(-1);
  for (const server of servers) await slice(server, plan.warmUpSeconds);
  const slices = new Map(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) slices.get(server.name).push(await slice(server, plan.seconds));
  }
  const of = (name, field) => slices.get(name)?.map((one) => one[field] / MS) ?? [];
  const over = (name, other) => (slices.has(name) && slices.has(other) ? median(of(name, 'p50Us').map((ms, round) => ms - of(other, 'p50Us')[round])) : undefined);
  say(`\nFirst event: ${FEW_STREAMS} streams, the upstream's comes after ${PACE_MS} ms, ${plan.rounds} rounds of ${plan.seconds} s\n`);
  say(table([
    ['server', 'p50 ms', 'p99 ms', 'over direct ms', 'over bare ms', 'streams', 'bad'],
    ...servers.map(({ name }) => [name, median(of(name, 'p50Us')).toFixed(2), median(of(name, 'p99Us')).toFixed(2), over(name, 'direct').toFixed(2), over(name, 'bare')?.toFixed(2) ?? '-', sum(slices.get(name), 'answers'), sum(slices.get(name), 'broken')]),
  ]));
  return { measures: { 'ttft': over('findtoken', 'direct'), 'ttft-bare': over('findtoken', 'bare') }, bad: servers.reduce((bad, { name }) => bad + sum(slices.get(name), 'broken'), 0) };
}

/** 200 streams with an event every 20 ms each: CPU time of an event, and how late it arrives. */
export async function measurePaced({ rig, plan, say, origins, fleet }) {
  const servers = [direct(await origins()), ...(await fleet()).filter(({ name, paths }) => name !== 'caddy' && paths.paced !== undefined)];
  const streams = plan.isQuick ? 50 : PACED_STREAMS;
  const [seconds, settleSeconds, rounds] = plan.isQuick ? [1, 0.5, 1] : [4, 1, 2];
  const slices = new Map(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      let beforeUs;
      const found = await listen(rig, server, { mode: 'paced', kind: 'paced', streams, seconds, settleSeconds }, () => (beforeUs ??= server.pid === undefined ? Number.NaN : cpuUs(server.pid)));
      const spentUs = server.pid === undefined ? Number.NaN : cpuUs(server.pid) - beforeUs;
      const { events, elapsedS, broken, p50Us, p99Us } = found.at(-1);
      slices.get(server.name).push({ share: events / ((streams * elapsedS * MS) / PACE_MS), cpuUs: spentUs / events, events, broken, p50Us, p99Us });
    }
  }
  const of = (name, field) => median(slices.get(name).map((one) => one[field]));
  say(`\nPaced streams: ${streams} at once, an event every ${PACE_MS} ms each, ${rounds} rounds of ${seconds} s\n`);
  say(table([
    ['server', 'events of those due', 'CPU µs/event', 'late p50 ms', 'late p99 ms', 'events', 'bad'],
    ...servers.map(({ name }) => [name, `${(of(name, 'share') * 100).toFixed(0)} %`, Number.isNaN(of(name, 'cpuUs')) ? '-' : of(name, 'cpuUs').toFixed(0), (of(name, 'p50Us') / MS).toFixed(2), (of(name, 'p99Us') / MS).toFixed(2), sum(slices.get(name), 'events'), sum(slices.get(name), 'broken')]),
  ]));
  return { measures: { 'paced-cpu': of('findtoken', 'cpuUs') }, bad: servers.filter(({ name }) => name !== 'portkey').reduce((bad, { name }) => bad + sum(slices.get(name), 'broken'), 0) };
}

function sum(slices, field) {
  return slices.reduce((total, slice) => total + slice[field], 0);
}

