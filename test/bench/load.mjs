// One slice of load on one server, by wrk or by the generator beside this file.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EVENTS_A_STREAM, isStream, requestBody } from './canned.mjs';

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
