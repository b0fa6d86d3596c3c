import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { readBytes } from '../src/gateway/body.ts';
import { Interrupter } from '../src/gateway/interrupter.ts';
import { Arriving } from '../src/gateway/load.ts';
import { bare, chat } from './support/bare.ts';
import { openHouse } from './support/house.ts';
import { pause, sse, startProvider, textChunks, until } from './support/provider.ts';

/** What V8 frees when it is told to, for nothing here may wait for the time when it does so by itself. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

t.test('a request that lives on, as that of a stream does, holds nothing of its body once that is read', async (t) => {
  const collect = collector();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const client = request({ port, host: '127.0.0.1', method: 'POST' });
  client.on('error', () => undefined);
  t.teardown(() => {
    client.destroy();
    server.close();
  });
  const arrived = new Promise<IncomingMessage>((resolve) => server.once('request', resolve));
  client.end('x'.repeat(100_000));
  const req = await arrived;
  const listening = () => ['data', 'end', 'error', 'close'].map((event) => req.listenerCount(event));
  const before = listening();
  const body = new WeakRef((await readBytes({ req, signal: new Interrupter() }, 200_000, new Arriving(() => 200_000))).buffer);
  t.strictSame(listening(), before, 'what listened for its parts has gone');
  for (let round = 0; round < 20 && body.deref() !== undefined; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  t.equal(body.deref(), undefined, 'the bytes are free');
  t.equal(req.complete, true, 'while the request is still there');
});

t.test('streams that are open hold nothing of the bodies that asked for them, under an Idempotency-Key neither', { timeout: 60_000 }, async (t) => {
  const collect = collector();
  const provider = await startProvider(sse(textChunks({ id: 'x', created: 1, model: 'm' }, 'word '.repeat(600)), { gapMs: 50 }));
  t.teardown(() => provider.close());
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: provider.url }, credit: '100', timing: { rejoinMs: 50 } });
  const picture = `data:image/png;base64,${'A'.repeat(2_000_000)}`;
  const body = Buffer.from(JSON.stringify({ model: 'deepseek-chat', stream: true, max_tokens: 100, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: picture } }] }] }));
  const least = async (): Promise<number> => {
    let bytes = Infinity;
    for (let round = 0; round < 5; round += 1) {
      await pause(20);
      collect();
      bytes = Math.min(bytes, process.memoryUsage().arrayBuffers);
    }
    return bytes;
  };
  const kinds: readonly (readonly [what: string, keyOf: (at: number) => readonly string[], asked: number])[] = [
    ['without a key', () => [], 10],
    ['each under a key of its own', (at) => [`idempotency-key: own-${at}`], 10],
    ['all under one key', () => ['idempotency-key: same'], 1],
  ];
  for (const [what, keyOf, asked] of kinds) {
    const before = await least();
    const calls = provider.requests.length;
    const clients = Array.from({ length: 10 }, () => bare(house));
    for (const [at, client] of clients.entries()) {
      client.socket.write(chat(house, '', keyOf(at)).replace('content-length: 0', `content-length: ${body.length}`));
      client.socket.write(body);
    }
    t.ok(await until(() => clients.every(({ text }) => text().includes('data: ')), 20_000), `${what}: all have begun`);
    t.equal(provider.requests.length - calls, asked);
    t.equal(provider.requests.at(-1)?.headers['transfer-encoding'], undefined, 'a body that goes out has its length');
    t.equal(provider.requests.at(-1)?.text.includes(picture), true, 'and is whole');
    const kept = (await least()) - before;
    t.ok(kept < 2 * body.length, `${what}: ${kept} bytes are kept`);
    for (const { socket } of clients) socket.destroy();
    await Promise.all(clients.map(({ closed }) => closed));
    await until(() => house.gateway.inFlight === 0, 20_000);
  }
});
