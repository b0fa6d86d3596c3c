import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { openHouse, readStream, type House } from './support/house.ts';
import { hang, pause, startProvider, textChunks, until, type Answer } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };

const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };

/** A call whose client leaves when it is told to. */
function ask(house: House, body: unknown = HELLO): { leave(): Promise<void> } {
  const leaving = new AbortController();
  const asked = fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: leaving.signal, body: JSON.stringify(body), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
  }).catch((error: unknown) => error);
  return {
    async leave() {
      leaving.abort();
      await asked;
    },
  };
}

/** A client whose reading and connection are in the test's hands. */
function plain({ url }: House): { readonly socket: Socket; text(): string; closed(): boolean } {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let text = '';
  let closed = false;
  socket.setEncoding('latin1').on('data', (part: string) => (text += part)).on('close', () => (closed = true)).on('error', () => undefined);
  return { socket, text: () => text, closed: () => closed };
}

/** A chat call as it goes over the wire. */
function written(house: House, body: unknown, headers: Readonly<Record<string, string>> = {}): string {
  const text = JSON.stringify(body);
  const all = { host: 'localhost', authorization: `Bearer ${house.key}`, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)), ...headers };
  return `POST /v1/chat/completions HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`;
}

/** Twenty megabytes, as fast as they are taken. */
const long: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const events = textChunks(HEAD, Array.from({ length: 1_000 }, () => 'x'.repeat(20_000)).join(' ')).map((event) => `data: ${JSON.stringify(event)}\n\n`);
  const more = (): void => {
    for (let event = events.shift(); event !== undefined; event = events.shift()) if (!response.write(event)) return void response.once('drain', more);
    response.end('data: [DONE]\n\n');
  };
  more();
};

/** Takes connections and never speaks TLS, so that no request is ever sent to it. */
async function neverConnects(t: Pick<Test, 'teardown'>): Promise<{ readonly url: string; connections(): number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, connections: () => connections };
}

t.test('a client that leaves before its request was sent to anybody pays nothing', async (t) => {
  const provider = await neverConnects(t);
  const house = await openHouse(t, { providers: { deepseek: provider.url } });
  for (const stream of [false, true]) {
    const before = provider.connections();
    const call = ask(house, { ...HELLO, stream });
    t.ok(await until(() => provider.connections() > before, 3_000), 'the connection is being made');
    await call.leave();
    t.match(await house.lastRow(), { status: 'aborted', cost: 0n, promptTokens: 0 });
  }
  t.equal((await house.register('deepseek', 'sk-own')).status, 201);
  const before = provider.connections();
  const call = ask(house);
  t.ok(await until(() => provider.connections() > before, 3_000));
  await call.leave();
  t.match(await house.lastRow(), { status: 'aborted', mode: 'byok', cost: 0n });
  t.match(await (await house.get('/v1/user/balance')).json(), { balance: 10, byok: { requests: 0 } }, 'and a request with its own key is not counted');
});

t.test('of clients that leave within milliseconds those pay for whom a provider was asked', async (t) => {
  const provider = await startProvider(hang());
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url } });
  for (let at = 0; at < 60; at += 1) {
    const call = ask(house);
    await new Promise((resolve) => setTimeout(resolve, at % 30));
    await call.leave();
  }
  await house.lastRow();
  const { rows } = await house.ledger.listRequests({ accountId: house.accountId }, { limit: 100 });
  const paid = rows.filter(({ cost }) => cost > 0n).length;
  t.ok(await until(() => paid <= provider.requests.length, 1_000), `${paid} of ${rows.length} paid, ${provider.requests.length} were asked for`);
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a reader that stalled and counts as gone is cut off, under a key too', async (t) => {
  const provider = await startProvider(long);
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url }, timing: { writeStallMs: 300, rejoinMs: 100 } });
  for (const headers of [{}, { 'idempotency-key': 'one' }]) {
    const { socket, text, closed } = plain(house);
    t.teardown(() => socket.destroy());
    socket.write(written(house, { ...HELLO, stream: true }, headers));
    socket.pause();
    t.ok(await until(() => house.lines.length > 0, 10_000), 'its call ends');
    // Under a key a call goes on for a moment without its client, and may come to its end in it.
    t.match(house.lines.shift()?.chat?.end, 'idempotency-key' in headers ? /^(aborted|ok)$/ : 'aborted');
    socket.resume();
    t.ok(await until(closed, 10_000), 'reading again, it learns that its stream is over');
    t.notOk(text().includes('[DONE]') || text().endsWith('0\r\n\r\n'), `and that it is not whole (${text().length} bytes came)`);
  }
});

t.test('who joined a call that broke off is cut off as well', async (t) => {
  const provider = await startProvider(long);
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url }, timing: { writeStallMs: 1_000, rejoinMs: 100 } });
  const request = written(house, { ...HELLO, stream: true }, { 'idempotency-key': 'one' });
  const [first, second] = [plain(house), plain(house)];
  t.teardown(() => [first, second].forEach(({ socket }) => socket.destroy()));
  first.socket.write(request);
  first.socket.pause();
  await pause(600);
  second.socket.write(request);
  second.socket.pause();
  t.ok(await until(() => house.lines.length > 0, 10_000), 'the first has stalled, and the call ends with it');
  second.socket.resume();
  t.ok(await until(second.closed, 10_000), 'the second read on in time, and is not left to wait for what never comes');
  t.equal(provider.requests.length, 1);
});

t.test('frames after the last choice has ended do not keep a stream open', async (t) => {
  const provider = await startProvider((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of textChunks(HEAD, 'one two')) response.write(`data: ${JSON.stringify(event)}\n\n`);
    const timer = setInterval(() => response.write(`data: ${JSON.stringify({ ...HEAD, choices: [] })}\n\n`), 50);
    response.on('close', () => clearInterval(timer));
  });
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url }, timing: { finishGraceMs: 300 } });
  const startedMs = performance.now();
  const { events } = await readStream(await house.post({ ...HELLO, stream: true }));
  t.equal(events.at(-1), '[DONE]');
  t.ok(performance.now() - startedMs < 3_000, `it ended after ${Math.round(performance.now() - startedMs)} ms`);
  t.match(await house.lastRow(), { status: 'ok', usageOrigin: 'estimated' });
});

t.test('a cut-off answers every call, as 503 or in-band, and none pays', async (t) => {
  const provider = await startProvider(hang());
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url }, timing: { keepAliveMs: 2_000 } });
  const stream = { ...HELLO, stream: true };
  const silent = house.post(stream);
  t.equal((await silent).status, 200, 'a comment has opened it');
  const early = [house.post(HELLO), house.post(stream), house.post(HELLO, { 'idempotency-key': 'one' }), house.post(stream, { 'idempotency-key': 'two' })];
  t.ok(await until(() => provider.requests.length === 5, 10_000));
  await Promise.all([house.gateway.drain(0), ...early]);
  for (const asked of early) {
    const response = await asked;
    t.equal(response.status, 503);
    t.match(response.headers.get('retry-after'), /^[1-9]\d?$/);
    t.equal(response.headers.get('x-findtoken-cost'), '0.00');
    t.match(await response.json(), { error: { code: 'overloaded', metadata: { attempts: [{ provider: 'deepseek' }] } } });
  }
  t.match((await readStream(await silent)).events, [{ error: { code: 'overloaded' } }]);
  t.ok(await until(() => house.lines.length === 5, 3_000));
  t.same(house.lines.map(({ chat }) => [chat?.end, chat?.client_abort]), early.concat(silent).map(() => ['overloaded', undefined]), 'nobody hung up');
  t.equal(await house.balance(), 1_000_000_000n);
  t.equal((await house.ledger.audit()).openHolds, 0);
});

t.test('a body that does not come whole is told as what it is: left, or too slow', async (t) => {
  const house = await openHouse(t, { sandbox: true, timing: { bodyMs: 500 } });
  const begin = (headers: Readonly<Record<string, string>> = {}): ReturnType<typeof plain> => {
    const one = plain(house);
    one.socket.write(written(house, HELLO, headers).slice(0, -5));
    return one;
  };
  for (const headers of [{}, { 'idempotency-key': 'one' }]) {
    const leaving = begin(headers);
    await pause(100);
    leaving.socket.destroy();
    t.ok(await until(() => house.lines.length === 1, 3_000));
    t.match(house.lines.shift(), { status: 499 });
    const slow = begin(headers);
    t.ok(await until(slow.closed, 10_000));
    t.match(slow.text(), /^HTTP\/1\.1 408 [\s\S]*request_timeout/);
    t.ok(await until(() => house.lines.length === 1, 3_000));
    t.match(house.lines.shift(), { status: 408 });
  }
  t.same(house.logged, [], 'neither is an error of ours');
});
