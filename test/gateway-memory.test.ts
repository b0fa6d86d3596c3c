import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { readBytes } from '../src/gateway/body.ts';
import { Interrupter } from '../src/gateway/interrupter.ts';
import { Arriving } from '../src/gateway/load.ts';

t.test('a request that lives on, as that of a stream does, holds nothing of its body once that is read', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
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
