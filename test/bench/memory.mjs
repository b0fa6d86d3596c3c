// What streams that wait cost in RAM: many that are silent, and some that are read more slowly than they come; beside it the bare proxy,
// for a part of it is Node's own. Both are started anew, so that what is measured is the streams and not what came before them.
import { readFileSync } from 'node:fs';
import { rssMib, table } from './figures.mjs';
import { startListening } from './load.mjs';
import { freePort } from './rig.mjs';
import { startFindtoken, startServer, startStreams } from './servers.mjs';

const IDLE_STREAMS = 9_500;
const STALLED_READERS = 50;
/** Much slower than any upstream, so that all that lies between has to hold back. */
const READ_BYTES_PER_S = 40_000;
/** Files that the daemon has open beside its streams. */
const FILES_BESIDE = 500;
const KIB = 1024;

/**
 * RAM of an idle stream: what 9,500 of them add, at the least of four looks. V8's young generation, 32 MiB for all of them together, is
 * given back when little happens and taken again while their comments go out: which of both a look meets is chance.
 */
export async function measureIdle(bench) {
  const { plan, say } = bench;
  const possible = Math.floor((openFiles() - FILES_BESIDE) / 2);
  const streams = Math.min(possible, plan.isQuick ? 1_000 : IDLE_STREAMS);
  if (!plan.isQuick && possible < IDLE_STREAMS) say(`note: this system allows ${openFiles()} open files, enough for ${possible} of ${IDLE_STREAMS} streams, which take two each; \`ulimit -Hn\` of 20,000 would do`);
  const found = await holdOnBoth(bench, { kind: 'idle', streams }, plan.isQuick ? [1] : [5, 30, 60, 120]);
  const kib = found.map(({ restingMib, seen, opened }) => ((Math.min(...seen.map(({ mib }) => mib)) - restingMib) * KIB) / opened);
  report(say, `Idle streams: ${streams} open at once`, found, 'KiB each', kib.map((each) => each.toFixed(1)));
  return { measures: { idle: kib[0] }, bad: found[0].bad };
}

/** 50 readers that are too slow for endless streams: RAM of each after ten seconds, and what becomes of it after a minute. */
export async function measureStalled(bench) {
  const { plan, say } = bench;
  const found = await holdOnBoth(bench, { kind: 'endless', streams: STALLED_READERS, bytesPerS: READ_BYTES_PER_S }, plan.isQuick ? [2, 4, 6] : [10, 30, 60]);
  const mib = found.map(({ restingMib, seen, opened }) => (seen[0].mib - restingMib) / opened);
  report(say, `Slow readers: ${STALLED_READERS} of endless streams, ${READ_BYTES_PER_S / 1000} kB/s each`, found, 'MiB each at first', mib.map((each) => each.toFixed(2)));
  const [{ seen, bad }] = found;
  return { measures: { 'stalled': mib[0], 'stalled-growth': seen.at(-1).mib / seen[0].mib }, bad };
}

/** The same streams on findtoken and on the bare proxy, both at once; RAM at these seconds after they are open. */
async function holdOnBoth({ rig }, order, seconds) {
  // Of its own: what the servers of other parts keep open to the common one, and two times 9,500, may be more than it is allowed.
  const sse = await startStreams(rig);
  const origins = { json: sse, sse };
  const servers = [
    await startFindtoken(rig, await freePort(), origins, { name: `findtoken-${order.kind}` }),
    { ...(await startServer(rig, 'bare', origins)), name: 'bare' },
  ];
  const found = await Promise.all(servers.map(async (server) => {
    const restingMib = rssMib(server.pid);
    const clients = startListening(rig, server, { mode: 'hold', ...order });
    const { opened } = await clients.told();
    const openMs = Date.now();
    const seen = [];
    for (const second of seconds) {
      await pause(openMs + second * 1000 - Date.now());
      seen.push({ second, mib: rssMib(server.pid) });
    }
    const told = clients.told();
    clients.end();
    const { broken } = await told;
    await clients.ended;
    return { name: server.name.split('-')[0], restingMib, opened, seen, bad: order.streams - opened + broken };
  }));
  for (const { pid } of servers) await rig.end(pid);
  return found;
}

function report(say, title, found, unit, each) {
  say(`\n${title}\n`);
  say(table([
    ['server', 'MiB before', ...found[0].seen.map(({ second }) => `after ${second} s`), unit, 'open', 'bad'],
    ...found.map(({ name, restingMib, seen, opened, bad }, at) => [name, restingMib.toFixed(0), ...seen.map(({ mib }) => mib.toFixed(0)), each[at], opened, bad]),
  ]));
}

/** What the system allows a process at most; Node raises its own limit to that at its start. */
function openFiles() {
  const [, most] = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return Number(most ?? Infinity);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
