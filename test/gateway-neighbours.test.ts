import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { openLink, type Link } from '../src/crew/index.ts';
import { CLOCK } from '../src/daemon/clock.ts';
import { openDesk, type Desk, type ToDesk, type ToMember } from '../src/gateway/index.ts';
import type { Message } from '../src/gateway/shared/types.ts';
import { loadSettings } from '../src/settings/index.ts';
import { fingerprint } from '../src/vault/index.ts';
import { bare, chat } from './support/bare.ts';
import { openHouse, type House, type HouseOptions } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks, until, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const STREAM = { ...HELLO, stream: true };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const TEN = [...textChunks(HEAD, 'one two three four five six seven eight nine ten'), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 10 } }];

async function connected(t: Test): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const far = await accepted;
  server.close();
  t.teardown(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

interface Street {
  readonly deepseek: FakeProvider;
  /** The process under test, number 1 at the desk. */
  readonly house: House;
  /** Number 2 at the desk, played by the test. */
  readonly neighbour: Link<ToDesk>;
  /** What number 2 was told by number 1. */
  readonly heard: Message[];
  /** Of number 1. */
  say(message: Message): void;
  /** Holds back what the desk answers number 1 to its claims, until it is opened. */
  readonly gate: { isShut: boolean; waiting: number };
  nameOf(key: string): string;
}

/** One process that serves, at a desk where the test has the other seat. */
async function furnished(t: Test, options: HouseOptions = {}): Promise<Street> {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const { limits } = loadSettings({ env: {}, cwd: '/', home: '/' });
  const desk: Desk = openDesk({ settings: { limits }, clock: CLOCK });
  const [near, far] = await connected(t);
  const gate = { isShut: false, waiting: 0 };
  const first = openLink<ToMember>(far);
  const seat = desk.seat(1, first);
  first.serve<ToDesk>({
    ...seat,
    claim: async (name) => {
      gate.waiting += 1;
      await until(() => !gate.isShut, 10_000);
      return seat.claim(name);
    },
  });
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: deepseek.url }, ...options, desk: openLink<ToDesk>(near) });
  const [nearer, farther] = await connected(t);
  const second = openLink<ToMember>(farther);
  second.serve<ToDesk>(desk.seat(2, second));
  const neighbour = openLink<ToDesk>(nearer);
  const heard: Message[] = [];
  const nothing = () => undefined;
  neighbour.serve<Omit<ToMember, 'measure'>>({ passed: ([, message]) => void heard.push(message), entered: nothing, health: nothing, crowded: nothing, workers: nothing, lost: nothing });
  return { deepseek, house, neighbour, heard, gate, say: (message) => neighbour.tell('pass', [1, message]), nameOf: (key) => `${house.accountId} ${key}` };
}

/** What joins the run of a stream that was posted under this key. */
function joining({ nameOf }: Street, key: string): Message {
  return { kind: 'join', hearing: 7, name: nameOf(key), bodyHash: fingerprint([key, Buffer.from(JSON.stringify(STREAM)), '', '']), httpVersion: '1.1' };
}

t.test('one of another process that joins a run and leaves in the same breath is not waited for', { timeout: 60_000 }, async (t) => {
  const street = await furnished(t, { timing: { rejoinMs: 10 } });
  const { deepseek, house, say } = street;
  deepseek.next(sse(TEN, { gapMs: 200 }));
  const client = bare(house);
  client.socket.write(chat(house, STREAM, ['idempotency-key: k']));
  await until(() => client.text().includes('data: '), 5_000);
  say(joining(street, 'k'));
  say({ kind: 'left', hearing: 7, isStopping: false });
  await pause(100);
  client.socket.destroy();
  t.match(await house.lastRow(), { status: 'aborted' }, 'with its last client the run ends');
});

t.test('a process that leaves ends no run of another', { timeout: 60_000 }, async (t) => {
  const street = await furnished(t);
  const { deepseek, house, say, heard } = street;
  deepseek.next(sse(TEN, { gapMs: 80 }));
  const client = bare(house);
  client.socket.write(chat(house, STREAM, ['idempotency-key: k', 'connection: close']));
  await until(() => client.text().includes('data: '), 5_000);
  say(joining(street, 'k'));
  await until(() => heard.some(({ kind }) => kind === 'part'), 5_000);
  say({ kind: 'left', hearing: 7, isStopping: true });
  await client.closed;
  t.match(client.text(), /data: \[DONE\]\n\n/);
  t.match(await house.lastRow(), { status: 'ok' });
});

t.test('who hears another process is told by this one that it stops', { timeout: 60_000 }, async (t) => {
  for (const hasBegun of [true, false]) {
    const { house, neighbour, heard, say, nameOf } = await furnished(t);
    t.equal(await neighbour.ask('claim', nameOf('k')), undefined);
    const client = bare(house);
    client.socket.write(chat(house, STREAM, ['idempotency-key: k']));
    await until(() => heard.length > 0, 5_000);
    const hearing = heard[0]?.hearing ?? -1;
    t.match(heard, [{ kind: 'join', name: nameOf('k') }]);
    if (hasBegun) {
      say({ kind: 'head', hearing, status: 200, headers: { 'content-type': 'text/event-stream' } });
      say({ kind: 'part', hearing, text: 'data: {}\n\n' });
      await until(() => client.text().includes('data: '), 5_000);
    }
    await Promise.race([house.gateway.stop(), pause(10_000)]);
    t.equal(house.gateway.inFlight, 0, 'nobody is waited for');
    await client.closed;
    t.match(client.text(), hasBegun ? /data: \{\}\n\n[^]*The server is stopping[^]*\r\n0\r\n/ : /^HTTP\/1\.1 503 [^]*The server is stopping/);
    await until(() => heard.length > (hasBegun ? 2 : 1), 2_000);
    t.match(heard.at(-1), { kind: 'left', isStopping: true }, 'and so is the other process');
  }
});

t.test('who leaves while the desk is asked is no more waited for by the process that has the run', { timeout: 60_000 }, async (t) => {
  const { house, neighbour, heard, gate, nameOf } = await furnished(t);
  await neighbour.ask('claim', nameOf('k'));
  gate.isShut = true;
  const client = bare(house);
  client.socket.write(chat(house, STREAM, ['idempotency-key: k']));
  await until(() => gate.waiting === 1, 5_000);
  client.socket.destroy();
  await pause(100);
  gate.isShut = false;
  await until(() => heard.length === 2, 5_000);
  t.match(heard, [{ kind: 'join' }, { kind: 'left', isStopping: false }]);
});

t.test('a name is free for other processes when all have done with it to whom it was given', { timeout: 60_000 }, async (t) => {
  const { deepseek, house, neighbour, gate, nameOf } = await furnished(t);
  const claims = openDesk({ settings: house.settings, clock: CLOCK });
  const [one, two] = [1, 2].map((no) => claims.seat(no, { ask: async () => { throw new Error('not in this test'); }, tell: () => undefined, tellAlong: () => undefined, serve: () => undefined, flushed: async () => undefined, gone: new Promise<void>(() => undefined) }));
  t.same([one?.claim('n'), one?.claim('n'), two?.claim('n')], [undefined, undefined, 1]);
  void one?.forgotten('n');
  void two?.forgotten('n');
  t.equal(two?.claim('n'), 1, 'the first call has failed, the second is about to begin');
  void one?.forgotten('n');
  t.same([two?.claim('n'), one?.claim('n')], [undefined, 2]);

  gate.isShut = true;
  deepseek.always(async (request, response) => {
    await pause(300);
    await json(400, { error: { message: 'no', type: 'invalid_request_error' } })(request, response);
  });
  const both = [house.post(HELLO, { 'idempotency-key': 'k' }), house.post(HELLO, { 'idempotency-key': 'k' })];
  await until(() => gate.waiting === 2, 5_000);
  gate.isShut = false;
  for (const answer of both) t.equal((await answer).status, 400);
  t.equal(deepseek.requests.length, 1, 'one ran, and the other heard it');
  await pause(50);
  t.equal(await neighbour.ask('claim', nameOf('k')), undefined, 'nothing of it is left at the desk');
});
