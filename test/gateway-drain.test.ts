import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { bare, chat, head } from './support/bare.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks, until, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const STREAM = { ...HELLO, stream: true };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const USAGE = { prompt_tokens: 1_000, completion_tokens: 10 };
const TEN = [...textChunks(HEAD, 'one two three four five six seven eight nine ten'), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }];

async function furnished(test: Test, options: Parameters<typeof openHouse>[1] = {}): Promise<{ deepseek: FakeProvider; house: House; rows: () => ReturnType<House['ledger']['listRequests']> }> {
  const deepseek = await startProvider();
  test.teardown(() => deepseek.close());
  const house = await openHouse(test, { books: 'cli', providers: { deepseek: deepseek.url }, ...options });
  return { deepseek, house, rows: () => house.ledger.listRequests({}, { limit: 100 }) };
}

/** How long something took. */
async function timed(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
}

t.test('a body of which half has come ends no later than the drain, or its own time', { timeout: 60_000 }, async (t) => {
  for (const more of [[], ['idempotency-key: half']]) {
    const { house } = await furnished(t);
    const client = bare(house);
    client.socket.write(head(house, ['content-type: application/json', 'content-length: 1000', ...more]) + '{"model":');
    await until(() => house.gateway.inFlight === 1, 2_000);
    t.ok((await timed(house.gateway.drain(300))) < 5_000, `the limit holds, ${more.join()}`);
    await client.closed;
    t.match(client.text(), /^HTTP\/1\.1 503 [^]*retry-after: 1\r\n[^]*connection: close[^]*"overloaded"/i, 'its client is told why');
  }
  const { house } = await furnished(t, { timing: { bodyMs: 1_000 } });
  const client = bare(house);
  client.socket.write(head(house, ['content-type: application/json', 'content-length: 1000']) + '{"model":');
  await until(() => house.gateway.inFlight === 1, 2_000);
  t.ok((await timed(house.gateway.drain(30_000))) < 10_000, 'and the time for a body is none the longer');
  await client.closed;
  t.match(client.text(), /^HTTP\/1\.1 408 /);
});

t.test('an answer that has ended leaves whole, however slowly it is read', { timeout: 60_000 }, async (t) => {
  const words = Array.from({ length: 800 }, () => 'x'.repeat(9_990)).join(' ');
  for (const stream of [false, true]) {
    const { deepseek, house, rows } = await furnished(t);
    deepseek.next(stream
      ? sse([...textChunks(HEAD, words), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE }])
      : json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: words }, finish_reason: 'stop' }], usage: USAGE }));
    const socket = connect(Number(new URL(house.url).port), '127.0.0.1');
    socket.on('error', () => socket.destroy());
    let bytes = 0;
    let tail = '';
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
      tail = (tail + part.toString('latin1')).slice(-400);
      if (stream && bytes < 6_000_000) return;
      socket.pause();
      setTimeout(() => socket.resume(), 5);
    });
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.write(chat(house, { ...HELLO, stream }, []));
    while ((await rows()).rows.length === 0) await pause(1);
    await house.gateway.drain(40_000);
    await closed;
    t.ok(bytes > 7_900_000, `${bytes} bytes (stream: ${stream})`);
    t.match(tail, stream ? /data: \[DONE\]\n\n\r\n0\r\n/ : /"cost":[^]*\}$/, 'to its last word');
    t.match((await rows()).rows[0], { status: 'ok' });
  }
});

t.test('connections end with the answer that they bear, and a drain with the last of them', { timeout: 60_000 }, async (t) => {
  const { deepseek, house, rows } = await furnished(t);
  deepseek.always(sse(TEN, { gapMs: 10 }));
  let isDraining = false;
  let begun = 0;
  const clients = Array.from({ length: 4 }, (_, at) => {
    const client = bare(house);
    let asked = 0;
    const ask = () => {
      asked += 1;
      if (isDraining) begun += 1;
      client.socket.write(chat(house, STREAM, []));
    };
    setTimeout(ask, at * 40);
    client.socket.on('data', () => {
      if (client.text().split('\r\n0\r\n').length > asked && client.socket.writable) ask();
    });
    return client;
  });
  const idle = bare(house);
  await pause(600);
  isDraining = true;
  t.ok((await timed(house.gateway.drain(20_000))) < 5_000, 'they may not go on and on');
  t.ok(begun <= clients.length, `${begun} calls were begun meanwhile`);
  await Promise.all([...clients, idle].map(({ closed }) => closed));
  for (const { text } of clients) t.notMatch(text(), /The server is stopping/, 'nobody was cut off');
  t.same(new Set((await rows()).rows.map(({ status }) => status)), new Set(['ok']));
});

t.test('a stream that begins during a drain says that its connection ends', { timeout: 60_000 }, async (t) => {
  for (const more of [[], ['idempotency-key: late']]) {
    const { deepseek, house } = await furnished(t);
    deepseek.always(sse(TEN, { gapMs: 30, delayMs: 300 }));
    const client = bare(house);
    client.socket.write(chat(house, STREAM, more));
    await until(() => deepseek.requests.length === 1, 2_000);
    const drained = house.gateway.drain(20_000);
    await client.closed;
    await drained;
    t.match(client.text(), /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n[^]*data: \[DONE\]\n\n/i, more.join());
  }
});

t.test('what begins while calls are cut off is told so, and pays nothing', { timeout: 60_000 }, async (t) => {
  const { deepseek, house, rows } = await furnished(t);
  deepseek.always(sse(TEN, { gapMs: 200 }));
  // Its settlement takes a while, and holds the cut-off open.
  const release = house.ledger.release.bind(house.ledger);
  Object.assign(house.ledger, { release: async (end: Parameters<typeof release>[0]) => { await pause(400); return release(end); } });
  const [running, late] = [bare(house), bare(house)];
  running.socket.write(chat(house, STREAM, []));
  await until(() => running.text().includes('data: '), 5_000);
  const stopped = house.gateway.stop();
  await pause(100);
  late.socket.write(chat(house, STREAM, []));
  await stopped;
  await Promise.all([running.closed, late.closed]);
  t.match(running.text(), /The server is stopping/);
  t.match(late.text(), /^HTTP\/1\.1 503 [^]*"overloaded"/);
  t.same((await rows()).rows.map(({ cost }) => cost), [0n], 'one row, of the one that ran');
});

t.test('bytes that are no request end a connection without a word in the answer that it bears', { timeout: 60_000 }, async (t) => {
  const { deepseek, house } = await furnished(t);
  deepseek.next(sse(TEN, { gapMs: 50 }));
  const client = bare(house);
  client.socket.write(chat(house, STREAM, []));
  await until(() => client.text().includes('data: '), 5_000);
  client.socket.write('garbage\r\n\r\n');
  await client.closed;
  t.equal(client.text().split('HTTP/1.1 ').length, 2, 'one head alone');
  t.match(await house.lastRow(), { status: 'aborted' });
  const other = bare(house);
  other.socket.write('garbage\r\n\r\n');
  await other.closed;
  t.match(other.text(), /^HTTP\/1\.1 400 /, 'where there is no answer yet it is told');
});

t.test('an answer that waits behind a long stream is there when its turn comes', { timeout: 60_000 }, async (t) => {
  const { deepseek, house, rows } = await furnished(t, { timing: { writeStallMs: 300 } });
  deepseek.next(sse(TEN, { gapMs: 100 }));
  const client = bare(house);
  client.socket.write(chat(house, STREAM, []) + chat(house, HELLO));
  await client.closed;
  t.match(client.text(), /data: \[DONE\]\n\n[^]*HTTP\/1\.1 200 [^]*echo: Hello!/);
  t.same((await rows()).rows.map(({ status }) => status), ['ok', 'ok']);
});

t.test('of requests that come behind one another during a drain all are answered, or cost nothing', { timeout: 60_000 }, async (t) => {
  const one = (house: House) => chat(house, HELLO, []);
  const cases: readonly (readonly [what: string, first: (house: House) => string, second: (house: House) => string, isStream: boolean, answers: RegExp])[] = [
    ['in one packet', () => '', (house) => one(house) + one(house), false, /^HTTP\/1\.1 200 [^]*keep-alive[^]*HTTP\/1\.1 200 [^]*connection: close[^]*echo: Hello!/i],
    ['three', () => '', (house) => one(house) + one(house) + one(house), false, /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 [^]*keep-alive[^]*HTTP\/1\.1 200 [^]*connection: close/i],
    ['the first before it, and not answered yet', one, one, false, /^HTTP\/1\.1 200 [^]*keep-alive[^]*HTTP\/1\.1 200 [^]*connection: close[^]*echo: Hello!/i],
    ['behind a stream that has promised to go on', (house) => chat(house, STREAM, []), one, true, /^HTTP\/1\.1 200 [^]*keep-alive[^]*\[DONE\][^]*HTTP\/1\.1 200 [^]*connection: close[^]*echo: Hello!/i],
  ];
  for (const [what, first, second, isStream, answers] of cases) {
    const { deepseek, house, rows } = await furnished(t);
    deepseek.next(isStream ? sse(TEN, { gapMs: 30 }) : async (request, response) => {
      await pause(200);
      return json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'echo: Hello!' }, finish_reason: 'stop' }], usage: USAGE })(request, response);
    });
    const [client, busy] = [bare(house), bare(house)];
    busy.socket.write(head(house, ['content-type: application/json', 'content-length: 100']));
    client.socket.write(first(house));
    await until(() => house.gateway.inFlight === (first(house) === '' ? 1 : 2) && (!isStream || client.text().includes('data: ')), 5_000);
    const drained = house.gateway.drain(20_000);
    client.socket.write(second(house));
    await client.closed;
    busy.socket.destroy();
    await drained;
    t.match(client.text(), answers, what);
    t.equal(client.text().match(/HTTP\/1\.1 200 /g)?.length, (await rows()).rows.length, 'as many are charged as are answered');
  }
});

t.test('what comes behind the last answer of a connection is not begun', { timeout: 60_000 }, async (t) => {
  const { deepseek, house, rows } = await furnished(t, { yaml: { limits: { body_bytes: 5_000 } } });
  const refusals: readonly (readonly [bytes: string, head: RegExp])[] = [
    [chat(house, HELLO, []).replace('host: localhost', 'host: example.com'), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 421 [^]*connection: close/i],
    [chat(house, { ...HELLO, more: 'x'.repeat(9_000) }, []), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 413 [^]*connection: close/i],
  ];
  for (const [at, [refused, head]] of refusals.entries()) {
    const client = bare(house);
    client.socket.write(chat(house, HELLO, []) + refused + chat(house, HELLO, []));
    await client.closed;
    t.match(client.text(), head);
    t.equal(deepseek.requests.length, at + 1, 'nobody is asked for what nobody will hear');
  }
  await house.gateway.stop();
  t.same((await rows()).rows.map(({ status }) => status), ['ok', 'ok']);
});

/** What of a request an answer to a page hangs on. */
const VARY = 'origin, access-control-request-headers';

t.test('a web page of a listed origin may read streams as it may whole answers', { timeout: 60_000 }, async (t) => {
  const [ours, theirs] = ['https://app.example.com', 'https://b.example.com'];
  const { deepseek, house } = await furnished(t, { yaml: { server: { port: 0, cors_origins: [ours, theirs] } } });
  deepseek.always(sse(TEN));
  const allowed = async (body: object, headers: Record<string, string>) => {
    const response = await house.post(body, headers);
    await (response.headers.get('content-type')?.includes('event-stream') === true ? readStream(response) : response.text());
    return [response.status, response.headers.get('access-control-allow-origin'), response.headers.get('vary'), response.headers.get('content-length') === null];
  };
  t.same(await allowed(STREAM, { origin: ours }), [200, ours, VARY, true]);
  t.same(await allowed(STREAM, { origin: ours, 'idempotency-key': 'k' }), [200, ours, VARY, true]);
  t.same(await allowed(STREAM, { origin: theirs, 'idempotency-key': 'k' }), [200, theirs, VARY, true], 'a repeat is for who sends it');
  t.same(await allowed(STREAM, { 'idempotency-key': 'k' }), [200, null, null, true]);
  t.same(await allowed({ model: 'deepseek-chat' }, { origin: ours }), [400, ours, VARY, false], 'refusals as well');
});
