import t from 'tap';

import { parseCatalog } from '../src/catalog/index.ts';
import { createSandbox, SANDBOX_CATALOG } from '../src/sandbox/index.ts';
import type { Attempt, Reply, StreamRead } from '../src/upstream/index.ts';
import { estimateTokens } from '../src/wire/index.ts';
import { singly } from './support/wire.ts';

/** A sandbox whose clock goes only where it sleeps. */
function rehearsal() {
  const clock = { ms: 1_790_000_000_500, sleeps: [] as number[] };
  const sandbox = createSandbox({
    now: () => clock.ms,
    sleep: (ms, signal) => {
      if (signal.aborted) return Promise.reject(new Error('aborted'));
      clock.sleeps.push(ms);
      clock.ms += ms;
      return Promise.resolve();
    },
  });
  return { clock, sandbox, ask: (body: object, change: Partial<Attempt> = {}) => sandbox.send(attemptOf(body, change), new AbortController().signal) };
}

function attemptOf(body: object, change: Partial<Attempt> = {}): Attempt {
  const named = { model: 'deepseek-flash', messages: [{ role: 'user', content: 'Hello there' }], ...body };
  return {
    provider: 'deepseek', baseUrl: 'https://api.deepseek.com', apiKey: 'k', body: JSON.stringify(named), stream: 'stream' in body, model: 'deepseek-chat',
    requestId: 'req_1', traceparent: undefined, timeoutMs: 30_000, idleMs: 120_000, ...change,
  };
}

function answerOf(reply: Reply): Answer {
  if (reply.kind !== 'whole') throw new Error(`a whole answer was expected, not ${reply.kind}`);
  return JSON.parse(reply.text) as Answer;
}

async function played(reply: Reply): Promise<{ readonly reads: readonly StreamRead[]; readonly chunks: readonly Chunk[]; readonly data: readonly string[]; readonly end: StreamRead }> {
  if (reply.kind !== 'stream') throw new Error(`a stream was expected, not ${reply.kind}`);
  const reads: StreamRead[] = [];
  const data: string[] = [];
  for (;;) {
    const read = await reply.stream.read();
    if (read.kind !== 'events') return { reads, data, chunks: data.filter((text) => text !== '[DONE]').map((text) => JSON.parse(text) as Chunk), end: read };
    reads.push(read);
    data.push(...singly(read.events).map((event) => event.data));
  }
}

interface Delta {
  readonly role?: string;
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly { readonly index: number; readonly id?: string; readonly function: { readonly name?: string; readonly arguments: string } }[];
}

interface Counts {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly completion_tokens_details: { readonly reasoning_tokens: number };
}

interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly model: string;
  readonly choices: readonly { readonly index: number; readonly delta: Delta; readonly finish_reason: string | null }[];
  readonly usage?: Counts;
}

interface Answer {
  readonly choices: readonly { readonly message: Delta & { readonly content: string | null }; readonly finish_reason: string }[];
  readonly usage?: Counts;
}

function textOf(chunks: readonly Chunk[], index = 0): string {
  return chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index).map((choice) => choice.delta.content ?? '').join('');
}

t.test('any model answers about what was asked, and always the same', async (t) => {
  const { ask, clock } = rehearsal();
  const reply = await ask({});
  t.match(reply, { kind: 'whole', status: 200, headers: { 'content-type': 'application/json' } });
  const answer = answerOf(reply);
  t.match(answer, {
    id: 'chatcmpl-sandbox-req_1', object: 'chat.completion', created: 1_790_000_000, model: 'deepseek-flash',
    choices: [{ index: 0, message: { role: 'assistant' }, finish_reason: 'stop' }],
  });
  const content = answer.choices[0]?.message.content ?? '';
  t.match(content, /^You asked: Hello there /);
  t.match(content, /deepseek-chat/, 'it speaks as the public model');
  t.same(answer.usage, {
    prompt_tokens: estimateTokens('Hello there'), completion_tokens: estimateTokens(content), total_tokens: estimateTokens('Hello there') + estimateTokens(content),
    prompt_tokens_details: { cached_tokens: 0 }, completion_tokens_details: { reasoning_tokens: 0 },
  });
  t.same(await ask({}), reply);
  t.same(clock.sleeps, [], 'a plain answer comes at once');
});

t.test('what it reads of a prompt', async (t) => {
  const { ask } = rehearsal();
  const cases = [
    // messages, what the answer begins with, prompt tokens, why
    [[{ role: 'user', content: 'one\ntwo' }], 'You asked: one ', estimateTokens('one\ntwo'), 'the first line, but all of it is counted'],
    [[{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }], 'You asked: c ', estimateTokens('a\nb\nc'), 'the last user message'],
    [[{ role: 'user', content: [{ type: 'text', text: 'seen' }, { type: 'image_url', image_url: { url: 'data:,' } }] }], 'You asked: seen', estimateTokens('seen\n'), 'the text parts'],
    [[{ role: 'user', content: '你好' }], 'You asked: 你好 ', 2, 'any script'],
    [[{ role: 'system', content: 'x' }], 'You asked: (nothing)', 1, 'no question at all'],
    [[], 'You asked: (nothing)', 1, 'no message at all counts one token'],
    [[{ role: 'user', content: null }, 7, null], 'You asked: (nothing)', 1, 'nonsense does no harm'],
    [[{ role: 'user', content: 'q' }, { role: 'tool', tool_call_id: 'c', content: '21 degrees\nmore' }], 'The tool said: 21 degrees ', estimateTokens('q\n21 degrees\nmore'), "a tool's result"],
  ] as const;
  for (const [messages, begins, promptTokens, why] of cases) {
    const answer = answerOf(await ask({ messages }));
    t.ok(answer.choices[0]?.message.content?.startsWith(begins), why);
    t.equal(answer.usage?.prompt_tokens, promptTokens, why);
  }
  const long = answerOf(await ask({ messages: [{ role: 'user', content: '🚀'.repeat(5_000) }] }));
  t.ok((long.choices[0]?.message.content?.length ?? 0) < 500, 'a long question is quoted in part');
  t.notMatch(long.choices[0]?.message.content, /[\ud800-\udbff](?![\udc00-\udfff])/, 'and no character is cut in two');
});

t.test('a stream says the same, a word every 20 ms, then the usage and the end', async (t) => {
  const { ask, clock } = rehearsal();
  const whole = answerOf(await ask({}));
  const { reads, chunks, data, end } = await played(await ask({ stream: true }));
  t.equal(textOf(chunks), whole.choices[0]?.message.content);
  t.same(end, { kind: 'end' });
  t.equal(data.at(-1), '[DONE]');
  t.same(chunks.at(-1), { id: 'chatcmpl-sandbox-req_1', created: 1_790_000_000, model: 'deepseek-flash', object: 'chat.completion.chunk', choices: [], usage: whole.usage });
  t.equal(chunks[0]?.choices[0]?.delta.role, 'assistant');
  t.same(chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason).filter((reason) => reason !== null), ['stop']);
  t.ok(reads.length > 10, 'many reads');
  t.same(clock.sleeps, Array.from({ length: reads.length - 1 }, () => 20), 'the first word comes at once');
});

t.test('the limits and wishes of a request are honoured', async (t) => {
  const { ask } = rehearsal();
  t.test('max_tokens', async (t) => {
    for (const [field, limit] of [['max_tokens', 5], ['max_completion_tokens', 12], ['max_tokens', 1]] as const) {
      const answer = answerOf(await ask({ [field]: limit }));
      t.equal(answer.choices[0]?.finish_reason, 'length', `${field} ${limit}`);
      t.ok((answer.usage?.completion_tokens ?? 99) <= limit);
      const { chunks } = await played(await ask({ stream: true, [field]: limit }));
      t.equal(textOf(chunks), answer.choices[0]?.message.content, 'streamed alike');
      t.same(chunks.flatMap((chunk) => chunk.choices).at(-1)?.finish_reason, 'length');
    }
    for (const limit of [0, -1, 1.5, '9', null, 1e9]) {
      t.equal(answerOf(await ask({ max_tokens: limit })).choices[0]?.finish_reason, 'stop', `${limit} limits nothing`);
    }
  });
  t.test('n', async (t) => {
    const answer = answerOf(await ask({ n: 3 }));
    t.equal(answer.choices.length, 3);
    t.equal(new Set(answer.choices.map((choice) => choice.message.content)).size, 3);
    t.equal(answer.usage?.completion_tokens, answer.choices.reduce((sum, choice) => sum + estimateTokens(choice.message.content ?? ''), 0), 'every choice is counted');
    const { chunks } = await played(await ask({ n: 3, stream: true }));
    t.same([0, 1, 2].map((index) => textOf(chunks, index)), answer.choices.map((choice) => choice.message.content));
    t.equal(answerOf(await ask({ n: 1e9 })).choices.length, 128, 'within reason');
  });
  t.test('stop', async (t) => {
    for (const stop of ['there', ['nowhere', 'there'], ['so much', 'there']]) {
      t.match(answerOf(await ask({ stop })), { choices: [{ message: { content: 'You asked: Hello ' }, finish_reason: 'stop' }] });
    }
  });
  t.test('response_format', async (t) => {
    const object = answerOf(await ask({ response_format: { type: 'json_object' } }));
    t.match(JSON.parse(object.choices[0]?.message.content ?? ''), { answer: /^You asked: Hello there/ });
    const schema = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city', 'days'] };
    const shaped = answerOf(await ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }));
    t.same(JSON.parse(shaped.choices[0]?.message.content ?? ''), { city: 'example', days: 1 });
  });
});

const WEATHER = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'number' }, extra: {} }, required: ['city', 'days'] } } };
const CLOCK = { type: 'function', function: { name: 'clock' } };

t.test('tools are called', async (t) => {
  const { ask } = rehearsal();
  const cases = [
    // change, called tool, why
    [{ tools: [WEATHER, CLOCK] }, 'weather', 'the first'],
    [{ tools: [WEATHER, CLOCK], tool_choice: 'required' }, 'weather', 'required is no other'],
    [{ tools: [WEATHER, CLOCK], tool_choice: { type: 'function', function: { name: 'clock' } } }, 'clock', 'the named one'],
    [{ tools: [WEATHER], tool_choice: 'none' }, undefined, 'unless none may be'],
    [{ tools: [WEATHER], messages: [{ role: 'tool', tool_call_id: 'c', content: 'rain' }] }, undefined, 'nor after a result'],
    [{ tools: [] }, undefined, 'nor without tools'],
    [{ tools: [7, { type: 'function' }] }, undefined, 'nor with nonsense'],
  ] as const;
  for (const [change, name, why] of cases) {
    const choice = answerOf(await ask(change)).choices[0];
    t.equal(choice?.message.tool_calls?.[0]?.function.name, name, why);
    t.equal(choice?.finish_reason, name === undefined ? 'stop' : 'tool_calls', why);
    t.equal(choice?.message.content === null, name !== undefined, why);
  }
  const whole = answerOf(await ask({ tools: [WEATHER] }));
  t.same(JSON.parse(whole.choices[0]?.message.tool_calls?.[0]?.function.arguments ?? ''), { city: 'example', days: 1 });
  t.ok((whole.usage?.completion_tokens ?? 0) > 0, 'arguments are counted');
  t.ok((whole.usage?.prompt_tokens ?? 0) > estimateTokens('Hello there'), 'and so are the tools');

  const { chunks } = await played(await ask({ tools: [WEATHER], stream: true }));
  const pieces = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? []);
  t.match(pieces[0], { index: 0, id: 'call_sandbox_0', type: 'function', function: { name: 'weather', arguments: '' } });
  t.ok(pieces.length > 3, 'the arguments come in pieces');
  t.equal(pieces.map((piece) => piece.function.arguments).join(''), whole.choices[0]?.message.tool_calls?.[0]?.function.arguments);
});

t.test('arguments fit the schema', async (t) => {
  const { ask } = rehearsal();
  const cases = [
    // schema of a property, its value, why
    [{ type: 'boolean' }, true, 'a truth'],
    [{ enum: ['b', 'a'] }, 'b', 'the first of a list'],
    [{ const: 7 }, 7, 'the only one'],
    [{ type: ['integer', 'null'] }, 1, 'the first type'],
    [{ type: 'array', items: { type: 'string' } }, ['example'], 'one item'],
    [{ anyOf: [{ type: 'null' }, { type: 'string' }] }, null, 'the first branch'],
    [{ $ref: '#/$defs/place' }, { zip: 1 }, 'a reference'],
    [{ $ref: 'https://elsewhere/' }, {}, 'a reference elsewhere is not followed'],
    [{ type: 'object', properties: { inner: { type: 'string' } } }, {}, 'nothing that is not required'],
  ] as const;
  for (const [schema, value, why] of cases) {
    const parameters = { type: 'object', properties: { p: schema }, required: ['p', 'missing'], $defs: { place: { type: 'object', properties: { zip: { type: 'integer' } }, required: ['zip'] } } };
    const answer = answerOf(await ask({ tools: [{ type: 'function', function: { name: 'f', parameters } }] }));
    t.same(JSON.parse(answer.choices[0]?.message.tool_calls?.[0]?.function.arguments ?? ''), { p: value }, why);
  }
  const endless = { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] };
  t.ok(answerOf(await ask({ tools: [{ type: 'function', function: { name: 'f', parameters: endless } }] })), 'a schema that refers to itself has an end');
});

t.test('no request makes the sandbox work without end', async (t) => {
  const { ask } = rehearsal();
  const names = Array.from({ length: 40 }, (_, at) => at.toString(36));
  const self = { $ref: '#/$defs/s' };
  const each = (schema: unknown) => Object.fromEntries(names.map((name) => [name, schema]));
  const long = 'x'.repeat(1_000_000);
  const cases = [
    // schema, why
    [{ ...self, $defs: { s: { type: 'object', required: names, properties: each(self) } } }, 'properties that each refer to the whole: 40 to the power of 6'],
    [{ type: 'object', required: names, properties: each(self), $defs: { s: { const: long } } }, 'a long constant that many share'],
    [{ ...self, $defs: { s: { type: 'object', required: [long, ...names], properties: { [long]: self, ...each(self) } } } }, 'a long name within itself'],
    [{ ...self, $defs: { s: { type: 'object', required: [...names, ...Array.from({ length: 200_000 }, () => 'none')], properties: each({ ...self, type: 'array' }) } } }, 'many names that are no property'],
    [{ type: 'object', required: names, properties: each({ $ref: `#/${'a/'.repeat(400_000)}` }) }, 'a long reference'],
  ] as const;
  for (const [schema, why] of cases) {
    for (const n of [1, 128]) {
      const change = { n, tools: [{ type: 'function', function: { name: 'f', parameters: schema } }] };
      t.ok(JSON.stringify(await ask(change)).length < 500_000, `${why}, ${n} times`);
      const { choices } = answerOf(await ask({ n, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }));
      t.ok(choices.every((choice) => typeof JSON.parse(choice.message.content ?? '') === 'object'), 'and what is said is JSON');
    }
  }
  const { chunks } = await played(await ask({ n: 128, stream: true, tools: [{ type: 'function', function: { name: 'f', parameters: cases[0][0] } }] }));
  t.ok(chunks.length < 20_000, 'nor does a stream of all choices');
  t.ok(JSON.stringify(await ask({ n: 128, tools: [{ type: 'function', function: { name: long } }] })).length < 500_000, 'the name of a tool is said a part of');
  t.ok(answerOf(await ask({ n: 128, stop: Array.from({ length: 300_000 }, () => '~') })), 'of the stops the first are looked for');
});

t.test('the failing models fail as their names say', async (t) => {
  for (const status of [400, 401, 402, 429, 500, 503]) {
    const { ask } = rehearsal();
    const model = `sandbox-error-${status}`;
    for (const change of [{}, { stream: true }]) {
      const byId = await ask(change, { model });
      t.match(byId, { kind: 'whole', status, headers: { 'content-type': 'application/json' } }, model);
      t.match(byId.kind === 'whole' && JSON.parse(byId.text), { error: { message: String, type: String, code: String, param: null } });
      t.same(await ask({ ...change, model }, { model: 'own-name' }), byId, 'by the name upstream too');
    }
  }
  const { ask } = rehearsal();
  t.match(await ask({}, { model: 'sandbox-error-429' }), { headers: { 'retry-after': '1' } });
  t.match(await ask({ messages: 'none' }), { kind: 'whole', status: 400 }, 'a body without messages');
  t.match(await ask({}, { body: '{' }), { kind: 'whole', status: 400 }, 'a body that is none');
});

t.test('sandbox-timeout never answers: the deadline ends it', async (t) => {
  for (const body of [{}, { stream: true }]) {
    const { ask, clock } = rehearsal();
    t.same(await ask(body, { model: 'sandbox-timeout', timeoutMs: 4_000 }), { kind: 'failed', failure: 'timeout', sent: true });
    t.same(clock.sleeps, [4_000]);
  }
});

t.test('sandbox-cut breaks off half-way', async (t) => {
  const { ask } = rehearsal();
  t.same(await ask({}, { model: 'sandbox-cut' }), { kind: 'failed', failure: 'reset', sent: true });
  const { chunks, data, end } = await played(await ask({ stream: true }, { model: 'sandbox-cut' }));
  t.same(end, { kind: 'failed', failure: 'reset' });
  t.match(textOf(chunks), /^You asked: Hello/);
  t.notOk(data.includes('[DONE]'));
  t.ok(chunks.every((chunk) => chunk.choices[0]?.finish_reason === null), 'without an end or usage');
});

t.test('sandbox-slow takes its time, and the deadlines hold for it', async (t) => {
  const { ask, clock } = rehearsal();
  await ask({}, { model: 'sandbox-slow' });
  t.same(clock.sleeps, [3_000]);
  clock.sleeps.length = 0;
  await played(await ask({ stream: true }, { model: 'sandbox-slow' }));
  t.same(clock.sleeps.slice(0, 3), [3_000, 100, 100]);
  t.same(await ask({}, { model: 'sandbox-slow', timeoutMs: 2_000 }), { kind: 'failed', failure: 'timeout', sent: true });
  const late = await played(await ask({ stream: true }, { model: 'sandbox-slow', timeoutMs: 2_000 }));
  t.same([late.chunks.length, late.end], [0, { kind: 'failed', failure: 'timeout' }]);
  const stuck = await played(await ask({ stream: true }, { model: 'sandbox-slow', idleMs: 99 }));
  t.same([stuck.reads.length, stuck.end], [1, { kind: 'failed', failure: 'timeout' }]);
});

t.test('the odd models', async (t) => {
  const { ask } = rehearsal();
  t.test('sandbox-empty answers with nothing, tools or not', async (t) => {
    t.match(answerOf(await ask({ tools: [WEATHER] }, { model: 'sandbox-empty' })), { choices: [{ message: { content: '' }, finish_reason: 'stop' }], usage: { completion_tokens: 0 } });
    const { chunks, end } = await played(await ask({ stream: true }, { model: 'sandbox-empty' }));
    t.equal(textOf(chunks), '');
    t.equal(chunks.length, 3, 'role, end, usage');
    t.same(end, { kind: 'end' });
  });
  t.test('sandbox-no-usage reports none', async (t) => {
    t.notOk('usage' in answerOf(await ask({}, { model: 'sandbox-no-usage' })));
    const { chunks, data } = await played(await ask({ stream: true }, { model: 'sandbox-no-usage' }));
    t.notOk(chunks.some((chunk) => 'usage' in chunk));
    t.equal(data.at(-1), '[DONE]');
  });
  t.test('sandbox-reasoning thinks first', async (t) => {
    const whole = answerOf(await ask({}, { model: 'sandbox-reasoning' }));
    const { message } = whole.choices[0] ?? {};
    t.match(message?.reasoning_content, /Hello there/);
    t.match(message?.content, /^You asked/);
    t.equal(whole.usage?.completion_tokens_details.reasoning_tokens, estimateTokens(message?.reasoning_content ?? ''));
    t.equal(whole.usage?.completion_tokens, estimateTokens(message?.reasoning_content ?? '') + estimateTokens(message?.content ?? ''));
    const { chunks } = await played(await ask({ stream: true }, { model: 'sandbox-reasoning' }));
    const kinds = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => Object.keys(choice.delta).filter((key) => key !== 'role'));
    t.same(kinds.slice(1), kinds.slice(1).sort().reverse(), 'all reasoning before all content');
    t.match(answerOf(await ask({ max_tokens: 3 }, { model: 'sandbox-reasoning' })), { choices: [{ message: { content: '' }, finish_reason: 'length' }] }, 'thinking spends max_tokens first');
  });
});

t.test('hanging up ends everything at once', async (t) => {
  const asleep = (): { readonly sandbox: ReturnType<typeof createSandbox>; readonly controller: AbortController } => ({
    controller: new AbortController(),
    sandbox: createSandbox({ now: () => 0, sleep: (_ms, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('woken')))) }),
  });
  const aborted = { kind: 'failed', failure: 'aborted', sent: true };
  for (const model of ['sandbox-timeout', 'sandbox-slow']) {
    const { sandbox, controller } = asleep();
    const sending = sandbox.send(attemptOf({}, { model }), controller.signal);
    controller.abort();
    t.same(await sending, aborted, model);
  }
  for (const by of ['signal', 'abort'] as const) {
    const { sandbox, controller } = asleep();
    const reply = await sandbox.send(attemptOf({ stream: true }, { model: 'sandbox-slow' }), controller.signal);
    if (reply.kind !== 'stream') return t.fail(reply.kind);
    const reading = reply.stream.read();
    await t.rejects(reply.stream.read(), /already under way/);
    if (by === 'signal') controller.abort();
    else { reply.stream.abort(); reply.stream.abort(); }
    t.same(await reading, { kind: 'failed', failure: 'aborted' }, by);
    t.same(await reply.stream.read(), { kind: 'failed', failure: 'aborted' });
  }
  const { sandbox } = rehearsal();
  t.same(await sandbox.send(attemptOf({}), AbortSignal.abort()), { ...aborted, sent: false });
});

t.test('a sleep that breaks for another reason is a bug and is not hidden', async (t) => {
  const sandbox = createSandbox({ now: () => 0, sleep: () => Promise.reject(new Error('no timer')) });
  await t.rejects(sandbox.send(attemptOf({}, { model: 'sandbox-slow' }), new AbortController().signal), /no timer/);
});

t.test('its models are listed, until it is closed', async (t) => {
  const { sandbox, ask } = rehearsal();
  const target = { provider: 'sandbox', baseUrl: 'http://sandbox.invalid/v1', apiKey: 'k', timeoutMs: 100 };
  const reply = await sandbox.listModels(target);
  t.match(reply, { kind: 'whole', status: 200 });
  t.same(reply.kind === 'whole' && JSON.parse(reply.text).data.map((model: { id: string }) => model.id), Object.keys(SANDBOX_CATALOG.models));
  await sandbox.close();
  t.same(await sandbox.listModels(target), { kind: 'failed', failure: 'connect', sent: false });
  t.same(await ask({}), { kind: 'failed', failure: 'connect', sent: false });
});

t.test('the rehearsal catalogue is a catalogue', async (t) => {
  const { models, providers } = parseCatalog({ ...SANDBOX_CATALOG, equivalents: {} });
  t.match(providers.get('sandbox'), { baseUrl: 'http://sandbox.invalid/v1', dialect: 'openai' });
  t.same([...models.keys()], [
    'sandbox-chat', 'sandbox-slow', 'sandbox-error-400', 'sandbox-error-401', 'sandbox-error-402', 'sandbox-error-429', 'sandbox-error-500',
    'sandbox-error-503', 'sandbox-timeout', 'sandbox-cut', 'sandbox-empty', 'sandbox-no-usage', 'sandbox-reasoning',
  ]);
  for (const model of models.values()) {
    t.ok(model.sandbox, `${model.id} exists only to rehearse`);
    t.ok(model.price.input > 0n && model.price.output > 0n, 'and costs something');
    t.equal(model.upstream, model.id);
  }
});
