import t, { type Test } from 'tap';
import { probeProviders, type JobParts } from '../src/daemon/jobs.ts';
import { createUpstream } from '../src/upstream/index.ts';
import { handClock, openHouse, readStream, type House } from './support/house.ts';
import { hang, isRecord, json, pause, startProvider, type FakeProvider } from './support/provider.ts';

/** Who is asked, in which order and how often: the strategies through the whole gateway. */

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
/** The group of deepseek-chat in its order. */
const GROUP = { deepseek: 'deepseek-chat', qwen: 'qwen-max', zhipu: 'glm-4-plus', kimi: 'kimi-k2', minimax: 'minimax-m2.5' } as const;
type Name = keyof typeof GROUP;
const ALL: readonly Name[] = ['deepseek', 'qwen', 'zhipu', 'kimi', 'minimax'];

/** Any error: each provider reads a plain 500 as its own. */
const DOWN = json(500, { error: { message: 'down', type: 'server_error' } });
const POOR = json(402, { error: { message: 'no balance', type: 'x' } });
const TOO_LONG = json(400, { error: { message: 'maximum context length is less', type: 'x', code: 'context_length_exceeded' } });

const BAD = json(400, { error: { message: 'bad tool_choice', type: 'invalid_request_error' } });

/** Comes from nobody in particular; the gateway names the model. */
const answer = json(200, { id: 'x', object: 'chat.completion', created: 1, choices: [{ index: 0, message: { role: 'assistant', content: 'back' }, finish_reason: 'stop' }], usage: { prompt_tokens: 10, completion_tokens: 5 } });

interface Scene {
  readonly house: House;
  readonly clock: ReturnType<typeof handClock>;
  readonly of: Readonly<Record<Name, FakeProvider>>;
  /** `deepseek×4 qwen×1`: who was asked how often since the last call. */
  asked(): string;
  /** A new beginning: keys for these only, nothing known against anybody, everybody answers. */
  begin(keyed: readonly Name[]): void;
  ask(more?: Readonly<Record<string, unknown>>, headers?: Record<string, string>): Promise<Response>;
}

/** A house with the operator's keys for some of the group; every provider answers until it is told otherwise. */
async function scene(t: Test, keyed: readonly Name[], more: { readonly routing?: Readonly<Record<string, unknown>>; readonly credit?: string } = {}): Promise<Scene> {
  const of = Object.fromEntries(await Promise.all(ALL.map(async (name) => [name, await startProvider()] as const))) as Record<Name, FakeProvider>;
  t.teardown(() => Promise.all(Object.values(of).map((provider) => provider.close())));
  const clock = handClock();
  let present: ReadonlySet<string> = new Set(keyed);
  const house = await openHouse(t, {
    clock,
    keyed: () => present,
    providers: Object.fromEntries(ALL.map((name) => [name, of[name].url])),
    yaml: more.routing === undefined ? {} : { routing: more.routing },
    ...(more.credit === undefined ? {} : { credit: more.credit }),
  });
  return {
    house, clock, of,
    begin: (names) => {
      present = new Set(names);
      clock.slept.length = 0;
      clock.advance(600_000);
      for (const name of ALL) {
        of[name].always(answer);
        of[name].requests.length = 0;
        house.gateway.health.observe(`${name}/${GROUP[name]}`, { kind: 'answered' });
      }
    },
    ask: (fields = {}, headers = {}) => house.post({ ...HELLO, ...fields }, headers),
    asked: () => {
      const said = ALL.filter((name) => of[name].requests.length > 0).map((name) => `${name}×${of[name].requests.length}`);
      for (const name of ALL) of[name].requests.length = 0;
      return said.join(' ');
    },
  };
}

const { ask, asked, of, house, clock, begin } = await scene(t, ALL);

t.test('who serves, by strategy, keys and what fails', async (t) => {
  const tool = { type: 'function', function: { name: 'f', parameters: {} } };
  const picture = [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] }];
  const json_object = { messages: [{ role: 'user', content: 'Say it in json.' }], response_format: { type: 'json_object' } };
  // About 36,000 tokens at 0.3 a character: over the 32,768 of qwen-max, under the 128,000 of glm-4-plus.
  const long = { messages: [{ role: 'user', content: 'x'.repeat(120_000) }] };
  // About 150,000 tokens: over glm-4-plus as well.
  const longer = { messages: [{ role: 'user', content: 'x'.repeat(500_000) }] };
  const cases = [
    // keyed, fields, who is down, who was asked, why
    [ALL, {}, [], 'deepseek×1', 'the requested model first'],
    [ALL, { routing: 'fallback' }, [], 'deepseek×1', 'the primary first'],
    [ALL, {}, ['deepseek'], 'deepseek×4 qwen×1', 'its equivalents in their order'],
    [ALL, { routing: 'fallback' }, ['deepseek', 'qwen'], 'deepseek×4 qwen×3 zhipu×1', 'one after the other until one succeeds, and nobody is retried at the price of one who was never asked'],
    [ALL, { routing: 'fallback' }, ['deepseek', 'qwen', 'zhipu', 'kimi'], 'deepseek×4 qwen×3 zhipu×1 kimi×1 minimax×1', 'the last of five is reached within ten attempts'],
    [['qwen', 'kimi'], {}, [], 'qwen×1', 'a model without a key is passed over for its equivalent'],
    [['zhipu', 'minimax'], { model: 'kimi-k2' }, ['zhipu'], 'zhipu×4 minimax×1', 'in the order of the requested model'],
    [['qwen', 'kimi', 'minimax'], { model: 'qwen-max', routing: 'cheapest' }, [], 'minimax×1', 'the lowest expected cost: 1.2 a million of output against 6.4 and 4'],
    [ALL, { model: 'qwen-max', routing: 'cheapest' }, ['deepseek'], 'deepseek×4 zhipu×1', 'then the second lowest'],
    [['zhipu', 'minimax'], { model: 'minimax-m2.5', routing: 'cheapest', max_tokens: 1_000 }, [], 'zhipu×1', 'a short prompt: 0.5 a million of answer is cheaper than 1.2'],
    [['deepseek', 'zhipu'], { routing: 'cheapest', max_tokens: 16_000 }, [], 'deepseek×1', 'who would cut the answer short, at 4,095 tokens, is not cheaper for it'],
    [['zhipu', 'minimax'], { model: 'glm-4-plus', routing: 'cheapest', max_tokens: 10, ...long }, [], 'minimax×1', 'a long prompt: 0.3 a million is cheaper than 0.5'],
    [['qwen', 'zhipu'], { ...long }, [], 'zhipu×1', 'a window too small for the prompt'],
    [['qwen', 'zhipu', 'kimi'], { ...longer }, [], 'kimi×1', 'two windows too small'],
    [['minimax', 'zhipu'], { model: 'deepseek-chat', ...json_object, routing: 'cheapest' }, [], 'zhipu×1', 'no JSON mode at minimax-m2.5'],
    [['minimax'], { model: 'deepseek-chat', ...json_object }, [], '', 'and nobody instead'],
    [['qwen', 'zhipu', 'kimi'], { messages: picture }, [], 'kimi×1', 'the only one that sees'],
    [['qwen', 'kimi'], { tools: [tool] }, [], 'qwen×1', 'all of them call tools'],
  ] as const;
  for (const [keyed, fields, down, expected, why] of cases) {
    begin(keyed);
    for (const name of down) of[name].always(DOWN);
    const response = await ask(fields);
    const body: unknown = await response.json();
    t.equal(asked(), expected, why);
    const last = expected.split(' ').at(-1)?.split('×')[0];
    const served = last === undefined || last === '' ? undefined : GROUP[last as Name];
    t.equal(response.status, served === undefined ? 503 : 200, why);
    if (served === undefined) t.match(body, { error: { message: /passed over/ } }, 'the 503 says who was passed over, and why');
    else {
      t.equal(response.headers.get('x-findtoken-model'), served, why);
      t.match(body, { model: served }, why);
      t.match(await house.lastRow(), { model: served, provider: last }, why);
    }
  }
});

t.test('the wish stands in the body, in a header or in the name of the model', async (t) => {
  begin(['qwen', 'minimax']);
  const cases = [
    [{ model: 'qwen-max' }, {}, 'qwen×1', 'no wish: auto'],
    [{ model: 'qwen-max', routing: 'cheapest' }, {}, 'minimax×1', 'the field'],
    [{ model: 'qwen-max' }, { 'x-findtoken-routing': 'cheapest' }, 'minimax×1', 'the header'],
    [{ model: 'qwen-max:cheapest' }, {}, 'minimax×1', 'the suffix'],
    [{ model: 'qwen-max:cheapest', routing: 'fallback' }, { 'x-findtoken-routing': 'cheapest' }, 'qwen×1', 'the field goes before both'],
    [{ model: 'qwen-max', routing: 'fastest' }, {}, '', 'an unknown wish is refused'],
  ] as const;
  for (const [fields, headers, expected, why] of cases) {
    const response = await ask(fields, headers);
    await response.text();
    t.equal(asked(), expected, why);
    t.equal(response.status, expected === '' ? 400 : 200, why);
  }
});

t.test('caps: attempts, the deadline over all, and a client that is itself retrying', async (t) => {
  await t.test('ten attempts, then 503', async (t) => {
    begin(ALL);
    for (const name of ALL) of[name].always(DOWN);
    const response = await ask();
    t.equal(response.status, 503);
    t.equal(response.headers.get('x-findtoken-attempts'), '10');
    t.equal(asked(), 'deepseek×4 qwen×3 zhipu×1 kimi×1 minimax×1');
    t.same(clock.slept, [1_000, 2_000, 4_000, 1_000, 2_000]);
  });
  await t.test("the SDK's own retry starts none of ours anew", async (t) => {
    for (const [count, expected, slept] of [['0', 'deepseek×4 qwen×1', 3], ['1', 'deepseek×1 qwen×1', 0], ['2', 'deepseek×1 qwen×1', 0]] as const) {
      begin(['deepseek', 'qwen']);
      of.deepseek.always(DOWN);
      t.equal((await ask({}, { 'x-stainless-retry-count': count })).status, 200);
      t.equal(asked(), expected, `retry ${count}`);
      t.equal(clock.slept.length, slept);
    }
  });
  await t.test('as many attempts as the operator says, no wait beyond the deadline, no second try after a timeout', async (t) => {
    const strict = await scene(t, ['deepseek'], { routing: { max_attempts: 3, deadline: '5s', timeout: '80ms' } });
    strict.of.deepseek.always(DOWN);
    t.equal((await strict.ask()).status, 503);
    t.equal(strict.asked(), 'deepseek×3', 'at 0, 1 and 3 s; the one at 7 s would be too late, and one too many');
    t.same(strict.clock.slept, [1_000, 2_000]);
    strict.begin(['deepseek', 'qwen']);
    strict.of.deepseek.always(hang());
    t.equal((await strict.ask()).headers.get('x-findtoken-model'), 'qwen-max');
    t.equal(strict.asked(), 'deepseek×1 qwen×1', 'it may have been served there');
  });
  await t.test('the deadline alone', async (t) => {
    const strict = await scene(t, ['deepseek', 'qwen'], { routing: { deadline: '5s' } });
    strict.of.deepseek.always(DOWN);
    t.equal((await strict.ask()).headers.get('x-findtoken-model'), 'qwen-max');
    t.equal(strict.asked(), 'deepseek×3 qwen×1', 'a wait of 4 s would end at 7 s: on to the next');
  });
});

t.test('what a provider says decides where the request goes', async (t) => {
  const cases = [
    // deepseek-chat's window is the largest, so it is asked last here.
    ['qwen-max', { qwen: TOO_LONG }, 'deepseek×1 qwen×1', 200, 'too long: on to a larger window at once'],
    ['deepseek-chat', { deepseek: TOO_LONG }, 'deepseek×1', 400, 'too long, and nobody has a larger one'],
    ['deepseek-chat', { deepseek: DOWN, qwen: TOO_LONG }, 'deepseek×4 qwen×1', 503, 'too long for a smaller stand-in, while the model itself is down: no fault of the prompt'],
    ['deepseek-chat', { deepseek: json(405, '<html>Method Not Allowed</html>', { 'content-type': 'text/html' }) }, 'deepseek×1 qwen×1', 200, 'the page of a firewall: next'],
    ['deepseek-chat', { deepseek: json(422, '') }, 'deepseek×1 qwen×1', 200, 'a refusal that says nothing: next'],
    ['deepseek-chat', { deepseek: POOR }, 'deepseek×1 qwen×1', 200, "the operator's account is empty: next, without a retry"],
    ['deepseek-chat', { deepseek: json(401, { error: { message: 'bad key', type: 'x' } }) }, 'deepseek×1 qwen×1', 200, "the operator's key is refused: next"],
    ['deepseek-chat', { deepseek: json(404, { error: { message: 'no model', type: 'x' } }) }, 'deepseek×1 qwen×1', 200, 'the model is gone there: next'],
    ['deepseek-chat', { deepseek: json(422, { error: { message: 'bad field', type: 'x' } }) }, 'deepseek×1', 400, "the client's fault: nobody else is bothered"],
    ['deepseek-chat', { deepseek: json(451, { error: { message: 'no', type: 'censorship_blocked' } }) }, 'deepseek×1', 400, 'declined: nobody laxer is looked for'],
    ['deepseek-chat', { deepseek: json(200, { choices: null }) }, 'deepseek×1 qwen×1', 200, 'an empty 200 is no answer'],
    ['deepseek-chat', { deepseek: json(302, '', { location: 'http://127.0.0.1:1/' }) }, 'deepseek×1 qwen×1', 200, 'a redirect is not followed'],
    ['deepseek-chat', { deepseek: json(429, { error: { message: 'slow down', type: 'x' } }, { 'retry-after': '200' }) }, 'deepseek×1 qwen×1', 200, 'a Retry-After beyond the deadline: next at once'],
  ] as const;
  for (const [model, answers, expected, status, why] of cases) {
    begin(['deepseek', 'qwen']);
    for (const [name, answer] of Object.entries(answers)) of[name as Name].always(answer);
    const response = await ask({ model });
    await response.text();
    t.equal(asked(), expected, why);
    t.equal(response.status, status, why);
  }
});

t.test('a smaller stand-in says too long while the model itself is passed over', async (t) => {
  begin(['deepseek', 'qwen']);
  of.deepseek.always(DOWN);
  await (await ask()).text();
  asked();
  of.qwen.always(TOO_LONG);
  const response = await ask();
  t.same([response.status, asked()], [503, 'qwen×1'], 'the prompt may fit another time');
  t.match(await response.json(), { error: { code: 'providers_unavailable', message: /qwen-max at qwen \(400, too_long\).*deepseek-chat at deepseek: down/ } });
});

t.test('what a stand-in of another provider calls a bad request may be of our writing', async (t) => {
  const cases: readonly (readonly [keyed: readonly Name[], answers: Partial<Record<Name, typeof BAD>>, more: Readonly<Record<string, unknown>>, expected: string, status: number, why: string])[] = [
    [['deepseek', 'qwen', 'zhipu'], { deepseek: DOWN, qwen: BAD }, {}, 'deepseek×4 qwen×1 zhipu×1', 200, 'the next is asked'],
    [['deepseek', 'qwen'], { deepseek: DOWN, qwen: BAD }, {}, 'deepseek×4 qwen×1', 503, 'no fault of the request while the model itself is down'],
    [['deepseek', 'zhipu'], { deepseek: BAD }, { routing: 'cheapest' }, 'deepseek×1', 400, 'what the model itself says is the last word'],
    [['qwen', 'zhipu'], { qwen: BAD, zhipu: BAD }, {}, 'qwen×1 zhipu×1', 400, 'where the model itself is served at no time, theirs is'],
    [['deepseek', 'qwen'], { qwen: BAD }, { model: 'qwen-max' }, 'qwen×1', 400, 'nor is anybody else asked then'],
    [['deepseek', 'qwen'], { qwen: DOWN, deepseek: BAD }, { model: 'qwen-max', stream: true }, 'deepseek×1 qwen×4', 503, 'a stream as well'],
  ];
  for (const [keyed, answers, more, expected, status, why] of cases) {
    begin(keyed);
    for (const name of keyed) of[name].always(answers[name] ?? answer);
    const response = await ask(more);
    t.same([asked(), response.status], [expected, status], why);
    const body: unknown = await response.json();
    if (status === 503) t.match(body, { error: { code: 'providers_unavailable', message: /\(400, client\)/, metadata: { attempts: [{}, {}, {}, {}, { class: 'client' }] } } });
    if (status === 400) t.match(body, { error: { code: 'invalid_request', message: /bad tool_choice/ } });
  }
  begin(['deepseek', 'qwen']);
  of.deepseek.always(DOWN);
  await (await ask()).text();
  asked();
  of.qwen.always(BAD);
  t.same([(await ask()).status, asked()], [503, 'qwen×1'], 'and while it is passed over');
});

t.test('a model that is gone is told to the operator', async (t) => {
  begin(['deepseek', 'qwen']);
  house.logged.length = 0;
  of.deepseek.always(json(400, { error: { message: 'Model Not Exist', type: 'invalid_request_error', code: 'invalid_request_error' } }));
  t.equal((await ask()).headers.get('x-findtoken-model'), 'qwen-max');
  t.equal((await ask()).headers.get('x-findtoken-attempts'), '1', 'and passed by meanwhile');
  const told = house.logged.filter((line) => line.includes('model_gone'));
  t.equal(told.length, 1);
  t.match(told[0], /deepseek-flash/);
  asked();
});

t.test('pages of proxies mark no model as gone', async (t) => {
  begin(['deepseek', 'qwen']);
  of.deepseek.always(json(405, ''));
  for (let times = 0; times < 6; times += 1) t.equal((await ask()).headers.get('x-findtoken-model'), 'qwen-max');
  of.deepseek.always(answer);
  t.equal((await ask()).headers.get('x-findtoken-model'), 'deepseek-chat', 'six in a row, and it is asked again');
});

t.test('a stand-in of another provider is spoken to in its own words', async (t) => {
  begin(['kimi']);
  const wish = { model: 'qwen3.7-plus', enable_thinking: false, thinking_budget: 100, seed: 7, max_tokens: 50, temperature: 0.2 };
  const response = await ask(wish);
  t.equal(response.headers.get('x-findtoken-model'), 'kimi-k2.6');
  t.strictSame(of.kimi.requests[0]?.body, { model: 'kimi-k2.6', messages: HELLO.messages, max_completion_tokens: 50, thinking: { type: 'disabled' } });
  asked();
  begin(['qwen']);
  await (await ask(wish)).text();
  t.match(of.qwen.requests[0]?.body, { model: 'qwen3.7-plus', enable_thinking: false, thinking_budget: 100, seed: 7, max_tokens: 50, temperature: 0.2 }, 'the model itself gets what was sent');
  asked();
});

t.test('a picture that is named by its address goes to no stand-in that fetches none', async (t) => {
  const picture = (url: string) => [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }];
  begin(['kimi']);
  t.equal((await ask({ model: 'step-3.7-flash', messages: picture('data:image/png;base64,AAAA') })).status, 200);
  asked();
  t.equal((await ask({ model: 'step-3.7-flash', messages: picture('https://example.com/a.png') })).status, 503, 'kimi fetches no pictures');
  t.equal(asked(), '');
});

t.test('the hold covers the dearest candidate, the price is that of the serving model', async (t) => {
  begin(['deepseek', 'qwen']);
  of.deepseek.always(async (_request, response) => {
    const account = await house.ledger.findAccount(house.accountId);
    // The bound of the prompt is its 6 bytes and 16 a message; 100 tokens of answer at qwen-max: (22 × 1.6 + 100 × 6.4) × 1.055 = 712.336 millionths.
    t.equal(account?.held, 71_234n, "qwen-max's ceiling, rounded up, while deepseek-chat is asked");
    await POOR({ method: '', path: '', headers: {}, body: undefined, text: '', atMs: 0, dropped: false }, response);
  });
  of.qwen.usage = { prompt_tokens: 10, completion_tokens: 5 };
  const response = await ask({ max_tokens: 100 });
  t.equal(response.headers.get('x-findtoken-model'), 'qwen-max');
  // (10 × 1.6 + 5 × 6.4) × 1.055 = 50.64 millionths.
  t.equal((await house.lastRow()).cost, 5_064n);
  t.equal((await house.ledger.findAccount(house.accountId))?.held, 0n);
});

t.test('an account without credit keeps nobody from a provider that may be back', async (t) => {
  const poor = await scene(t, ['deepseek', 'qwen'], { credit: '0.01' });
  poor.of.deepseek.always(DOWN);
  await (await poor.ask()).text();
  poor.asked();
  poor.of.deepseek.always(answer);
  poor.clock.advance(30_000);
  t.equal((await poor.ask({ n: 128, max_tokens: 300 })).status, 402, 'it would have been the one that tries');
  t.equal((await poor.ask({ max_tokens: 10 })).headers.get('x-findtoken-model'), 'deepseek-chat', 'the next one is');
  t.equal(poor.asked(), 'deepseek×1');
});

t.test('circuits: opened by spent retries, passed by at once, closed again by a probe or a trial', async (t) => {
  begin(['deepseek', 'qwen']);
  of.deepseek.always(DOWN);
  t.equal((await ask()).headers.get('x-findtoken-model'), 'qwen-max');
  t.equal(asked(), 'deepseek×4 qwen×1');
  const sleptBefore = clock.slept.length;
  t.equal((await ask()).headers.get('x-findtoken-attempts'), '1');
  t.equal(asked(), 'qwen×1', 'the following request passes it by');
  t.equal(clock.slept.length, sleptBefore, 'without a wait');

  await t.test('/readyz tells it, and stays ready', async (t) => {
    const response = await house.get('/readyz');
    const { providers } = (await response.json()) as { providers: readonly unknown[] };
    t.equal(response.status, 200, 'one outage is no reason to take this process out of service');
    t.same(providers.slice(0, 2), [
      { id: 'deepseek', operator_key: true, health: 'down', ill: ['deepseek-chat'] },
      { id: 'zhipu', operator_key: false, health: 'up', ill: [] },
    ]);
    t.equal(providers.length, 6);
  });
  await t.test('a probe that fails leaves it out', async (t) => {
    of.deepseek.models(json(503, {}));
    await probe(t);
    await ask();
    t.equal(asked(), 'qwen×1');
  });
  await t.test('a good one closes it, before its time', async (t) => {
    of.deepseek.models(json(200, { object: 'list', data: [] }));
    of.deepseek.always(answer);
    await probe(t);
    t.equal(of.deepseek.probes.length, 2);
    t.equal((await ask()).headers.get('x-findtoken-model'), 'deepseek-chat');
    t.equal(asked(), 'deepseek×1');
  });
  await t.test('without a probe the request after 30 s tries it, and only one', async (t) => {
    of.deepseek.always(DOWN);
    await ask();
    asked();
    clock.advance(30_000);
    let served = 0;
    of.deepseek.always(async (request, response) => {
      served += 1;
      await pause(60);
      await answer(request, response);
    });
    const models = await Promise.all(Array.from({ length: 10 }, async () => (await ask()).headers.get('x-findtoken-model')));
    t.equal(served, 1, 'of ten at once one is the trial');
    t.equal(models.filter((model) => model === 'deepseek-chat').length, 1);
    asked();
    await ask();
    t.equal(asked(), 'deepseek×1', 'it answered, so it is back');
  });
  await t.test('with fallback those that are down are asked at the end, once each', async (t) => {
    begin(['deepseek', 'qwen', 'zhipu']);
    of.deepseek.always(DOWN);
    await ask();
    asked();
    of.qwen.always(DOWN);
    of.zhipu.always(DOWN);
    t.equal((await ask({ routing: 'fallback' })).status, 503);
    t.equal(asked(), 'deepseek×1 qwen×4 zhipu×4');
    of.deepseek.always(answer);
    t.equal((await ask({ routing: 'fallback' })).headers.get('x-findtoken-model'), 'deepseek-chat', 'until one succeeds');
  });
  await t.test('the last one left is never refused on a guess', async (t) => {
    begin(['deepseek']);
    of.deepseek.always(DOWN);
    t.equal((await ask()).status, 503);
    t.equal(asked(), 'deepseek×4');
    t.equal((await ask()).status, 503);
    t.equal(asked(), 'deepseek×1', 'known to be down: one try, no retries');
    of.deepseek.always(answer);
    t.equal((await ask()).status, 200, 'and back at once when it is');
  });
  await t.test('a Retry-After keeps no circuit closed, least of all one of 0', async (t) => {
    for (const after of ['0', '1']) {
      begin(['deepseek', 'qwen']);
      of.deepseek.always(json(503, { error: { message: 'down', type: 'x' } }, { 'retry-after': after }));
      await ask();
      t.equal(asked(), 'deepseek×4 qwen×1');
      clock.advance(2_000);
      await ask();
      t.equal(asked(), 'qwen×1', `Retry-After: ${after}`);
    }
  });
  await t.test('an empty account is remembered over a probe that failed', async (t) => {
    begin(['deepseek', 'qwen']);
    of.deepseek.always(POOR);
    await ask();
    asked();
    for (const models of [json(503, {}), json(200, { object: 'list', data: [] })]) {
      of.deepseek.models(models);
      await probe(t);
    }
    await ask();
    t.equal(asked(), 'qwen×1', 'a list of models proves no money');
  });
  await t.test('a 500 that may be the request\'s own fault opens no circuit', async (t) => {
    begin(['qwen', 'minimax']);
    of.qwen.always(json(500, { error: { message: 'list index out of range', type: 'internal_error', code: 'internal_error' } }));
    await ask({ model: 'qwen-max' });
    t.equal(asked(), 'qwen×4 minimax×1');
    of.qwen.always(answer);
    t.equal((await ask({ model: 'qwen-max' })).headers.get('x-findtoken-model'), 'qwen-max', 'the next request is another one');
    t.equal(asked(), 'qwen×1');
  });
  await t.test('nor does a page of a firewall that one prompt set off', async (t) => {
    begin(['qwen', 'minimax']);
    of.qwen.always((_request, response) => void response.writeHead(403, { 'content-type': 'text/html' }).end('<html>Request blocked</html>'));
    await ask({ model: 'qwen-max' });
    t.equal(asked(), 'qwen×1 minimax×1');
    of.qwen.always(answer);
    t.equal((await ask({ model: 'qwen-max' })).headers.get('x-findtoken-model'), 'qwen-max');
    t.equal(asked(), 'qwen×1');
  });
  await t.test('a 429 is no outage: it rests for its Retry-After', async (t) => {
    begin(['deepseek', 'qwen']);
    of.deepseek.next(json(429, { error: { message: 'slow down', type: 'x' } }, { 'retry-after': '200' }));
    await ask();
    t.equal(asked(), 'deepseek×1 qwen×1');
    clock.advance(199_000);
    await ask();
    t.equal(asked(), 'qwen×1');
    clock.advance(1_001);
    await ask();
    t.equal(asked(), 'deepseek×1');
  });
});

t.test('streams go the same way until their first words', async (t) => {
  begin(['deepseek', 'qwen']);
  of.deepseek.always(DOWN);
  const response = await ask({ stream: true });
  const { events } = await readStream(response);
  t.equal(asked(), 'deepseek×4 qwen×1');
  t.equal(response.headers.get('x-findtoken-model'), 'qwen-max');
  t.ok(events.filter(isRecord).every((chunk) => chunk['model'] === 'qwen-max'));
});

t.test("BYOK goes on only where the account has a key of its own, with that key, and stays BYOK", async (t) => {
  begin(ALL);
  await house.register('deepseek', 'sk-own-deepseek');
  await house.register('kimi', 'sk-own-kimi');
  of.deepseek.always(DOWN);
  const response = await ask();
  t.same(of.kimi.requests.map(({ headers }) => headers.authorization), ['Bearer sk-own-kimi']);
  t.equal(asked(), 'deepseek×4 kimi×1', 'qwen and zhipu, for which the operator has keys, are passed over');
  t.equal(response.headers.get('x-findtoken-mode'), 'byok');
  t.equal(response.headers.get('x-findtoken-cost'), '0.00');
});

/** The daemon's own job, once. */
async function probe(t: Test): Promise<void> {
  const upstream = createUpstream({ userAgent: 'findtoken/test' });
  t.teardown(() => upstream.close());
  const parts: JobParts = {
    settings: house.settings, ledger: house.ledger, gateway: house.gateway, upstream, payments: undefined, nowMs: clock.nowMs,
    credentials: {
      operatorProviders: async () => new Set(house.settings.providerKeys.keys()),
      operator: async (provider) => {
        const baseUrl = house.settings.catalog.providers.get(provider)?.baseUrl;
        return baseUrl === undefined ? undefined : { provider, baseUrl, apiKey: 'good-key' };
      },
      registered: async () => undefined,
    },
    log: { access: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, flush: () => Promise.resolve() },
    about: { version: 'test', url: house.url, startedMs: 0 },
  };
  await probeProviders(parts);
}
