import t, { type Test } from 'tap';
import { handClock, openHouse, type House } from './support/house.ts';
import { hang, json, startProvider, textChunks, type Answer, type FakeProvider } from './support/provider.ts';

/** Whose trouble a failure is: health is kept apart for the operator's key, for BYOK, and for each region. */

const STANDARD = { 'x-findtoken-mode': 'standard' };
const BYOK = { 'x-findtoken-mode': 'byok' };
const OPERATOR = 'Bearer good-key';
const HEAD = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm' };

const answer = json(200, { id: 'x', object: 'chat.completion', created: 1, choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }], usage: { prompt_tokens: 10, completion_tokens: 5 } });
const POOR = json(402, { error: { message: 'Insufficient Balance', type: 'x' } });
const DOWN = json(500, { error: { message: 'down', type: 'x' } });

/** One answer for the operator's key, another for everybody else's. */
const byKey = (operators: Answer, others: Answer): Answer => (request, response) => (request.headers.authorization === OPERATOR ? operators : others)(request, response);

interface Scene {
  readonly house: House;
  readonly clock: ReturnType<typeof handClock>;
  readonly of: Readonly<Record<string, FakeProvider>>;
  /** Who served, and at which attempt: `qwen-max 2`; the status where nobody did. */
  ask(model: string, headers: Record<string, string>, more?: Readonly<Record<string, unknown>>): Promise<string>;
  ill(): Promise<string>;
}

/** A house whose operator has keys for all that are named, as has its account. */
async function scene(t: Test, names: readonly string[], more: { readonly equivalents?: Readonly<Record<string, readonly string[]>>; readonly providers?: (of: Readonly<Record<string, FakeProvider>>) => Readonly<Record<string, object>> } = {}): Promise<Scene> {
  const of = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await startProvider(answer)] as const)));
  t.teardown(() => Promise.all(Object.values(of).map((provider) => provider.close())));
  const clock = handClock();
  const house = await openHouse(t, {
    clock, books: 'cli',
    yaml: {
      providers: { ...Object.fromEntries(names.map((name) => [name, { base_url: of[name]?.url, api_key: 'good-key' }])), ...more.providers?.(of) },
      ...(more.equivalents === undefined ? {} : { equivalents: more.equivalents }),
    },
  });
  for (const name of names) t.equal((await house.register(name, name === 'zhipu' ? 'id.secret-of-tenant' : 'sk-tenant-0123456789')).status, 201);
  return {
    house, clock, of,
    async ask(model, headers, fields = {}) {
      const response = await house.post({ model, messages: [{ role: 'user', content: 'Hello!' }], ...fields }, headers);
      await response.text();
      return response.status === 200 ? `${response.headers.get('x-findtoken-model')} ${response.headers.get('x-findtoken-attempts')}` : String(response.status);
    },
    async ill() {
      const { providers } = (await (await house.get('/readyz')).json()) as { providers: readonly { id: string; health: string }[] };
      return providers.filter(({ health }) => health !== 'up').map(({ id, health }) => `${id} ${health}`).join(', ');
    },
  };
}

t.test("a tenant's own rate limit, said inside a 200, puts no provider out of reach", async (t) => {
  const limits = [
    ['minimax', 'minimax-m2.5', { base_resp: { status_code: 1002, status_msg: 'rate limit' }, choices: null }],
    ['zhipu', 'glm-4-plus', { error: { code: '1302', message: 'x' } }],
    ['qwen', 'qwen-max', { error: { code: 'limit_requests', message: 'x' } }],
    ['stepfun', 'step-2-16k', { error: { code: 429, message: 'x' } }],
  ] as const;
  const equivalents = Object.fromEntries(limits.map(([, model]) => [model, []]));
  const { of, ask, ill } = await scene(t, limits.map(([name]) => name), { equivalents });
  for (const [name, model, body] of limits) {
    t.equal(await ask(model, STANDARD), `${model} 1`);
    of[name]?.always(byKey(answer, json(200, body)));
    t.equal(await ask(model, BYOK), '503', name);
    t.equal(await ask(model, STANDARD), `${model} 1`, `${name}: the operator's key has no such limit`);
    of[name]?.always(answer);
    t.equal(await ask(model, BYOK), `${model} 1`, `${name}: nor has another account's`);
  }
  t.equal(await ill(), '');
});

t.test("the operator's empty account, refused key and rate limit divert nobody who brings a key", async (t) => {
  const { of, ask, ill, clock, house } = await scene(t, ['deepseek', 'qwen']);
  const troubles = [
    ['an empty account', POOR],
    ['a refused key', json(401, { error: { message: 'bad key', type: 'x' } })],
    ['a model that is not for it', json(404, { error: { message: 'Model Not Exist', type: 'x' } })],
    ['a rate limit', json(429, { error: { message: 'slow down', type: 'x' } }, { 'retry-after': '200' })],
  ] as const;
  for (const [why, trouble] of troubles) {
    of['deepseek']?.always(byKey(trouble, answer));
    t.equal(await ask('deepseek-chat', STANDARD), 'qwen-max 2', why);
    t.equal(await ask('deepseek-chat', BYOK), 'deepseek-chat 1', `${why}: the account's own key is good`);
    t.not(await ill(), '', `${why}: and its answer proves nothing of the operator's`);
    t.equal(await ask('deepseek-chat', STANDARD), 'qwen-max 1', `${why}: who is not asked in vain again`);
    of['deepseek']?.always(answer);
    clock.advance(600_000);
    house.gateway.health.observe('deepseek/deepseek-chat', { kind: 'answered' });
  }
});

t.test("a tenant's stream that ends in the tenant's own trouble says nothing of the provider", async (t) => {
  const { of, ask, ill, house } = await scene(t, ['kimi', 'qwen'], { equivalents: { 'kimi-k2': ['qwen-max'] } });
  const words = textChunks(HEAD, 'hel lo').slice(0, -1).map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('');
  const ends = (error: object): Answer => (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(words);
    setTimeout(() => response.end(`data: ${JSON.stringify({ error })}\n\n`), 20);
  };
  for (const type of ['exceeded_current_quota_error', 'invalid_authentication_error', 'rate_limit_reached_error']) {
    of['kimi']?.always(ends({ type, message: 'x' }));
    for (let times = 0; times < 6; times += 1) await ask('kimi-k2', BYOK, { stream: true });
    t.equal(house.gateway.health.entries.get('kimi/kimi-k2 (BYOK)')?.failuresInRow ?? 0, 0, type);
    t.equal(await ill(), '', type);
    of['kimi']?.always(answer);
    t.equal(await ask('kimi-k2', BYOK), 'kimi-k2 1', `${type}: other accounts are served`);
    t.equal(await ask('kimi-k2', STANDARD), 'kimi-k2 1', `${type}: and the operator's customers`);
  }
  of['kimi']?.always(ends({ type: 'exceeded_current_quota_error', message: 'x' }));
  await ask('kimi-k2', STANDARD, { stream: true });
  t.equal(await ill(), 'kimi down', "the operator's own empty account, found out on the way");
});

t.test('what is the provider\'s own doing all accounts share, and the operator finds out alone', async (t) => {
  const { of, ask, ill, clock } = await scene(t, ['deepseek', 'qwen']);
  of['deepseek']?.always(DOWN);
  t.equal(await ask('deepseek-chat', BYOK), 'qwen-max 5');
  t.equal(await ask('deepseek-chat', BYOK), 'qwen-max 1', 'passed by');
  t.equal(await ill(), 'deepseek down', 'nothing else is known of it');
  t.equal(await ask('deepseek-chat', STANDARD), 'qwen-max 5', 'no account can put it out of reach for the operator');
  of['deepseek']?.always(byKey(answer, hang()));
  clock.advance(31_000);
  t.equal(await ask('deepseek-chat', STANDARD), 'deepseek-chat 1');
  t.equal(await ill(), '', "the operator's key is what is shown");
});

t.test('another region is another machine', async (t) => {
  const { of, ask, house } = await scene(t, ['qwen', 'kimi'], {
    equivalents: { 'qwen-max': ['kimi-k2'] },
    providers: (of) => ({ qwen: { base_url: of['qwen']?.url, api_key: 'good-key', regions: { nowhere: 'http://127.0.0.1:9/v1' } } }),
  });
  const register = (region?: string) => fetch(`${house.url}/v1/user/byok/register`, {
    method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ provider: 'qwen', api_key: 'sk-tenant-9876543210', name: 'r', region, verify: false }),
  });
  const { id } = (await (await register('nowhere')).json()) as { id: string };
  t.equal(await ask('qwen-max', BYOK), 'kimi-k2 5', 'nobody is there');
  t.equal(await ask('qwen-max', BYOK), 'kimi-k2 1', 'which is remembered of that region');
  t.equal(await ask('qwen-max', STANDARD), 'qwen-max 1', 'and not of the main address');
  const inline = { provider_key: { provider: 'qwen', api_key: 'sk-inline-0123456789' } };
  t.equal(await ask('qwen-max', {}, inline), 'qwen-max 1', 'where an inline key goes');
  await fetch(`${house.url}/v1/user/byok/keys/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${house.key}` } });
  t.equal(await ask('qwen-max', BYOK), 'qwen-max 1', 'and the key that is now the newest');
  of['qwen']?.always(DOWN);
  t.equal(await ask('qwen-max', BYOK), 'kimi-k2 5');
  t.same([...house.gateway.health.entries].filter(([, { state }]) => state !== 'closed').map(([key]) => key), ['qwen/qwen-max (BYOK, nowhere)', 'qwen/qwen-max (BYOK)']);
});
