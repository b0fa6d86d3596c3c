import { createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { openHouse, type House } from './support/house.ts';
import { hang, startProvider, until } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };

/** A call whose client leaves when it is told to. */
function ask(house: House, body: unknown = HELLO): { leave(): Promise<void> } {
  const leaving = new AbortController();
  const asked = fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: leaving.signal, body: JSON.stringify(body), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
  }).catch((error: unknown) => error);
  return {
    async leave() {
      leaving.abort();
      await asked;
    },
  };
}

/** Takes connections and never speaks TLS, so that no request is ever sent to it. */
async function neverConnects(t: Pick<Test, 'teardown'>): Promise<{ readonly url: string; connections(): number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, connections: () => connections };
}

t.test('a client that leaves before its request was sent to anybody pays nothing', async (t) => {
  const provider = await neverConnects(t);
  const house = await openHouse(t, { providers: { deepseek: provider.url } });
  for (const stream of [false, true]) {
    const before = provider.connections();
    const call = ask(house, { ...HELLO, stream });
    t.ok(await until(() => provider.connections() > before, 3_000), 'the connection is being made');
    await call.leave();
    t.match(await house.lastRow(), { status: 'aborted', cost: 0n, promptTokens: 0 });
  }
  t.equal((await house.register('deepseek', 'sk-own')).status, 201);
  const before = provider.connections();
  const call = ask(house);
  t.ok(await until(() => provider.connections() > before, 3_000));
  await call.leave();
  t.match(await house.lastRow(), { status: 'aborted', mode: 'byok', cost: 0n });
  t.match(await (await house.get('/v1/user/balance')).json(), { balance: 10, byok: { requests: 0 } }, 'and a request with its own key is not counted');
});

t.test('of clients that leave within milliseconds those pay for whom a provider was asked', async (t) => {
  const provider = await startProvider(hang());
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url } });
  for (let at = 0; at < 60; at += 1) {
    const call = ask(house);
    await new Promise((resolve) => setTimeout(resolve, at % 8));
    await call.leave();
  }
  await house.lastRow();
  const { rows } = await house.ledger.listRequests({ accountId: house.accountId }, { limit: 100 });
  const paid = rows.filter(({ cost }) => cost > 0n).length;
  t.ok(await until(() => paid <= provider.requests.length, 1_000), `${paid} of ${rows.length} paid, ${provider.requests.length} were asked for`);
  t.same((await house.ledger.audit()).findings, []);
});
