import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { pause } from './support/provider.ts';
import { startServe } from './support/process.ts';
import { furnished } from './support/workers.ts';

t.test('a connection too many is dropped, and costs nothing while there is no room', { timeout: 100_000 }, async (t) => {
  const place = await furnished(t);
  place.configure({ connections: 4 });
  const daemon = await startServe(place.home);
  t.teardown(() => daemon.end('SIGKILL'));
  const port = Number(new URL(daemon.url).port);
  const open: Socket[] = [];
  t.teardown(() => open.forEach((socket) => socket.destroy()));
  for (let at = 0; at < 4; at += 1) {
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await once(socket, 'data');
  }
  for (let at = 0; at < 4; at += 1) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined).resume();
    open.push(socket);
    await once(socket, 'close');
  }
  for (const socket of open) socket.destroy();
  let status = 0;
  for (let tries = 0; status !== 200 && tries < 100; tries += 1) status = await fetch(`${daemon.url}/healthz`).then((answer) => answer.status, () => pause(50).then(() => 0));
  t.equal(status, 200, 'and there is room again when they have left');
});
