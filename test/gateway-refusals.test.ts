import t from 'tap';
import { bare, head } from './support/bare.ts';
import { openHouse } from './support/house.ts';

const CHAT = '/v1/chat/completions';
const HELLO = { model: 'sandbox-chat', messages: [{ role: 'user', content: 'Hello!' }] };

t.test('where no route fits a good key is told its balance, and any other changes nothing', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli' });
  const cases: readonly (readonly [method: string, path: string, status: number])[] = [
    ['GET', '/v1/nothing', 404], ['GET', '/v1', 404], ['POST', '/v1/embeddings', 404], ['POST', '/v1/completions', 404],
    ['GET', '/v1/chat/completions', 405], ['PUT', '/v1/models', 405], ['HEAD', '/v1/nothing', 404],
  ];
  const keys: readonly (readonly [authorization: string | undefined, balance: string | null])[] = [[`Bearer ${house.key}`, '10.00'], [undefined, null], [`Bearer sk-ft_${'0'.repeat(64)}`, null], ['Bearer nonsense', null]];
  for (const [method, path, status] of cases) {
    for (const [authorization, balance] of keys) {
      const response = await fetch(`${house.url}${path}`, { method, headers: authorization === undefined ? {} : { authorization } });
      t.equal(response.status, status, `${method} ${path}`);
      t.equal(response.headers.get('x-findtoken-balance'), balance, `${method} ${path} ${authorization?.slice(0, 14)}`);
      t.match([response.headers.get('x-findtoken-mode'), response.headers.get('x-findtoken-cost')], ['standard', '0.00']);
    }
  }
  t.equal((await house.get('/nothing')).headers.get('x-findtoken-balance'), null, 'under /v1 alone');
  await house.ledger.setAccountStatus(house.accountId, 'deactivated', Date.now());
  const inactive = await house.get('/v1/nothing');
  t.match([inactive.status, inactive.headers.get('x-findtoken-balance')], [404, '10.00'], 'what is left in an account that is not served is told as well');
  await house.ledger.close();
  const bookless = await house.get('/v1/nothing');
  t.match([bookless.status, bookless.headers.get('x-findtoken-balance')], [404, null], 'the balance is no condition');
});

t.test('every refusal of a chat call bears its attempts, also where nobody was asked', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', yaml: { limits: { body_bytes: 2_000 } } });
  const good = { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' };
  const post = (body: string, headers: Record<string, string> = good): RequestInit => ({ method: 'POST', body, headers });
  const hello = JSON.stringify(HELLO);
  const cases: readonly (readonly [init: RequestInit, status: number])[] = [
    [post(hello, { 'content-type': 'application/json' }), 401],
    [{ method: 'GET', headers: good }, 405],
    [{ method: 'GET' }, 405],
    [post('x'.repeat(3_000)), 413],
    [post(hello, { ...good, 'content-type': 'text/plain' }), 415],
    [post('{'), 400],
    [post(JSON.stringify({ ...HELLO, model: 'nothing' })), 404],
    [post(hello, { ...good, origin: 'https://evil.example' }), 403],
    [post(hello, { ...good, 'idempotency-key': 'x'.repeat(300) }), 400],
    [post(hello, { ...good, ...Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`x-${at}`, '1'])) }), 431],
  ];
  const check = async (init: RequestInit, status: number) => {
    const response = await fetch(house.url + CHAT, init);
    const { error } = (await response.json()) as { error: { code: string; metadata: unknown } };
    t.equal(response.status, status, error.code);
    t.same(error.metadata, { request_id: response.headers.get('x-request-id'), attempts: [] }, error.code);
    t.equal(response.headers.get('x-findtoken-attempts'), '0', error.code);
    t.equal(response.headers.get('x-findtoken-model'), null, 'nobody served');
  };
  for (const [init, status] of cases) await check(init, status);
  const hold = house.ledger.hold.bind(house.ledger);
  Object.assign(house.ledger, { hold: async () => { throw new Error('a bug'); } });
  await check(post(hello), 500);
  Object.assign(house.ledger, { hold });
  await house.ledger.setAccountStatus(house.accountId, 'deactivated', Date.now());
  await check(post(hello), 403);
  const elsewhere = await fetch(`${house.url}/v1/models`);
  t.equal(elsewhere.headers.get('x-findtoken-attempts'), null, 'chat alone');
  t.notMatch(await elsewhere.text(), 'metadata');
  const expecting = bare(house);
  expecting.socket.write(head(house, ['expect: the impossible', 'connection: close']));
  await expecting.closed;
  t.match(expecting.text(), /^HTTP\/1\.1 417 [^]*x-findtoken-attempts: 0\r\n[^]*"attempts":\[\]/);
});

t.test('a refusal for its provider_key is one of BYOK', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli' });
  const own = { provider: 'deepseek', api_key: 'sk-canary' };
  const cases: readonly (readonly [body: object, headers: Record<string, string>, status: number, mode: string, why: string])[] = [
    [{ provider_key: { provider: 'deepseek' } }, {}, 400, 'byok', 'no key is registered'],
    [{ provider_key: { provider: 'nobody', api_key: 'sk-canary' } }, {}, 400, 'byok', 'no such provider'],
    [{ provider_key: own }, { 'x-findtoken-mode': 'free' }, 400, 'byok', 'a header that names no mode'],
    [{ provider_key: own, model: 'nothing' }, {}, 404, 'byok', 'no such model'],
    [{ model: 'nothing' }, {}, 404, 'standard', 'nothing of the kind was asked for'],
  ];
  for (const [more, headers, status, mode, why] of cases) {
    const response = await house.post({ ...HELLO, ...more }, headers);
    t.equal(response.status, status, why);
    t.equal(response.headers.get('x-findtoken-mode'), mode, why);
    t.equal(response.headers.get('x-findtoken-balance'), mode === 'byok' ? null : '10.00', why);
  }
});

t.test('what is no request is refused in the same form, by the path that it names', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', timing: { bodyMs: 1_000 } });
  const long = `x-long: ${'y'.repeat(20_000)}`;
  const models = `FOO /v1/models?a=b HTTP/1.1\r\nhost: localhost\r\n\r\n`;
  const cases: readonly (readonly [bytes: string, line: string, isBilled: boolean, why: string])[] = [
    [head(house, [long], '/v1/models', 'GET'), '431 Request Header Fields Too Large', true, 'too long a head'],
    [head(house, [long], '/healthz', 'GET'), '431 Request Header Fields Too Large', false, 'of a path that is not under /v1'],
    [head(house, ['a : b'], '/v1/models', 'GET'), '400 Bad Request', true, 'no header'],
    ['garbage\r\n\r\n', '400 Bad Request', false, 'no request at all'],
    [models, '405 Method Not Allowed', true, 'a method that nobody knows'],
    ['FOO /healthz HTTP/1.1\r\n\r\n', '405 Method Not Allowed', false, 'elsewhere'],
    ['FOO /v1/nothing HTTP/1.1\r\n\r\n', '404 Not Found', true, 'at a path that there is not, as with any method'],
    [head(house, [], '/healthz', 'GET') + models, '405 Method Not Allowed', false, 'behind another request, as whose answer it is taken'],
    [head(house, ['content-type: application/json', 'content-length: 9']), '408 Request Timeout', true, 'half a request'],
  ];
  for (const [bytes, line, isBilled, why] of cases) {
    const client = bare(house);
    client.socket.write(bytes);
    await client.closed;
    const told = client.text().slice(client.text().indexOf(`HTTP/1.1 ${line}\r\n`));
    t.match(told, `HTTP/1.1 ${line}\r\n`, why);
    t.match(told, /\r\ndate: \w{3}, \d{2} [^]*x-request-id: req_[^]*cache-control: no-store[^]*connection: close\r\n[^]*"error":\{"message"/, why);
    t.equal(/x-findtoken-mode: standard\r\nx-findtoken-cost: 0\.00\r\n/.test(told), isBilled, why);
    t.equal(/\r\nallow: /.test(told), line.startsWith('405'), why);
  }
  const slow = bare(house);
  // The answer to the request before it tells that the first packet was read.
  slow.socket.write(`${head(house, [], '/healthz', 'GET')}${head(house, [], '/v1/models', 'GET').slice(0, -2)}x-long: `);
  await new Promise((resolve) => slow.socket.once('data', resolve));
  slow.socket.write('y'.repeat(20_000));
  await slow.closed;
  t.match(slow.text(), /HTTP\/1\.1 431 [^]*x-findtoken-mode: standard\r\nx-findtoken-cost: 0\.00\r\n[^]*"metadata":\{"request_id":"req_\w+","attempts":\[\]\}/, 'too long a head in two packets, the second of which names no path');
  const chatting = bare(house);
  chatting.socket.write(`FOO ${CHAT} HTTP/1.1\r\n\r\n`);
  await chatting.closed;
  t.match(chatting.text(), /^HTTP\/1\.1 405 [^]*x-findtoken-attempts: 0\r\n[^]*allow: POST\r\n[^]*"code":"method_not_allowed"[^]*"metadata":\{"request_id":"req_\w+","attempts":\[\]\}/);
});
