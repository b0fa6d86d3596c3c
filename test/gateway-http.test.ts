import { connect } from 'node:net';
import { request as httpRequest } from 'node:http';
import t from 'tap';
import { formatUsd } from '../src/money/index.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { pause, startProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };

t.test('every refusal has one shape, whatever was asked', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { providers: { deepseek: deepseek.url }, yaml: { limits: { body_bytes: 2_000, json_depth: 20 } } });
  const post = (body: string, headers: Record<string, string> = {}) => ({ method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
  const cases: readonly (readonly [path: string, init: RequestInit, status: number, code: string, why: string])[] = [
    ['/v1/chat/completions', post('{"model": '), 400, 'invalid_json', 'broken JSON'],
    ['/v1/chat/completions', post(''), 400, 'invalid_json', 'no body'],
    ['/v1/chat/completions', post('"hello"'), 400, 'invalid_request', 'JSON, but no object'],
    ['/v1/chat/completions', post('{"model": "deepseek-chat"}'), 400, 'invalid_request', 'no messages'],
    ['/v1/chat/completions', post(JSON.stringify({ ...HELLO, routing: 'fastest' })), 400, 'invalid_request', 'no such routing'],
    ['/v1/chat/completions', post(JSON.stringify({ ...HELLO, provider_key: { provider: 'nobody', api_key: 'sk-canary' } })), 400, 'invalid_request', 'no such provider'],
    ['/v1/chat/completions', post(JSON.stringify(HELLO), { 'x-findtoken-mode': 'free' }), 400, 'invalid_request', 'no such mode'],
    ['/v1/chat/completions', post(JSON.stringify(HELLO), { 'x-findtoken-mode': 'byok' }), 400, 'invalid_request', 'BYOK without a key'],
    ['/v1/chat/completions', post(JSON.stringify({ ...HELLO, model: 'deepseek-chatt' })), 404, 'model_not_found', 'an unknown model'],
    ['/v1/chat/completions', post('['.repeat(30)), 400, 'invalid_json', 'too deep'],
    ['/v1/chat/completions', post('x'.repeat(3_000)), 413, 'request_too_large', 'too large'],
    ['/v1/chat/completions', { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported_media_type', 'what a web form can send'],
    ['/v1/chat/completions', post('{}', { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type', 'compressed'],
    ['/v1/chat/completions', { method: 'GET' }, 405, 'method_not_allowed', 'the wrong method'],
    ['/v1/completions', post('{}'), 404, 'not_found', 'an unserved OpenAI path names the one to use'],
    ['/v1/embeddings', post('{}'), 404, 'not_found', 'likewise'],
    ['/v1/models/nothing', { method: 'GET' }, 404, 'model_not_found', 'an unknown model'],
    ['/v1/user/keys/key_none', { method: 'DELETE' }, 404, 'not_found', "nobody's key"],
    ['/v1/user/billing-logs?limit=0', { method: 'GET' }, 400, 'invalid_request', 'a page of nothing'],
    ...['yesterday', '2026-02-30', '2026-02-30T10:00:00Z', '11/23/2026', 'Mon', '2026-11-23T25:00', '2026-11-23 10:00', '-1'].map(
      (from): [string, RequestInit, number, string, string] => [`/v1/user/billing-logs?from=${encodeURIComponent(from)}`, { method: 'GET' }, 400, 'invalid_request', `no time: ${from}`]),
    ['/nothing', { method: 'GET' }, 404, 'not_found', 'a path nobody expected'],
    ['/v1/models', { method: 'GET', headers: { origin: 'https://evil.example' } }, 403, 'origin_not_allowed', 'a web page in the operator\'s browser'],
    ['/v1/models', { method: 'OPTIONS' }, 405, 'method_not_allowed', 'no CORS unless it is listed'],
  ];
  for (const [path, init, status, code, why] of cases) {
    const response = await fetch(`${house.url}${path}`, { ...init, headers: { authorization: `Bearer ${house.key}`, ...init.headers } });
    const text = await response.text();
    t.equal(response.status, status, `${path}: ${why}`);
    t.match(JSON.parse(text), { error: { message: /\w+/, type: /\w+/, code } }, why);
    t.match(response.headers.get('x-request-id'), /^req_/, 'an id to report');
    t.equal(response.headers.get('cache-control'), 'no-store');
    if (path.startsWith('/v1/')) t.equal(response.headers.get('x-findtoken-cost'), '0.00', 'an error costs nothing');
    t.notMatch(text, /canary/, 'a key is never repeated');
  }
  t.equal(deepseek.requests.length, 0, 'nobody was asked');
  t.match(await (await house.post({ ...HELLO, model: 'deepseek-chatt' })).text(), /does not exist\. Did you mean \\"deepseek-chat\\"\? GET/);
  t.match(await (await house.post({ ...HELLO, model: 'auto' })).json(), { error: { code: 'model_not_found', message: /"auto" does not exist\. It is a routing: send it as "routing", or behind a model, as in "deepseek-chat:auto"\. GET/ } });
});

t.test('a path that is not there names the nearest one that is', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const cases: readonly (readonly [method: string, path: string, named: RegExp, why: string])[] = [
    ['POST', '/v1/chat/completions/', /Did you mean POST \/v1\/chat\/completions\?/, 'a slash too many'],
    ['POST', '/v1/chat/completion', /Did you mean POST \/v1\/chat\/completions\?/, 'a letter too few'],
    ['POST', '/v1/v1/chat/completions', /Did you mean POST \/v1\/chat\/completions\?/, 'a base URL that was joined twice'],
    ['GET', '/v1/user/billing', /Did you mean GET \/v1\/user\/billing-logs\?/, 'a beginning'],
    ['GET', '/v1/user/key', /Did you mean GET \/v1\/user\/keys\?/, 'by the method that was asked'],
    ['POST', '/v1/user/key', /Did you mean POST \/v1\/user\/keys\?/, 'by the method that was asked'],
    ['GET', '/v1/balance', /Did you mean GET \/v1\/user\/balance\?/, 'a part too few'],
    ['GET', '/v1/user/logs', /path\. POST \/v1\/chat\/completions and GET \/v1\/models are/, 'near nothing but by what all of these share'],
    ['GET', '/V1/Models', /Did you mean GET \/v1\/models\?/, 'by case'],
    ['GET', '/health', /Did you mean GET \/healthz\?/, 'outside /v1 too'],
    ['POST', '/v1/completions', /path\. Use POST \/v1\/chat\/completions with messages/, 'what OpenAI has is told by what to use'],
    ['POST', '/v1/edits', /path\. Use POST \/v1\/chat\/completions with messages/, 'likewise'],
    ['POST', '/v1/images/generations', /path\. POST \/v1\/chat\/completions and GET \/v1\/models are/, 'near nothing'],
    ['GET', '/v1/files', /path\. POST \/v1\/chat\/completions and GET \/v1\/models are/, 'near nothing'],
    ['GET', `/v1/${'x'.repeat(5_000)}`, /path\. POST \/v1\/chat\/completions and GET \/v1\/models are/, 'too long to be meant'],
  ];
  for (const [method, path, named, why] of cases) {
    const response = await fetch(`${house.url}${path}`, { method, headers: { authorization: `Bearer ${house.key}` } });
    t.equal(response.status, 404, path.slice(0, 40));
    t.match(await response.json(), { error: { code: 'not_found', message: named } }, `${path.slice(0, 40)}: ${why}`);
  }
});

t.test('a key that is missing, malformed, unknown or revoked is refused alike', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const replies = await Promise.all([undefined, 'Bearer nonsense', `Bearer sk-ft_${'0'.repeat(64)}`, 'Basic abc'].map(async (authorization) => {
    const response = await fetch(`${house.url}/v1/models`, { headers: authorization === undefined ? {} : { authorization } });
    t.equal(response.status, 401);
    return response.text();
  }));
  t.equal(new Set(replies).size, 1, 'the answer tells nothing');
  t.match(JSON.parse(replies[0] ?? ''), { error: { code: 'invalid_api_key', type: 'invalid_request_error' } });
  const byHeader = await fetch(`${house.url}/v1/models`, { headers: { 'x-api-key': house.key } });
  t.equal(byHeader.status, 200, 'some clients can only set x-api-key');

  const made = await fetch(`${house.url}/v1/user/keys`, { method: 'POST', body: '{"name": "second"}', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' } });
  const second: unknown = await made.json();
  t.match(second, { object: 'api_key', id: /^key_/, name: 'second', key: /^sk-ft_[0-9a-f]{64}$/ });
  const { id, key } = second as { id: string; key: string };
  t.equal((await fetch(`${house.url}/v1/user/balance`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
  t.equal((await fetch(`${house.url}/v1/user/keys/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${house.key}` } })).status, 200);
  t.equal((await fetch(`${house.url}/v1/user/balance`, { headers: { authorization: `Bearer ${key}` } })).status, 401, 'revoked at the very next request');
  t.notMatch(await (await house.get('/v1/user/keys')).text(), key, 'a list never shows a key');
});

t.test('the account is shown as it is', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  t.match(await (await house.get('/v1/user/balance')).json(), { object: 'balance', currency: 'usd', balance: 10, held: 0, available: 10, byok: { requests: 0, free_requests: 1_000_000, remaining_free: 1_000_000 } });
  for (let at = 0; at < 3; at += 1) await (await house.post({ ...HELLO, model: 'sandbox-chat' })).text();
  await house.lastRow();
  const first: unknown = await (await house.get('/v1/user/billing-logs?limit=2')).json();
  t.match(first, { object: 'list', has_more: true, data: [{ model: 'sandbox-chat', status: 'ok', mode: 'standard', cost_exact: /^0\.\d{8}$/ }, {}] });
  const { next, data } = first as { next: string; data: { id: string }[] };
  const rest = (await (await house.get(`/v1/user/billing-logs?limit=2&after=${next}`)).json()) as { has_more: boolean; data: { id: string }[] };
  t.equal(rest.has_more, false);
  t.equal(new Set([...data, ...rest.data].map((row) => row.id)).size, 3, 'every row once');
  t.match(await (await house.get('/v1/user/billing-logs?model=nothing')).json(), { data: [] });
  const models = (await (await house.get('/v1/models')).json()) as { data: { id: string; pricing: { prompt: string }; sandbox?: boolean; context_length: number }[] };
  const deepseek = models.data.find((model) => model.id === 'deepseek-chat');
  t.match(deepseek, { pricing: { prompt: '0.00000014' }, context_length: 1_048_576, sandbox: true, equivalents: ['qwen-max', 'glm-4-plus', 'kimi-k2', 'minimax-m2.5'] });
  t.equal((await house.get('/v1/models/deepseek-chat')).status, 200);
  const health = await fetch(`${house.url}/healthz`);
  t.equal(health.status, 200);
  const ready = await fetch(`${house.url}/readyz`);
  t.equal(ready.status, 200);
  const { checks } = (await ready.json()) as { checks: readonly { name: string }[] };
  t.match(checks.find(({ name }) => name === 'operator keys'), { ok: true, detail: 'none: the sandbox answers in their place' }, 'no key is said to be there that is not');
  t.match(await (await fetch(house.url)).text(), /findtoken/);
  t.equal((await fetch(`${house.url}/healthz`, { method: 'HEAD' })).status, 200);
});

t.test('limits are the account\'s, shared by its keys', async (t) => {
  const house = await openHouse(t, { sandbox: true, yaml: { limits: { requests_per_minute: 2 } } });
  const ask = () => house.post({ ...HELLO, model: 'sandbox-chat' });
  const first = await ask();
  t.equal(first.headers.get('x-ratelimit-limit-requests'), '2');
  t.equal(first.headers.get('x-ratelimit-remaining-requests'), '1');
  await ask();
  const third = await ask();
  t.equal(third.status, 429);
  t.match(await third.json(), { error: { code: 'rate_limit_exceeded', type: 'rate_limit_error' } });
  t.match(third.headers.get('retry-after'), /^([1-9]|[1-5]\d|60)$/);
  await house.ledger.setAccountLimit(house.accountId, 100);
  const fourth = await ask();
  t.equal(fourth.status, 200, 'a higher limit counts with the next request');
  t.equal(fourth.headers.get('x-ratelimit-remaining-requests'), '97', 'and what was spent stays spent');
});

t.test('refusals say how the limit stands, and take nothing of it', async (t) => {
  const house = await openHouse(t, { sandbox: true, credit: '0', yaml: { limits: { requests_per_minute: 50, body_bytes: 2_000 } } });
  const good = { ...HELLO, model: 'sandbox-chat' };
  const cases: readonly (readonly [body: unknown, headers: Record<string, string>, status: number, left: string])[] = [
    ['{', {}, 400, '50'],
    [{ ...good, model: 'no-such-model' }, {}, 404, '50'],
    [good, { 'content-type': 'text/plain' }, 415, '50'],
    [{ ...good, more: 'x'.repeat(3_000) }, {}, 413, '50'],
    ['{', { 'idempotency-key': 'one' }, 400, '50'],
    [good, { 'idempotency-key': 'x'.repeat(300) }, 400, '50'],
    [good, {}, 402, '49'],
    ['{', {}, 400, '49'],
  ];
  for (const [body, headers, status, left] of cases) {
    const answer = await house.post(body, headers);
    const told = ['limit', 'remaining', 'reset'].map((name) => answer.headers.get(`x-ratelimit-${name}-requests`));
    t.match([answer.status, ...told], [status, '50', left, /^\d+s$/]);
    await answer.text();
  }
  const stranger = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: 'Bearer sk-ft_no', 'content-type': 'application/json' }, body: '{' });
  t.equal(stranger.headers.get('x-ratelimit-limit-requests'), null, 'whose limit it would be is not known');
});

t.test('a request cannot bring a host, a second head or a foreign name', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const head = `authorization: Bearer ${house.key}\r\n`;
  const cases = [
    [`GET /v1/models HTTP/1.1\r\nhost: evil.example\r\n${head}\r\n`, 421, 'DNS rebinding'],
    [`GET /v1/models HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n${head}\r\n`, 400, 'two Host headers'],
    [`GET http://evil.example/v1/models HTTP/1.1\r\nhost: localhost\r\n${head}\r\n`, 400, 'an absolute target'],
    [`GET /v1/models HTTP/1.1\r\n${head}\r\n`, 400, 'no Host'],
    ['NONSENSE\r\n\r\n', 400, 'no HTTP'],
    [`GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-big: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'a header of 20 kB'],
    [`GET /v1/models HTTP/1.1\r\nhost: localhost\r\n${head}${Array.from({ length: 101 }, (_, at) => `x-${at}: 1\r\n`).join('')}\r\n`, 431, '103 headers'],
    [`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n${head}content-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400, 'two lengths'],
    [`GET /v1/../v1/models HTTP/1.1\r\nhost: localhost\r\n${head}\r\n`, 404, 'a path that climbs'],
    [`GET /v1/models HTTP/1.1\r\nhost: LOCALHOST:8787\r\n${head}connection: close\r\n\r\n`, 200, 'our own name'],
  ] as const;
  for (const [text, status, why] of cases) {
    const answer = await rawRequest(house, text);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), why);
    if (status !== 200) t.match(answer, /"error":\{"message"/, why);
  }
});

t.test('a stream\'s trailers reach a client that reads them', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const trailers = await new Promise<NodeJS.Dict<string>>((resolve, reject) => {
    const body = JSON.stringify({ ...HELLO, model: 'sandbox-chat', stream: true });
    const req = httpRequest(`${house.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' } }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.trailers));
    });
    req.on('error', reject);
    req.end(body);
  });
  const row = await house.lastRow();
  t.match(trailers['x-findtoken-cost'], /^0\.\d+$/);
  t.equal(trailers['x-findtoken-cost'], formatUsd(row.cost), 'the trailer, the log and the books agree');
  t.equal(trailers['x-findtoken-balance'], formatUsd(await house.balance()));
});

t.test('draining lets streams end, refuses new connections and leaves no hold', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const running = house.post({ ...HELLO, model: 'sandbox-chat', stream: true }).then(readStream);
  while (house.gateway.inFlight === 0) await pause(1);
  const drained = house.gateway.drain(10_000);
  const { events } = await running;
  t.equal(events.at(-1), '[DONE]', 'what runs ends in good order');
  await drained;
  await t.rejects(fetch(`${house.url}/healthz`), 'no new connection');
  t.equal((await house.ledger.audit()).openHolds, 0);
});

t.test('a drain that runs out costs the client nothing', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const running = house.post({ ...HELLO, model: 'sandbox-slow', stream: true }).then((response) => response.text(), (error: unknown) => error);
  while (house.gateway.inFlight === 0) await pause(1);
  await pause(50);
  await house.gateway.drain(50);
  await running;
  const row = await house.lastRow();
  t.equal(row.cost, 0n);
  t.equal((await house.ledger.audit()).openHolds, 0);
});

async function rawRequest(house: House, text: string): Promise<string> {
  const { hostname, port } = new URL(house.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      answer += part;
      if (/\r\n\r\n[^]*\}\s*$/.test(answer)) socket.end();
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write(text);
  });
}
