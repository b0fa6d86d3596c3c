import type OpenAI from 'openai';
import t, { type Test } from 'tap';
import { formatUsd, formatUsdExact } from '../src/money/index.ts';
import { openHouse, readStream, type House } from './support/house.ts';
import { isRecord, json, sse } from './support/provider.ts';
import { SIMULATED, startSimulator, type SimulatedProvider, type Simulator } from './support/simulators.ts';

/** The six providers behind a whole gateway, seen through the `openai` package: what they stream, count and charge. */

const ASKED = [{ role: 'user' as const, content: 'What is the weather in Hangzhou?' }];
const TEXT = 'It is sunny in 杭州 today.';
const TOOLS = [{ type: 'function' as const, function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }];

interface Charged {
  readonly model: string;
  /** For 1,900 prompt tokens, 1,200 of them cached, and 130 of answer, in 1e-8 dollars, reckoned by hand. */
  readonly costE8: bigint;
}

/** 700 tokens at the input price, 1,200 at the cached one, 130 at the output one, in millionths of a dollar; then × 1.055. */
const PLAIN: Readonly<Record<SimulatedProvider, Charged>> = {
  // 700 × 0.14 + 1,200 × 0.0028 + 130 × 0.28 = 98 + 3.36 + 36.4 = 137.76; × 1.055 = 145.3368
  deepseek: { model: 'deepseek-chat', costE8: 14_534n },
  // 700 × 0.5 + 1,200 × 0.25 + 130 × 0.5 = 350 + 300 + 65 = 715; × 1.055 = 754.325, half a step goes up
  zhipu: { model: 'glm-4-plus', costE8: 75_433n },
  // 700 × 0.3 + 1,200 × 0.03 + 130 × 1.2 = 210 + 36 + 156 = 402; × 1.055 = 424.11
  minimax: { model: 'minimax-m2.5', costE8: 42_411n },
  // 700 × 1.6 + 1,200 × 0.32 + 130 × 6.4 = 1,120 + 384 + 832 = 2,336; × 1.055 = 2,464.48
  qwen: { model: 'qwen-max', costE8: 246_448n },
  // 700 × 0.95 + 1,200 × 0.16 + 130 × 4 = 665 + 192 + 520 = 1,377; × 1.055 = 1,452.735, half a step goes up
  kimi: { model: 'kimi-k2', costE8: 145_274n },
  // 700 × 0.1 + 1,200 × 0.02 + 130 × 0.3 = 70 + 24 + 39 = 133; × 1.055 = 140.315, half a step goes up
  stepfun: { model: 'step-3.5-flash', costE8: 14_032n },
};

/** Models that think. `told`: whether the provider says how many tokens that took. */
const THINKING: Readonly<Record<SimulatedProvider, Charged & { readonly told: boolean }>> = {
  // As deepseek-chat: the same upstream model at the same price.
  deepseek: { model: 'deepseek-reasoner', costE8: 14_534n, told: true },
  // 700 × 0.6 + 1,200 × 0.11 + 130 × 2.2 = 420 + 132 + 286 = 838; × 1.055 = 884.09
  zhipu: { model: 'glm-4.7', costE8: 88_409n, told: false },
  minimax: { model: 'minimax-m2.5', costE8: 42_411n, told: true },
  // 700 × 0.5 + 1,200 × 0.1 + 130 × 3 = 350 + 120 + 390 = 860; × 1.055 = 907.3
  qwen: { model: 'qwen3.7-plus', costE8: 90_730n, told: true },
  // As kimi-k2: one upstream model at one price.
  kimi: { model: 'kimi-k2.6', costE8: 145_274n, told: false },
  stepfun: { model: 'step-3.5-flash', costE8: 14_032n, told: false },
};

const BODY_FIELDS = ['id', 'object', 'created', 'model', 'choices', 'usage'];
const CHOICE_FIELDS = ['index', 'message', 'delta', 'finish_reason', 'logprobs'];
const MESSAGE_FIELDS = ['role', 'content', 'reasoning_content', 'tool_calls', 'refusal', 'function_call'];
const USAGE_FIELDS = ['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_tokens_details', 'completion_tokens_details', 'prompt_cache_hit_tokens', 'prompt_cache_miss_tokens', 'cost'];

for (const name of SIMULATED) {
  t.test(`${name} answers as OpenAI does`, async (t) => {
    const { model, costE8 } = PLAIN[name];
    const { house, provider } = await open(t, name);

    await t.test('in one piece', async (t) => {
      const { data, response } = await house.sdk().chat.completions.create({ model, messages: ASKED, temperature: 0.7, max_tokens: 500 }).withResponse();
      isClean(t, data, model);
      t.same(data.choices.map(({ index, finish_reason }) => [index, finish_reason]), [[0, 'stop']]);
      t.match(data.choices[0]?.message, { role: 'assistant', content: TEXT });
      t.same(data.usage, usageBody(costE8, 0));
      t.equal(response.headers.get('x-findtoken-cost'), formatUsd(costE8));
      t.equal(response.headers.get('x-findtoken-model'), model);
      await isCharged(t, house, costE8);
    });

    await t.test('as a stream, to code that reads choices[0] of every chunk', async (t) => {
      const chunks = await collect(house.sdk().chat.completions.create({ model, messages: ASKED, stream: true }));
      for (const chunk of chunks) isClean(t, chunk, model);
      t.ok(chunks.every(({ choices }) => choices.length === 1), 'no chunk is without its choice');
      t.equal(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join(''), TEXT, 'the text once, whatever the end frame repeats');
      t.same(roles(chunks), ['assistant'], 'the role once, and first');
      t.same(finishes(chunks), ['stop'], 'null until the end, then once');
      t.same(chunks.flatMap(({ usage }) => usage ?? []), [usageBody(costE8, 0)], 'usage once, with the cost');
      await isCharged(t, house, costE8);
      const { text } = await readStream(await house.post({ model, messages: ASKED, stream: true }));
      t.ok(text.endsWith(`: x-findtoken-cost ${formatUsd(costE8)}\n\ndata: [DONE]\n\n`), 'one [DONE], whether the provider sends it or not');
      t.equal(text.split('[DONE]').length, 2);
      await isCharged(t, house, costE8);
    });

    await t.test("as a stream, to the SDK's own accumulator", async (t) => {
      const final = await house.sdk().chat.completions.stream({ model, messages: ASKED }).finalChatCompletion();
      t.match(final.choices[0], { message: { role: 'assistant', content: TEXT }, finish_reason: 'stop' });
      await isCharged(t, house, costE8);
    });

    await t.test('as a stream with include_usage', async (t) => {
      const chunks = await collect(house.sdk().chat.completions.create({ model, messages: ASKED, stream: true, stream_options: { include_usage: true } }));
      for (const chunk of chunks) isClean(t, chunk, model);
      const last = chunks.at(-1);
      t.same(last?.choices, []);
      t.same(last?.usage, usageBody(costE8, 0));
      t.ok(chunks.slice(0, -1).every(({ choices, usage }) => choices.length === 1 && (usage ?? null) === null), 'nowhere else');
      await isCharged(t, house, costE8);
    });

    await t.test('with tools', async (t) => {
      const whole = await house.sdk().chat.completions.create({ model, messages: ASKED, tools: TOOLS });
      isClean(t, whole, model);
      t.equal(whole.choices[0]?.finish_reason, 'tool_calls');
      const call = whole.choices[0]?.message.tool_calls?.[0];
      if (call?.type !== 'function') return t.fail('a function was called');
      t.same([call.function.name, call.function.arguments], ['get_weather', '{"city":"杭州"}']);
      await isCharged(t, house, costE8);
      const chunks = await collect(house.sdk().chat.completions.create({ model, messages: ASKED, tools: TOOLS, stream: true }));
      const pieces = chunks.flatMap(({ choices: [choice] }) => choice?.delta.tool_calls ?? []);
      t.ok(pieces.every(({ index }) => index === 0), 'every piece bears its index, where the provider leaves it out too');
      t.equal(pieces.map((piece) => piece.function?.arguments ?? '').join(''), '{"city":"杭州"}');
      t.same(finishes(chunks), ['tool_calls']);
      await isCharged(t, house, costE8);
      const answered = await house.sdk().chat.completions.create({
        model, tools: TOOLS, messages: [...ASKED, { role: 'assistant', tool_calls: [call] }, { role: 'tool', tool_call_id: call.id, content: 'sunny' }],
      });
      t.equal(answered.choices[0]?.finish_reason, 'stop', 'the result of the call is understood');
      await isCharged(t, house, costE8);
    });

    await t.test('with tools, thinking, though the client keeps nothing of what was thought', async (t) => {
      const { model: thinker, costE8: cost } = THINKING[name];
      Object.assign(provider.says, { reasoning: 'Look at the sky.' });
      const { choices } = await house.sdk().chat.completions.create({ model: thinker, messages: ASKED, tools: TOOLS });
      const { tool_calls: calls = [] } = choices[0]?.message ?? {};
      const history = [...ASKED, { role: 'assistant' as const, content: null, tool_calls: calls }, ...calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: 'sunny' }))];
      await isCharged(t, house, cost);
      const answered = await house.sdk().chat.completions.create({ model: thinker, messages: history, tools: TOOLS });
      t.equal(answered.choices[0]?.finish_reason, 'stop', 'the second turn is answered');
      await isCharged(t, house, cost);
      Object.assign(provider.says, { reasoning: '' });
    });

    await t.test('with its thinking apart from its answer', async (t) => {
      const { model: thinker, costE8: cost, told } = THINKING[name];
      Object.assign(provider.says, { reasoning: 'Look at the sky.', reasoningTokens: 90 });
      const usage = usageBody(cost, told ? 90 : 0);
      const whole = await house.sdk().chat.completions.create({ model: thinker, messages: ASKED });
      isClean(t, whole, thinker);
      t.match(whole.choices[0]?.message, { content: TEXT, reasoning_content: 'Look at the sky.' });
      t.same(whole.usage, usage, 'reasoning is part of the completion, billed once');
      await isCharged(t, house, cost);
      const chunks = await collect(house.sdk().chat.completions.create({ model: thinker, messages: ASKED, stream: true, stream_options: { include_usage: true } }));
      for (const chunk of chunks) isClean(t, chunk, thinker);
      const said = (field: string): string => chunks.map(({ choices: [choice] }) => textIn(choice?.delta, field)).join('');
      t.same([said('reasoning_content'), said('content')], ['Look at the sky.', TEXT]);
      t.same(chunks.at(-1)?.usage, usage);
      await isCharged(t, house, cost);
      Object.assign(provider.says, { reasoning: '', reasoningTokens: 0 });
    });

    await t.test('a stream request that is answered with one JSON body is told as a stream', async (t) => {
      provider.next(json(200, {
        id: 'whole', object: 'chat.completion', created: 1_790_000_000, model: 'upstream-name',
        choices: [{ index: 0, message: { role: 'assistant', content: TEXT }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1_900, completion_tokens: 130, total_tokens: 2_030, prompt_tokens_details: { cached_tokens: 1_200 } },
      }));
      const chunks = await collect(house.sdk().chat.completions.create({ model, messages: ASKED, stream: true }));
      for (const chunk of chunks) isClean(t, chunk, model);
      t.equal(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join(''), TEXT);
      t.same(finishes(chunks), ['stop']);
      t.same(chunks.at(-1)?.usage, usageBody(costE8, 0));
      await isCharged(t, house, costE8);
    });

    t.same((await house.ledger.audit()).findings, []);
    t.ok(provider.requests.every(({ body }) => isRecord(body) && body['model'] !== undefined && body['routing'] === undefined));
  });
}

t.test('ends that only one provider knows are said in OpenAI\'s words, and billed as what they are', async (t) => {
  const head = { id: 'x', created: 1, object: 'chat.completion.chunk', model: 'up' };
  const usage = { prompt_tokens: 1_900, completion_tokens: 130, prompt_tokens_details: { cached_tokens: 1_200 } };
  const ending = (finish_reason: string) => sse([
    { ...head, choices: [{ index: 0, delta: { role: 'assistant', content: TEXT }, finish_reason: null }] },
    { ...head, choices: [{ index: 0, delta: {}, finish_reason }], usage },
  ], { gapMs: 10 });
  const cases = [
    ['zhipu', 'sensitive', 'content_filter', 75_433n, 'the answer was cut short by its filter'],
    ['zhipu', 'model_context_window_exceeded', 'length', 75_433n, 'the window was full'],
    ['zhipu', 'network_error', undefined, 0n, 'its only word for a failure in the middle'],
    ['deepseek', 'insufficient_system_resource', undefined, 0n, 'the provider gave up'],
    ['deepseek', 'content_filter', 'content_filter', 14_534n, "OpenAI's own word"],
  ] as const;
  for (const [name, said, told, costE8, why] of cases) {
    const { house, provider } = await open(t, name);
    provider.always(ending(said));
    const { events } = await readStream(await house.post({ model: PLAIN[name].model, messages: ASKED, stream: true }));
    const row = await house.lastRow();
    t.equal(row.cost, costE8, why);
    if (told === undefined) t.match(events.at(-1), { error: { code: 'provider_failed' } }, why);
    else t.match(events.at(-2), { choices: [{ finish_reason: told }] }, why);
  }
});

async function open(t: Test, name: SimulatedProvider): Promise<{ readonly house: House; readonly provider: Simulator }> {
  const provider = await startSimulator(name);
  t.teardown(() => provider.close());
  return { provider, house: await openHouse(t, { providers: { [name]: provider.url } }) };
}

/** Nothing of the provider's own, and our name for the model. */
function isClean(t: Test, body: OpenAI.ChatCompletion | OpenAI.ChatCompletionChunk, model: string): void {
  const strange = (value: unknown, known: readonly string[]): string[] => (isRecord(value) ? Object.keys(value).filter((field) => !known.includes(field)) : []);
  const choices = body.choices.flatMap((choice) => [
    ...strange(choice, CHOICE_FIELDS),
    ...strange('message' in choice ? choice.message : choice.delta, MESSAGE_FIELDS),
  ]);
  t.same([...strange(body, BODY_FIELDS), ...choices, ...strange(body.usage, USAGE_FIELDS)], [], 'no field of the provider\'s own');
  t.equal(body.model, model);
  t.match(body, { id: /./, created: Number, object: /^chat\.completion(\.chunk)?$/ });
}

/** The log's row, the account's history over HTTP and the balance say this charge, and nothing else left the account. */
async function isCharged(t: Test, house: House, costE8: bigint): Promise<void> {
  const row = await house.lastRow();
  t.equal(row.cost, costE8, 'the books charge what the catalogue says');
  t.equal(row.usageOrigin, 'reported');
  t.same([row.promptTokens, row.cachedTokens, row.completionTokens], [1_900, 1_200, 130]);
  t.equal(house.lines.findLast((line) => line.chat !== undefined)?.chat?.cost, formatUsd(costE8), 'and the access line');
  t.match(await (await house.get('/v1/user/billing-logs?limit=1')).json(), { data: [{ id: row.id, cost_exact: formatUsdExact(costE8), total_tokens: 2_030 }] });
  const { rows } = await house.ledger.listTransfers({ accountId: house.accountId, limit: 10 });
  const parts = rows.filter(({ reference }) => reference === row.id);
  t.equal(parts.reduce((sum, { amount }) => sum + amount, 0n), costE8, 'the transfers of this request add up to it');
}

function usageBody(costE8: bigint, reasoning: number) {
  return {
    prompt_tokens: 1_900, completion_tokens: 130, total_tokens: 2_030,
    prompt_tokens_details: { cached_tokens: 1_200 }, completion_tokens_details: { reasoning_tokens: reasoning },
    prompt_cache_hit_tokens: 1_200, prompt_cache_miss_tokens: 700, cost: Number(formatUsd(costE8)),
  };
}

async function collect(asked: PromiseLike<AsyncIterable<OpenAI.ChatCompletionChunk>>): Promise<OpenAI.ChatCompletionChunk[]> {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await asked) chunks.push(chunk);
  return chunks;
}

function roles(chunks: readonly OpenAI.ChatCompletionChunk[]): readonly unknown[] {
  return [...new Set(chunks.flatMap(({ choices: [choice] }) => choice?.delta.role ?? []))];
}

function finishes(chunks: readonly OpenAI.ChatCompletionChunk[]): readonly unknown[] {
  return chunks.flatMap(({ choices: [choice] }) => choice?.finish_reason ?? []);
}

function textIn(value: unknown, field: string): string {
  const text = isRecord(value) ? value[field] : undefined;
  return typeof text === 'string' ? text : '';
}
