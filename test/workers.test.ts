import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { pause, sse, textChunks, type Answer } from './support/provider.ts';
import { programOf } from './support/program.ts';
import { runCommand, startServe } from './support/process.ts';
import { assertSound, chat, furnished, HEAD, isAlive, openStreams, times, USAGE, whoServed, WORDS, workersOf } from './support/workers.ts';

const slow: Answer = sse([...textChunks(HEAD, `${WORDS} eleven twelve thirteen fourteen`), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }], { gapMs: 400 });

t.test('two processes serve as one: limits, holds, keys and figures are exact over both', { timeout: 300_000 }, async (t) => {
  const place = await furnished(t);
  const { home, provider } = place;
  const ann = place.account('ann', '100');
  const bob = place.account('bob', '100');
  const carol = place.account('carol', '0.01');
  const dora = place.account('dora', '100');
  const daemon = await startServe(home);
  const ledger = await place.books();
  t.teardown(() => daemon.end('SIGKILL'));

  await t.test('both serve, and each line of the log says who', async (t) => {
    for (const response of await times(24, () => chat(daemon, ann.key))) t.equal(response.status, 200);
    while (whoServed(daemon, 'chat/completions').length < 2) await pause(50);
    t.same(whoServed(daemon, 'chat/completions'), [1, 2]);
    t.match(await (await fetch(`${daemon.url}/readyz`)).json(), { status: 'ready', workers: 2 });
  });

  await t.test('of 200 calls at once exactly as many pass as the account may send', async (t) => {
    t.equal(runCommand(home, ['accounts', 'set', 'bob@example.com', '--requests-per-minute', '20']).code, 0);
    const startedMs = performance.now();
    const calls = await times(200, async () => {
      const response = await chat(daemon, bob.key);
      await response.text();
      return response;
    });
    const passed = calls.filter(({ status }) => status === 200).length;
    const refilled = Math.floor(((performance.now() - startedMs) * 20) / 60_000);
    t.ok(passed >= 20 && passed <= 20 + refilled, `${passed} of 20 passed, ${refilled} may have come back meanwhile`);
    const refused = calls.filter(({ status }) => status === 429);
    t.equal(passed + refused.length, 200, 'every other one is told why');
    t.match(refused[0]?.headers.get('retry-after'), /^[1-9]\d?$/);
    t.equal(refused[0]?.headers.get('x-ratelimit-limit-requests'), '20');
    const admitted = calls.filter(({ status }) => status === 200).map(({ headers }) => Number(headers.get('x-ratelimit-remaining-requests')));
    t.ok(new Set(admitted).size >= 19, 'no two saw the same count left');
    t.equal((await ledger.listRequests({ accountId: (await ledger.findAccount('bob@example.com'))?.id ?? '' }, { limit: 100 })).rows.length, passed, 'no hold was taken for the others');
  });

  await t.test('200 calls at once never overdraw a cent', async (t) => {
    let least = 1n << 60n;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        const account = await ledger.findAccount('carol@example.com');
        if (account !== undefined && account.balance - account.held < least) least = account.balance - account.held;
        await pause(2);
      }
    })();
    const calls = await times(200, async () => {
      const response = await chat(daemon, carol.key);
      await response.text();
      return response;
    });
    isOver = true;
    await watch;
    t.ok(calls.some(({ status }) => status === 200) && calls.some(({ status }) => status === 402), 'some were admitted, some refused');
    t.ok(least >= 0n, `at least ${least} was free`);
    const account = await ledger.findAccount('carol@example.com');
    const [charged] = await ledger.usageTotals('account', { accountId: account?.id ?? '', fromMs: 0, toMs: Date.now() + 86_400_000 });
    t.equal(account?.balance, 1_000_000n - (charged?.cost ?? 0n), 'what was charged is what is gone');
    t.equal(account?.held, 0n);
  });

  await t.test('an Idempotency-Key is one call and one charge, wherever its repeats arrive', async (t) => {
    for (const stream of [false, true]) {
      const before = provider.requests.length;
      const bodies = await times(100, async () => {
        const response = await chat(daemon, dora.key, { stream, headers: { 'idempotency-key': `once-${stream}` } });
        return { status: response.status, id: response.headers.get('x-request-id'), text: (await response.text()).replaceAll(': keep-alive\n\n', '') };
      });
      t.equal(provider.requests.length - before, 1, `one call of the provider, stream ${stream}`);
      t.same(new Set(bodies.map(({ status }) => status)), new Set([200]));
      t.equal(new Set(bodies.map(({ id }) => id)).size, 1, 'all have the first one\'s id');
      t.equal(new Set(bodies.map(({ text }) => text)).size, 1, 'and its answer');
      if (stream) t.match(bodies[0]?.text, /data: \[DONE\]\n\n$/);
    }
    const rows = (await ledger.listRequests({ accountId: (await ledger.findAccount('dora@example.com'))?.id ?? '' }, { limit: 10 })).rows;
    t.equal(rows.length, 2, 'two rows in the books');
    const other = await times(8, () => chat(daemon, dora.key, { text: 'Another!', headers: { 'idempotency-key': 'once-false' } }));
    t.same(new Set(other.map(({ status }) => status)), new Set([422]), 'another body under it is refused by both');
  });

  await t.test('the figures are those of both', async (t) => {
    const figures = await (await fetch(`${daemon.url}/metrics`)).text();
    const whole = [...figures.matchAll(/^findtoken_requests_total\{.*model="deepseek-chat".*status="200".*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
    const rows = await ledger.usageTotals('day', { fromMs: 0, toMs: Date.now() + 86_400_000 });
    t.equal(whole, rows.reduce((sum, { requests }) => sum + requests, 0), 'as many as in the books');
    t.match(figures, /^findtoken_workers 2$/m);
    const again = await (await fetch(`${daemon.url}/metrics`)).text();
    t.equal(/^findtoken_cost_usd_total.*$/m.exec(again)?.[0], /^findtoken_cost_usd_total.*$/m.exec(figures)?.[0], 'whoever is asked says the same');
  });

  await t.test('a new setting reaches both, a wrong one neither', async (t) => {
    place.configure({ requests_per_minute: 3 });
    t.equal(runCommand(home, ['reload']).code, 0);
    const limits = async () => new Set((await times(12, () => fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${dora.key}`, 'content-type': 'application/json' }, body: '{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}]}' }))).map(({ headers }) => headers.get('x-ratelimit-limit-requests')));
    t.same(await limits(), new Set(['3']));
    writeFileSync(join(home, 'findtoken.yaml'), 'limits: { requests_per_minute: many }');
    t.not(runCommand(home, ['reload', '--config', join(home, 'findtoken.yaml')]).code, 0);
    t.same(await limits(), new Set(['3']), 'the old ones stand');
    place.configure({});
    t.equal(runCommand(home, ['reload']).code, 0);
  });

  await t.test('a revoked key is refused at the next request by both', async (t) => {
    t.equal(runCommand(home, ['keys', 'revoke', ann.keyId, '--yes', '--account', 'ann@example.com']).code, 0);
    const calls = await times(16, () => chat(daemon, ann.key));
    t.same(new Set(calls.map(({ status }) => status)), new Set([401]));
    t.equal(await daemon.end('SIGTERM'), 0);
    t.same(whoServed(daemon, '"status":401'), [1, 2], 'both were asked');
  });
  await assertSound(t, ledger);
});

t.test('a process that dies ends its own calls alone, in the books at once, and is replaced', { timeout: 200_000 }, async (t) => {
  const place = await furnished(t, slow);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const ledger = await place.books();
  const [victim] = await workersOf(place.home);
  const streams = await openStreams(daemon, key, 8);
  // Every stream has told the books once what it has come to.
  await pause(3_200);
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  while (!daemon.output().includes('worker_lost')) await pause(5);
  const open = (await ledger.audit()).openHolds;
  t.ok(open < 8, `its holds ended at once: ${open} of 8 are open`);
  const texts = await Promise.all(streams.map(({ text }) => text));
  const whole = texts.filter((text) => text.endsWith('data: [DONE]\n\n')).length;
  t.ok(whole >= 1 && whole < 8, `${whole} of 8 streams went on to their end`);
  const rows = await Promise.all(streams.map(({ id }) => ledger.findRequest(id)));
  for (const [at, row] of rows.entries()) {
    if (texts[at]?.endsWith('data: [DONE]\n\n') === true) t.equal(row?.status, 'ok');
    else t.ok(row?.status === 'recovered' && row.cost > 0n, 'what was cut off is settled at its last progress');
  }
  const now = await workersOf(place.home);
  t.not(now.find(({ no }) => no === victim?.no)?.pid, victim?.pid, 'another took its place');
  await times(8, async () => t.match(await (await chat(daemon, key, { stream: true })).text(), /\[DONE\]/));
  const concurrent = await (await fetch(`${daemon.url}/metrics`)).text();
  t.match(concurrent, /^findtoken_inflight_streams 0$/m);
  t.equal(await daemon.end('SIGTERM'), 0);
  await assertSound(t, ledger);
});

t.test('a process that stands still without dying is noticed, ended and replaced, its holds as those of a dead one', { timeout: 200_000 }, async (t) => {
  const place = await furnished(t, slow);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const ledger = await place.books();
  const [victim] = await workersOf(place.home);
  const pid = victim?.pid ?? 0;
  // A test that fails must leave nothing behind that cannot end.
  t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  const streams = await openStreams(daemon, key, 8);
  process.kill(pid, 'SIGSTOP');
  // Connections are handed out in turn: one of these is on its way to the one that stands still.
  const waiting = times(4, async () => (await fetch(`${daemon.url}/healthz`, { headers: { connection: 'close' } })).status);
  const { file, args } = programOf(['reload']);
  const reloaded = once(spawn(file, args, { cwd: place.home, env: { HOME: place.home, PATH: process.env['PATH'] ?? '' }, stdio: 'ignore' }), 'exit');
  const texts = await Promise.all(streams.map(({ text }) => text));
  const whole = texts.filter((text) => text.endsWith('data: [DONE]\n\n')).length;
  t.ok(whole >= 1 && whole < 8, `${whole} of 8 streams went on to their end`);
  t.same(await waiting, [200, 200, 200, 200], 'a connection that was on its way to it is given to the other');
  t.same(await reloaded, [0, null], 'a reload waits for it as long as it takes to be ended');
  while (!daemon.output().includes('worker_lost')) await pause(20);
  t.match(daemon.output(), /"worker":1,"pid":\d+,"seconds":10,"msg":"worker_stands_still"/);
  // `status` tells what was published within the last second; where nobody took its place this never ends.
  while ((await workersOf(place.home)).some((worker) => worker.pid === pid)) await pause(100);
  t.notOk(isAlive(pid), 'it is gone, and another took its place');
  t.equal((await ledger.audit()).openHolds, 0, 'its holds are closed');
  await times(8, async () => t.match(await (await chat(daemon, key, { stream: true })).text(), /\[DONE\]/));
  t.equal((daemon.output().match(/worker_stands_still/g) ?? []).length, 1, 'nobody else was taken for standing still');
  t.equal(await daemon.end('SIGTERM'), 0);
  await assertSound(t, ledger);
});

t.test('told to stop, both let their streams end; told twice, they settle at once', { timeout: 200_000 }, async (t) => {
  const place = await furnished(t, slow);
  const { key } = place.account('ann', '100');
  const first = await startServe(place.home);
  const ledger = await place.books();
  const streams = await openStreams(first, key, 6);
  const ended = first.end('SIGTERM');
  for (const { text } of streams) t.match(await text, /data: \[DONE\]\n\n$/);
  t.equal(await ended, 0);
  await assertSound(t, ledger);

  const second = await startServe(place.home);
  const cut = await openStreams(second, key, 6);
  const workers = await workersOf(place.home);
  const startedMs = performance.now();
  const stopped = second.end('SIGTERM');
  await pause(300);
  second.child.kill('SIGTERM');
  t.equal(await stopped, 0);
  for (const { text } of cut) t.match(await text, /The server is stopping/);
  t.ok(performance.now() - startedMs < 15_000, 'nobody waited for the streams');
  t.same(workers.filter(({ pid }) => isAlive(pid)), [], 'no process is left');
  await assertSound(t, ledger);
});

t.test('without the primary nobody serves, and its next start closes what was open', { timeout: 200_000 }, async (t) => {
  const place = await furnished(t, slow);
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  const workers = await workersOf(place.home);
  const streams = await openStreams(daemon, key, 4);
  await daemon.end('SIGKILL');
  for (const { text } of streams) t.notMatch(await text, /\[DONE\]/);
  for (let tries = 0; tries < 100 && workers.some(({ pid }) => isAlive(pid)); tries += 1) await pause(50);
  t.same(workers.filter(({ pid }) => isAlive(pid)), [], 'its workers have ended by themselves');
  const next = await startServe(place.home);
  const ledger = await place.books();
  await assertSound(t, ledger);
  t.equal(await next.end('SIGTERM'), 0);
});

t.test('a connection too many whose call has begun pays nothing', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t, async () => pause(20_000));
  place.configure({ connections_per_address: 1 });
  const { key } = place.account('ann', '100');
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const port = Number(new URL(daemon.url).port);
  const body = JSON.stringify({ model: 'deepseek-chat', max_tokens: 200, messages: [{ role: 'user', content: 'Hello!' }] });
  const request = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const first = connect(port, '127.0.0.1');
  t.teardown(() => first.destroy());
  await pause(500);
  for (let at = 0; at < 30; at += 1) {
    let heard = '';
    const socket = connect(port, '127.0.0.1').on('data', (part) => (heard += String(part))).on('error', () => undefined);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.write(request);
    await closed;
    t.match(heard, /^HTTP\/1\.1 503 [\s\S]*"overloaded"/);
  }
  const ledger = await place.books();
  while ((await ledger.audit()).openHolds > 0) await pause(50);
  const { rows } = await ledger.listRequests({}, { limit: 100 });
  t.same(rows.filter(({ status, cost }) => cost > 0n || status !== 'overloaded').map(({ id, status, cost }) => ({ id, status, cost })), [], `of ${rows.length} calls that had begun none pays, and none is told as one whose client left`);
  t.equal(await daemon.end('SIGTERM'), 0);
});

t.test('a port in use is told as one process tells it', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t);
  const port = new URL(place.provider.url).port;
  const refused = runCommand(place.home, ['serve', '--port', port]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, new RegExp(`^findtoken: .*${port}.*\\n$`));
});
