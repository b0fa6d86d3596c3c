// One slice of load on one server, by wrk or by the generator beside this file.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EVENTS_A_STREAM, isStream, requestBody } from './canned.mjs';

const LISTENER = fileURLToPath(new URL('listener.mjs', import.meta.url));
const GENERATOR = fileURLToPath(new URL('generator.mjs', import.meta.url));

/**
 * Loads one server for some seconds.
 * @returns {Promise<{perS: number, answers: number, bad: number, p50Us: number, p99Us: number}>} `perS` is requests or,
 *   for streams, events a second; `bad` counts whatever was not a whole answer with status 200.
 */
export async function load(rig, server, { kind, connections, seconds }) {
  const path = server.paths[kind];
  const isWrk = rig.tools.wrk && !isStream(kind);
  const slice = isWrk ? await wrk(rig, server, path, { kind, connections, seconds }) : await generator(rig, server, path, { kind, connections, seconds });
  const perAnswer = kind === 'sse' ? EVENTS_A_STREAM : 1;
  return { ...slice, perS: (slice.answers * perAnswer) / slice.elapsedS };
}

async function wrk(rig, server, path, { kind, connections, seconds }) {
  const script = join(rig.folder, `${server.name}-${kind}.lua`);
  const headers = Object.entries({ 'content-type': 'application/json', ...server.headers(kind) }).map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`);
  writeFileSync(script, `wrk.method = "POST"
wrk.body = ${JSON.stringify(requestBody(kind))}
${headers.join('\n')}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"answers":%d,"bad":%d,"elapsedS":%f,"p50Us":%d,"p99Us":%d}\\n', summary.requests - e.status,
    e.status + e.connect + e.read + e.write + e.timeout, summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end
`);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '20s', '-s', script, `http://127.0.0.1:${server.port}${path}`];
  return lastLine(await run(rig.pinned(rig.loadCore, 'wrk', args)));
}

async function generator(rig, server, path, { kind, connections, seconds }) {
  const order = { port: server.port, path, headers: server.headers(kind), body: requestBody(kind), connections, seconds, isStream: isStream(kind) };
  const { answers, refused, broken, elapsedS, p50Us, p99Us } = lastLine(await run(rig.pinned(rig.loadCore, process.execPath, [GENERATOR, JSON.stringify(order)])));
  return { answers, bad: refused + broken, elapsedS, p50Us, p99Us };
}

function lastLine(text) {
  return JSON.parse(text.trim().split('\n').at(-1) ?? '');
}

/** Runs a program to its end and returns what it printed. */
export async function run([command, args], options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let out = '';
  let errors = '';
  child.stdout.on('data', (part) => (out += part));
  child.stderr.on('data', (part) => (errors += part));
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${errors.trim() || out.trim()}`);
  return out;
}

/** Runs the stream clients on one server and returns their lines; `onLine` sees each when it comes. */
export async function listen(rig, server, { kind, ...order }, onLine = () => undefined) {
  const { lines, ended } = startListening(rig, server, { kind, ...order }, onLine);
  await ended;
  return lines;
}

/** Stream clients that stay until `child`'s standard input is closed; `told` resolves with their next line. */
export function startListening(rig, server, { kind, ...order }, onLine = () => undefined) {
  const all = { port: server.port, path: server.paths[kind], headers: server.headers(kind), body: requestBody(kind), ...order };
  const [command, args] = rig.pinned(rig.loadCore, process.execPath, [LISTENER, JSON.stringify(all)]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = [];
  const readers = [];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text);
    lines.push(line);
    onLine(line);
    readers.shift()?.(line);
  });
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`the stream clients ended with ${code}`))));
  });
  return { lines, ended, told: () => new Promise((resolve) => readers.push(resolve)), end: () => child.stdin.end() };
}
