import t, { type Test } from 'tap';
import { FAILURES } from '../src/wire/failures.ts';
import { gatherAnswer, QUIRKS, readWhole } from '../src/wire/index.ts';
import type { WholeOutcome } from '../src/wire/index.ts';
import { openHouse, readStream } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks, until, type Answer, type FakeProvider } from './support/provider.ts';
import { fixture, MODEL, scan } from './support/wire.ts';

/** Whole answers put together of streams, for models that a provider answers in streams only. */

const HELLO = { model: 'qwen3.7-plus', messages: [{ role: 'user' as const, content: 'Hello!' }] };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'qwen3.7-plus' };
const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const SAYS = 'This model only support stream mode, please enable the stream parameter to access the model.';
const chunk = (choices: readonly unknown[], more: object = {}) => ({ ...HEAD, object: 'chat.completion.chunk', choices, ...more });
const piece = (delta: unknown, finish: string | null = null, index = 0) => chunk([{ index, delta, finish_reason: finish }]);
const WORDS = [...textChunks(HEAD, 'One two three'), chunk([], { usage: USAGE })];

/** Refuses what does not ask for a stream, and answers the rest. */
function streaming(answer: Answer): Answer {
  return async (request, response) => {
    const asked = typeof request.body === 'object' && request.body !== null && 'stream' in request.body && request.body.stream === true;
    await (asked ? answer : json(400, { error: { message: SAYS, type: 'invalid_request_error', param: null, code: 'invalid_parameter_error' } }))(request, response);
  };
}

async function qwen(test: Test, answer: Answer): Promise<FakeProvider> {
  const made = await startProvider();
  test.teardown(() => made.close());
  made.always(answer);
  return made;
}

function gather(text: string, dialect = 'openai', choices = 1): WholeOutcome {
  const answer = gatherAnswer({ dialect, model: MODEL, requestId: 'req_1', choices, createdS: 1_790_000_000 });
  for (const event of scan(text)) if (answer.failure === undefined && !answer.done) answer.take(event);
  return answer.whole();
}

const written = (frames: readonly unknown[]): string => frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join('');

t.test("every provider's stream becomes the answer that it would have been", async (t) => {
  for (const dialect of Object.keys(QUIRKS).filter((name) => name !== 'openai')) {
    const read = gather(fixture(`${dialect}/asked.sse`), dialect);
    t.match(read, {
      kind: 'answered',
      answer: {
        body: { object: 'chat.completion', model: MODEL.id, choices: [{ index: 0, message: { role: 'assistant', content: 'Hello "wörld" 你好' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1_900, completion_tokens: 130 } },
        usage: { origin: 'reported', prompt: 1_900, cached: 1_200, completion: 130 },
      },
    }, dialect);
    t.notMatch(JSON.stringify(read), /upstream|"delta"|base_resp|"role":""/, `${dialect}: nothing of the stream, no extras`);
  }
});

t.test('pieces are joined as clients join them', async (t) => {
  const call = (index: number, more: object) => piece({ tool_calls: [{ index, ...more }] });
  const read = gather(written([
    piece({ role: 'assistant', content: null, reasoning_content: 'Let me ' }),
    piece({ reasoning_content: 'see.' }),
    call(0, { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }),
    call(0, { function: { arguments: '{"in":' } }),
    call(1, { id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } }),
    call(0, { function: { arguments: '"Bern"}' } }),
    chunk([{ index: 0, delta: {}, finish_reason: 'tool_calls' }], { usage: USAGE }),
  ]));
  t.strictSame(read.kind === 'answered' && read.answer.body['choices'], [{
    index: 0,
    message: {
      role: 'assistant', content: null, reasoning_content: 'Let me see.',
      tool_calls: [{ id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"in":"Bern"}' } }, { id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } }],
    },
    finish_reason: 'tool_calls',
  }]);
  const named = gather(written([piece({ role: 'assistant', reasoning: 'Let me ' }), piece({ reasoning: 'see.' }), piece({ content: 'Yes' }), piece({}, 'stop')]));
  t.match(named, { answer: { body: { choices: [{ message: { reasoning: 'Let me see.', content: 'Yes' } }] } } }, 'thoughts by the name that others beyond the six give them');

  const two = gather(written([
    chunk([{ index: 1, delta: { role: 'assistant', content: 'B' }, logprobs: { content: [{ token: 'B', logprob: -1 }], refusal: null }, finish_reason: null }]),
    piece({ role: 'assistant', content: 'A' }),
    chunk([{ index: 1, delta: { content: 'b' }, logprobs: { content: [{ token: 'b', logprob: -2 }], refusal: null }, finish_reason: null }]),
    piece({}, 'stop'),
    piece({}, 'length', 1),
  ]), 'openai', 2);
  t.match(two, { answer: { usage: undefined, body: { choices: [
    { index: 0, message: { content: 'A' }, finish_reason: 'stop' },
    { index: 1, message: { content: 'Bb' }, finish_reason: 'length', logprobs: { content: [{ token: 'B' }, { token: 'b' }], refusal: null } },
  ] } } });

  const names = gather('data: {"id":"x","choices":[{"index":0,"delta":{"content":"a","__proto__":{"x":1}},"finish_reason":"stop"}]}\n\n');
  t.equal(names.kind, 'answered', 'a name is only a name');
  t.equal(Object.hasOwn(Object.prototype, 'x'), false);
});

t.test('what is no answer is none', async (t) => {
  t.match(gather('data: [DONE]\n\n'), { kind: 'failed', providerCode: 'empty_stream' });
  t.match(gather(written([piece({ content: 'a' }), { error: { message: 'down', type: 'server_error' } }])), { kind: 'failed', class: 'next', maybeServed: true }, 'words that have come are not asked for again there');
  t.match(gather(written([{ error: { message: 'down', type: 'server_error' } }])), { kind: 'failed', class: 'retry', maybeServed: false }, 'before any, it is');
  const long = 'x'.repeat(3 * 1_048_576);
  t.match(gather(written([piece({ content: long }), piece({ content: long }), piece({ content: long }), piece({}, 'stop')])), { kind: 'failed', providerCode: 'too_large' });
});

t.test('a model that is answered in streams only is asked for one, at once and from then on', async (t) => {
  for (const says of [SAYS, 'parameter.enable_thinking must be set to false for non-streaming calls', 'enable_thinking only support stream call']) {
    t.match(readWhole({ status: 400, headers: {}, text: JSON.stringify({ error: { message: says, code: 'invalid_parameter_error' } }) }, { dialect: 'qwen', model: MODEL, requestId: 'req_1' }), { kind: 'failed', onlyStreams: true }, says);
  }
  const provider = await qwen(t, streaming(sse(WORDS)));
  const house = await openHouse(t, { providers: { qwen: provider.url } });
  const answer = await house.sdk().chat.completions.create(HELLO);
  t.match(answer, { object: 'chat.completion', model: 'qwen3.7-plus', choices: [{ message: { role: 'assistant', content: 'One two three' }, finish_reason: 'stop' }], usage: { prompt_tokens: 10 } });
  t.match(provider.requests.map(({ body }) => body), [{ stream: undefined }, { stream: true, stream_options: { include_usage: true } }]);
  t.match(await house.lastRow(), { status: 'ok', stream: false, attempts: 1, promptTokens: 10, completionTokens: 5 }, 'one attempt: nothing failed');

  const again = await house.post(HELLO);
  t.match(await again.json(), { choices: [{ message: { content: 'One two three' } }] });
  t.match(again.headers.get('content-type'), /^application\/json/);
  t.equal(provider.requests.length, 3, 'it is known now');
  const streamed = await readStream(await house.post({ ...HELLO, stream: true }));
  t.match(streamed.text, /three/, 'a stream is a stream');
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a stream that nobody asked for is an answer all the same', async (t) => {
  const provider = await qwen(t, sse(WORDS));
  const house = await openHouse(t, { providers: { qwen: provider.url } });
  t.match(await (await house.post(HELLO)).json(), { choices: [{ message: { content: 'One two three' } }] });
  t.equal((await house.lastRow()).status, 'ok');
});

t.test('a stream that breaks off is no answer, and costs nothing', async (t) => {
  const cases: readonly [string, Answer, RegExp][] = [
    ['cut', sse(WORDS.slice(0, 3), { done: false }), /providers_unavailable/],
    ['an error among its events', sse([...WORDS.slice(0, 3), { error: { message: 'overloaded', type: 'server_error' } }]), /providers_unavailable/],
    ['refused either way', json(400, { error: { message: SAYS, type: 'invalid_request_error', code: 'invalid_parameter_error' } }), /invalid_request|provider_rejected|only support stream/],
  ];
  const provider = await qwen(t, json(500, {}));
  const house = await openHouse(t, { providers: { qwen: provider.url }, yaml: { routing: { retries: 0 } } });
  for (const [why, answer, code] of cases) {
    provider.always(streaming(answer));
    const before = await house.balance();
    const refused = await house.post(HELLO);
    t.not(refused.status, 200, why);
    t.match(await refused.text(), code, why);
    t.equal(await house.balance(), before, `${why}: nothing is taken`);
    t.equal((await house.lastRow()).cost, 0n);
  }
});

t.test('an end without [DONE] is waited for as long as in any stream, and all of it as long as a whole answer may take', async (t) => {
  const open = (events: readonly unknown[]): Answer => (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(written(events));
  };
  const provider = await qwen(t, open(WORDS));
  const house = await openHouse(t, { providers: { qwen: provider.url }, timing: { finishGraceMs: 50 } });
  t.match(await (await house.post(HELLO)).json(), { choices: [{ message: { content: 'One two three' }, finish_reason: 'stop' }] }, 'every choice has ended');
  t.ok(await until(() => provider.openSockets === 0, 5_000), 'the connection is not kept, for nobody knows what follows');

  const endless = await qwen(t, open(WORDS.slice(0, 3)));
  const hasty = await openHouse(t, { providers: { qwen: endless.url }, yaml: { routing: { timeout: '300ms', retries: 0 } } });
  const late = await hasty.post(HELLO);
  t.equal(late.status, 503);
  t.match(await late.json(), { error: { metadata: { attempts: [{ provider: 'qwen' }] } } });
});

t.test('a client that leaves meanwhile takes the call with it', async (t) => {
  let begun = false;
  const provider = await qwen(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(written(WORDS.slice(0, 3)));
    begun = true;
  });
  const house = await openHouse(t, { providers: { qwen: provider.url } });
  const leaving = new AbortController();
  const call = fetch(`${house.url}/v1/chat/completions`, { method: 'POST', headers: { 'authorization': `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify(HELLO), signal: leaving.signal });
  t.ok(await until(() => begun, 5_000));
  await pause(20);
  leaving.abort();
  await t.rejects(call);
  t.ok(await until(() => provider.requests[0]?.dropped === true, 5_000), 'the provider is told at once');
  t.match(await house.lastRow(), { status: 'aborted' });
});

t.test('only a refusal that is about streams says so', async (t) => {
  t.equal(FAILURES.filter(({ onlyStreams }) => onlyStreams === true).length, 1);
  const provider = await qwen(t, json(400, { error: { message: 'stream_options is only supported with stream', type: 'invalid_request_error', code: 'invalid_parameter_error' } }));
  const house = await openHouse(t, { providers: { qwen: provider.url } });
  t.equal((await house.post(HELLO)).status, 400);
  t.equal(provider.requests.length, 1, 'any other is told');
});
