import t from 'tap';
import { Interrupter } from '../src/gateway/interrupter.ts';
import { Tape, type Hearer } from '../src/gateway/tape.ts';
import type { Outlet, Timing } from '../src/gateway/types.ts';
import { openHouse, readStream } from './support/house.ts';
import { json, pause, startProvider, type Answer } from './support/provider.ts';

const STREAM = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }], stream: true };
const MIB = 1_048_576;
const PIECE = 'x'.repeat(60_000);
const TIMING: Timing = { keepAliveMs: 15_000, writeStallMs: 1_000, finishGraceMs: 5_000, progressMs: 2_000, rejoinMs: 10_000, bodyMs: 30_000 };

/** A client that takes what it is told, or nothing until `takes` is set. */
function reader(isQuick = true) {
  let takes = isQuick;
  const onDrain = new Set<() => void>();
  let heard = 0;
  let isEnded = false;
  const res: Outlet = {
    headersSent: false, destroyed: false, writableNeedDrain: false,
    get writableEnded() { return isEnded; },
    writeHead: () => undefined,
    write: (bytes) => { heard += bytes.length; return takes; },
    addTrailers: () => undefined,
    end: () => { isEnded = true; },
    on: (_event, listener) => onDrain.add(listener),
    off: (_event, listener) => onDrain.delete(listener),
  };
  const hearer: Hearer = { res, signal: new Interrupter(), req: { httpVersion: '1.1' } };
  return {
    hearer,
    get heard() { return heard; },
    get isEnded() { return isEnded; },
    take(all: boolean) {
      takes = all;
      for (const listener of onDrain) listener();
    },
  };
}

/** Joins a tape and plays it, leaving its place afterwards. */
function hear(tape: Tape, hearer: Hearer) {
  const place = tape.join();
  if (place === undefined) throw new Error('the tape has no beginning');
  return tape.play(place, hearer, TIMING, {}).finally(() => tape.leave(place));
}

function opened(): Tape {
  const tape = new Tape();
  tape.writeHead(200, {});
  return tape;
}

t.test('a reader that falls far behind is let go, and its fellow hears on', async (t) => {
  const tape = opened();
  const [quick, slow] = [reader(), reader(false)];
  let waits = 0;
  const heard = [hear(tape, quick.hearer), hear(tape, slow.hearer)];
  for (let size = 0; size < 20 * MIB; size += PIECE.length) {
    waits += tape.write(PIECE) ? 0 : 1;
    await pause(0);
  }
  t.equal(waits, 0, 'the slow one holds nobody back');
  slow.take(true);
  t.equal(await heard[1], 'behind');
  tape.end();
  t.equal(await heard[0], 'whole');
  t.equal(quick.heard, Math.ceil((20 * MIB) / PIECE.length) * PIECE.length, 'without a gap');
});

t.test('an answer that is too long to be kept waits where nobody can come back to it', async (t) => {
  const tape = opened();
  let size = 0;
  while (tape.write(PIECE)) size += PIECE.length;
  t.ok(size < 17 * MIB && size > 15 * MIB, 'up to what is kept it runs on without a listener');
  t.equal(tape.writableNeedDrain, true);
  t.equal(tape.join(), undefined, 'and it cannot be joined any more');
});

t.test('a run that ends before its answer does leaves nobody waiting', async (t) => {
  const tape = opened();
  const one = reader();
  const heard = hear(tape, one.hearer);
  tape.write('data: 1\n\n');
  await pause(5);
  tape.over();
  t.equal(await heard, 'cut');
});

t.test('an answer whose beginning is forgotten cannot be joined, and its first client hears it whole', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, books: 'cli' });
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  deepseek.next(longAnswer(17, gate));
  const under = { 'idempotency-key': 'long' };
  const first = await house.post(STREAM, under);
  let size = 0;
  const isJoinable = new Promise<void>((resolve) => {
    void (async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of first.body ?? []) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > 16.9 * MIB) resolve();
      }
      whole(Buffer.concat(chunks).subarray(-200).toString());
    })();
  });
  let whole: (tail: string) => void = () => undefined;
  const tail = new Promise<string>((resolve) => (whole = resolve));
  await isJoinable;
  const late = await house.post(STREAM, under);
  t.equal(late.status, 422);
  t.match(await late.json(), { error: { code: 'idempotency_conflict', message: new RegExp(`${first.headers.get('x-request-id')}.*new key`) } });
  goOn();
  t.match(await tail, /data: \[DONE\]\n\n$/);
  t.match(await house.lastRow(), { status: 'ok' });
});

t.test('who joins a run that is being cut off is told so', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, books: 'cli', timing: { rejoinMs: 10 } });
  deepseek.next(longAnswer(0.5, pause(10_000)));
  const { settle } = house.ledger;
  let begun: () => void = () => undefined;
  const isClosing = new Promise<void>((resolve) => (begun = resolve));
  Object.assign(house.ledger, { settle: async (settlement: Parameters<typeof settle>[0]) => {
    begun();
    await pause(500);
    return settle(settlement);
  } });
  const leaving = new AbortController();
  const first = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: leaving.signal, body: JSON.stringify(STREAM), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', 'idempotency-key': 'cut' } });
  await first.body?.getReader().read();
  leaving.abort();
  await isClosing;
  const { events } = await readStream(await house.post(STREAM, { 'idempotency-key': 'cut' }));
  t.match(events.at(-1), { error: { code: 'idempotency_conflict' } }, 'instead of a stream without an end');
  t.match(await house.lastRow(), { status: 'aborted' });
});

t.test('where the books cannot be written a stream is told so and ends', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, books: 'cli' });
  const broken = async () => { throw new Error('no books'); };
  Object.assign(house.ledger, { settle: broken, release: broken });
  for (const headers of [{}, { 'idempotency-key': 'unwritten' }]) {
    const { events } = await readStream(await house.post(STREAM, headers));
    t.match(events.at(-1), { error: { code: 'internal_error' } });
  }
});

t.test('an answer that cannot be written again is over all the same', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, books: 'cli' });
  const depth = 20_000;
  deepseek.always(json(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1},"x":${'['.repeat(depth)}${']'.repeat(depth)}}`));
  const ask = async () => house.post({ ...STREAM, stream: false }, { 'idempotency-key': 'deep' }).then(({ status }) => status, () => 0);
  const first = await ask();
  const again = await Promise.race([ask(), pause(5_000).then(() => 'nothing')]);
  t.ok(first === 0 || first >= 400, 'it cannot be told');
  t.ok(typeof again === 'number' && again >= 400, `a repeat is answered (${again})`);
});

function longAnswer(mib: number, gate: Promise<void>): Answer {
  const event = (delta: unknown, finish: string | null) => `data: ${JSON.stringify({ id: 'a', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  return async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let size = 0; size < mib * MIB; size += PIECE.length) {
      if (!response.write(event({ content: PIECE }, null))) await new Promise((resolve) => response.once('drain', resolve));
    }
    await gate;
    response.end(`${event({ content: 'end' }, null)}${event({}, 'stop')}data: [DONE]\n\n`);
  };
}
