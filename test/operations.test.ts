import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { openLedger } from '../src/ledger/index.ts';
import { runCommand, startServe, type DaemonProcess } from './support/process.ts';
import { pause, sse, startProvider, textChunks, type FakeProvider } from './support/provider.ts';

const PROGRAM = fileURLToPath(new URL('../bin/findtoken.js', import.meta.url));
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const USAGE = { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 10, completion_tokens: 6 } };

interface Place {
  readonly home: string;
  readonly database: string;
  readonly key: string;
}

async function furnished(t: Test, provider: FakeProvider, more: Record<string, unknown> = {}): Promise<Place> {
  t.teardown(() => provider.close());
  const home = mkdtempSync(join(tmpdir(), 'findtoken-operations-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const database = join(home, 'data', 'findtoken.db');
  writeFileSync(join(home, 'findtoken.yaml'), JSON.stringify({
    server: { port: 0, drain: '20s' }, database: { path: database }, providers: { deepseek: { base_url: provider.url, api_key: 'good-key' } },
    limits: { requests_per_minute: 1_000_000, concurrent_requests: 5_000 }, ...more,
  }));
  t.equal(runCommand(home, ['accounts', 'create', 'ann@example.com']).code, 0);
  t.equal(runCommand(home, ['credits', 'grant', '100', '--note', 'test']).code, 0);
  const { key } = JSON.parse(runCommand(home, ['keys', 'create', '--name', 'test', '--json']).stdout) as { key: string };
  return { home, database, key };
}

/** The daemon under Node with options of its own. */
async function startNode(home: string, options: readonly string[], stderr: number | 'ignore' = 'ignore'): Promise<{ readonly daemon: DaemonProcess; readonly exited: Promise<number | null> }> {
  const child = spawn(process.execPath, [...options, PROGRAM, 'serve'], { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '', NO_COLOR: '1' }, stdio: ['ignore', 'pipe', stderr] });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  while (!/is listening on/.test(output)) await pause(10);
  return { daemon: { child, url: /is listening on (http:\S+)/.exec(output)?.[1] ?? '', output: () => output, end: async () => 0 }, exited };
}

async function post(daemon: DaemonProcess, key: string, body: unknown): Promise<{ readonly status: number; readonly retryAfter: string; readonly text: string }> {
  const response = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: response.status, retryAfter: response.headers.get('retry-after') ?? '', text: await response.text() };
}

function stream(daemon: DaemonProcess, key: string): Promise<Response> {
  return fetch(`${daemon.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'deepseek-chat', stream: true, max_tokens: 200, messages: [{ role: 'user', content: 'Hello!' }] }),
  });
}

/** Reads what comes, also of a stream that breaks off. */
async function heard(response: Promise<Response>): Promise<string> {
  let text = '';
  try {
    const reader = (await response).body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return text;
}

async function statuses(database: string): Promise<{ readonly counts: Record<string, number>; readonly openHolds: number; readonly findings: readonly unknown[] }> {
  const ledger = await openLedger({ path: database, as: 'read' });
  const { openHolds, findings } = await ledger.audit();
  const counts: Record<string, number> = {};
  for (const { status } of (await ledger.listRequests({}, { limit: 1_000 })).rows) counts[status] = (counts[status] ?? 0) + 1;
  await ledger.close();
  return { counts, openHolds, findings };
}

const slowly = (gapMs: number) => sse([...textChunks(HEAD, 'one two three four five six'), USAGE], { gapMs });

t.test('O1: SIGTERM with a hundred streams: all end whole, all are settled, exit 0', { timeout: 100_000 }, async (t) => {
  const provider = await startProvider(slowly(300));
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  const all = Array.from({ length: 100 }, () => heard(stream(daemon, key)));
  while (provider.requests.length < 100) await pause(5);
  const ended = daemon.end('SIGTERM');
  await pause(150);
  t.equal(await fetch(`${daemon.url}/readyz`).then(({ status }) => status, () => 'refused'), 'refused', 'no new connection');
  t.equal((await Promise.all(all)).filter((text) => text.endsWith('data: [DONE]\n\n')).length, 100);
  t.equal(await ended, 0);
  t.same(await statuses(database), { counts: { ok: 100 }, openHolds: 0, findings: [] });
});

t.test('O2: a second SIGTERM stops at once, and still every hold is closed at no cost', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(slowly(5_000));
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  const all = Array.from({ length: 20 }, () => heard(stream(daemon, key)));
  while (provider.requests.length < 20) await pause(5);
  await pause(100);
  daemon.child.kill('SIGTERM');
  await pause(200);
  const startedMs = performance.now();
  t.equal(await daemon.end('SIGTERM'), 0);
  t.ok(performance.now() - startedMs < 5_000, `${Math.round(performance.now() - startedMs)} ms`);
  t.ok((await Promise.all(all)).every((text) => !text.includes('[DONE]')), 'nobody takes it for a whole answer');
  const { counts, openHolds, findings } = await statuses(database);
  t.equal(openHolds, 0);
  t.same(findings, []);
  t.notOk(counts['ok'], 'and nobody pays');
});

t.test('O5: a command that holds the write lock for three seconds does not slow a stream', { timeout: 60_000 }, async (t) => {
  const holdMs = 3_000;
  const text = (word: string) => `data: ${JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: word }, finish_reason: null }] })}\n\n`;
  // The provider says a word when it is told to, so that each can be waited for: how busy the machine is slows both alike.
  let say: (word: string) => void = () => undefined;
  let end: () => void = () => undefined;
  const provider = await startProvider((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    say = (word) => void response.write(text(word));
    end = () => void response.end(`data: ${JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\ndata: ${JSON.stringify(USAGE)}\n\ndata: [DONE]\n\n`);
    say('first');
  });
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  const reader = (await stream(daemon, key)).body?.pipeThrough(new TextDecoderStream()).getReader();
  const hear = async (word: string): Promise<void> => {
    for (let part = await reader?.read(); !(part?.value ?? word).includes(word); part = await reader?.read());
  };
  await hear('first');
  const other = new Database(database);
  other.exec('BEGIN IMMEDIATE');
  let words = 0;
  let longestMs = 0;
  for (const startedMs = performance.now(); performance.now() - startedMs < holdMs; words += 1) {
    const saidMs = performance.now();
    say(`w${words};`);
    await Promise.race([hear(`w${words};`), pause(holdMs)]);
    longestMs = Math.max(longestMs, performance.now() - saidMs);
    await pause(20);
  }
  other.exec('ROLLBACK');
  other.close();
  // A loop that waited for the lock would hand over nothing until it is let go.
  t.ok(longestMs < holdMs / 3, `${words} words while the lock was held elsewhere, none later than ${Math.round(longestMs)} ms`);
  t.ok(words > 10, `${words} words were heard`);
  end();
  await hear('[DONE]');
  t.equal(await daemon.end('SIGTERM'), 0);
  t.equal((await statuses(database)).openHolds, 0);
});

t.test('O11: where the log goes is gone, and answering goes on', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(slowly(1));
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  daemon.child.stderr?.destroy();
  daemon.child.stdout?.destroy();
  for (let at = 0; at < 20; at += 1) t.match(await heard(stream(daemon, key)), /\[DONE\]/);
  t.equal(await daemon.end('SIGTERM'), 0);
  t.same(await statuses(database), { counts: { ok: 20 }, openHolds: 0, findings: [] });
});

t.test('O11: where the log went and nobody reads any more, a daemon ends all the same', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(slowly(1));
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  daemon.child.stderr?.destroy();
  // So little that it is still in the buffer when the end comes.
  t.match(await heard(stream(daemon, key)), /\[DONE\]/);
  t.equal(await daemon.end('SIGTERM'), 0);
  t.same(await statuses(database), { counts: { ok: 1 }, openHolds: 0, findings: [] });
});

t.test('O11: the log\'s disk is full, and answering goes on', { timeout: 60_000, skip: existsSync('/dev/full') ? false : 'there is no /dev/full' }, async (t) => {
  const provider = await startProvider(slowly(1));
  const { home, database, key } = await furnished(t, provider);
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  const { daemon, exited } = await startNode(home, [], full);
  t.match(await heard(stream(daemon, key)), /\[DONE\]/);
  // The daemon's own second, after which it writes what it has, and one more.
  await pause(2_200);
  t.match(await heard(stream(daemon, key)), /\[DONE\]/);
  daemon.child.kill('SIGTERM');
  t.equal(await exited, 0);
  t.same(await statuses(database), { counts: { ok: 2 }, openHolds: 0, findings: [] });
});

t.test('O12: with few file descriptors some are turned away, none is lost', { timeout: 90_000 }, async (t) => {
  const provider = await startProvider(slowly(20));
  const { home, database, key } = await furnished(t, provider);
  const child = spawn('sh', ['-c', `ulimit -n 64; exec "${process.execPath}" "${PROGRAM}" serve`], { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '', NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  while (!/is listening on/.test(output)) await pause(10);
  const daemon: DaemonProcess = { child, url: /is listening on (http:\S+)/.exec(output)?.[1] ?? '', output: () => output, end: async () => 0 };
  const told = await Promise.all(Array.from({ length: 80 }, () => heard(Promise.race([stream(daemon, key), pause(15_000).then(() => new Response('late'))]))));
  const whole = told.filter((text) => text.endsWith('data: [DONE]\n\n')).length;
  t.ok(whole > 0, `${whole} of 80 streams were served with 64 file descriptors`);
  // A client may still have a connection of its own that was turned away.
  let after = '';
  for (let tries = 0; tries < 50 && !after.includes('[DONE]'); tries += 1) {
    if (tries > 0) await pause(100);
    after = await heard(stream(daemon, key));
  }
  t.match(after, /\[DONE\]/, 'and afterwards it serves as before');
  child.kill('SIGTERM');
  t.equal(await exited, 0);
  const { counts, openHolds, findings } = await statuses(database);
  t.equal(openHolds, 0);
  t.same(findings, []);
  t.ok((counts['ok'] ?? 0) >= whole + 1, 'what came whole is in the books');
});

t.test('O13: with a small heap bodies of many values are turned away, and the process stays', { timeout: 120_000 }, async (t) => {
  const provider = await startProvider(slowly(20));
  const { home, database, key } = await furnished(t, provider, { limits: { requests_per_minute: 1_000_000, concurrent_requests: 5_000, json_values: 10_000_000 } });
  const { daemon, exited } = await startNode(home, ['--max-old-space-size=192']);
  /** A chat request with so many empty objects in a field that is passed on: three bytes each, a hundred on the heap. */
  const many = (values: number) => post(daemon, key, { model: 'deepseek-chat', stream: true, max_tokens: 20, messages: [{ role: 'user', content: 'Hello!' }], extra: Array.from({ length: values }, () => ({})) });
  const told = await Promise.all(Array.from({ length: 60 }, (_, at) => many(at % 2 === 0 ? 400_000 : 100_000)));
  const count = (status: number) => told.filter((one) => one.status === status).length;
  t.same(told.filter(({ status }) => ![200, 400, 503].includes(status)), [], 'each is answered, or told why not');
  t.equal(count(400), 30, 'a body that never fits is refused for good');
  t.ok(count(503) > 0, 'one that does not fit now is told to come again');
  t.ok(count(200) > 0, 'and those for which there is room are served');
  t.match(told.find(({ status }) => status === 503), { retryAfter: /^\d+$/, text: /no memory for so large a request/ });
  t.match(told.find(({ status }) => status === 400), { text: /more values than this server has memory for/ });
  t.match(await heard(stream(daemon, key)), /\[DONE\]/, 'afterwards it serves as before');
  t.equal((await many(100_000)).status, 200, 'the room is free again');
  daemon.child.kill('SIGTERM');
  t.equal(await exited, 0);
  t.match(await statuses(database), { openHolds: 0, findings: [] });
});

t.test('O14: a bug outside any request ends the daemon with 70, and every hold is closed at no cost', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(slowly(2_000));
  const { home, database, key } = await furnished(t, provider);
  const bug = `process.on('SIGUSR2', () => setImmediate(() => { throw new Error('planted'); }))`;
  const { daemon, exited } = await startNode(home, ['--import', `data:text/javascript,${encodeURIComponent(bug)}`]);
  const all = Array.from({ length: 10 }, () => heard(stream(daemon, key)));
  while (provider.requests.length < 10) await pause(5);
  await pause(100);
  daemon.child.kill('SIGUSR2');
  t.equal(await exited, 70);
  t.ok((await Promise.all(all)).every((text) => !text.includes('[DONE]')));
  const { counts, openHolds, findings } = await statuses(database);
  t.equal(openHolds, 0);
  t.same(findings, []);
  t.notOk(counts['ok']);
});

t.test('S10, S11: a database that is taken away ends the daemon; an older one in its place is refused', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(slowly(1));
  const { home, database, key } = await furnished(t, provider);
  const first = await startServe(home);
  await first.end('SIGTERM');
  spawnSync('cp', [database, `${database}.backup`]);
  const second = await startServe(home);
  t.match(await heard(stream(second, key)), /\[DONE\]/);
  t.equal(await second.end('SIGTERM'), 0);
  spawnSync('cp', [`${database}.backup`, database]);
  const refused = runCommand(home, ['serve']);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /^findtoken: .* is older than it was, or damaged: .*--accept-rollback.*\n$/, 'one line, with the mend');
  const third = await startServe(home, ['--accept-rollback']);
  const gone = new Promise<number | null>((resolve) => third.child.on('exit', resolve));
  spawnSync('mv', [database, `${database}.away`]);
  t.equal(await gone, 74, 'the books failed');
});
