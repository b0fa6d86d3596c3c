import { createServer } from 'node:http';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { flushed } from '../src/gateway/connections.ts';
import { Load } from '../src/gateway/load.ts';
import { bare, chat, head } from './support/bare.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { hang, isRecord, pause, sse, startProvider, textChunks, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };

async function furnished(test: Test, options: Parameters<typeof openHouse>[1] = {}): Promise<{ deepseek: FakeProvider; house: House }> {
  const deepseek = await startProvider();
  test.teardown(() => deepseek.close());
  return { deepseek, house: await openHouse(test, { providers: { deepseek: deepseek.url }, ...options }) };
}

/** Sends bytes and waits until the server has closed the connection. */
async function exchange(house: House, bytes: string | Buffer): Promise<string> {
  const client = bare(house);
  client.socket.write(bytes);
  await Promise.race([client.closed, pause(5_000)]);
  client.socket.destroy();
  return client.text();
}

t.test('what a client does to its request harms nobody', { timeout: 90_000 }, async (t) => {
  const { deepseek, house } = await furnished(t, { timing: { bodyMs: 1_200 } });
  const audit = async () => (await house.ledger.audit()).openHolds;

  const early = bare(house);
  early.socket.write(head(house, ['content-type: application/json', 'content-length: 500']) + '{"model":');
  await pause(20);
  early.socket.destroy();
  t.equal(deepseek.requests.length, 0, 'E1: gone before its body was whole');

  const slow = [bare(house), bare(house), bare(house)] as const;
  slow[0].socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: loc');
  slow[1].socket.write(head(house, ['content-type: application/json', 'content-length: 500']) + '{');
  // The third one says nothing at all.
  const drip = setInterval(() => slow[1].socket.write(' '), 100);
  await Promise.all(slow.map(({ closed }) => closed));
  clearInterval(drip);
  t.match(slow[0].text(), /^HTTP\/1\.1 408 [^]*"request_timeout"/, 'E7: a head that does not come');
  t.match(slow[1].text(), /^HTTP\/1\.1 408 [^]*"request_timeout"/, 'E8: a body that drips');
  t.match(slow[2].text(), /^(|HTTP\/1\.1 408 [^]*)$/, 'and a connection without a word is closed as well');

  const half = bare(house);
  half.socket.end(chat(house, HELLO, []));
  await half.closed;
  t.match(await house.lastRow(), { status: /^(aborted|ok)$/ }, 'E5: a client that ends its side counts as gone, for a process that died looks the same; its hold is closed');

  const pipelined = bare(house);
  const before = (await house.ledger.listRequests({}, { limit: 100 })).rows.length;
  deepseek.requests.length = 0;
  for (let at = 0; at < 50; at += 1) pipelined.socket.write(chat(house, { ...HELLO, messages: [{ role: 'user', content: `number ${at}!` }] }, at === 49 ? ['connection: close'] : []));
  await pipelined.closed;
  const told = [...pipelined.text().matchAll(/echo: number (\d+)!/g)].map(([, at]) => Number(at));
  t.same(told, Array.from({ length: 50 }, (_, at) => at), 'E20: fifty in a row are answered in their order');
  t.equal((await house.ledger.listRequests({}, { limit: 100 })).rows.length - before, 50, 'each billed once');
  t.equal(await audit(), 0);
});

t.test('bodies are read as what they are, or refused', async (t) => {
  const { deepseek, house } = await furnished(t);
  const sent = (): Record<string, unknown> => {
    const body = deepseek.requests.at(-1)?.body;
    return isRecord(body) ? body : {};
  };
  const utf16 = Buffer.from(JSON.stringify(HELLO), 'utf16le');
  const cases: readonly (readonly [bytes: string | Buffer, status: number, why: string])[] = [
    [chat(house, `\ufeff${JSON.stringify(HELLO)}`), 200, 'E12: a byte order mark is no fault of the caller'],
    [Buffer.concat([Buffer.from(head(house, ['content-type: application/json', `content-length: ${utf16.length}`, 'connection: close'])), utf16]), 400, 'E12: UTF-16'],
    [chat(house, `{"model": "deepseek-chat", "messages": [{"role": "user", "content": "\\ud800"}]}`), 200, 'E13: half of a character'],
    [chat(house, `{"model": "nobody", "model": "deepseek-chat", "stream": true, "stream": false, "messages": [{"role": "user", "content": "x"}]}`), 200, 'E14: of two fields of one name the last counts'],
    [chat(house, `{"__proto__": {"stream": true}, "constructor": {"prototype": {}}, "model": "deepseek-chat", "messages": [{"role": "user", "content": "x"}]}`), 200, 'E15: names that mean something to JavaScript are names'],
    [chat(house, `{"model": "deepseek-chat", "seed": ${'9'.repeat(1_000_000)}, "messages": [{"role": "user", "content": "x"}]}`), 200, 'E11: a very long number'],
    [chat(house, `{"model": "deepseek\\r\\nx-evil: 1\\u0000\\u00e9\\u4e2d", "messages": [{"role": "user", "content": "x"}]}`), 404, 'E22: a model that would be a header'],
    [head(house, ['content-type: application/json', 'transfer-encoding: chunked', 'connection: close']) + `${JSON.stringify(HELLO).length.toString(16)}\r\n${JSON.stringify(HELLO)}\r\n0\r\n\r\n`, 200, 'E18: chunks without a length'],
    [chat(house, HELLO, ['expect: 100-continue', 'connection: close']), 100, 'E19: a client that asks first is told to go on'],
    [chat(house, HELLO, ['expect: a-miracle', 'connection: close']), 417, 'E19: a wish that we do not know'],
    [chat(house, HELLO).replace('HTTP/1.1', 'HTTP/1.0'), 200, 'E21: HTTP/1.0'],
    [chat(house, { ...HELLO, stream: true }).replace('HTTP/1.1', 'HTTP/1.0'), 200, 'E21: a stream over HTTP/1.0'],
    [chat(house, { ...HELLO, max_tokens: -1 }), 200, 'E25: less than nothing'],
    [chat(house, { ...HELLO, max_tokens: 0 }), 200, 'E25: odd but harmless'],
    [chat(house, `{"max_tokens": 1e400, "model": "deepseek-chat", "messages": [{"role": "user", "content": "x"}]}`), 200, 'E25: no number at all once it is read'],
    [chat(house, { ...HELLO, max_tokens: '9' }), 200, 'E25: a text'],
    [chat(house, { ...HELLO, n: 129 }), 400, 'E25: more choices than anybody serves'],
  ];
  for (const [bytes, status, why] of cases) {
    const answer = await exchange(house, bytes);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), `${why} (${answer.slice(0, 300)})`);
    if (status === 417) t.match(answer, /"expectation_failed"/);
    t.notMatch(answer, /\r\nx-evil/, why);
    if (why.startsWith('E14')) t.not(sent()['stream'], true, 'and that is what the provider gets');
    if (why.startsWith('E15')) t.not(sent()['stream'], true, 'the prototype is nobody\'s');
    if (why.startsWith('E13')) t.match(sent(), { messages: [{ content: /./ }] });
    if (why.startsWith('E25') && status === 200) t.ok(Number.isInteger(sent()['max_tokens']) && Number(sent()['max_tokens']) > 0, `${why}: the provider gets the limit that was held`);
    if (why === 'E21: HTTP/1.0') t.notMatch(answer, /transfer-encoding/i);
    if (why.startsWith('E21: a stream')) t.match(answer, /data: \[DONE\]/);
  }
  t.equal((await house.ledger.audit()).openHolds, 0);
});

t.test('bytes that two readers could understand in two ways are refused, and the connection closed', async (t) => {
  const { deepseek, house } = await furnished(t);
  const smuggled = 'GET /v1/user/keys HTTP/1.1\r\nhost: localhost\r\n\r\n';
  const body = JSON.stringify(HELLO);
  const length = `content-length: ${body.length}`;
  const type = 'content-type: application/json';
  const cases: readonly (readonly [bytes: string, why: string])[] = [
    [head(house, [type, length, 'transfer-encoding: chunked']) + `0\r\n\r\n${smuggled}`, 'a length and chunks'],
    [head(house, [type, 'transfer-encoding: chunked', length]) + `0\r\n\r\n${smuggled}`, 'the other way round'],
    [head(house, [type, length, 'content-length: 4']) + body + smuggled, 'two lengths'],
    [head(house, [type, `content-length: ${body.length}, 4`]) + body, 'two lengths in one'],
    [head(house, [type, 'content-length: +5']) + '{"a":' + smuggled, 'a length with a sign'],
    [head(house, [type, 'content-length: -1']) + smuggled, 'a length below nothing'],
    [head(house, [type, 'content-length: 0x5']) + '{"a":' + smuggled, 'a length in hex'],
    [head(house, [type, 'transfer-encoding: xchunked']) + `0\r\n\r\n${smuggled}`, 'an encoding that nobody knows'],
    [head(house, [type, 'transfer-encoding: chunked, identity']) + `0\r\n\r\n${smuggled}`, 'chunks that are not the last encoding'],
    [head(house, [type, 'transfer-encoding : chunked']) + `0\r\n\r\n${smuggled}`, 'a blank before the colon'],
    [head(house, [type, 'transfer-encoding: chunked']) + `5;\nx\r\n{"a":\r\n0\r\n\r\n${smuggled}`, 'a bare line feed in a chunk\'s head'],
    [head(house, [type, 'transfer-encoding: chunked']) + `fffffffffffffffff\r\n{}\r\n0\r\n\r\n${smuggled}`, 'a chunk longer than numbers go'],
    [`POST /v1/chat/completions HTTP/1.1\nhost: localhost\n${type}\n\n`, 'bare line feeds'],
    [head(house, [type, 'x-a: b\u0000c']), 'a NUL in a value'],
    [head(house, [type, ' folded: yes', length]) + body, 'a folded header'],
    [`POST /v1/chat/completions HTTP/3.7\r\nhost: localhost\r\n\r\n`, 'a version that does not exist'],
  ];
  for (const [bytes, why] of cases) {
    const answer = await exchange(house, Buffer.from(bytes, 'latin1'));
    t.match(answer, /^HTTP\/1\.1 400 /, why);
    t.equal(answer.match(/HTTP\/1\.1 \d{3} /g)?.length, 1, `${why}: one answer, and nothing behind it`);
    t.match(answer, /"error":\{"message"/, why);
  }
  t.equal(deepseek.requests.length, 0, 'nobody was asked');
});

t.test('methods and targets that nobody expects', async (t) => {
  const { house } = await furnished(t);
  const cases: readonly (readonly [bytes: string, status: number, why: string])[] = [
    [head(house, ['connection: close'], '/v1/models', 'TRACE'), 405, 'E26: TRACE repeats nothing'],
    [head(house, ['connection: close'], '/v1/models', 'OPTIONS'), 405, 'E26: OPTIONS'],
    [`CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n`, 405, 'E26: no proxy'],
    [head(house, ['upgrade: websocket', 'connection: Upgrade'], '/v1/models', 'GET'), 400, 'E26: no web sockets'],
    [head(house, ['upgrade: h2c', 'http2-settings: AAMAAABkAAQAoAAAAAIAAAAA', 'connection: Upgrade, HTTP2-Settings, close'], '/v1/models', 'GET'), 200, 'E26: what some clients ask of everybody is passed over'],
    [head(house, ['connection: close'], '//v1/models', 'GET'), 404, 'E23: two slashes'],
    [head(house, ['connection: close'], '/v1/%2e%2e/v1/models', 'GET'), 404, 'E23: a path that climbs in disguise'],
    [head(house, ['connection: close'], '/v1/models/..%2f..%2fetc', 'GET'), 404, 'E23: a model that is none'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'HTTP/2 spoken straight away'],
    ['\u0016\u0003\u0001\u0002\u0000\u0001\u0000', 400, 'TLS spoken to a plain port'],
  ];
  for (const [bytes, status, why] of cases) {
    const answer = await exchange(house, Buffer.from(bytes, 'latin1'));
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), why);
    if (status !== 200) t.match(answer, /"error":\{"message"/, why);
    t.notMatch(answer, new RegExp(house.key), `${why}: a key is never repeated`);
  }
});

t.test('a reader that stops reading costs a bounded buffer, and then its connection', { timeout: 60_000 }, async (t) => {
  const { deepseek, house } = await furnished(t, { timing: { writeStallMs: 300 } });
  const long = 'x'.repeat(20_000);
  let written = 0;
  deepseek.next((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const events = textChunks(HEAD, Array.from({ length: 1_000 }, () => long).join(' ')).map((event) => `data: ${JSON.stringify(event)}\n\n`);
    const more = () => {
      for (let event = events.shift(); event !== undefined; event = events.shift()) {
        written += event.length;
        if (!response.write(event)) return void response.once('drain', more);
      }
      response.end('data: [DONE]\n\n');
    };
    more();
  });
  const reader = bare(house);
  reader.socket.write(chat(house, { ...HELLO, stream: true }));
  reader.socket.pause();
  const row = await house.lastRow();
  t.match(row, { status: 'aborted', usageOrigin: 'estimated' }, 'E6: it counts as gone, and pays for what it was sent');
  t.ok(written < 16_000_000, `the provider is held back: ${written} of 20,000,000 bytes were taken`);
  reader.socket.destroy();

});

t.test('a whole answer that nobody takes is dropped, one that is taken slowly is not', async (t) => {
  let isOver = false;
  let stallMs = 0;
  const server = createServer((_req, res) => {
    res.end(Buffer.alloc(64_000_000));
    void flushed(res, stallMs, 1e9).then(() => (isOver = true));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port ?? 0 : 0;
  for (const isReading of [true, false]) {
    isOver = false;
    // A busy machine takes its time to read.
    stallMs = isReading ? 20_000 : 500;
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    if (isReading) socket.resume();
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    while (!isOver) await pause(5);
    socket.resume();
    for (let waits = 0; waits < 100 && !socket.destroyed && socket.bytesRead <= 64_000_000; waits += 1) await pause(20);
    t.equal(socket.bytesRead > 64_000_000, isReading, `${socket.bytesRead} bytes`);
    socket.destroy();
  }
});

t.test('too much at once is turned away, and what runs goes on', async (t) => {
  const { deepseek, house } = await furnished(t, { yaml: { limits: { in_flight: 2, connections_per_address: 8 } } });
  deepseek.always(sse(textChunks(HEAD, 'one two three four five six'), { gapMs: 50 }));
  const running = [house.post({ ...HELLO, stream: true }), house.post({ ...HELLO, stream: true })].map(async (response) => readStream(await response));
  while (deepseek.requests.length < 2) await pause(2);
  const shed = await house.post(HELLO);
  t.equal(shed.status, 503);
  t.match(shed.headers.get('retry-after'), /^[1-9]$/);
  t.match(await shed.json(), { error: { code: 'overloaded', message: /2 requests running/ } });
  t.equal((await fetch(`${house.url}/healthz`)).status, 200, 'whoever asks whether it lives is answered');
  for (const { events } of await Promise.all(running)) t.equal(events.at(-1), '[DONE]', 'what ran is undisturbed');

  const many = Array.from({ length: 12 }, () => bare(house));
  await pause(200);
  const refused = many.filter((client) => /^HTTP\/1\.1 503 [^]*retry-after: \d+[^]*"overloaded"/.test(client.text()));
  t.ok(refused.length >= 4, `${refused.length} of 12 connections from one address are refused at a limit of 8`);
  t.ok(refused.length < 12);
  for (const { socket } of many) socket.destroy();
  await pause(50);
  t.equal((await house.get('/v1/models')).status, 200, 'and once they are gone there is room again');
});

t.test('a call whose turn never comes ends like one whose client has gone', async (t) => {
  const { deepseek, house } = await furnished(t);
  deepseek.always(hang());
  for (const stream of [true, false]) {
    const asked = deepseek.requests.length;
    const client = bare(house);
    // The first is refused, and its connection ends; ten more came with it, of which three ask a provider.
    client.socket.write(`GET /healthz HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 5\r\n\r\n${'12345'}${chat(house, { ...HELLO, stream }, []).repeat(3)}${head(house, [], '/v1/models', 'GET').repeat(7)}`);
    await client.closed;
    t.equal(client.text().split('HTTP/1.1 ').length, 2, 'one answer');
    for (let waited = 0; house.gateway.inFlight > 0 && waited < 5_000; waited += 10) await pause(10);
    t.equal(house.gateway.inFlight, 0, `nothing is under way (stream: ${stream})`);
    t.match(await house.ledger.audit(), { openHolds: 0, findings: [] }, `and no hold is left of the ${deepseek.requests.length - asked} that were sent`);
  }
});

t.test('a process that is late with its own work takes no more', async (t) => {
  const load = new Load({ inFlight: 10, loopLagMs: 500, bodyBytes: 1_024 });
  load.judge(499);
  t.doesNotThrow(() => load.admit());
  load.judge(501);
  t.throws(() => load.admit(), { code: 'overloaded', status: 503, headers: { 'retry-after': /^\d+$/ } });
  load.judge(-3);
  t.equal(load.lagMs, 0, 'a clock finer than ours is no lag');
  t.doesNotThrow(() => load.admit());
});

t.test('a provider that never answers holds nothing once its client has gone', async (t) => {
  const { deepseek, house } = await furnished(t);
  for (const stream of [true, false]) {
    deepseek.next(hang());
    const asked = deepseek.requests.length;
    const client = bare(house);
    client.socket.write(chat(house, { ...HELLO, stream }));
    while (deepseek.requests.length === asked) await pause(2);
    client.socket.destroy();
    t.match(await house.lastRow(), { status: 'aborted', completionTokens: 0, usageOrigin: 'estimated' }, `E2: gone before the first byte (stream: ${stream})`);
  }
});
