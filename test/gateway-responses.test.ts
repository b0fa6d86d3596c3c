import t, { type Test } from 'tap';
import type { ResponseInputItem } from 'openai/resources/responses/responses';
import { openHouse, type House } from './support/house.ts';
import { json, sse, startProvider, textChunks, until, type FakeProvider } from './support/provider.ts';

/** `POST /v1/responses` with OpenAI's own client on real sockets: the same call as a chat call, in other words. */

const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const ASK = { model: 'deepseek-chat', input: 'Hello!' };
const SHELL = { type: 'function' as const, name: 'shell', parameters: { type: 'object', properties: { cmd: { type: 'string' } } }, strict: false };
const USAGE = { prompt_tokens: 1_900, completion_tokens: 130, total_tokens: 2_030, prompt_tokens_details: { cached_tokens: 1_200 } };
const chunk = (delta: unknown, finish: string | null = null) => ({ ...HEAD, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] });
const LAST = { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE };

async function scene(test: Test, options: Parameters<typeof openHouse>[1] = {}): Promise<{ readonly deepseek: FakeProvider; readonly house: House; ask(body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response> }> {
  const deepseek = await startProvider();
  test.teardown(() => deepseek.close());
  deepseek.usage = USAGE;
  const house = await openHouse(test, { providers: { deepseek: deepseek.url }, yaml: { routing: { retries: 0 } }, ...options });
  return {
    deepseek,
    house,
    ask: (body, headers = {}) => fetch(`${house.url}/v1/responses`, { method: 'POST', headers: { 'authorization': `Bearer ${house.key}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }),
  };
}

t.test('an answer is told and billed as that of the chat call is', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  const answer = await house.sdk().responses.create({ ...ASK, instructions: 'Be brief.', max_output_tokens: 500 });
  t.match(answer, { object: 'response', status: 'completed', model: 'deepseek-chat', store: false, instructions: 'Be brief.', output: [{ type: 'message', role: 'assistant', status: 'completed' }], usage: { input_tokens: 1_900, input_tokens_details: { cached_tokens: 1_200 }, output_tokens: 130 } });
  t.ok(answer.output_text.includes('Hello!'));
  t.match(deepseek.requests[0], { path: '/v1/chat/completions', body: { model: 'deepseek-flash', max_tokens: 500, messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello!' }] } });
  const row = await house.lastRow();
  t.equal(row.cost, 14_534n, '$0.00014534');
  t.equal(answer.id, `resp_${row.id.replace('req_', '')}`, 'named by its request');

  const before = await house.balance();
  const response = await ask(ASK);
  await response.json();
  t.match(Object.fromEntries(response.headers), { 'x-findtoken-mode': 'standard', 'x-findtoken-cost': '0.000145', 'x-findtoken-provider': 'deepseek', 'x-findtoken-model': 'deepseek-chat', 'x-findtoken-attempts': '1' });
  t.equal(before - (await house.balance()), 14_534n);
  t.same((await house.ledger.audit()).findings, []);
  t.match(house.lines.at(-1), { path: '/v1/responses', chat: { end: 'ok', cost: '0.000145' } });
  t.match(await (await fetch(`${house.url}/metrics`)).text(), /findtoken_requests_total\{[^}]*model="deepseek-chat"[^}]*\} 2/);
});

t.test('a stream is one that the client puts together', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  deepseek.always(sse([chunk({ role: 'assistant', reasoning_content: 'Grüße? ' }), chunk({ reasoning_content: 'Yes.' }), chunk({ content: 'Grü' }), chunk({ content: 'ße 你好' }), chunk({}, 'stop'), LAST]));
  const stream = house.sdk().responses.stream(ASK);
  let heard = '';
  stream.on('response.output_text.delta', ({ delta }) => (heard += delta));
  const final = await stream.finalResponse();
  t.equal(heard, 'Grüße 你好');
  t.match(final, { status: 'completed', output_text: 'Grüße 你好', output: [{ type: 'reasoning', summary: [{ text: 'Grüße? Yes.' }] }, { type: 'message' }], usage: { output_tokens: 130, cost: 0.000145 } });

  const plain = await ask({ ...ASK, stream: true });
  const text = await plain.text();
  t.equal(plain.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  t.match(text, /: x-findtoken-cost 0\.000145\n\n(?:event: .*\ndata: .*\n\n)*event: response\.completed\ndata: .*\n\n$/, 'the cost as a comment, and the end');
  t.notMatch(text, 'chat.completion');
});

t.test('a tool loop goes round, thoughts and all', async (t) => {
  const { deepseek, house } = await scene(t);
  const sdk = house.sdk();
  const input: ResponseInputItem[] = [{ role: 'user', content: 'List.' }];
  deepseek.next(sse([chunk({ role: 'assistant', reasoning_content: 'I should look.' }), chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'shell', arguments: '{"cmd":' } }] }), chunk({ tool_calls: [{ index: 0, function: { arguments: '"ls"}' } }] }), chunk({}, 'tool_calls'), LAST]));
  const first = await sdk.responses.stream({ model: 'deepseek-reasoner', input, tools: [SHELL], store: false }).finalResponse();
  t.match(first.output, [{ type: 'reasoning' }, { type: 'function_call', call_id: 'call_1', name: 'shell', arguments: '{"cmd":"ls"}' }]);
  for (const item of first.output) if (item.type === 'reasoning' || item.type === 'function_call') input.push(item);
  input.push({ type: 'function_call_output', call_id: 'call_1', output: 'README.md' });
  deepseek.next(sse([...textChunks(HEAD, 'There is README.md'), LAST]));
  const second = await sdk.responses.stream({ model: 'deepseek-reasoner', input, tools: [SHELL], store: false }).finalResponse();
  t.equal(second.output_text, 'There is README.md');
  t.match(deepseek.requests[1]?.body, { messages: [
    { role: 'user', content: 'List.' },
    { role: 'assistant', reasoning_content: 'I should look.', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'shell', arguments: '{"cmd":"ls"}' } }] },
    { role: 'tool', tool_call_id: 'call_1', content: 'README.md' },
  ] });
});

t.test('how much to think is said in the provider\'s words, or not at all', async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url, zhipu: provider.url, kimi: provider.url, qwen: provider.url } });
  const cases: readonly [string, string, unknown][] = [
    ['glm-4.7', 'high', {}],
    ['kimi-k2', 'high', { thinking: { type: 'disabled' } }],
    ['kimi-k2.6', 'xhigh', {}],
    ['kimi-k2.6', 'none', { thinking: { type: 'disabled' } }],
    ['deepseek-flash', 'xhigh', { reasoning_effort: 'high' }],
    ['qwen3.7-plus', 'none', { enable_thinking: false }],
  ];
  const headers = { 'authorization': `Bearer ${house.key}`, 'content-type': 'application/json' };
  for (const [model, effort, said] of cases) {
    for (const [path, body] of [['responses', { input: 'Hi', reasoning: { effort }, prompt_cache_key: 'k' }], ['messages', { max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }], output_config: { effort }, top_k: 5 }]] as const) {
      t.equal((await fetch(`${house.url}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify({ model, ...body }) })).status, 200);
      const sent = provider.requests.at(-1)?.body as Record<string, unknown>;
      const thinking = Object.fromEntries(Object.entries(sent).filter(([name]) => /thinking|reasoning/.test(name)));
      t.strictSame(thinking, said, `${model} by /v1/${path}, ${effort}`);
    }
  }
});

t.test('refusals are those of a chat call', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  const cases: readonly [unknown, number, string, string | null][] = [
    [{ ...ASK, previous_response_id: 'resp_1' }, 400, 'invalid_request', 'previous_response_id'],
    [{ model: 'deepseek-chat' }, 400, 'invalid_request', 'input'],
    [{ input: 'Hi' }, 400, 'invalid_request', 'model'],
    [{ ...ASK, model: 'deepseek-chta' }, 404, 'model_not_found', 'model'],
    ['text', 400, 'invalid_request', null],
  ];
  for (const [body, status, code, param] of cases) {
    const refused = await ask(body);
    t.equal(refused.status, status, code);
    t.match(await refused.json(), { error: { code, param } });
    t.match(Object.fromEntries(refused.headers), { 'x-findtoken-cost': '0.00', 'x-findtoken-attempts': '0', 'x-request-id': /^req_/, 'x-ratelimit-limit-requests': '600' });
  }
  t.equal(deepseek.requests.length, 0, 'nobody was asked');
  const kept = await house.get('/v1/responses/resp_1');
  t.match([kept.status, await kept.json()], [404, { error: { message: /not kept/ } }]);
  t.equal((await house.get('/v1/responses')).status, 405);

  deepseek.always(json(500, { error: { message: 'down', type: 'server_error' } }));
  const balance = await house.balance();
  for (const stream of [false, true]) t.match(await (await ask({ ...ASK, stream })).json(), { error: { code: 'providers_unavailable' } });
  deepseek.always(json(400, { error: { message: 'This model\'s maximum context length is 9 tokens', type: 'invalid_request_error' } }));
  t.match(await (await ask(ASK)).json(), { error: { code: 'context_length_exceeded' } });
  t.equal(await house.balance(), balance, 'at no cost');
});

t.test('a stream that breaks off is told as failed, and costs nothing', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  const balance = await house.balance();
  deepseek.always(sse([chunk({ content: 'Hel' }), { error: { message: 'overloaded', type: 'server_error' } }], { gapMs: 30 }));
  const text = await (await ask({ ...ASK, stream: true })).text();
  t.match(text, /event: error\ndata: .*"code":"provider_failed".*\n\nevent: response\.failed\ndata: .*"status":"failed","error":\{"code":"provider_failed"/s);
  await t.rejects(house.sdk().responses.stream(ASK).finalResponse(), { name: 'Error', message: /broke off/ }, 'no client takes it for an answer');
  await t.rejects(async () => {
    for await (const _ of await house.sdk().responses.create({ ...ASK, stream: true }));
  }, { code: 'provider_failed', message: /broke off/ }, 'nor one that reads event by event');
  t.equal((await house.lastRow()).cost, 0n);
  t.equal(await house.balance(), balance);
});

t.test('a repeat under an Idempotency-Key hears the same answer, once charged', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  for (const stream of [false, true]) {
    const key = { 'idempotency-key': `k-${stream}` };
    if (stream) deepseek.always(sse([...textChunks(HEAD, 'One two three'), LAST]));
    const before = [await house.balance(), deepseek.requests.length] as const;
    const first = await ask({ ...ASK, stream }, key);
    const said = await first.text();
    const again = await ask({ ...ASK, stream }, key);
    t.equal(again.headers.get('idempotent-replayed'), 'true');
    t.equal(again.headers.get('x-request-id'), first.headers.get('x-request-id'));
    t.equal(await again.text(), said, 'to the letter, names and all');
    t.equal(before[0] - (await house.balance()), 14_534n);
    t.equal(deepseek.requests.length - before[1], 1);
    t.equal((await ask({ ...ASK, input: 'Other', stream }, key)).status, 422);
  }
});

t.test('a client that leaves takes its call along', async (t) => {
  const { deepseek, house } = await scene(t);
  deepseek.always((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(chunk({ content: 'Hel' }))}\n\n`);
  });
  const stream = await house.sdk().responses.create({ ...ASK, stream: true });
  for await (const event of stream) if (event.type === 'response.output_text.delta') break;
  t.ok(await until(() => deepseek.requests[0]?.dropped === true, 5_000));
  t.match(await house.lastRow(), { status: 'aborted' });
});

t.test('own keys, free models of the sandbox, and a body that is too deep', async (t) => {
  const { house, ask } = await scene(t, { sandbox: true });
  const byok = await ask({ model: 'deepseek-chat', input: 'Hi', provider_key: { provider: 'deepseek', api_key: 'my-own-key' } });
  t.match([byok.status, byok.headers.get('x-findtoken-mode'), byok.headers.get('x-findtoken-cost')], [200, 'byok', '0.00']);
  await byok.json();
  t.match(await (await ask({ model: 'sandbox-reasoning', input: 'Hi' })).json(), { output: [{ type: 'reasoning' }, { type: 'message' }] });
  let deep: unknown = 'x';
  for (let level = 0; level < 200; level += 1) deep = [deep];
  t.match(await (await ask({ ...ASK, metadata: deep })).json(), { error: { code: 'invalid_json' } });
  t.equal((await fetch(`${house.url}/v1/responses`, { method: 'POST', body: '{}' })).status, 401);
});
