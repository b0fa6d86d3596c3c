// npm run bench:where [-- --seconds N --only json,one,sse,big --write [FILE]]
// Where the CPU time of an answer goes under load: `perf` samples a server's threads and the kernel below them, and each sample is charged
// to the innermost frame that says whose it is. Beside findtoken stands what it is measured against: the least that bills, and the bare
// proxy. With `--write` the tables go into docs/performance.md.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuUs, table } from './figures.mjs';
import { load, run } from './load.mjs';
import { machine, writeBetween } from './page.mjs';
import { openRig } from './rig.mjs';
import { startServer, startUpstreams } from './servers.mjs';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
const SAMPLES_A_SECOND = 2_000;
/** Compiling is over by then; what is measured is what goes on. One connection alone would bring too few answers for it. */
const WARM_UP_SECONDS = 20;
const WARM_UP_CONNECTIONS = 32;
const SITUATIONS = {
  json: { kind: 'json', connections: 64, title: 'Whole answers, 64 connections', beside: ['least', 'bare'] },
  one: { kind: 'json', connections: 1, title: 'Whole answers, one connection', beside: ['least', 'bare'] },
  sse: { kind: 'sse', connections: 32, title: 'Streams of 200 events back to back, 32 at once', beside: ['bare'] },
  big: { kind: 'big', connections: 64, title: 'Whole answers to bodies of 128 KiB, 64 connections', beside: ['least', 'bare'] },
};
const MAIN = 'event loop: ';
const OTHER = `${MAIN}Node's own C++: the HTTP parser, streams, timers`;
const HELPERS = `V8's and libuv's own threads: compiling, collecting garbage`;
const OWN = /\bdist\/program-|\/test\/bench\//;

/** Whose a frame is, from the innermost outwards; the first that knows decides. `text` is its symbol, `file` the binary that holds it. */
const OWNERS = [
  { owner: 'the kernel: sockets, waiting, waking', is: ({ file }) => file.includes('kernel') },
  { owner: 'SQLite, reading', is: ({ file }) => file.includes('better_sqlite3') },
  { owner: 'collecting garbage', is: ({ text }) => /Scaveng|MarkCompact|Heap::|Sweeper|GCTracer|MarkingVisitor|YoungGeneration/.test(text) },
  { owner: 'compiling', is: ({ text }) => /Compiler::|Turbofan|Maglev|Sparkplug|BaselineBatch|Ignition|Parser(Base)?::/.test(text) },
  { owner: 'the server\'s own code', is: ({ text }) => OWN.test(text) },
  { owner: 'undici', is: ({ text }) => /\bdist\/undici-|\/node_modules\/undici\//.test(text) },
  { owner: 'pino and other packages', is: ({ text }) => /\bdist\/[a-z]+-/.test(text) },
  { owner: 'node:http, node:net, streams', is: ({ text }) => text.includes('node:') },
];

const { values: given } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, only: { type: 'string', default: 'json,one,sse' }, write: { type: 'string' } },
  args: process.argv.slice(2).flatMap((word, at, words) => (word === '--write' && (words[at + 1] ?? '--').startsWith('--') ? ['--write', PAGE] : [word])),
});
const seconds = Number(given.seconds);

const parts = [];
for (const name of given.only.split(',')) {
  const { kind, connections, title, beside } = SITUATIONS[name] ?? fail(`--only takes ${Object.keys(SITUATIONS).join(', ')}, not ${name}`);
  const columns = [];
  for (const server of ['findtoken', ...beside]) columns.push(await sampled(server, kind, connections));
  const owners = [...new Set(columns.flatMap(({ shares }) => [...shares.keys()]))];
  const us = ({ shares, us: total }, owner) => (shares.has(owner) ? (shares.get(owner) * total).toFixed(1) : '');
  const rows = owners.map((owner) => [owner, ...columns.map((column) => us(column, owner))]).toSorted((a, b) => Number(b[1]) - Number(a[1]));
  const sums = ['in all', ...columns.map((column) => column.us.toFixed(0))];
  parts.push(`${title}, µs of CPU time an answer; ${columns.map(({ server, answers }) => `${answers} answers of ${server}`).join(', ')}:\n\n${table([['where', 'findtoken', ...beside], ...rows, sums])}`);
  console.log(`${parts.at(-1)}\n`);
}
const text = `${SAMPLES_A_SECOND} samples a second over ${seconds} s each; being sampled makes all of them slower.\n\n${parts.join('\n\n')}\n\n${machine()}`;
if (given.write !== undefined) writeBetween(given.write, 'where', text);

function fail(message) {
  throw new Error(message);
}

/** Loads one server by itself, samples it, and tells how many µs of CPU an answer took and whose share of them it was. */
async function sampled(name, kind, connections) {
  const rig = openRig({});
  try {
    const origins = await startUpstreams(rig);
    // What it starts as well must not be profiled: it would write its own maps.
    process.env.NODE_OPTIONS = '--perf-basic-prof --interpreted-frames-native-stack';
    const server = await startServer(rig, name, origins).finally(() => delete process.env.NODE_OPTIONS);
    await load(rig, server, { kind, seconds: WARM_UP_SECONDS, connections: Math.max(connections, WARM_UP_CONNECTIONS) });
    if (connections === 1) await load(rig, server, { kind, connections, seconds: 2 });
    const data = join(rig.folder, 'perf.data');
    const before = cpuUs(server.pid);
    const loaded = load(rig, server, { kind, connections, seconds: seconds + 1 });
    await run(['perf', ['record', '-q', '-F', String(SAMPLES_A_SECOND), '-g', '-p', String(server.pid), '-o', data, '--', 'sleep', String(seconds)]]);
    const { answers, bad } = await loaded;
    if (bad > 0) throw new Error(`${bad} answers of ${name} were not whole or not 2xx`);
    const us = (cpuUs(server.pid) - before) / answers;
    const told = await run(['perf', ['script', '-i', data, '-F', 'tid,ip,sym,dso', '--no-inline']]);
    rmSync(`/tmp/perf-${server.pid}.map`, { force: true });
    return { server: name, answers, us, shares: sharesOf(samplesOf(told), server.pid) };
  } finally {
    await rig.close();
  }
}

/** perf's text: a line with the thread, then a line for each frame, innermost first, then an empty one. */
function samplesOf(text) {
  return text.split('\n\n').map((block) => {
    const [head = '', ...lines] = block.split('\n').filter((line) => line.trim() !== '');
    const frames = lines.map((line) => {
      const [, symbol = '', file = ''] = /^\s*[0-9a-f]+\s+(.*?)\s+\(([^()]*(?:\([^()]*\))?[^()]*)\)$/.exec(line) ?? [];
      return { text: symbol, file };
    });
    return { tid: Number(head.trim().split(/\s+/)[0]), frames };
  }).filter(({ frames }) => frames.length > 0);
}

/** The share of all samples by owner. The writing thread is the one other than the main one that has SQLite in it. */
function sharesOf(samples, pid) {
  const hasSqlite = ({ frames }) => frames.some(({ file }) => file.includes('better_sqlite3'));
  const writers = new Set(samples.filter((sample) => sample.tid !== pid && hasSqlite(sample)).map(({ tid }) => tid));
  const shares = new Map();
  for (const sample of samples) {
    const owner = sample.tid === pid ? ownerOf(sample) : writers.has(sample.tid) ? writerOf(sample) : HELPERS;
    shares.set(owner, (shares.get(owner) ?? 0) + 1 / samples.length);
  }
  return shares;
}

function ownerOf({ frames }) {
  for (const frame of frames) {
    const found = OWNERS.find(({ is }) => is(frame));
    if (found !== undefined) return `${MAIN}${found.owner}`;
  }
  return OTHER;
}

function writerOf({ frames }) {
  if (!frames.some(({ file }) => file.includes('better_sqlite3'))) return 'writing thread: our own code, messages between the threads';
  return frames[0].file.includes('kernel') ? 'writing thread: writes and fsyncs' : 'writing thread: SQLite';
}
