import { readFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { byokFee, parsePrice, parseRate } from '../src/money/index.ts';
import { openHouse, type House } from './support/house.ts';
import { json, sse, startProvider, textChunks, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const CANARY = 'sk-canary-0123456789abcdef';
const DEEPSEEK = { input: parsePrice('0.14'), cachedInput: parsePrice('0.0028'), output: parsePrice('0.28') };

/** A house whose operator has no key for deepseek, only its base URL. */
async function byokHouse(t: Test, deepseek: FakeProvider, more: { readonly credit?: string; readonly free?: number; readonly startMs?: () => number } = {}): Promise<House> {
  return openHouse(t, {
    credit: more.credit ?? '0',
    yaml: { providers: { deepseek: { base_url: deepseek.url } }, ...(more.free === undefined ? {} : { billing: { byok_free_requests: more.free } }) },
    ...(more.startMs === undefined ? {} : { clock: { nowMs: more.startMs } }),
  });
}

async function provider(t: Test): Promise<FakeProvider> {
  const made = await startProvider();
  t.teardown(() => made.close());
  return made;
}

t.test('an inline key makes the request BYOK, reaches the provider and nobody else', async (t) => {
  const deepseek = await provider(t);
  const house = await byokHouse(t, deepseek);
  const response = await house.post({ ...HELLO, provider_key: { provider: 'deepseek', api_key: CANARY } });
  t.equal(response.status, 200, 'works at a balance of $0 while free');
  t.equal(response.headers.get('x-findtoken-mode'), 'byok');
  t.equal(response.headers.get('x-findtoken-cost'), '0.00');
  t.equal(response.headers.get('x-findtoken-balance'), null, 'Standard only');
  t.equal(deepseek.requests[0]?.headers.authorization, `Bearer ${CANARY}`);
  t.notMatch(JSON.stringify(deepseek.requests[0]?.body), /provider_key|canary/, 'removed before the request goes upstream');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 1, remaining_free: 999_999 } });
  t.equal((await house.post({ ...HELLO, model: 'qwen-max', provider_key: { provider: 'deepseek', api_key: CANARY } })).headers.get('x-findtoken-model'), 'deepseek-chat', 'that provider only: an equivalent there');
  t.equal((await house.post({ ...HELLO, model: 'step-2-16k', provider_key: { provider: 'deepseek', api_key: CANARY } })).status, 400, 'or nobody');
  t.notMatch(readFileSync(house.settings.database.path).toString('latin1') + readFileSync(`${house.settings.database.path}-wal`).toString('latin1'), CANARY, 'an inline key is never stored');
  t.notMatch(JSON.stringify(house.lines) + house.logged.join(), CANARY, 'nor logged');
});

t.test('a BYOK stream announces the trailer that comes, and no balance', async (t) => {
  const deepseek = await provider(t);
  const house = await byokHouse(t, deepseek, { credit: '1' });
  deepseek.always(sse(textChunks(HEAD, 'Hello there')));
  const announced = async (more: object, headers: Record<string, string> = {}) => {
    const response = await house.post({ ...HELLO, stream: true, ...more }, headers);
    t.match(await response.text(), /data: \[DONE\]/);
    return [response.headers.get('trailer'), response.headers.get('x-findtoken-balance')];
  };
  t.same(await announced({ provider_key: { provider: 'deepseek', api_key: CANARY } }), ['X-FindToken-Cost', null]);
  t.same(await announced({ provider_key: { provider: 'deepseek', api_key: CANARY } }, { 'idempotency-key': 'byok' }), ['X-FindToken-Cost', null], 'under an Idempotency-Key too');
  const standard = await openHouse(t, { books: 'cli', sandbox: true });
  const response = await standard.post({ ...HELLO, model: 'sandbox-chat', stream: true });
  await response.text();
  t.equal(response.headers.get('trailer'), 'X-FindToken-Cost, X-FindToken-Balance');
});

t.test('registered keys come in pages, newest first', async (t) => {
  const house = await byokHouse(t, await provider(t));
  const ids: unknown[] = [];
  for (let count = 0; count < 22; count += 1) ids.unshift(((await (await house.register('deepseek', CANARY)).json()) as { id: string }).id);
  const page = async (query: string) => (await (await house.get(`/v1/user/byok/keys${query}`)).json()) as { data: { id: string }[]; has_more: boolean; next: string | null };
  const first = await page('');
  t.match([first.data.length, first.has_more], [20, true]);
  const second = await page(`?after=${first.next}`);
  t.same([...first.data, ...second.data].map(({ id }) => id), ids, 'every one once');
  t.match(second, { has_more: false, next: null });
  t.match((await page('?limit=3')).data.map(({ id }) => id), ids.slice(0, 3));
  for (const [query, param] of [['?limit=0', 'limit'], ['?limit=101', 'limit'], ['?limit=x', 'limit'], ['?after=byok_none', 'after']] as const) {
    const refused = await house.get(`/v1/user/byok/keys${query}`);
    t.equal(refused.status, 400, query);
    t.match(await refused.json(), { error: { code: 'invalid_request', param } });
  }
});

t.test('a registered key is used by itself, sealed at rest, shown masked', async (t) => {
  const deepseek = await provider(t);
  const house = await byokHouse(t, deepseek);
  t.equal((await house.post(HELLO)).status, 503, 'no operator key, no registered key');
  const registered = await house.register('deepseek', CANARY);
  t.equal(registered.status, 201);
  const record = (await registered.json()) as { id: string; key: string };
  t.match(record, { object: 'byok_key', provider: 'deepseek', name: 'mine', key: /^sk-…cdef$/ });
  const response = await house.post(HELLO);
  t.equal(response.headers.get('x-findtoken-mode'), 'byok');
  t.equal(deepseek.requests.at(-1)?.headers.authorization, `Bearer ${CANARY}`);
  t.equal((await house.post(HELLO, { 'x-findtoken-mode': 'standard' })).status, 503, 'the header keeps Standard, which has no key here');
  t.notMatch(await (await house.get('/v1/user/byok/keys')).text(), CANARY);
  t.notMatch(readFileSync(house.settings.database.path).toString('latin1') + readFileSync(`${house.settings.database.path}-wal`).toString('latin1'), CANARY);
  const dropped = await fetch(`${house.url}/v1/user/byok/keys/${record.id}`, { method: 'DELETE', headers: { authorization: `Bearer ${house.key}` } });
  t.equal(dropped.status, 200);
  t.equal((await house.post(HELLO)).status, 503, 'and is gone at the next request');
});

t.test('a request may say by its key\'s provider or by a header whose key it means', async (t) => {
  const [deepseek, qwen] = [await provider(t), await provider(t)];
  const house = await openHouse(t, { providers: { deepseek: deepseek.url, qwen: qwen.url }, books: 'cli' });
  await house.register('deepseek', CANARY);
  const registered = { provider_key: { provider: 'deepseek' } };
  const byok = { 'x-findtoken-mode': 'byok' };
  const cases: readonly (readonly [body: object, headers: Record<string, string>, told: readonly (string | null)[], authorization: string | undefined, why: string])[] = [
    [{}, {}, ['200', 'byok', 'deepseek-chat'], CANARY, 'a registered key of the model\'s provider'],
    [{}, { 'x-findtoken-mode': ' Standard ' }, ['200', 'standard', 'deepseek-chat'], 'good-key', 'the operator\'s, by the header'],
    [{}, byok, ['200', 'byok', 'deepseek-chat'], CANARY, 'the registered one, by the header'],
    [registered, {}, ['200', 'byok', 'deepseek-chat'], CANARY, 'the registered one, by its provider'],
    [registered, byok, ['200', 'byok', 'deepseek-chat'], CANARY, 'by both'],
    [registered, { 'x-findtoken-mode': 'standard' }, ['200', 'byok', 'deepseek-chat'], CANARY, 'the body goes before the header'],
    [{ model: 'qwen-turbo' }, {}, ['200', 'standard', 'qwen-turbo'], 'good-key', 'of another provider no key is registered'],
    [{ model: 'qwen-turbo' }, byok, ['200', 'byok', 'deepseek-coder'], CANARY, 'but of one with an equivalent'],
    [{ model: 'qwen-vl-max' }, byok, ['400', null, null], undefined, 'where there is none BYOK is refused'],
  ];
  for (const [body, headers, told, authorization, why] of cases) {
    const before = [deepseek.requests.length, qwen.requests.length];
    const answer = await house.post({ ...HELLO, ...body }, headers);
    t.same([String(answer.status), ...(told[1] === null ? [null, null] : [answer.headers.get('x-findtoken-mode'), answer.headers.get('x-findtoken-model')])], told, why);
    const asked = [...deepseek.requests.slice(before[0]), ...qwen.requests.slice(before[1])];
    t.same(asked.map((request) => request.headers.authorization), authorization === undefined ? [] : [`Bearer ${authorization}`], why);
    t.notMatch(JSON.stringify(asked.map((request) => request.body)), 'provider_key');
  }
});

t.test("the user's own key trouble is told to the user, and the key is not swapped", async (t) => {
  const deepseek = await provider(t);
  const house = await byokHouse(t, deepseek);
  await house.register('deepseek', CANARY);
  const cases = [
    [401, { error: { message: `Authentication Fails, your api key ${CANARY} is invalid`, type: 'authentication_error' } }, 401, 'invalid_provider_key'],
    [402, { error: { message: 'Insufficient Balance', type: 'unknown_error', code: 'invalid_request_error' } }, 402, 'provider_balance_exhausted'],
  ] as const;
  for (const [status, body, expected, code] of cases) {
    deepseek.always(json(status, body));
    const response = await house.post(HELLO);
    const text = await response.text();
    t.equal(response.status, expected);
    t.match(JSON.parse(text), { error: { code, message: /deepseek/ } });
    t.notMatch(text, CANARY, 'the message names the provider, never the key');
  }
  t.equal(deepseek.requests.length, 2, 'asked once each');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 0 } }, 'a failed request is given back to the month');
});

t.test('registering checks the form, and asks the provider', async (t) => {
  const zhipu = await provider(t);
  const house = await openHouse(t, { yaml: { providers: { zhipu: { base_url: zhipu.url } } } });
  const register = async (body: unknown) => fetch(`${house.url}/v1/user/byok/register`, { method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const cases = [
    [{ provider: 'zhipu', api_key: 'nodot', name: 'x' }, 400, 'exactly one dot'],
    [{ provider: 'zhipu', api_key: 'a.b.c', name: 'x' }, 400, 'a signed token is no key'],
    [{ provider: 'nobody', api_key: 'a.b', name: 'x' }, 400, 'an unknown provider'],
    [{ provider: 'zhipu', api_key: 'a.b', name: 'x', region: 'https://evil.example' }, 400, 'a region is a name, never a URL'],
    [{ provider: 'zhipu', name: 'x' }, 400, 'no key'],
    [{ provider: 'zhipu', api_key: 'id.secret', name: 'x' }, 201, 'a good one'],
  ] as const;
  for (const [body, status, why] of cases) t.equal((await register(body)).status, status, why);
  t.equal(zhipu.probes.at(-1)?.headers.authorization, 'Bearer id.secret');
  zhipu.models(json(401, { error: { code: '1000', message: 'bad' } }));
  const refused = await register({ provider: 'zhipu', api_key: 'id.wrong', name: 'x' });
  t.equal(refused.status, 401);
  t.match(await refused.json(), { error: { code: 'invalid_provider_key' } });
});

t.test('beyond the free requests of the month the fee is charged; on the 1st, 00:00 UTC, the counter is new', async (t) => {
  let nowMs = Date.UTC(2026, 10, 30, 23, 59, 58);
  const deepseek = await provider(t);
  deepseek.usage = { prompt_tokens: 1_000_000, completion_tokens: 1_000 };
  const house = await byokHouse(t, deepseek, { credit: '1', free: 2, startMs: () => nowMs });
  await house.register('deepseek', CANARY);
  const costs: (string | null)[] = [];
  for (let at = 0; at < 3; at += 1) costs.push((await house.post(HELLO)).headers.get('x-findtoken-cost'));
  const fee = byokFee({ prompt: 1_000_000, cached: 0, completion: 1_000 }, DEEPSEEK, parseRate('5%')).total;
  t.equal(fee, 701_400n, '($0.14 + $0.00028) × 5 %');
  t.same(costs, ['0.00', '0.00', '0.007014'], 'two are free, the third bears the fee');
  t.equal(await house.balance(), 100_000_000n - fee);
  nowMs += 3_000;
  t.equal((await house.post(HELLO)).headers.get('x-findtoken-cost'), '0.00', 'December is new');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { month: '2026-12', requests: 1, remaining_free: 1 } });
  t.same((await house.ledger.audit()).findings, []);
});

t.test('without credits a request beyond the free ones is refused with how to pay', async (t) => {
  const deepseek = await provider(t);
  const house = await byokHouse(t, deepseek, { free: 0 });
  const response = await house.post({ ...HELLO, provider_key: { provider: 'deepseek', api_key: CANARY } });
  t.equal(response.status, 402);
  t.equal(response.headers.get('x-findtoken-mode'), 'byok');
  t.match(await response.json(), { error: { code: 'insufficient_credits', message: /[Rr]echarge/ } });
  t.equal(deepseek.requests.length, 0);
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 0 } }, 'a refused request is not counted');
});

t.test('the millionth request of a month is free, the next one bears the fee, and the 1st at 00:00:00 UTC is new', async (t) => {
  let nowMs = Date.UTC(2026, 11, 1) - 1;
  const deepseek = await provider(t);
  deepseek.usage = { prompt_tokens: 1_000_000, completion_tokens: 1_000 };
  const house = await byokHouse(t, deepseek, { credit: '1', startMs: () => nowMs });
  await house.register('deepseek', CANARY);
  presetCounter(house, '2026-11', 999_999);
  const ask = async () => (await house.post(HELLO)).headers.get('x-findtoken-cost');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 999_999, remaining_free: 1 } });
  t.equal(await ask(), '0.00', 'request 1,000,000');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { requests: 1_000_000, remaining_free: 0 } });
  // (1,000,000 × 0.14 + 1,000 × 0.28) / 1,000,000 = $0.14028; × 5 % = $0.007014
  t.equal(await ask(), '0.007014', 'request 1,000,001');
  t.equal(await house.balance(), 100_000_000n - 701_400n);
  nowMs += 1;
  t.equal(await ask(), '0.00', 'the first of December');
  t.match(await (await house.get('/v1/user/balance')).json(), { byok: { month: '2026-12', requests: 1, remaining_free: 999_999 } });
  t.same((await house.ledger.audit()).findings.map(({ rule }) => rule), ['byok_counter'], 'the books notice the preset counter, and nothing else');
});

t.test('with a hundred in flight at the millionth exactly the free number is free', async (t) => {
  const nowMs = Date.UTC(2026, 10, 23);
  const deepseek = await provider(t);
  // Nobody is answered before everybody has asked: all hundred are in flight at the border, however busy the machine.
  let arrived = 0;
  let open: () => void = () => undefined;
  const everybody = new Promise<void>((resolve) => {
    open = resolve;
  });
  const answer = sse([...textChunks(HEAD, 'one two'), { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 100 } }]);
  deepseek.always(async (request, response) => {
    arrived += 1;
    if (arrived === 100) open();
    await everybody;
    return answer(request, response);
  });
  const house = await byokHouse(t, deepseek, { credit: '5', startMs: () => nowMs });
  await house.register('deepseek', CANARY);
  presetCounter(house, '2026-11', 999_963);
  const statuses = await Promise.all(Array.from({ length: 100 }, async () => {
    const response = await house.post({ ...HELLO, stream: true, max_tokens: 200 });
    await response.text();
    return response.status;
  }));
  t.same([...new Set(statuses)], [200]);
  t.equal(arrived, 100);
  await house.lastRow();
  const { rows } = await house.ledger.listRequests({ accountId: house.accountId }, { limit: 100 });
  t.equal(rows.filter((row) => row.cost === 0n).length, 37, '999,964 to 1,000,000');
  t.equal(rows.filter((row) => row.cost === 840n).length, 63, '(1,000 × $0.14 + 100 × $0.28) / 1M × 5 %');
  t.equal(await house.balance(), 500_000_000n - 63n * 840n);
  t.equal(await house.ledger.byokCount(house.accountId, '2026-11'), 1_000_063);
});

t.test('a sealed key that was moved or altered is refused with the mend, sent to nobody, charged to nobody', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { yaml: { providers: { deepseek: { base_url: deepseek.url }, qwen: { base_url: deepseek.url } } } });
  await house.register('deepseek', CANARY);
  await house.register('qwen', `${CANARY}-of-qwen`);
  const db = new Database(house.settings.database.path);
  t.teardown(() => db.close());
  const [one, two] = db.prepare<[], { id: string; sealed: Buffer }>('SELECT id, sealed FROM byok_keys ORDER BY no').all();
  if (one === undefined || two === undefined) return t.fail('two keys are registered');
  const write = db.prepare('UPDATE byok_keys SET sealed = ? WHERE id = ?');
  const flipped = Buffer.from(one.sealed);
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
  for (const [sealed, why] of [[two.sealed, "another row's"], [flipped, 'a flipped bit']] as const) {
    write.run(sealed, one.id);
    const response = await house.post(HELLO);
    const text = await response.text();
    t.equal(response.status, 400, why);
    t.match(JSON.parse(text), { error: { code: 'invalid_request', message: /does not open: it was altered, or belongs to another row\. Remove it and register/ } }, why);
    t.notMatch(text + house.logged.join(), CANARY, why);
    t.match(await house.lastRow(), { cost: 0n, status: 'invalid_request' }, why);
  }
  t.equal(deepseek.requests.length, 0);
  write.run(one.sealed, one.id);
  t.equal((await house.post(HELLO)).status, 200, 'put back, it serves');
});

/** As if the account had made this many BYOK requests in the month already. */
function presetCounter(house: House, month: string, requests: number): void {
  const db = new Database(house.settings.database.path);
  const made = db.prepare('INSERT INTO byok_counters (account, month, requests) SELECT no, ?, ? FROM accounts WHERE id = ?').run(month, requests, house.accountId);
  db.close();
  if (made.changes !== 1) throw new Error('the counter was not set');
}
