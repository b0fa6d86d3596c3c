// What streams that wait cost in RAM: many that are silent, and some that are read more slowly than they come.
// A findtoken of its own for each, so that what is measured is the streams and not what came before them.
import { rssMib } from './figures.mjs';
import { startListening } from './load.mjs';
import { freePort } from './rig.mjs';
import { startFindtoken } from './servers.mjs';

const IDLE_STREAMS = 9_500;
const STALLED_READERS = 50;
/** Much slower than any upstream, so that all that lies between has to hold back. */
const READ_BYTES_PER_S = 40_000;
const KIB = 1024;
/** Pauses after which RAM is read: at 5, 15 and 30 s. */
const SETTLE_MS = [5_000, 10_000, 15_000];

/** RAM of an idle stream: what 9,500 of them add to the daemon, and to the bare proxy. */
export async function measureIdle({ rig, plan, say, origins }) {
  const streams = plan.isQuick ? 1_000 : IDLE_STREAMS;
  const server = await startFindtoken(rig, await freePort(), await origins(), { name: 'idle' });
  const restingMib = rssMib(server.pid);
  const clients = startListening(rig, server, { mode: 'hold', kind: 'idle', streams });
  const { opened, broken } = await clients.told();
  // What the opening left to be collected is not the streams': V8 takes it away by and by.
  const seen = [];
  for (const ms of plan.isQuick ? [1_000] : SETTLE_MS) {
    await pause(ms);
    seen.push(rssMib(server.pid));
  }
  const heldMib = seen.at(-1);
  clients.end();
  await clients.ended;
  await rig.end(server.pid);
  const kib = ((heldMib - restingMib) * KIB) / opened;
  say(`\nIdle streams: ${opened} of ${streams} open at once; ${restingMib.toFixed(0)} MiB before them, ${seen.map((rss) => rss.toFixed(0)).join(', ')} MiB with them${seen.length > 1 ? ' after 5, 15 and 30 s' : ''}: ${kib.toFixed(1)} KiB each`);
  if (opened < streams) say(`FAILED: ${streams - opened} streams were not opened; each takes two open files of the daemon (\`ulimit -n\` of 20,000 is enough)`);
  return { measures: { idle: kib }, bad: streams - opened + broken };
}

/** 50 readers that are too slow for endless streams: RAM of each after ten seconds, and what becomes of it after a minute. */
export async function measureStalled({ rig, plan, say, origins }) {
  const seconds = plan.isQuick ? [2, 4, 6] : [10, 30, 60];
  const server = await startFindtoken(rig, await freePort(), await origins(), { name: 'stalled' });
  const restingMib = rssMib(server.pid);
  const clients = startListening(rig, server, { mode: 'hold', kind: 'endless', streams: STALLED_READERS, bytesPerS: READ_BYTES_PER_S });
  const startedMs = Date.now();
  const { opened } = await clients.told();
  const seen = [];
  for (const second of seconds) {
    await pause(startedMs + second * 1000 - Date.now());
    seen.push(rssMib(server.pid));
  }
  const told = clients.told();
  clients.end();
  const { broken, bytes } = await told;
  await clients.ended;
  await rig.end(server.pid);
  const mib = (seen[0] - restingMib) / opened;
  const growth = seen.at(-1) / seen[0];
  say(`\nSlow readers: ${opened} of endless streams, ${(bytes / opened / ((Date.now() - startedMs) / 1000) / 1000).toFixed(0)} kB/s each; ${restingMib.toFixed(0)} MiB before them, ${seen.map((rss, at) => `${rss.toFixed(0)} MiB after ${seconds[at]} s`).join(', ')}`);
  return { measures: { 'stalled': mib, 'stalled-growth': growth }, bad: STALLED_READERS - opened + broken };
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
