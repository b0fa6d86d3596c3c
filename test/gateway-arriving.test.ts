import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Fault } from '../src/faults.ts';
import { readBytes } from '../src/gateway/body.ts';
import { Interrupter } from '../src/gateway/interrupter.ts';
import { Arriving } from '../src/gateway/load.ts';
import { openHouse } from './support/house.ts';
import { until } from './support/provider.ts';

const ROOM = 100_000;

/** A connection that sends a request's head and a part of its body, and what it hears. */
function sender(test: Pick<Test, 'teardown'>, port: number, body: { readonly declared: number; readonly sent: number }, path = '/', headers: readonly string[] = []) {
  const socket: Socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('error', () => undefined);
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
  socket.write([`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', 'Content-Type: application/json', `Content-Length: ${body.declared}`, ...headers, '', 'x'.repeat(body.sent)].join('\r\n'));
  test.teardown(() => socket.destroy());
  return { socket, get heard() { return heard; } };
}

t.test('bodies that arrive have one room, and give it back however their reading ends', async (t) => {
  const arriving = new Arriving(() => ROOM);
  const server = createServer((req, res) => {
    readBytes({ req, signal: new Interrupter() }, 60_000, arriving).then(
      (body) => res.end(String(body.length)),
      (cause: unknown) => (cause instanceof Fault ? res.writeHead(cause.status, { ...cause.headers, connection: 'close' }).end(cause.message) : undefined),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port ?? 0 : 0;

  const [one, other] = [sender(t, port, { declared: 50_001, sent: 50_000 }), sender(t, port, { declared: 50_000, sent: 40_000 })];
  t.ok(await until(() => arriving.bytes === 90_000, 5_000), 'what has come is counted, not what was announced');
  const third = sender(t, port, { declared: 20_000, sent: 20_000 });
  t.ok(await until(() => third.heard.includes('memory'), 5_000));
  t.match(third.heard, /^HTTP\/1\.1 503 [^]*retry-after: \d+/i);
  one.socket.destroy();
  t.ok(await until(() => arriving.bytes === 40_000, 5_000), 'a client that leaves gives back its part, as the refused one did');
  const small = sender(t, port, { declared: 20_000, sent: 20_000 });
  t.ok(await until(() => small.heard.endsWith('20000'), 5_000), 'there is room again');
  const tooLong = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => tooLong.destroy());
  let said = '';
  tooLong.on('data', (bytes: Buffer) => (said += bytes.toString()));
  tooLong.write(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nf000\r\n${'x'.repeat(0xf000)}\r\n`);
  t.ok(await until(() => said.startsWith('HTTP/1.1 413'), 5_000), 'over the limit of one body');
  other.socket.write('x'.repeat(10_000));
  t.ok(await until(() => other.heard.endsWith('50000'), 5_000), 'and a body that comes whole is read');
  t.equal(arriving.bytes, 0, 'nothing is counted that is not there');
});

t.test('the room of strangers lies within that of all', async (t) => {
  const all = new Arriving(() => 100);
  const strangers = new Arriving(() => 20, all);
  all.take(90);
  strangers.take(10);
  t.match(strangers.take(1), { code: 'overloaded', status: 503 }, 'all of it is taken');
  all.give(90);
  strangers.take(10);
  t.match(strangers.take(1), { code: 'overloaded' }, 'their part is taken');
  all.take(80);
  strangers.give(20);
  t.equal(all.bytes, 80);
});

t.test('a webhook that cannot be believed is refused before its body is read', async (t) => {
  const webhookSecret = 'whsec_test';
  const stripe = { secret_key: 'sk_test_1', webhook_secret: webhookSecret };
  const [shut, open] = [await openHouse(t, { books: 'cli' }), await openHouse(t, { books: 'cli', yaml: { stripe } })];
  const seconds = Math.floor(Date.now() / 1000);
  const v1 = `v1=${'0'.repeat(64)}`;
  const cases: readonly (readonly [house: typeof shut, headers: readonly string[], heard: RegExp, why: string])[] = [
    [shut, [`Stripe-Signature: t=${seconds},${v1}`], /503 [^]*payments_unavailable/, 'no secret is set'],
    [open, [], /400 [^]*Stripe-Signature/, 'no signature'],
    [open, [`Stripe-Signature: t=${seconds - 400},${v1}`], /400 [^]*Stripe-Signature/, 'an old one'],
    [open, [`Stripe-Signature: t=${seconds},v1=short`], /400 [^]*no v1 signature/, 'one of another form'],
  ];
  for (const [house, headers, heard, why] of cases) {
    const call = sender(t, Number(new URL(house.url).port), { declared: 1_000_000, sent: 10 }, '/webhooks/stripe', headers);
    t.ok(await until(() => heard.test(call.heard), 5_000), `${why}: answered with ten bytes of a million sent`);
  }
  const waits = sender(t, Number(new URL(open.url).port), { declared: 11, sent: 10 }, '/webhooks/stripe', [`Stripe-Signature: t=${seconds},${v1}`]);
  await until(() => waits.heard !== '', 200);
  t.equal(waits.heard, '', 'one that may be right is read to its end');
  waits.socket.write('x');
  t.ok(await until(() => /400 [^]*does not fit the body/.test(waits.heard), 5_000));
});
