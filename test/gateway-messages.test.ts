import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import t, { type Test } from 'tap';
import { openHouse, type House } from './support/house.ts';
import { json, sse, startProvider, until, type FakeProvider } from './support/provider.ts';

/** `POST /v1/messages` with Anthropic's own client on real sockets: the same call as a chat call, in other words. */

const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };
const ASK: Anthropic.MessageCreateParamsNonStreaming = { model: 'deepseek-chat', max_tokens: 500, messages: [{ role: 'user', content: 'Hello!' }] };
const SHELL: Anthropic.Tool = { name: 'Bash', description: 'Runs a command.', input_schema: { type: 'object', properties: { command: { type: 'string' } } } };
const USAGE = { prompt_tokens: 1_900, completion_tokens: 130, total_tokens: 2_030, prompt_tokens_details: { cached_tokens: 1_200 } };
const chunk = (delta: unknown, finish: string | null = null) => ({ ...HEAD, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] });
const LAST = { ...HEAD, object: 'chat.completion.chunk', choices: [], usage: USAGE };

interface Scene {
  readonly deepseek: FakeProvider;
  readonly house: House;
  readonly sdk: Anthropic;
  ask(body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

async function scene(test: Test): Promise<Scene> {
  const deepseek = await startProvider();
  test.teardown(() => deepseek.close());
  deepseek.usage = USAGE;
  const house = await openHouse(test, { providers: { deepseek: deepseek.url }, yaml: { routing: { retries: 0 } } });
  return {
    deepseek,
    house,
    // As Claude Code has it: the address without a path, the key as a token.
    sdk: new Anthropic({ baseURL: house.url, authToken: house.key, apiKey: null, maxRetries: 0 }),
    ask: (body, headers = {}) => fetch(`${house.url}/v1/messages?beta=true`, { method: 'POST', headers: { 'x-api-key': house.key, 'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...headers }, body: JSON.stringify(body) }),
  };
}

t.test('an answer is told and billed as that of the chat call is', async (t) => {
  const { deepseek, house, sdk, ask } = await scene(t);
  const answer = await sdk.messages.create({ ...ASK, system: 'Be brief.' });
  t.match(answer, { type: 'message', role: 'assistant', model: 'deepseek-chat', stop_reason: 'end_turn', content: [{ type: 'text', text: /Hello!/ }], usage: { input_tokens: 700, cache_read_input_tokens: 1_200, output_tokens: 130 } });
  t.match(deepseek.requests[0], { path: '/v1/chat/completions', body: { model: 'deepseek-flash', max_tokens: 500, messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello!' }] } });
  const row = await house.lastRow();
  t.equal(row.cost, 14_534n, '$0.00014534');
  t.equal(answer.id, `msg_${row.id.replace('req_', '')}`);

  const response = await ask(ASK);
  await response.json();
  t.match(Object.fromEntries(response.headers), { 'x-findtoken-cost': '0.000145', 'x-findtoken-provider': 'deepseek', 'x-findtoken-attempts': '1' });
  t.match(house.lines.at(-1), { path: '/v1/messages', chat: { end: 'ok', cost: '0.000145' } });
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a tool loop goes round in streams, thoughts and all', async (t) => {
  const { deepseek, house, sdk, ask } = await scene(t);
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'List.' }];
  deepseek.next(sse([chunk({ role: 'assistant', reasoning_content: 'I should ' }), chunk({ reasoning_content: 'look: größe.' }), chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'Bash', arguments: '{"command":' } }] }), chunk({ tool_calls: [{ index: 0, function: { arguments: '"ls"}' } }] }), chunk({}, 'tool_calls'), LAST]));
  const ask1 = { model: 'deepseek-reasoner', max_tokens: 500, tools: [SHELL] };
  const first = await sdk.messages.stream({ ...ask1, messages }).finalMessage();
  t.match(first, { stop_reason: 'tool_use', content: [{ type: 'thinking', thinking: 'I should look: größe.' }, { type: 'tool_use', id: 'call_1', name: 'Bash', input: { command: 'ls' } }], usage: { output_tokens: 130 } });
  messages.push({ role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'README.md' }] });
  deepseek.next(sse([chunk({ role: 'assistant', content: 'There is ' }), chunk({ content: 'README.md 你好' }), chunk({}, 'stop'), LAST]));
  const stream = sdk.messages.stream({ ...ask1, messages });
  let heard = '';
  stream.on('text', (text) => (heard += text));
  t.match(await stream.finalMessage(), { stop_reason: 'end_turn', content: [{ type: 'text', text: 'There is README.md 你好' }], usage: { input_tokens: 700, output_tokens: 130 } });
  t.equal(heard, 'There is README.md 你好');
  t.match(deepseek.requests[1]?.body, { messages: [
    { role: 'user', content: 'List.' },
    { role: 'assistant', reasoning_content: 'I should look: größe.', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'Bash', arguments: '{"command":"ls"}' } }] },
    { role: 'tool', tool_call_id: 'call_1', content: 'README.md' },
  ] });
  t.equal((await house.lastRow()).cost, 14_534n);

  deepseek.always(sse([chunk({ content: 'Hi' }), chunk({}, 'stop'), LAST]));
  const { input_tokens: counted } = await sdk.messages.countTokens({ model: ASK.model, messages: ASK.messages });
  const text = await (await ask({ ...ASK, stream: true })).text();
  t.match(text, `"usage":{"input_tokens":${counted},`, 'the beginning tells what is counted, the end what was used');
  t.match(text, /^event: message_start\n[^]*: x-findtoken-cost 0\.000145\n\n[^]*event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/);
});

t.test('the SDK\'s tool runner has the whole conversation answered', async (t) => {
  const { deepseek, sdk } = await scene(t);
  const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'Bash', arguments: '{"command":"ls"}' } };
  const shell = betaTool({ name: 'Bash', description: 'Runs a command.', inputSchema: { type: 'object', properties: { command: { type: 'string' } } }, run: ({ command }) => `${String(command)}: README.md` });
  for (const stream of [false, true]) {
    // It ends its call as any other answer.
    deepseek.next(stream ? sse([chunk({ tool_calls: [call] }), chunk({}, 'stop'), LAST]) : json(200, { ...HEAD, choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [call] }, finish_reason: 'stop' }], usage: USAGE }));
    const runner = sdk.beta.messages.toolRunner({ ...ASK, stream, tools: [shell] });
    t.match(await runner.runUntilDone(), { stop_reason: 'end_turn', content: [{ type: 'text', text: 'echo: Hello!' }] });
    t.match(deepseek.requests.at(-1)?.body, { messages: [{ role: 'user', content: 'Hello!' }, { role: 'assistant', tool_calls: [{ id: 'call_1' }] }, { role: 'tool', tool_call_id: 'call_1', content: 'ls: README.md' }] });
  }
});

t.test('tokens are counted without a provider and without a charge', async (t) => {
  const { deepseek, house, sdk } = await scene(t);
  const balance = await house.balance();
  const { input_tokens: few } = await sdk.messages.countTokens({ model: ASK.model, messages: ASK.messages });
  const { input_tokens: more } = await sdk.messages.countTokens({ model: ASK.model, messages: [{ role: 'user', content: 'Hello there, how are you? '.repeat(100) }], tools: [SHELL] });
  t.ok(few >= 1 && few < 20, `${few}`);
  t.ok(more > 400 && more < 1_500, `${more}`);
  t.equal(deepseek.requests.length, 0);
  t.equal(await house.balance(), balance);
});

t.test('refusals and failures cost nothing, and no client takes them for an answer', async (t) => {
  const { deepseek, house, sdk, ask } = await scene(t);
  const balance = await house.balance();
  const cases: readonly [unknown, number, string][] = [
    [{ ...ASK, messages: [] }, 400, 'invalid_request'],
    [{ ...ASK, model: 'claude-sonnet-5' }, 404, 'model_not_found'],
    [{ ...ASK, messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'file', file_id: 'f' } }] }] }, 400, 'invalid_request'],
  ];
  for (const [body, status, code] of cases) {
    const refused = await ask(body);
    t.match([refused.status, await refused.json()], [status, { type: 'error', error: { code, message: String }, request_id: refused.headers.get('x-request-id') }], 'as Anthropic\'s clients read it');
    t.match(Object.fromEntries(refused.headers), { 'x-findtoken-cost': '0.00', 'x-findtoken-attempts': '0', 'x-ratelimit-limit-requests': '600' });
  }
  for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
    const keyless = await fetch(house.url + path, { method: 'POST', body: '{}' });
    t.match([keyless.status, await keyless.json()], [401, { type: 'error', error: { code: 'invalid_api_key' } }]);
  }
  t.match([(await house.get('/v1/messages/batches')).status, (await house.get('/v1/messages')).status], [404, 405]);
  await t.rejects(sdk.messages.create({ ...ASK, model: 'nothing-like-it' }), /404.*model_not_found/s);

  deepseek.always(json(500, { error: { message: 'down', type: 'server_error' } }));
  await t.rejects(sdk.messages.create(ASK), /providers_unavailable/);
  deepseek.always(sse([chunk({ content: 'Hel' }), { error: { message: 'overloaded', type: 'server_error' } }], { gapMs: 30 }));
  await t.rejects(sdk.messages.stream(ASK).finalMessage(), /broke off/);
  t.equal((await house.lastRow()).cost, 0n);
  deepseek.always(json(400, { error: { message: 'This model\'s maximum context length is 9 tokens', type: 'invalid_request_error' } }));
  t.match(await (await ask(ASK)).json(), { type: 'error', error: { code: 'context_length_exceeded', message: /prompt is too long/ } }, 'by these words Claude Code knows that it is to shorten its conversation');
  t.equal(await house.balance(), balance);
});

t.test('a repeat hears the same answer, and a client that leaves takes its call along', async (t) => {
  const { deepseek, house, ask } = await scene(t);
  const key = { 'idempotency-key': 'k' };
  deepseek.always(sse([chunk({ content: 'Hi' }), chunk({}, 'stop'), LAST]));
  const said = await (await ask({ ...ASK, stream: true }, key)).text();
  const again = await ask({ ...ASK, stream: true }, key);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.equal(await again.text(), said);
  t.equal(deepseek.requests.length, 1);

  deepseek.always((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(chunk({ content: 'Hel' }))}\n\n`);
  });
  const leaving = new AbortController();
  const open = await fetch(`${house.url}/v1/messages`, { method: 'POST', headers: { 'x-api-key': house.key, 'content-type': 'application/json' }, body: JSON.stringify({ ...ASK, stream: true }), signal: leaving.signal });
  t.equal(open.status, 200);
  leaving.abort();
  t.ok(await until(() => deepseek.requests[1]?.dropped === true, 5_000));
  t.match(await house.lastRow(), { status: 'aborted' });
});
