import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { pause, sse, textChunks, until, type Answer } from './support/provider.ts';
import { noScript, programOf } from './support/program.ts';
import { startServe, type DaemonProcess } from './support/process.ts';
import { assertSound, chat, furnished, HEAD, openStreams, times, workersOf, type Place } from './support/workers.ts';

/** Streams of half a minute; whole answers never come. */
const endless: Answer = async (request, response) => {
  if ((request.body as { stream?: boolean }).stream !== true) return pause(30_000);
  return sse(textChunks(HEAD, 'word '.repeat(300)), { gapMs: 100 })(request, response);
};

const PATIENCE_MS = 30_000;

/** Keeps the write lock of the books as a program beside findtoken might; returns what gives it back. */
function lockBooks(t: Test, { database }: Place): () => void {
  const other = new Database(database);
  t.teardown(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  return () => void other.exec('ROLLBACK');
}

/** What `/readyz` says of the disk, asked on eight connections, so that every process is asked. */
async function readiness(daemon: DaemonProcess): Promise<ReadonlySet<number>> {
  const answers = await times(8, () => fetch(`${daemon.url}/readyz`, { headers: { connection: 'close' } }));
  return new Set(answers.map(({ status }) => status));
}

t.test('while the books take no writes all processes say so, and what a process left that died meanwhile is closed afterwards', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t, endless);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const ledger = await place.books();
  const streams = await openStreams(daemon, key, 6);
  const [victim] = await workersOf(place.home);
  const giveBack = lockBooks(t, place);
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  t.ok(await until(() => daemon.output().includes('worker_not_recovered'), PATIENCE_MS));
  t.same(await readiness(daemon), new Set([503]), 'none is ready, though none has tried to write');
  giveBack();
  const left = (await ledger.audit()).openHolds;
  t.ok(left > 0 && left <= 6, `${left} holds are open`);
  t.ok(await until(() => daemon.output().includes('worker_recovered'), PATIENCE_MS));
  t.same(await readiness(daemon), new Set([200]), 'all are ready, though none has written');
  t.ok((await ledger.audit()).openHolds < left, 'its holds are closed');
  daemon.child.kill('SIGTERM');
  await pause(100);
  t.equal(await daemon.end('SIGTERM'), 0);
  await Promise.all(streams.map(({ text }) => text));
  await assertSound(t, ledger);
});

t.test('where the books are lost, each client is told as by one process', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t, endless);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const streams = await openStreams(daemon, key, 4);
  const wholes = times(4, async () => chat(daemon, key));
  t.ok(await until(() => place.provider.requests.length === 8, PATIENCE_MS));
  renameSync(place.database, `${place.database}.away`);
  for (const { text } of streams) t.match(await text, /The server is stopping/);
  for (const answer of await wholes) {
    t.equal(answer.status, 503);
    t.match(answer.headers.get('retry-after'), /^\d+$/);
    t.match(await answer.json(), { error: { code: /overloaded|storage_unavailable/ } });
  }
  t.equal(await daemon.end('SIGTERM'), 74);
  t.notMatch(daemon.output(), /chat_failed/);
  renameSync(`${place.database}.away`, place.database);
  const next = await startServe(place.home);
  await assertSound(t, await place.books());
  t.equal(await next.end('SIGTERM'), 0);
});

/** The processes that one has started. Told by Linux alone. */
function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter((text) => text !== '').map(Number);
}

t.test('a process that dies before it serves takes nothing from the next one', { timeout: 100_000, skip: process.platform === 'linux' ? false : 'children are told by Linux alone' }, async (t) => {
  const place = await furnished(t);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const workers = await workersOf(place.home);
  process.kill(workers[0]?.pid ?? 0, 'SIGKILL');
  let young: number | undefined;
  t.ok(await until(() => (young = childrenOf(daemon.child.pid ?? 0).find((pid) => workers.every((worker) => worker.pid !== pid))) !== undefined, PATIENCE_MS));
  // The books close what it had late: after the pause for the next one, which serves by then.
  const giveBack = lockBooks(t, place);
  process.kill(young ?? 0, 'SIGKILL');
  await pause(4_000);
  giveBack();
  t.ok(await until(() => daemon.output().includes('worker_started'), PATIENCE_MS));
  // Their holds stand behind what the dead one left, in the same queue.
  t.same(new Set((await times(8, async () => chat(daemon, key))).map(({ status }) => status)), new Set([200]));
  t.match(await (await fetch(`${daemon.url}/metrics`)).text(), /^findtoken_workers 2$/m);
  t.equal(await daemon.end('SIGTERM'), 0);
});

t.test('a connection too many is dropped, and costs nothing while there is no room', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t);
  place.configure({ connections: 4 });
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const port = Number(new URL(daemon.url).port);
  const open: Socket[] = [];
  t.teardown(() => open.forEach((socket) => socket.destroy()));
  for (let at = 0; at < 4; at += 1) {
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await once(socket, 'data');
  }
  for (let at = 0; at < 4; at += 1) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined).resume();
    open.push(socket);
    await once(socket, 'close');
  }
  for (const socket of open) socket.destroy();
  let status = 0;
  for (let tries = 0; status !== 200 && tries < 100; tries += 1) status = await fetch(`${daemon.url}/healthz`).then((answer) => answer.status, () => pause(50).then(() => 0));
  t.equal(status, 200, 'and there is room again when they have left');
});

/** A call's bytes as they come, in the client's own time. */
function read(port: number, key: string): { readonly socket: Socket; readonly text: Promise<string> } {
  const body = JSON.stringify({ model: 'deepseek-chat', stream: true, max_tokens: 200, messages: [{ role: 'user', content: 'Hello!' }] });
  const socket = connect(port, '127.0.0.1');
  const text = new Promise<string>((resolve) => {
    let last = '';
    socket.on('data', (part) => (last = `${last}${String(part)}`.slice(-1_000)));
    socket.on('close', () => resolve(last));
  });
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\nidempotency-key: large\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return { socket, text };
}

t.test('told to stop, a process stays until those who hear its answers elsewhere have heard them', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t, sse(textChunks(HEAD, `${'x'.repeat(3_000)} `.repeat(3_000))));
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const port = Number(new URL(daemon.url).port);
  t.match(await read(port, key).text, /\[DONE\]/);
  // Connections go to the processes in turn: two of these hear it from the other one.
  const repeats = Array.from({ length: 4 }, () => read(port, key));
  for (const { socket } of repeats) socket.pause();
  await pause(500);
  const ended = daemon.end('SIGTERM');
  await pause(1_000);
  for (const { socket } of repeats) socket.resume();
  for (const { text } of repeats) t.match(await text, /\[DONE\]/);
  t.equal(place.provider.requests.length, 1);
  t.equal(await ended, 0);
});

/** Sends itself a Ctrl-C in the last moment in which its listener is still there. */
const LAST_MOMENT = `
const { removeListener } = process;
process.removeListener = (name, listener) => {
  if (name === 'SIGINT') {
    process.removeListener = removeListener;
    process.kill(process.pid, 'SIGINT');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  return removeListener.call(process, name, listener);
};
`;

t.test('a Ctrl-C while several processes start is not lost', { timeout: 100_000, skip: noScript() }, async (t) => {
  const { home } = await furnished(t);
  const hook = join(home, 'hook.mjs');
  writeFileSync(hook, LAST_MOMENT);
  const { file, args } = programOf(['serve']);
  const child = spawn(file, args, { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '', NODE_OPTIONS: `--import=${pathToFileURL(hook).href}` }, stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  t.same(await Promise.race([once(child, 'exit'), pause(PATIENCE_MS)]), [0, null], 'it has left in good order');
});
