import OpenAI from 'openai';
import t from 'tap';
import { formatUsd } from '../src/money/index.ts';
import { openHouse } from './support/house.ts';
import { json, sse, startProvider } from './support/provider.ts';

/** What the guide shows, through the real SDK, with nothing but base URL and key changed. */
const MESSAGES = [
  { role: 'system' as const, content: 'You are a helpful assistant.' },
  { role: 'user' as const, content: 'What is the capital of France?' },
];

t.test("the guide's first sample: an answer and its tokens", async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const { data: response, response: http, request_id: requestId } = await house.sdk().chat.completions.create({ model: 'deepseek-chat', messages: MESSAGES, temperature: 0.7, max_tokens: 500 }).withResponse();
  t.match(response.choices[0]?.message.content, /capital of France/);
  t.ok((response.usage?.total_tokens ?? 0) > 0);
  t.equal(response.model, 'deepseek-chat');
  t.match(requestId, /^req_/);
  t.equal(http.headers.get('x-findtoken-cost'), formatUsd((await house.lastRow()).cost));
});

t.test("the guide's stream: naive code that reads choices[0] of every chunk works", async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const stream = await house.sdk().chat.completions.create({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Write a short poem.' }], stream: true });
  let text = '';
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    t.ok(choice !== undefined, 'no chunk without a choice');
    text += choice?.delta.content ?? '';
  }
  t.match(text, /poem/);
  t.ok((await house.lastRow()).cost > 0n);
});

t.test('a stream with include_usage ends in the usage, with its cost', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const stream = await house.sdk().chat.completions.create({ model: 'deepseek-chat', messages: MESSAGES, stream: true, stream_options: { include_usage: true } });
  let last: OpenAI.Chat.Completions.ChatCompletionChunk | undefined;
  for await (const chunk of stream) last = chunk;
  const row = await house.lastRow();
  t.same(last?.choices, []);
  t.match(last?.usage, { prompt_tokens: row.promptTokens, completion_tokens: row.completionTokens, cost: Number(formatUsd(row.cost)) });
});

t.test('tools: a call comes back whole and streamed, and its result is understood', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const tools = [{ type: 'function' as const, function: { name: 'get_weather', description: 'Weather of a city', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }];
  const whole = await house.sdk().chat.completions.create({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Weather in Paris?' }], tools });
  const call = whole.choices[0]?.message.tool_calls?.[0];
  t.equal(whole.choices[0]?.finish_reason, 'tool_calls');
  if (call?.type !== 'function') return t.fail('a function was called');
  t.equal(call.function.name, 'get_weather');
  t.type(JSON.parse(call.function.arguments).city, 'string');
  const runner = house.sdk().chat.completions.stream({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Weather in Paris?' }], tools });
  const final = await runner.finalChatCompletion();
  t.match(final.choices[0]?.message.tool_calls?.[0], { function: { name: 'get_weather' } }, 'the pieces add up');
  const answered = await house.sdk().chat.completions.create({
    model: 'deepseek-chat', tools,
    messages: [{ role: 'user', content: 'Weather in Paris?' }, { role: 'assistant', tool_calls: [call] }, { role: 'tool', tool_call_id: call.id, content: 'Sunny' }],
  });
  t.equal(answered.choices[0]?.finish_reason, 'stop');
});

t.test('tools: pieces of calls that say too little or too much about themselves add up to the calls', async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { stepfun: provider.url } });
  const piece = (call: object, finish: string | null = null) => ({ id: 'x', created: 1, choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: finish }] });
  provider.next(sse([
    piece({ index: 0, id: 'c1', function: { name: 'get_time', arguments: '' } }),
    piece({ index: 0, id: '', type: '', function: { name: '', arguments: '{"city":' } }),
    piece({ index: 0, id: null, type: null, function: { name: null, arguments: '"Paris"}' } }),
    piece({ index: 1, id: 'c2', type: 'function', function: { name: 'get_weather', arguments: '{' } }),
    piece({ index: 1, id: 'c2', type: 'function', function: { name: 'get_weather', arguments: '}' } }, 'tool_calls'),
  ]));
  const tools = ['get_time', 'get_weather'].map((name) => ({ type: 'function' as const, function: { name, parameters: {} } }));
  const runner = house.sdk().chat.completions.stream({ model: 'step-3.5-flash', messages: MESSAGES, tools });
  const names: string[] = [];
  runner.on('chunk', (chunk) => {
    for (const call of chunk.choices[0]?.delta.tool_calls ?? []) names.push(`${call.id ?? ''} ${call.function?.name ?? ''}`.trim());
  });
  const final = await runner.finalChatCompletion();
  t.match(final.choices[0]?.message.tool_calls, [
    { id: 'c1', type: 'function', function: { name: 'get_time', arguments: '{"city":"Paris"}' } },
    { id: 'c2', type: 'function', function: { name: 'get_weather', arguments: '{}' } },
  ]);
  t.strictSame(names.filter((name) => name !== ''), ['c1 get_time', 'c2 get_weather'], 'each is named once, for clients that add up what they are told');
});

t.test('an abort stops the stream and is billed for what was sent', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const stream = await house.sdk().chat.completions.create({ model: 'sandbox-chat', messages: [{ role: 'user', content: 'one two three four five six seven eight nine ten eleven twelve' }], stream: true });
  for await (const chunk of stream) {
    if ((chunk.choices[0]?.delta.content ?? '') !== '') break;
  }
  stream.controller.abort();
  t.match(await house.lastRow(), { status: 'aborted', usageOrigin: 'estimated' });
});

t.test('errors arrive as the SDK\'s own classes', async (t) => {
  const house = await openHouse(t, { sandbox: true, yaml: { limits: { requests_per_minute: 3 } } });
  const ask = (model: string, key?: string) => house.sdk(key === undefined ? {} : { key }).chat.completions.create({ model, messages: MESSAGES });
  await t.rejects(ask('deepseek-chat', `sk-ft_${'0'.repeat(64)}`), { status: 401, code: 'invalid_api_key' });
  await t.rejects(ask('gpt-4o'), { status: 404, code: 'model_not_found', param: 'model' });
  await t.rejects(ask('sandbox-error-400'), { status: 400, code: 'invalid_request' });
  await ask('deepseek-chat');
  await ask('deepseek-chat');
  const limited: unknown = await ask('deepseek-chat').catch((error: unknown) => error);
  t.ok(limited instanceof OpenAI.RateLimitError && limited.code === 'rate_limit_exceeded');
  const poor = await openHouse(t, { sandbox: true, credit: '0' });
  await t.rejects(poor.sdk().chat.completions.create({ model: 'deepseek-chat', messages: MESSAGES }), { status: 402, code: 'insufficient_credits', type: 'insufficient_quota' });
});

t.test('a stream that breaks off raises, and our spent retries are not multiplied by the SDK\'s', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const stream = await house.sdk().chat.completions.create({ model: 'sandbox-cut', messages: MESSAGES, stream: true });
  const seen: string[] = [];
  await t.rejects((async () => {
    for await (const chunk of stream) seen.push(chunk.model);
  })(), { code: 'provider_failed' });

  const down = await startProvider();
  t.teardown(() => down.close());
  down.always(json(402, { error: { message: 'Insufficient Balance', type: 'unknown_error', code: 'invalid_request_error' } }));
  const other = await openHouse(t, { providers: { deepseek: down.url } });
  await t.rejects(other.sdk({ maxRetries: 2 }).chat.completions.create({ model: 'deepseek-chat', messages: MESSAGES }), { status: 503, code: 'providers_unavailable' });
  t.equal(down.requests.length, 1);
});

t.test('models are listed as the SDK expects', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const ids: string[] = [];
  for await (const model of house.sdk().models.list()) ids.push(model.id);
  t.ok(ids.includes('deepseek-chat') && ids.includes('sandbox-chat'));
  t.equal((await house.sdk().models.retrieve('deepseek-chat')).owned_by, 'deepseek');
  const own = await openHouse(t, { sandbox: true, yaml: { models: { 'zai/glm-x:free': { provider: 'zhipu', upstream: 'glm-x', context_window: 1_000, max_output: 100, price: { input: 1, output: 1 } } } } });
  for (const name of ['zai/glm-x:free', 'zai/glm-x:free:cheapest']) t.equal((await own.sdk().models.retrieve(name)).id, 'zai/glm-x:free', name);
  t.match(await (await own.get('/v1/models/zai/glm-x:free')).json(), { id: 'zai/glm-x:free' }, 'a client that escapes nothing');
  t.match(await (await own.get('/v1/models/deepseek-chta:cheapest')).json(), { error: { code: 'model_not_found', message: /Did you mean "deepseek-chat"/ } });
});
