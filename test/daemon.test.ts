import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openLedger } from '../src/ledger/index.ts';
import { programOf } from './support/program.ts';
import { pause, startProvider, sse, textChunks, json, type Answer, type FakeProvider } from './support/provider.ts';
import { runCommand, startServe, type DaemonProcess } from './support/process.ts';

const KILLS = Number(process.env['FINDTOKEN_TEST_KILLS'] ?? 25);
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const USAGE = { prompt_tokens: 1_900, completion_tokens: 130 };

/** A home with a configuration, an account with credit, and a key. */
async function furnished(t: Test, provider: FakeProvider, server: Readonly<Record<string, unknown>> = {}): Promise<{ home: string; database: string; key: string; keyId: string }> {
  const home = t.testdir({});
  const database = join(home, 'findtoken.db');
  const yaml = { server: { port: 0, ...server }, database: { path: database }, limits: { requests_per_minute: 1_000_000, concurrent_requests: 5_000 }, providers: { deepseek: { base_url: provider.url, api_key: 'good-key' } } };
  writeFileSync(join(home, 'findtoken.yaml'), JSON.stringify(yaml));
  t.equal(runCommand(home, ['accounts', 'create', 'ann@example.com']).code, 0);
  t.equal(runCommand(home, ['credits', 'grant', '100', '--note', 'test']).code, 0);
  const made = runCommand(home, ['keys', 'create', '--name', 'test', '--json']);
  const { id, key } = JSON.parse(made.stdout) as { id: string; key: string };
  return { home, database, key, keyId: id };
}

/** Half of the answers stream, slowly enough to be cut. */
const mixed: Answer = (request, response) => {
  const isStream = (request.body as { stream?: boolean }).stream === true;
  if (isStream) return sse([...textChunks(HEAD, 'one two three four five six'), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }], { gapMs: 2 })(request, response);
  return json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }], usage: USAGE })(request, response);
};

/** Sends calls one after another until the daemon is gone; notes the id of every answer that came whole. */
async function client(url: string, key: string, stream: boolean, received: string[]): Promise<void> {
  for (;;) {
    try {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'deepseek-chat', stream, max_tokens: 200, messages: [{ role: 'user', content: 'Hello!' }] }),
      });
      const id = response.headers.get('x-request-id') ?? '';
      const text = await response.text();
      const isWhole = response.status === 200 && (stream ? text.endsWith('data: [DONE]\n\n') : text.endsWith('}'));
      if (isWhole) received.push(id);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

t.test('killed at any moment, every answer that was received whole is charged exactly once', { timeout: 240_000 }, async (t) => {
  const provider = await startProvider(mixed);
  t.teardown(() => provider.close());
  const { home, database, key } = await furnished(t, provider);
  const seed = Number(process.env['FINDTOKEN_TEST_SEED'] ?? Date.now() % 1_000_000);
  t.comment(`seed ${seed}, ${KILLS} kills`);
  let random = seed;
  const next = (below: number) => {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((random / 2_147_483_648) * below);
  };
  const received: string[] = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const daemon = await startServe(home);
    const clients = Array.from({ length: 16 }, (_, at) => client(daemon.url, key, at % 2 === 0, received));
    const enough = received.length + 1 + next(60);
    while (received.length < enough) await pause(1);
    await pause(next(20));
    await daemon.end('SIGKILL');
    await Promise.all(clients);
  }
  const last = await startServe(home);
  await last.end('SIGTERM');
  const ledger = await openLedger({ path: database, as: 'read' });
  t.teardown(() => ledger.close());
  const unpaid: string[] = [];
  for (const id of received) {
    const row = await ledger.findRequest(id);
    if (row === undefined || row.status !== 'ok' || row.cost === 0n) unpaid.push(id);
  }
  t.ok(received.length > KILLS, `${received.length} answers came whole`);
  t.equal(new Set(received).size, received.length);
  t.same(unpaid, [], 'none of them is missing in the books');
  const report = await ledger.audit();
  t.equal(report.openHolds, 0, 'no hold is left open');
  t.same(report.findings, [], 'and the books add up');
});

t.test('a key that the command line revokes is refused at the very next request', async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const { home, key, keyId } = await furnished(t, provider);
  const daemon = await startServe(home);
  t.equal((await models(daemon, key)).status, 200);
  t.equal(runCommand(home, ['keys', 'revoke', keyId, '--yes']).code, 0);
  t.equal((await models(daemon, key)).status, 401);
  t.equal(runCommand(home, ['accounts', 'deactivate', 'ann@example.com', '--yes']).code, 0);
  const made = JSON.parse(runCommand(home, ['keys', 'create', '--name', 'other', '--json']).stdout) as { key: string };
  t.equal((await models(daemon, made.key)).status, 403);
  t.equal(await daemon.end('SIGTERM'), 0);
});

t.test('SIGTERM lets a running stream end and leaves with 0', async (t) => {
  const provider = await startProvider(sse(textChunks(HEAD, 'one two three four five six seven eight'), { gapMs: 60 }));
  t.teardown(() => provider.close());
  const { home, database, key } = await furnished(t, provider);
  const daemon = await startServe(home);
  const response = await fetch(`${daemon.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'deepseek-chat', stream: true, messages: [{ role: 'user', content: 'Hello!' }] }),
  });
  const text = response.text();
  const ended = daemon.end('SIGTERM');
  t.match(await text, /data: \[DONE\]\n\n$/);
  t.equal(await ended, 0);
  const ledger = await openLedger({ path: database, as: 'read' });
  t.match((await ledger.listRequests({}, { limit: 1 })).rows[0], { status: 'ok', usageOrigin: 'estimated' });
  await ledger.close();
});

t.test('SIGTERM is waited for by nothing that is over: a call under a key that failed, a client that sent half a body', { timeout: 60_000 }, async (t) => {
  const provider = await startProvider(json(400, { error: { message: 'no', type: 'invalid_request_error' } }));
  t.teardown(() => provider.close());
  const { home, key } = await furnished(t, provider, { drain: '1s' });
  const daemon = await startServe(home);
  t.teardown(() => daemon.end('SIGKILL'));
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'k' };
  const response = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST', headers, body: '{"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}]}' });
  t.equal(response.status, 400);
  await response.text();
  const socket = connect(Number(new URL(daemon.url).port), '127.0.0.1');
  socket.on('error', () => socket.destroy());
  socket.resume().write(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":`);
  await pause(300);
  const startedMs = performance.now();
  t.equal(await daemon.end('SIGTERM'), 0);
  t.ok(performance.now() - startedMs < 8_000, `it left after ${Math.round(performance.now() - startedMs)} ms`);
  socket.destroy();
});

t.test('one daemon a database, and what stands in the way is told with its mend', async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const { home } = await furnished(t, provider);
  const daemon = await startServe(home);
  const second = runCommand(home, ['serve', '--port', '0']);
  t.equal(second.code, 1);
  t.match(second.stderr, /^findtoken: .*(another|already).*\n$/i, 'one line');
  const port = new URL(daemon.url).port;
  mkdirSync(join(home, 'elsewhere'));
  const elsewhere = runCommand(join(home, 'elsewhere'), ['serve', '--port', port]);
  t.equal(elsewhere.code, 1);
  t.match(elsewhere.stderr, new RegExp(`^findtoken: .*${port}.*\\n$`), 'a port in use is named');
  t.equal(await daemon.end('SIGINT'), 0);
});

t.test('the sandbox starts from nothing, prints a key and a curl line, and its calls are in the books', async (t) => {
  const home = t.testdir({});
  const daemon = await startServe(home, ['--sandbox', '--port', '0']);
  const key = /sk-ft_[0-9a-f]{64}/.exec(daemon.output())?.[0] ?? '';
  t.match(daemon.output(), /curl -i http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/);
  const before = JSON.parse(runCommand(home, ['balance', '--json']).stdout) as { balance: number };
  const response = await fetch(`${daemon.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}]}',
  });
  const cost = Number(response.headers.get('x-findtoken-cost'));
  await response.text();
  const after = JSON.parse(runCommand(home, ['balance', '--json']).stdout) as { balance: number };
  const logs = JSON.parse(runCommand(home, ['logs', '--json']).stdout) as { data: { id: string; cost: number }[] };
  t.equal(logs.data.length, 1);
  t.match(logs.data[0], { id: response.headers.get('x-request-id'), cost });
  t.equal((before.balance - after.balance).toFixed(6), cost.toFixed(6), 'the balance moved by exactly that');
  t.equal(await daemon.end('SIGTERM'), 0);
  const without = await startServe(home, ['--port', '0']);
  const refused = await fetch(`${without.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model": "sandbox-chat", "messages": [{"role": "user", "content": "Hello!"}]}',
  });
  t.equal(refused.status, 404, 'without --sandbox it is not reachable');
  await without.end('SIGTERM');
});

t.test('a daemon does not start with a catalogue that config check refuses', async (t) => {
  const home = t.testdir({});
  const cases = [
    { models: { mine: { provider: 'deepsek', price: { input: 1, output: 1 } } } },
    { equivalents: { 'deepseek-chat': ['nobody'] } },
    { providers: { nobody: { api_key: 'sk-of-nobody' } } },
  ];
  for (const wrong of cases) {
    writeFileSync(join(home, 'findtoken.yaml'), JSON.stringify({ server: { port: 0 }, ...wrong }));
    const checked = runCommand(home, ['config', 'check']);
    t.match(checked, { code: 1, stdout: '', stderr: /^findtoken: .*findtoken\.yaml:\d+:\d+: / });
    for (const args of [[], ['--sandbox']]) t.same(runCommand(home, ['serve', ...args]), checked, 'serve says the same');
  }
  t.notOk(existsSync(join(home, '.local')), 'and touches no book');
});

function models(daemon: DaemonProcess, key: string): Promise<Response> {
  return fetch(`${daemon.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
}

t.test('a daemon whose welcome nobody reads serves as any other', async (t) => {
  const provider = await startProvider(json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }], usage: USAGE }));
  t.teardown(() => provider.close());
  for (const server of [{}, { workers: 2 }]) {
    const { home, key } = await furnished(t, provider, server);
    const { file, args } = programOf(['serve']);
    const child = spawn(file, args, { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '' }, stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    child.stdout.destroy();
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    while (!log.includes('welcome_not_printed')) await Promise.race([once(child.stderr, 'data'), ended.then(() => Promise.reject(new Error(log)))]);
    t.match(log, /"reason":"EPIPE[^"]*","msg":"welcome_not_printed"/);
    const { daemon } = JSON.parse(runCommand(home, ['status', '--json']).stdout) as { readonly daemon: { readonly url: string } };
    const answer = await fetch(`${daemon.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] }),
    });
    t.equal(answer.status, 200, 'its books are open');
    child.kill('SIGTERM');
    t.same(await ended, [0, null]);
  }
});
