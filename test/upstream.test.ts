import { execFile, execFileSync } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';

import { createUpstream } from '../src/upstream/index.ts';
import type { Attempt, EventStream, Reply } from '../src/upstream/index.ts';
import { cutAfter, drip, hang, isRecord, json, pause, raw, resetBeforeHead, sse, startProvider } from './support/provider.ts';
import type { Answer, FakeProvider } from './support/provider.ts';
import { SIMULATED, startSimulator } from './support/simulators.ts';
import { singly } from './support/wire.ts';

const upstream = createUpstream({ userAgent: 'findtoken-test/1', maxBodyBytes: 1_000_000, maxEventChars: 200_000, connectTimeoutMs: 700 });
t.teardown(() => upstream.close());

function attemptAt(baseUrl: string, change: Partial<Attempt> = {}): Attempt {
  return {
    provider: 'fake', baseUrl, apiKey: 'good-key', body: '{"model":"m","messages":[]}', stream: true, model: 'm',
    requestId: 'req_1', traceparent: undefined, timeoutMs: 300, idleMs: 300, ...change,
  };
}

function sendTo(baseUrl: string, change: Partial<Attempt> = {}, signal = new AbortController().signal): Promise<Reply> {
  return upstream.send(attemptAt(baseUrl, change), signal);
}

async function drained(stream: EventStream): Promise<{ readonly texts: readonly string[]; readonly end: string }> {
  const texts: string[] = [];
  for (;;) {
    const read = await stream.read();
    if (read.kind === 'events') texts.push(...singly(read.events).map((event) => event.data));
    else return { texts, end: read.kind === 'end' ? 'end' : `failed ${read.failure}` };
  }
}

/** A reply in one line, so that a table can say what must come. */
async function told(reply: Reply): Promise<string> {
  if (reply.kind === 'failed') return `failed ${reply.failure}, ${reply.sent ? 'sent' : 'not sent'}`;
  if (reply.kind === 'whole') return `whole ${reply.status} ${reply.text.slice(0, 60)}`;
  const { texts, end } = await drained(reply.stream);
  return `stream ${texts.join('|')} ${end}`;
}

async function fakeProvider(t: Test, answer?: Answer): Promise<FakeProvider> {
  const provider = await startProvider(answer);
  t.teardown(() => provider.close());
  return provider;
}

const CRLF = '\r\n';
const EVENT_HEAD = ['HTTP/1.1 200 OK', 'content-type: text/event-stream'];
const JSON_HEAD = ['HTTP/1.1 200 OK', 'content-type: application/json'];
const message = (lines: readonly string[], body = ''): string => `${lines.join(CRLF)}${CRLF}${CRLF}${body}`;
const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}${CRLF}${text}${CRLF}`;

/** U-list of the torture suite, as far as the network is concerned. Deadlines are 300 ms here. */
const FAULTS: readonly (readonly [id: string, why: string, answer: Answer, expected: string])[] = [
  ['U5', 'a reset before the head may have been served', resetBeforeHead(), 'failed reset, sent'],
  ['U6', 'so may a polite end before the head', raw(''), 'failed reset, sent'],
  ['U7', 'silence runs into the first deadline', hang(), 'failed timeout, sent'],
  ['U8', 'half a JSON body is none', raw(message([...JSON_HEAD, 'content-length: 20'], '{"a":'), 'leave'), 'failed timeout, sent'],
  ['U9', 'what came before the silence is delivered', raw(message([...EVENT_HEAD, 'transfer-encoding: chunked'], chunked('data: a\n\n')), 'leave'), 'stream a failed timeout'],
  ['U10', 'a JSON body a byte at a time keeps no deadline away', drip(' ', 20, 'application/json'), 'failed timeout, sent'],
  ['U10', 'comments are no events', drip(': keep-alive\n\n', 20), 'stream  failed timeout'],
  ['U10', 'blank lines are no events', drip('\n', 20), 'stream  failed timeout'],
  ['U10', 'an unfinished event is no event', drip('data: x', 20), 'stream  failed timeout'],
  ['U11', 'a reset in the middle of a body', raw(message([...JSON_HEAD, 'content-length: 20'], '{"a":'), 'reset'), 'failed reset, sent'],
  ['U12', 'a reset after two events', cutAfter(2, ['a', 'b', 'c']), 'stream "a"|"b" failed reset'],
  ['U12', 'a chunked body ended without its last chunk', raw(message([...EVENT_HEAD, 'transfer-encoding: chunked'], chunked('data: a\n\n'))), 'stream a failed reset'],
  ['U12', 'the same, announced by connection: close', raw(message([...EVENT_HEAD, 'connection: close', 'transfer-encoding: chunked'], chunked('data: a\n\n'))), 'stream a failed reset'],
  ['U12', 'a body without framing ended by a reset', raw(message(EVENT_HEAD, 'data: a\n\n'), 'reset'), 'stream a failed reset'],
  ['U13', 'an error comes whole, its status with it', json(503, { error: { message: 'overloaded' } }), 'whole 503 {"error":{"message":"overloaded"}}'],
  ['U13', 'an error dressed as a stream is no stream', json(500, 'data: x\n\n', { 'content-type': 'text/event-stream' }), 'whole 500 data: x\n\n'],
  ['U18', 'an HTML page is for the reader above to refuse', json(200, '<html></html>', { 'content-type': 'text/html' }), 'whole 200 <html></html>'],
  ['U21', 'an empty body is an empty text', json(200, ''), 'whole 200 '],
  ['U21', 'an empty stream is a stream without events', sse([], { done: false }), 'stream  end'],
  ['U23', 'an end by closing the connection looks proper: the finish_reason decides', raw(message(EVENT_HEAD, 'data: a\n\n')), 'stream a end'],
  ['U23', 'the same of a JSON body', raw(message(JSON_HEAD, '{"a":')), 'whole 200 {"a":'],
  ['U24', 'gzip was refused in the request', json(200, 'x', { 'content-encoding': 'gzip' }), 'failed encoding, sent'],
  ['U26', 'a chain of encodings is not walked', json(200, 'x', { 'content-encoding': 'gzip,'.repeat(1000) }), 'failed encoding, sent'],
  ['U26', 'identity is no encoding', json(200, '{}', { 'content-encoding': 'identity' }), 'whole 200 {}'],
  ['U27', 'a header of 40 KB passes', json(200, '{}', { 'x-long': 'a'.repeat(40_000) }), 'whole 200 {}'],
  ['U27', 'a header over 64 KiB does not', json(200, '{}', { 'x-long': 'a'.repeat(70_000) }), 'failed too_large, sent'],
  ['U28', 'a content-length too long', raw(message([...JSON_HEAD, 'content-length: 20'], '{}')), 'failed reset, sent'],
  ['U28', 'a content-length too short ends the body there', raw(message([...JSON_HEAD, 'content-length: 2'], '{}{"smuggled":1}')), 'whole 200 {}'],
  ['U28', 'two content-lengths', raw(message([...JSON_HEAD, 'content-length: 2', 'content-length: 3'], '{} ')), 'failed reset, sent'],
  ['U28', 'a content-length beside chunks', raw(message([...JSON_HEAD, 'content-length: 2', 'transfer-encoding: chunked'], chunked('{}'))), 'failed reset, sent'],
  ['U29', 'a body announced over the cap', json(200, 'a'.repeat(1_000_001)), 'failed too_large, sent'],
  ['U29', 'a body that grows over the cap', drip('a'.repeat(100_000), 1, 'application/json'), 'failed too_large, sent'],
  ['U29', 'a body at the cap', json(200, 'a'.repeat(1_000_000)), `whole 200 ${'a'.repeat(60)}`],
  ['U29', 'one event over its cap', drip(`data: ${'a'.repeat(50_000)}`, 1), 'stream  failed too_large'],
  ['U36', 'no key follows a redirect to another host', json(302, '', { location: 'http://127.0.0.1:1/' }), 'failed redirect, sent'],
  ['U36', 'nor a 308, which would repeat the POST', json(308, '', { location: '/elsewhere' }), 'failed redirect, sent'],
  ['', 'an early hint is not the answer', raw(message(['HTTP/1.1 103 Early Hints', 'link: </x>']) + message([...JSON_HEAD, 'content-length: 2', 'connection: close'], '{}')), 'whole 200 {}'],
  ['', 'what is no HTTP is a broken connection', raw('SSH-2.0-OpenSSH_9.6\r\n'), 'failed reset, sent'],
  ['', 'blank lines before JSON stand while the provider queues', raw(message([...JSON_HEAD, 'connection: close'], '\n\n\n{"a":1}')), 'whole 200 \n\n\n{"a":1}'],
];

t.test('every fault of the network has one end, soon, and lets go of its socket', async (t) => {
  for (const [id, why, answer, expected] of FAULTS) {
    await t.test(`${id} ${why}`, async (t) => {
      for (const stream of [true, false]) {
        const provider = await fakeProvider(t, answer);
        const startedMs = performance.now();
        t.equal(await told(await sendTo(provider.url, { stream })), expected, stream ? 'asked for a stream' : 'asked for JSON');
        t.ok(performance.now() - startedMs < 900, 'ends within its deadlines');
        t.equal(provider.requests.length, 1, 'is never sent twice');
        if (!expected.includes('failed')) continue;
        await until(() => provider.openSockets === 0);
        t.equal(provider.openSockets, 0, 'the socket is gone');
      }
    });
  }
});

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isSo(); turn += 1) await pause(5);
}

t.test('what fails before a connection stands was not sent', async (t) => {
  t.test('U1 refused', async (t) => {
    const provider = await startProvider();
    await provider.close();
    t.equal(await told(await sendTo(provider.url)), 'failed connect, not sent');
  });
  t.test('U2 an unknown host', async (t) => {
    const told2 = await told(await sendTo('http://no-such-host.invalid/v1', { timeoutMs: 5_000 }));
    t.match(told2, /^failed (dns|connect|timeout), not sent$/);
    if (told2.includes('timeout')) t.comment('this machine has no resolver');
    else t.equal(told2, 'failed dns, not sent');
  });
  t.test('U3 a certificate nobody vouches for', async (t) => {
    const server = await tlsServer(t);
    t.equal(await told(await sendTo(server.url, { timeoutMs: 5_000 })), 'failed tls, not sent');
    t.equal(server.requests(), 0, 'and the key stayed here');
  });
  t.test('U3 plain HTTP on a TLS port', async (t) => {
    const provider = await fakeProvider(t);
    t.equal(await told(await sendTo(provider.url.replace('http:', 'https:'), { timeoutMs: 5_000 })), 'failed tls, not sent');
  });
  t.test('U4 a handshake that hangs ends at the connect deadline', async (t) => {
    const server = createTcpServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.on('listening', resolve));
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const startedMs = performance.now();
    t.equal(await told(await sendTo(`https://127.0.0.1:${port}/v1`, { timeoutMs: 30_000 })), 'failed connect, not sent');
    t.ok(performance.now() - startedMs < 3_000);
    t.equal(await told(await sendTo(`https://127.0.0.1:${port}/v1`, { timeoutMs: 50 })), 'failed timeout, not sent', 'or at our own, if that is nearer');
  });
  t.test('a key that no header can bear', async (t) => {
    const provider = await fakeProvider(t);
    t.equal(await told(await sendTo(provider.url, { apiKey: 'a\r\nx-injected: 1' })), 'failed connect, not sent');
    t.equal(provider.requests.length, 0);
  });
  t.test('a signal that had fired already', async (t) => {
    const provider = await fakeProvider(t);
    t.equal(await told(await sendTo(provider.url, {}, AbortSignal.abort())), 'failed aborted, not sent');
    t.equal(provider.requests.length, 0);
  });
});

t.test('https works with a certificate the system trusts', async (t) => {
  const server = await tlsServer(t);
  const script = `
    const { createUpstream } = await import(${JSON.stringify(new URL('../src/upstream/index.ts', import.meta.url).href)});
    const upstream = createUpstream({ userAgent: 'x' });
    const reply = await upstream.listModels({ provider: 'p', baseUrl: ${JSON.stringify(server.url)}, apiKey: 'k', timeoutMs: 9000 });
    console.log(JSON.stringify(reply));
    await upstream.close();`;
  const child = await runNode(script, { NODE_EXTRA_CA_CERTS: server.certPath });
  t.match(JSON.parse(child), { kind: 'whole', status: 200, text: '{"secure":true}' });
});

t.test('only the named headers leave, and the path lies below the base URL', async (t) => {
  const provider = await fakeProvider(t);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await told(await sendTo(`${provider.url}/`, { traceparent }));
  await told(await sendTo(provider.url, { stream: false, traceparent: 'garbage', body: '{"text":"déjà 你好"}' }));
  const [first, second] = provider.requests;
  const port = new URL(provider.url).host;
  t.same(first?.headers, {
    host: port, connection: 'keep-alive', authorization: 'Bearer good-key', 'user-agent': 'findtoken-test/1', 'accept-encoding': 'identity',
    'content-type': 'application/json', accept: 'text/event-stream, application/json', traceparent, 'content-length': '27',
  });
  t.equal(first?.path, '/v1/chat/completions');
  t.equal(first?.method, 'POST');
  t.notOk(second?.headers['traceparent'], 'a trace context that is none stays here');
  t.equal(second?.headers.accept, 'application/json');
  t.same(second?.body, { text: 'déjà 你好' });
});

t.test('a whole answer brings its status, headers and text', async (t) => {
  const provider = await fakeProvider(t, json(429, { error: 'slow down' }, { 'retry-after': '7', 'x-twice': 'a' }));
  const reply = await sendTo(provider.url, { stream: false });
  t.match(reply, { kind: 'whole', status: 429, headers: { 'retry-after': '7', 'content-type': 'application/json' }, text: '{"error":"slow down"}' });
  provider.next(raw(message(['HTTP/1.1 200 OK', 'content-length: 2', '__proto__: x', 'x-twice: a', 'x-twice: b'], '{}'), 'leave'));
  const odd = await sendTo(provider.url);
  t.match(odd, { kind: 'whole', headers: { 'x-twice': 'a, b' } });
  t.equal(odd.kind === 'whole' && Object.getPrototypeOf(odd.headers), Object.prototype);
});

t.test('GET /models asks with the key and always comes back whole', async (t) => {
  const provider = await fakeProvider(t);
  const ask = () => upstream.listModels({ provider: 'fake', baseUrl: provider.url, apiKey: 'probe-key', timeoutMs: 200 });
  t.match(await ask(), { kind: 'whole', status: 200 });
  t.match(provider.probes, [{ method: 'GET', path: '/v1/models', headers: { authorization: 'Bearer probe-key', 'accept-encoding': 'identity' }, body: undefined }]);
  const cases: readonly (readonly [string, Answer, object])[] = [
    ['a refusal is an answer', json(401, { error: 'no' }), { kind: 'whole', status: 401 }],
    ['an event stream is read whole', sse(['x']), { kind: 'whole', status: 200, text: 'data: x\n\ndata: [DONE]\n\n' }],
    ['silence', hang(), { kind: 'failed', failure: 'timeout', sent: true }],
    ['a redirect', json(301, '', { location: '/' }), { kind: 'failed', failure: 'redirect', sent: true }],
  ];
  for (const [why, answer, expected] of cases) {
    provider.models(answer);
    t.match(await ask(), expected, why);
  }
});

t.test('the deadlines are to the first event, then between events', async (t) => {
  const provider = await fakeProvider(t);
  t.test('events that keep coming may take longer than either', async (t) => {
    provider.next(sse(['a', 'b', 'c', 'd', 'e'], { gapMs: 100, done: false }));
    t.equal(await told(await sendTo(provider.url, { timeoutMs: 250, idleMs: 250 })), 'stream a|b|c|d|e end');
  });
  t.test('the first event may take longer than the pauses, and comments before it are free', async (t) => {
    provider.next(sse(['a', 'b'], { delayMs: 200, done: false, comments: ['queued'] }));
    t.equal(await told(await sendTo(provider.url, { timeoutMs: 600, idleMs: 60 })), 'stream a|b end');
  });
  t.test('a pause longer than idleMs ends the stream though timeoutMs is far', async (t) => {
    provider.next(sse(['a', 'b'], { gapMs: 400, done: false }));
    t.equal(await told(await sendTo(provider.url, { timeoutMs: 5_000, idleMs: 100 })), 'stream a failed timeout');
  });
  t.test('comments between events do not count as events', async (t) => {
    provider.next((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      response.write('data: a\n\n');
      const timer = setInterval(() => response.write(': still here\n\n'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const startedMs = performance.now();
    t.equal(await told(await sendTo(provider.url, { timeoutMs: 5_000, idleMs: 150 })), 'stream a failed timeout');
    t.ok(performance.now() - startedMs < 600);
  });
});

t.test('events reach the reader whole, however the bytes are cut', async (t) => {
  const text = 'data: {"c":"é你好👩‍🚀"}\r\n\r\nevent: error\ndata:two\ndata: lines\n\n: note\n\ndata: end\n\n';
  const bytes = Buffer.from(text, 'utf8');
  const provider = await fakeProvider(t);
  const expected = [{ data: '{"c":"é你好👩‍🚀"}', name: '' }, { data: 'two\nlines', name: 'error' }, { data: 'end', name: '' }];
  t.test('a byte a chunk', async (t) => {
    const body = [...bytes].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('');
    provider.next(raw(Buffer.from(`${EVENT_HEAD.join(CRLF)}${CRLF}transfer-encoding: chunked${CRLF}${CRLF}${body}0${CRLF}${CRLF}`, 'latin1'), 'leave'));
    const reply = await sendTo(provider.url);
    if (reply.kind !== 'stream') return t.fail(reply.kind);
    const events = [];
    for (let read = await reply.stream.read(); read.kind === 'events'; read = await reply.stream.read()) events.push(...singly(read.events));
    t.same(events, expected);
  });
  t.test('a byte a socket write', async (t) => {
    provider.next(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const byte of bytes) {
        response.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    t.equal(await told(await sendTo(provider.url)), `stream ${expected.map((event) => event.data).join('|')} end`);
  });
});

t.test('events of one socket read come joined', async (t) => {
  const provider = await fakeProvider(t, sse(Array.from({ length: 50 }, (_, index) => `e${index}`), { done: false }));
  const reply = await sendTo(provider.url);
  if (reply.kind !== 'stream') return t.fail(reply.kind);
  const first = await reply.stream.read();
  t.equal(first.kind === 'events' && singly(first.events).length, 50);
  t.same(await reply.stream.read(), { kind: 'end' });
  t.same(await reply.stream.read(), { kind: 'end' }, 'after the end there is nothing more');
});

t.test('a stream is read by one reader at a time', async (t) => {
  const provider = await fakeProvider(t, drip(': nothing yet\n', 10));
  const reply = await sendTo(provider.url);
  if (reply.kind !== 'stream') return t.fail(reply.kind);
  const waiting = reply.stream.read();
  await t.rejects(reply.stream.read(), /already under way/);
  t.same(await waiting, { kind: 'failed', failure: 'timeout' }, 'and the first read is none the worse');
});

t.test('a reader that stops holds the provider back, and loses nothing', async (t) => {
  const event = `data: ${'x'.repeat(1_000)}\n\n`;
  let written = 0;
  const provider = await fakeProvider(t, async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    while (!response.destroyed && written < 60_000_000) {
      written += event.length;
      if (!response.write(event)) await once(response, 'drain', { signal: gone.signal }).catch(() => undefined);
    }
    response.end();
  });
  const reply = await sendTo(provider.url, { idleMs: 200 });
  if (reply.kind !== 'stream') return t.fail(reply.kind);
  let read = 0;
  for (let turn = 0; turn < 3; turn += 1) {
    const got = await reply.stream.read();
    if (got.kind === 'events') read += singly(got.events).length;
  }
  await pause(300);
  const writtenWhileIdle = written;
  t.ok(writtenWhileIdle < 12_000_000, `${writtenWhileIdle} bytes are what the sockets hold`);
  await pause(300);
  t.equal(written, writtenWhileIdle, 'nothing more is taken, and a slow reader is not the provider being silent');
  for (let got = await reply.stream.read(); ; got = await reply.stream.read()) {
    if (got.kind === 'events') read += singly(got.events).length;
    else { t.same(got, { kind: 'end' }); break; }
  }
  t.equal(read, written / event.length);
});

t.test('who holds a stream back has one read of the connection waiting at most, and loses nothing', async (t) => {
  const event = `data: ${'x'.repeat(1_000)}\n\n`;
  const events = 2_000;
  const provider = await fakeProvider(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let count = 0; count < events; count += 1) response.write(event);
    response.end();
  });
  const reply = await sendTo(provider.url, { idleMs: 100 });
  if (reply.kind !== 'stream') return t.fail(reply.kind);
  let read = 0;
  let most = 0;
  for (let got = await reply.stream.read(); got.kind === 'events'; got = await reply.stream.read()) {
    read += singly(got.events).length;
    reply.stream.holdBack();
    // Longer than the deadline at times: a provider that is held back is not silent.
    await pause(read < 300 ? 120 : 1);
    most = Math.max(most, upstream.unread ?? Number.NaN);
  }
  t.equal(read, events);
  t.ok(most <= 65_536 + event.length, `${most} characters waited at most`);
  t.equal(upstream.unread, 0, 'and what has been read is not counted any more');
});

t.test('a provider that falls silent after it was held back still runs into its deadline', async (t) => {
  const provider = await fakeProvider(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let count = 0; count < 100; count += 1) response.write(`data: ${'x'.repeat(2_000)}\n\n`);
  });
  const reply = await sendTo(provider.url, { idleMs: 150 });
  if (reply.kind !== 'stream') return t.fail(reply.kind);
  await reply.stream.read();
  await pause(250);
  const { end } = await drained(reply.stream);
  t.equal(end, 'failed timeout');
});

t.test('an answer without framing cannot be held back: it is kept up to the cap, whatever becomes of its connection', async (t) => {
  const event = `data: ${'x'.repeat(1_000)}\n\n`;
  const provider = await fakeProvider(t);
  for (const head of [EVENT_HEAD, [...EVENT_HEAD, 'connection: close', 'transfer-encoding: chunked'], [...EVENT_HEAD, 'transfer-encoding: chunked']]) {
    for (const then of ['close', 'reset'] as const) {
      const isChunked = head.some((line) => line.includes('chunked'));
      provider.next(raw(message(head, (isChunked ? chunked(event) : event).repeat(300)), then));
      const reply = await sendTo(provider.url);
      if (reply.kind !== 'stream') return t.fail(reply.kind);
      await pause(60);
      const { texts, end } = await drained(reply.stream);
      const isCut = isChunked || then === 'reset';
      t.equal(end, isCut ? 'failed reset' : 'end', `${head.slice(1).join(', ')}, then ${then}`);
      if (then === 'close') t.equal(texts.length, 300);
    }
  }
  provider.next(raw(message(EVENT_HEAD, event.repeat(2_000))));
  const flood = await sendTo(provider.url);
  if (flood.kind !== 'stream') return t.fail(flood.kind);
  await pause(200);
  t.equal((await drained(flood.stream)).end, 'failed too_large', 'over the cap it is dropped');
});

t.test('the simulated providers answer, stream and refuse through the same door', async (t) => {
  const { signal } = new AbortController();
  for (const name of SIMULATED) {
    const simulator = await startSimulator(name);
    t.teardown(() => simulator.close());
    simulator.says.text = 'sunny 杭州';
    const body = { model: 'm', messages: [{ role: 'user', content: 'q' }], ...(name === 'kimi' ? { thinking: { type: 'disabled' } } : {}) };
    const whole = await upstream.send(attemptAt(simulator.url, { body: JSON.stringify(body) }), signal);
    t.match(whole, { kind: 'whole', status: 200, text: /sunny 杭州/ }, name);
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
    const events = await told(await upstream.send(attemptAt(simulator.url, { body: JSON.stringify(streamed) }), signal));
    t.match(events, /sunny.*杭州.*"completion_tokens":130.* end$/s, name);
    t.equal(events.includes('[DONE]'), name !== 'minimax', name);
    simulator.fail('money');
    t.match(await upstream.send(attemptAt(simulator.url), signal), { kind: 'whole', status: Number }, name);
    t.match(await upstream.send(attemptAt(simulator.url, { apiKey: 'bad' }), signal), { kind: 'whole', status: 401 }, name);
    t.match(await upstream.listModels({ provider: name, baseUrl: simulator.url, apiKey: 'bad', timeoutMs: 300 }), { kind: 'whole', status: 401 }, name);
  }
});

t.test('hanging up takes effect at once', async (t) => {
  const endless = drip('data: x\n\n', 5);
  t.test('before the head', async (t) => {
    const provider = await fakeProvider(t, hang());
    const controller = new AbortController();
    const sending = sendTo(provider.url, { timeoutMs: 60_000 }, controller.signal);
    await until(() => provider.requests.length === 1);
    controller.abort();
    t.equal(await told(await sending), 'failed aborted, sent');
    await until(() => provider.openSockets === 0);
    t.equal(provider.requests[0]?.dropped, true);
  });
  t.test('mid-stream by the signal, with a read waiting', async (t) => {
    const provider = await fakeProvider(t, drip(': nothing\n', 5));
    const controller = new AbortController();
    const reply = await sendTo(provider.url, { timeoutMs: 60_000 }, controller.signal);
    if (reply.kind !== 'stream') return t.fail(reply.kind);
    const reading = reply.stream.read();
    controller.abort();
    t.same(await reading, { kind: 'failed', failure: 'aborted' });
    await until(() => provider.openSockets === 0);
    t.equal(provider.openSockets, 0);
  });
  t.test('mid-stream by abort(), twice, with events undelivered', async (t) => {
    const provider = await fakeProvider(t, endless);
    const reply = await sendTo(provider.url);
    if (reply.kind !== 'stream') return t.fail(reply.kind);
    await reply.stream.read();
    await pause(30);
    reply.stream.abort();
    reply.stream.abort();
    t.same(await reply.stream.read(), { kind: 'failed', failure: 'aborted' });
    await until(() => provider.openSockets === 0);
    t.equal(provider.openSockets, 0);
  });
  t.test('while it is held back', async (t) => {
    const provider = await fakeProvider(t, drip(`data: ${'x'.repeat(100_000)}\n\n`, 1));
    const controller = new AbortController();
    const reply = await sendTo(provider.url, {}, controller.signal);
    await pause(60);
    controller.abort();
    if (reply.kind === 'stream') t.same(await reply.stream.read(), { kind: 'failed', failure: 'aborted' });
    await until(() => provider.openSockets === 0);
    t.equal(provider.openSockets, 0);
  });
  t.test('while the connection is being made', async (t) => {
    const server = createTcpServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.on('listening', resolve));
    t.teardown(() => server.close());
    const controller = new AbortController();
    const sending = sendTo(`https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, { timeoutMs: 60_000 }, controller.signal);
    await pause(20);
    controller.abort();
    t.equal(await told(await sending), 'failed aborted, not sent');
  });
});

t.test('a stream that is left keeps its connection if its end comes soon', async (t) => {
  const left = async (t: Test, then: Answer, signal = new AbortController().signal) => {
    const provider = await fakeProvider(t, async (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: [DONE]\n\n');
      await pause(30);
      await then(request, response);
    });
    const reply = await sendTo(provider.url, {}, signal);
    if (reply.kind !== 'stream') throw new Error(reply.kind);
    t.equal((await reply.stream.read()).kind, 'events');
    reply.stream.leave();
    reply.stream.leave();
    t.same(await reply.stream.read(), { kind: 'failed', failure: 'aborted' });
    t.equal(provider.openSockets, 1);
    return provider;
  };
  t.test('its end in a packet of its own', async (t) => {
    const provider = await left(t, (_request, response) => void response.end(': bye\n\n'));
    await pause(100);
    t.equal(provider.openSockets, 1);
    provider.next(json(200, {}));
    await sendTo(provider.url, { stream: false });
    t.equal(provider.openSockets, 1, 'the next call goes the same way');
  });
  t.test('one that goes on', async (t) => {
    const provider = await left(t, async (_request, response) => {
      for (; !response.destroyed; await pause(5)) response.write(`data: ${'x'.repeat(20_000)}\n\n`);
    });
    await until(() => provider.openSockets === 0);
    t.equal(provider.openSockets, 0);
  });
  t.test('one that falls silent', async (t) => {
    const provider = await left(t, () => undefined);
    await pause(300);
    t.equal(provider.openSockets, 1);
    await pause(900);
    await until(() => provider.openSockets === 0);
    t.equal(provider.openSockets, 0);
  });
  t.test('the signal still counts', async (t) => {
    const controller = new AbortController();
    const provider = await left(t, () => undefined, controller.signal);
    controller.abort();
    await until(() => provider.openSockets === 0);
    t.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });
});

t.test('U35 a second answer nobody asked for poisons nothing', async (t) => {
  const provider = await fakeProvider(t, json(200, { mine: true }));
  const answer = message([...JSON_HEAD, 'content-length: 2'], '{}');
  provider.next(raw(answer + message([...JSON_HEAD, 'content-length: 12'], '{"evil":true}'.slice(0, 12)), 'leave'));
  t.equal(await told(await sendTo(provider.url)), 'whole 200 {}');
  t.equal(await told(await sendTo(provider.url)), 'whole 200 {"mine":true}');
  provider.next((_request, response) => {
    const { socket } = response;
    socket?.write(answer);
    setTimeout(() => socket?.write(message([...JSON_HEAD, 'content-length: 2'], '[]')), 30);
  });
  t.equal(await told(await sendTo(provider.url)), 'whole 200 {}');
  await pause(60);
  t.equal(await told(await sendTo(provider.url)), 'whole 200 {"mine":true}');
});

t.test('U25 a compressed bomb is refused by its head', async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const provider = await fakeProvider(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    response.end(bomb);
  });
  const beforeBytes = process.memoryUsage().rss;
  t.equal(await told(await sendTo(provider.url)), 'failed encoding, sent');
  t.ok(process.memoryUsage().rss - beforeBytes < 30_000_000);
});

t.test('a thousand requests in a row leave nothing behind', async (t) => {
  const provider = await fakeProvider(t, (request, response) => (isRecord(request.body) && request.body['stream'] === true ? sse(['a', 'b'], { done: false }) : json(200, '{}'))(request, response));
  const controller = new AbortController();
  const outcomes = new Set<string>();
  for (let turn = 0; turn < 1_000; turn += 1) {
    if (turn % 10 === 3) provider.next(resetBeforeHead());
    if (turn % 10 === 6) provider.next(cutAfter(1, ['a']));
    const reply = await sendTo(provider.url, { body: JSON.stringify({ stream: turn % 2 === 0 }), timeoutMs: 60_000, idleMs: 60_000 }, controller.signal);
    if (turn % 10 === 8 && reply.kind === 'stream') reply.stream.abort();
    else outcomes.add((await told(reply)).replace(/ .* /s, ' '));
    if (turn % 250 === 0) t.ok(provider.openSockets <= 2, `${provider.openSockets} sockets after ${turn}`);
  }
  t.equal(getEventListeners(controller.signal, 'abort').length, 0, 'no listener stays on the signal');
  t.same([...outcomes].sort(), ['failed sent', 'stream end', 'stream reset', 'whole {}'], 'every kind of end was among them');
  t.notOk(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length > 5, 'no 60 s timer stays');
});

t.test('after close() nothing is sent, and what was under way ends', async (t) => {
  const provider = await fakeProvider(t, hang());
  const other = createUpstream({ userAgent: 'x' });
  const sending = other.send(attemptAt(provider.url, { timeoutMs: 60_000 }), new AbortController().signal);
  await until(() => provider.requests.length === 1);
  await other.close();
  t.equal(await told(await sending), 'failed aborted, sent');
  t.equal(await told(await other.send(attemptAt(provider.url), new AbortController().signal)), 'failed connect, not sent');
  t.match(await other.listModels({ provider: 'p', baseUrl: provider.url, apiKey: 'k', timeoutMs: 100 }), { kind: 'failed', failure: 'connect', sent: false });
  await other.close();
  await until(() => provider.openSockets === 0);
  t.equal(provider.openSockets, 0);
});

/** A server with a certificate of its own making; `certPath` for those who shall trust it. */
async function tlsServer(t: Test): Promise<{ readonly url: string; readonly certPath: string; requests(): number }> {
  const folder = t.testdir();
  const keyPath = join(folder, 'key.pem');
  const certPath = join(folder, 'cert.pem');
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=findtoken test', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyPath, '-out', certPath,
  ], { stdio: 'ignore' });
  let requests = 0;
  const server = createTlsServer({ key: readFileSync(keyPath), cert: readFileSync(certPath) }, (_request, response) => {
    requests += 1;
    response.setHeader('content-type', 'application/json');
    response.end('{"secure":true}');
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => { server.closeAllConnections(); server.close(); });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, certPath, requests: () => requests };
}

/** What a module prints that runs in a process of its own, with these variables. */
async function runNode(script: string, variables: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    env: { PATH: process.env['PATH'], ...variables },
  });
  return stdout;
}
