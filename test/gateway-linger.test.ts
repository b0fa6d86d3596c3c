import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { linger, type Lingering } from '../src/gateway/linger.ts';
import { bare, head } from './support/bare.ts';
import { openHouse, type House } from './support/house.ts';
import { until } from './support/provider.ts';

const LIMIT = 4_000_000;
const PART = 65_536;

/** A client that reads nothing before it has sent all, as many do: what it hears in the end, or how its connection broke. */
async function sendAll(house: House, more: readonly string[], bytes: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(house.url).port), allowHalfOpen: true });
  let broken = '';
  socket.on('error', (error: Error & { readonly code?: string }) => (broken = error.code ?? error.message));
  socket.write(head(house, ['content-type: application/json', ...more]));
  for (let left = bytes; left > 0 && broken === ''; left -= PART) {
    if (!socket.write(Buffer.alloc(Math.min(PART, left), 32))) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  let heard = '';
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text));
  if (!socket.destroyed) await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  socket.destroy();
  return broken === '' ? heard : broken;
}

t.test('a client that sends all before it reads hears why it was refused', { timeout: 120_000 }, async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', yaml: { limits: { body_bytes: LIMIT } } });
  for (let round = 0; round < 10; round += 1) {
    t.match(await sendAll(house, [`content-length: ${LIMIT + 100}`], LIMIT + 100), /^HTTP\/1\.1 413 [^]*connection: close\r\n[^]*"request_too_large"/, 'a length that is too large');
    t.match(await sendAll(house, [`content-length: ${LIMIT}`, 'content-encoding: gzip'], LIMIT), /^HTTP\/1\.1 415 /, 'another refusal');
  }
  t.match(await sendAll(house, [`content-length: ${LIMIT + 100}`, 'idempotency-key: large'], LIMIT + 100), /^HTTP\/1\.1 413 /, 'under an Idempotency-Key');
  const stranger = await sendAll({ ...house, key: 'nonsense' }, [`content-length: ${LIMIT}`], LIMIT);
  t.match(stranger, /^HTTP\/1\.1 401 /, 'without a good key as well');
  t.equal(house.gateway.inFlight, 0, 'and no call is held under way');
  t.equal((await house.get('/v1/models')).status, 200);
});

/** A server that refuses each request unread, and lingers. */
async function refusing(test: Pick<Test, 'teardown'>, bounds: Lingering) {
  const closed: number[] = [];
  const server = createServer((req: IncomingMessage, res) => {
    const startedMs = performance.now();
    req.socket.once('close', () => closed.push(performance.now() - startedMs));
    res.writeHead(413, { 'content-length': '3', connection: 'close' });
    res.write('no!');
    linger(req, bounds);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => server.closeAllConnections());
  test.teardown(() => server.close());
  const address = server.address();
  return { closed, house: { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`, key: 'none' } };
}

t.test('nobody lingers for ever, whatever it sends or does not', { timeout: 60_000 }, async (t) => {
  const cases: readonly (readonly [bounds: Lingering, everyMs: number, part: number, why: string])[] = [
    [{ ms: 30_000, silenceMs: 200, bytes: 1e9 }, 0, 0, 'silence'],
    [{ ms: 500, silenceMs: 30_000, bytes: 1e9 }, 20, 1, 'a byte now and then'],
    [{ ms: 30_000, silenceMs: 30_000, bytes: 1_000_000 }, 1, PART, 'more than is read'],
  ];
  for (const [bounds, everyMs, part, why] of cases) {
    const { closed, house } = await refusing(t, bounds);
    // It never closes its side, and never reads.
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(house.url).port), allowHalfOpen: true });
    socket.on('error', () => socket.destroy());
    socket.write(head(house, ['content-length: 1000000000']));
    const timer = everyMs === 0 ? undefined : setInterval(() => void socket.write(Buffer.alloc(part)), everyMs);
    t.ok(await until(() => closed.length === 1, 10_000), why);
    clearInterval(timer);
    socket.destroy();
  }
  const { closed, house } = await refusing(t, { ms: 30_000, silenceMs: 30_000, bytes: 1e9 });
  const [whole, leaving] = [bare(house), bare(house)];
  whole.socket.write(`${head(house, ['content-length: 10'])}0123456789`);
  leaving.socket.write(head(house, ['content-length: 10']));
  await whole.closed;
  await leaving.closed;
  t.ok(await until(() => closed.length === 2, 5_000), 'and one that is whole, or whose client has left, ends at once');
  t.match([whole.text(), leaving.text()], [/^HTTP\/1\.1 413 [^]*no!$/, /^HTTP\/1\.1 413 [^]*no!$/]);
});

t.test('a drain ends while a client lingers, and a connection that lingers takes no more requests', { timeout: 60_000 }, async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', yaml: { limits: { body_bytes: LIMIT } } });
  const client = bare(house);
  client.socket.write(head(house, ['content-type: application/json', `content-length: ${LIMIT + 10}`]) + ' ');
  t.ok(await until(() => client.text().includes('request_too_large'), 5_000));
  t.equal(house.gateway.inFlight, 0);
  const startedMs = performance.now();
  await house.gateway.drain(30_000);
  t.ok(performance.now() - startedMs < 5_000, 'it is no call under way');
  await client.closed;

  const other = await openHouse(t, { sandbox: true, books: 'cli', yaml: { limits: { body_bytes: 2_000 } } });
  const pipelined = bare(other);
  pipelined.socket.write(`${head(other, ['content-type: application/json', 'content-length: 3000'])}${' '.repeat(3_000)}${head(other, [], '/v1/models', 'GET')}`);
  await pipelined.closed;
  t.equal(pipelined.text().split('HTTP/1.1 ').length, 2, 'one answer alone');
});
