// npm run bench:where [-- --seconds N --kind json|big|sse --write [FILE]]
// Where findtoken's CPU time goes under load: `perf` samples its threads and the kernel below them, and each sample is charged to the
// innermost frame that says whose it is. With `--write` the table goes into docs/performance.md.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { table } from './figures.mjs';
import { load, run } from './load.mjs';
import { machine, writeBetween } from './page.mjs';
import { freePort, openRig } from './rig.mjs';
import { startFindtoken, startUpstreams } from './servers.mjs';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
const SAMPLES_A_SECOND = 2_000;
/** Compiling is over by then; what is measured is what goes on. */
const WARM_UP_SECONDS = 10;
const CONNECTIONS = { json: 64, big: 64, sse: 32 };
const TITLES = { json: 'Whole answers', big: 'Whole answers to bodies of 128 KiB', sse: 'Streams of 200 events back to back' };
const MAIN = 'event loop: ';
const OTHER = `${MAIN}Node's own C++: the HTTP parser, streams, timers`;

/** Whose a frame is, from the innermost outwards; the first that knows decides. `text` is its symbol, `file` the binary that holds it. */
const OWNERS = [
  { owner: 'the kernel: sockets, waiting, waking', is: ({ file }) => file.includes('kernel') },
  { owner: 'SQLite, reading', is: ({ file }) => file.includes('better_sqlite3') },
  { owner: 'collecting garbage', is: ({ text }) => /Scaveng|MarkCompact|Heap::|Sweeper|GCTracer|MarkingVisitor|YoungGeneration/.test(text) },
  { owner: 'compiling', is: ({ text }) => /Compiler::|Turbofan|Maglev|Sparkplug|BaselineBatch|Ignition|Parser(Base)?::/.test(text) },
  { owner: 'our own code', is: ({ text }) => text.includes('/dist/program-') },
  { owner: 'undici', is: ({ text }) => text.includes('/dist/undici-') },
  { owner: 'pino and other packages', is: ({ text }) => /\/dist\/[a-z]+-/.test(text) },
  { owner: 'node:http, node:net, streams', is: ({ text }) => text.includes('node:') },
];

const { values: given } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, kind: { type: 'string', default: 'json' }, write: { type: 'string' } },
  args: process.argv.slice(2).flatMap((word, at, words) => (word === '--write' && (words[at + 1] ?? '--').startsWith('--') ? ['--write', PAGE] : [word])),
});
const [kind, seconds] = [given.kind, Number(given.seconds)];

const rig = openRig({});
try {
  const server = await startFindtoken(rig, await freePort(), await startUpstreams(rig), { name: 'findtoken', flags: ['--perf-basic-prof', '--interpreted-frames-native-stack'] });
  await load(rig, server, { kind, connections: CONNECTIONS[kind], seconds: WARM_UP_SECONDS });
  const data = join(rig.folder, 'perf.data');
  const loaded = load(rig, server, { kind, connections: CONNECTIONS[kind], seconds: seconds + 1 });
  await run(['perf', ['record', '-q', '-F', String(SAMPLES_A_SECOND), '-g', '-p', String(server.pid), '-o', data, '--', 'sleep', String(seconds)]]);
  const { answers, bad } = await loaded;
  const told = await run(['perf', ['script', '-i', data, '-F', 'tid,ip,sym,dso', '--no-inline']]);
  const shares = sharesOf(samplesOf(told), server.pid);
  const rows = [...shares].toSorted(([, a], [, b]) => b - a).map(([owner, share]) => [owner, `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`]);
  const text = `${TITLES[kind]} at ${CONNECTIONS[kind]} connections, ${SAMPLES_A_SECOND} samples a second over ${seconds} s, ${answers} answers, ${bad} bad. Shares of findtoken's CPU time:\n\n${table([['where', 'share'], ...rows])}\n\n${machine()}`;
  console.log(text);
  if (given.write !== undefined) writeBetween(given.write, 'where', text);
  rmSync(`/tmp/perf-${server.pid}.map`, { force: true });
} finally {
  await rig.close();
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
    const owner = sample.tid === pid ? ownerOf(sample) : writers.has(sample.tid) ? writerOf(sample) : `V8's and libuv's own threads: compiling, collecting garbage`;
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
