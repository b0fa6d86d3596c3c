import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { QUIRKS, readWhole, simulateAnswer } from '../src/wire/index.ts';
import type { FailureClass, SseEvent } from '../src/wire/index.ts';
import { BILLED, BILLED_BODY, contentOf, fixture, MODEL, open, play, scan } from './support/wire.ts';

const PROVIDERS = Object.keys(QUIRKS).filter((dialect) => dialect !== 'openai');

const event = (data: unknown, name = ''): SseEvent => ({ data: typeof data === 'string' ? data : JSON.stringify(data), name });
const DONE = event('[DONE]');

/** A frame with one choice. */
function frame(delta: unknown, finish: string | null = null, more: Readonly<Record<string, unknown>> = {}): SseEvent {
  return event({ id: 'x1', object: 'chat.completion.chunk', created: 1, model: 'upstream-model', choices: [{ index: 0, delta, finish_reason: finish }], ...more });
}

t.test("every provider's stream reads alike to the client", async (t) => {
  for (const provider of PROVIDERS) {
    for (const name of ['unasked', 'asked'] as const) {
      for (const includeUsage of [false, true]) {
        const about = `${provider}/${name}, the client ${includeUsage ? 'asked' : 'did not ask'} for usage`;
        const stream = open(provider, { includeUsage });
        const { live, closing } = play(stream, scan(fixture(`${provider}/${name}.sse`)));
        const all = [...live, ...closing];
        t.equal(contentOf(all), 'Hello "wörld" 你好', `${about}: all the text, once`);
        t.match(all.map(({ object, model }) => [object, model]), all.map(() => ['chat.completion.chunk', MODEL.id]), `${about}: our names`);
        t.equal(new Set(all.map(({ id }) => id)).size, 1, `${about}: one id`);
        const choices = all.flatMap((chunk) => chunk.choices);
        t.ok(choices.every(({ delta }) => delta.role === undefined || delta.role === 'assistant'), `${about}: role assistant or none`);
        t.strictSame(choices.flatMap((choice) => choice.finish_reason ?? []), ['stop'], `${about}: one end, else null`);
        t.notMatch(JSON.stringify(all), /upstream|trunk|MiniMax|base_resp|sensitive|audio_content|"reasoning":|request_id|content_filter|glm-|qwen-|step-|kimi-|"role":""/, `${about}: no extras`);
        t.ok(live.every((chunk) => chunk.usage === undefined && chunk.choices.length === 1 && chunk.choices[0]?.finish_reason === null), `${about}: nothing but content before the close`);
        t.strictSame(closing.map((chunk) => [chunk.choices.length, chunk.usage]), includeUsage ? [[1, undefined], [0, BILLED_BODY]] : [[1, BILLED_BODY]], `${about}: usage and cost ride where they should`);
        const reported = provider === 'qwen' && name === 'unasked' ? undefined : { prompt: 1_900, cached: 1_200, completion: 130 };
        t.match(stream.usage, reported, `${about}: usage for the books`);
        t.strictSame([stream.started, stream.finished, stream.failure], [true, true, undefined], about);
        t.equal(stream.done, !(provider === 'minimax' && name === 'unasked'), `${about}: [DONE]`);
        t.equal(stream.completionEstimate, 6, `${about}: 14 Latin and 2 CJK characters`);
      }
    }
  }
});

t.test('a role waits for the first content, so that failing over stays possible', async (t) => {
  const stream = open('deepseek');
  t.strictSame(stream.take(frame({ role: 'assistant', content: '' })), []);
  t.strictSame(stream.take(frame({ role: 'assistant', content: null })), [], 'the second one is not even kept');
  t.strictSame(stream.take(event({ choices: [] })), []);
  t.equal(stream.started, false);
  const out = stream.take(frame({ content: 'a' }));
  t.match(out.map((text): unknown => JSON.parse(text)), [{ choices: [{ delta: { role: 'assistant', content: '' } }] }, { choices: [{ delta: { content: 'a' } }] }]);
  t.equal(out.length, 2);
  t.equal(stream.started, true);
  t.equal(stream.take(frame({ content: '' })).length, 1, 'afterwards an empty piece passes');
});

t.test('what counts as a beginning', async (t) => {
  const cases = [
    // frame                                                        begun   why
    [frame({ role: 'assistant', content: '' }),                     false,  'a role'],
    [frame({}),                                                     false,  'nothing'],
    [frame({ content: null, tool_calls: [], refusal: null }),       false,  'nulls and empty lists'],
    [event({ id: 'x', choices: [], usage: { prompt_tokens: 9, completion_tokens: 0 } }), false, 'usage alone'],
    [event(''),                                                     false,  'a blank'],
    [event('{}', 'ping'),                                           false,  'an empty object'],
    [frame({ content: '', prefix: false, audio: {} }),              false,  'flags and empty objects'],
    [frame({ content: ' ' }),                                       true,   'text, if only a blank'],
    [frame({ reasoning_content: 'hm' }),                            true,   'reasoning'],
    [frame({ tool_calls: [{ index: 0, id: 'c' }] }),                true,   'a tool call'],
    [frame({ audio: { id: 'a' } }),                                 true,   'something nobody knows'],
    [frame({}, 'stop'),                                             true,   'an end'],
  ] as const;
  for (const [first, begun, why] of cases) {
    const stream = open('openai');
    stream.take(first);
    t.strictSame([stream.started, stream.failure], [begun, undefined], why);
  }
});

t.test('content in the frame of the end is neither lost nor doubled', async (t) => {
  const { live, closing } = play(open('openai'), [frame({ content: 'a' }), frame({ content: 'b' }, 'length', { foo: 1 }), DONE]);
  t.match(live, [{ choices: [{ delta: { content: 'a' } }] }, { choices: [{ delta: { content: 'b' }, finish_reason: null }], foo: 1 }]);
  t.match(closing, [{ choices: [{ delta: {}, finish_reason: 'length' }] }]);
  t.equal(contentOf([...live, ...closing]), 'ab');
  const single = play(open('openai'), [frame({ role: 'assistant', content: 'all' }, 'stop')]);
  t.match([single.live.length, single.closing.length, contentOf(single.live)], [1, 1, 'all'], 'a stream of one frame');
});

t.test('a whole message at the end counts only if nothing was streamed', async (t) => {
  const end = event({ choices: [{ index: 0, message: { role: 'assistant', content: 'whole', name: 'x' }, finish_reason: 'stop' }] });
  const after = play(open('minimax'), [frame({ content: 'who' }), frame({ content: 'le' }), end]);
  t.equal(contentOf([...after.live, ...after.closing]), 'whole');
  const alone = play(open('minimax'), [end]);
  t.match(alone.live, [{ choices: [{ delta: { role: 'assistant', content: 'whole' }, finish_reason: null }] }]);
  t.match(alone.closing, [{ choices: [{ finish_reason: 'stop' }] }]);
  t.notMatch(JSON.stringify(alone), /"name"/);
});

t.test('what a later report leaves out is still there', async (t) => {
  const told = { prompt_tokens: 9, completion_tokens: 3, cached_tokens: 4, completion_tokens_details: { reasoning_tokens: 2 } };
  const short = { prompt_tokens: 9, completion_tokens: 3 };
  const ending = (usage: unknown) => event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop', usage }] });
  const inChoice = ending(told);
  const cases = [
    [[inChoice, event({ choices: [], usage: short })],                                                    [4, 2], 'the finish frame has the cached tokens, the last one the sums'],
    [[ending({ ...short, cached_tokens: 4 }), event({ choices: [], usage: short })],                      [4, 0], 'of an answer that was not thought about'],
    [[ending({ ...short, completion_tokens_details: { reasoning_tokens: 2 } }), event({ choices: [], usage: short })], [0, 2], 'of a prompt that was not cached'],
    [[event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop', usage: told }], usage: short })],   [4, 2], 'in one frame'],
    [[inChoice, event({ choices: [], usage: { ...short, cached_tokens: 6 } })],                           [6, 2], 'another figure stands'],
    [[inChoice, event({ choices: [], usage: { prompt_tokens: 8, completion_tokens: 1 } })],               [0, 1], 'of another prompt nothing is known, and no more is thought than written'],
  ] as const;
  for (const [events, expected, why] of cases) {
    const stream = open('kimi');
    play(stream, events);
    t.strictSame([stream.usage?.cached, stream.usage?.reasoning], expected, why);
  }
});

t.test('usage is the latest that says something, wherever it stands', async (t) => {
  const usage = (prompt: number, completion: number) => ({ prompt_tokens: prompt, completion_tokens: completion });
  const cases = [
    [[frame({ content: 'a' }, null, { usage: usage(9, 1) }), frame({ content: 'b' }, null, { usage: usage(9, 2) })], [9, 2], 'cumulative, not summed'],
    [[frame({ content: 'a' }, null, { usage: usage(9, 2) }), frame({}, 'stop', { usage: usage(0, 0) })],             [9, 2], 'zeros say nothing'],
    [[frame({ content: 'a' }, null, { usage: usage(9, 2) }), frame({}, 'stop', { usage: null })],                    [9, 2], 'null says nothing'],
    [[frame({ content: 'a' }, null, { usage: usage(9, 2) }), frame({}, 'stop', { usage: usage(-9, 1e18) })],         [9, 2], 'nonsense says nothing'],
    [[event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop', usage: usage(9, 3) }] })],                     [9, 3], 'in a choice'],
    [[frame({}, 'stop'), event({ choices: [], usage: usage(9, 4) })],                                                [9, 4], 'in a frame of its own'],
    [[event({ choices: [], usage: usage(9, 1) }), frame({ content: 'a' })],                                          [9, 1], 'before the text'],
    [[frame({ content: 'a' })],                                                                                      undefined, 'nowhere'],
  ] as const;
  for (const [events, expected, why] of cases) {
    const stream = open('openai');
    for (const one of events) stream.take(one);
    t.strictSame(stream.usage && [stream.usage.prompt, stream.usage.completion], expected, why);
  }
});

t.test('a failure inside the stream is seen before anything else of its frame', async (t) => {
  const cases: readonly (readonly [string, SseEvent, FailureClass, string, string])[] = [
    // dialect    frame                                                                    class         code            why
    ['qwen',     event({ error: { message: 'x', code: 'data_inspection_failed' } }),       'policy',     'data_inspection_failed', 'an error object'],
    ['qwen',     event({ error: { message: 'x', type: 'server_error' } }, 'error'),        'retry',      'server_error', 'an event of that name'],
    ['minimax',  event({ base_resp: { status_code: 1008, status_msg: 'x' }, choices: null }), 'money',   '1008',         'base_resp'],
    ['minimax',  event({ base_resp: { status_code: 1027, status_msg: 'x' }, choices: [{ index: 0, delta: { content: 'x' } }] }), 'policy', '1027', 'beside choices'],
    ['minimax',  event({ base_resp: { status_code: 0 }, choices: null, input_sensitive: true, error: { message: 'x', code: 'x' } }), 'next', 'x', 'an error beside a flag says more'],
    ['nobody',   event({ choices: null, error_type: 'whatever', error_message: 'x' }),     'next',       'whatever',     'choices: null with error_type'],
    ['nobody',   event({ choices: [], error: { message: 'x', code: 429 } }),               'retry',      '429',          'choices: [] with an error'],
    ['nobody',   event({ choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }], error: { code: 502, message: 'x' } }), 'retry', '502', 'with a choice that says so too'],
    ['nobody',   event({ code: 'InternalError', message: 'x' }),                           'next',       'InternalError', 'code and message at the top'],
    ['nobody',   event('oops', 'error'),                                                   'next',       'error_event',  'no JSON at all'],
    ['nobody',   event('{"choices":[{"delta":{"content":"cut'),                            'next',       'invalid_json', 'JSON that is cut off'],
    ['zhipu',    frame({ content: '' }, 'network_error'),                                  'retry',      'network_error', 'said by the end alone'],
    ['deepseek', frame({ content: '' }, 'insufficient_system_resource'),                   'overloaded', 'insufficient_system_resource', 'said by the end alone'],
    ['deepseek', frame({ content: 'x' }, 'aborted'),                                       'retry',      'aborted',      'said by the end alone'],
  ];
  for (const [dialect, bad, expected, code, why] of cases) {
    for (const before of [[], [frame({ content: 'a' }), frame({ content: 'b' })]]) {
      const stream = open(dialect);
      for (const one of before) stream.take(one);
      t.strictSame(stream.take(bad), [], `${dialect}: nothing of it is passed on`);
      t.match(stream.failure, { kind: 'failed', class: expected, providerCode: code }, `${dialect}: ${why}`);
      t.not(stream.failure?.status, 200);
      t.equal(stream.started, before.length > 0);
      t.strictSame(stream.take(frame({ content: 'c' })), [], 'nothing is taken afterwards');
    }
  }
});

t.test('a flag in place of any text is a refusal; beside text it is none', async (t) => {
  const flag = { input_sensitive: true, base_resp: { status_code: 0 }, usage: { prompt_tokens: 20, completion_tokens: 0 } };
  const end = frame({ role: 'assistant', content: '' }, 'stop', flag);
  const cases = [
    // frames                                                              refused  why
    [[end],                                                                true,    'the end alone, with an empty text'],
    [[frame({ role: 'assistant', content: '' }), end],                     true,    'after a role'],
    [[frame({}, 'stop'), event({ choices: [], output_sensitive: true })],  true,    'behind an end without any text'],
    [[event({ choices: null, output_sensitive: true })],                   true,    'without choices'],
    [[frame({ content: 'a' }), frame({}, 'stop', { output_sensitive: true })], false, 'what was written stays'],
    [[frame({ content: 'a' }, 'stop', flag)],                              false,   'also in the same frame'],
    [[event({ ...flag, choices: [{ index: 0, message: { content: 'a' }, finish_reason: 'stop' }] })], false, 'also as a whole message'],
    [[frame({}, 'stop', { input_sensitive: false })],                      false,   'a flag that is down'],
  ] as const;
  for (const [events, refused, why] of cases) {
    const stream = open('minimax');
    for (const one of events) stream.take(one);
    t.strictSame([stream.failure?.class, stream.failure?.providerCode], refused ? ['policy', 'sensitive'] : [undefined, undefined], why);
  }
});

t.test("ends that only one provider knows are said in OpenAI's words", async (t) => {
  const cases = [['sensitive', 'content_filter'], ['model_context_window_exceeded', 'length'], ['tool_calls', 'tool_calls'], ['whatever', 'whatever']] as const;
  for (const [given, expected] of cases) {
    const stream = open('zhipu');
    const { closing } = play(stream, [frame({ content: 'a' }), frame({}, given)]);
    t.match(closing, [{ choices: [{ finish_reason: expected }] }], `${given} is ${expected}`);
    t.strictSame([stream.finished, stream.failure], [true, undefined]);
  }
});

t.test('tool calls without a number get one', async (t) => {
  const call = (id: string | undefined, text: string, index?: number) => ({ ...(id === undefined ? {} : { id }), ...(index === undefined ? {} : { index }), function: { arguments: text } });
  const cases = [
    // frames, each a list of calls                                                   numbers       why
    [[[call('a', '1', 0)], [call(undefined, '2', 0)], [call('b', '3', 1)]],           [0, 0, 1],    'numbered by the provider'],
    [[[call('a', '1'), call('b', '2')]],                                              [0, 1],       'by position'],
    [[[call('a', '1')], [call(undefined, '2')], [call('b', '3')], [call(undefined, '4')]], [0, 0, 1, 1], 'one after the other'],
    [[[call('a', '1')], [call('b', '2')], [call('a', '3')]],                          [0, 1, 0],    'known by id'],
    [[[call(undefined, '1'), call(undefined, '2')], [call(undefined, '3'), call(undefined, '4')]], [0, 1, 0, 1], 'by position where there is no id'],
    [[[call('', '1')], [call('', '2')]],                                              [0, 0],       'an empty id is none'],
    [[[call('a', '1', -1)]],                                                          [0],          'no such number'],
  ] as const;
  for (const [frames, expected, why] of cases) {
    const { live, closing } = play(open('kimi'), frames.map((calls) => frame({ tool_calls: calls })));
    t.strictSame(live.flatMap((chunk) => chunk.choices.flatMap(({ delta }) => (delta.tool_calls ?? []).map(({ index }) => index))), expected, why);
    t.equal(closing[0]?.choices[0]?.finish_reason, why === 'an empty id is none' ? closing[0]?.choices[0]?.finish_reason : 'tool_calls', 'an end that is missing is made up');
  }
});

t.test('the pieces of a tool call say once whose they are', async (t) => {
  const named = (name: string, text: string | null = null) => ({ name, arguments: text });
  const cases = [
    // pieces of calls, one a frame                                                                          what they add up to                                  why
    [[{ index: 0, id: 'a', type: 'function', function: named('f', '') }, { index: 0, id: '', type: 'function', function: { name: '', arguments: '{}' } }], [['a', 'function', 'f', '{}']], 'empty again'],
    [[{ index: 0, id: 'a', type: 'function', function: named('f') }, { index: 0, id: null, type: null, function: { name: null, arguments: '{}' } }], [['a', 'function', 'f', '{}']], 'null again'],
    [[{ index: 0, id: 'a', type: 'function', function: named('f', '{') }, { index: 0, id: 'a', type: 'function', function: named('f', '}') }], [['a', 'function', 'f', '{}']], 'all of it again'],
    [[{ index: 0, id: 'a', function: named('f', '{}') }],                                                     [['a', 'function', 'f', '{}']],                      'no type'],
    [[{ index: 0, id: 'a', type: '', function: named('f', '{}') }],                                           [['a', 'function', 'f', '{}']],                      'an empty type'],
    [[{ index: 0, type: 'function', function: named('f', '{') }, { index: 0, id: 'late', function: { arguments: '}' } }], [['call_req_1_0_0', 'function', 'f', '{}']], 'no id, then one too late'],
    [[{ index: 0, id: 'a', function: named('get_') }, { index: 0, function: named('time', '{}') }],           [['a', 'function', 'get_time', '{}']],               'a name in two pieces'],
    [[{ index: 0, id: 'a', function: { name: 'f', arguments: { x: 1 } } }],                                   [['a', 'function', 'f', '{"x":1}']],                 'arguments as an object'],
    [[{ index: 0, id: 'a', function: named('f', '{}') }, { index: 0, id: 'b', function: named('f', '{') }, { index: 0, function: { arguments: '}' } }, { index: 1, id: 'c', function: named('g', '{}') }],
      [['a', 'function', 'f', '{}'], ['b', 'function', 'f', '{}'], ['c', 'function', 'g', '{}']], 'one number for several'],
    [[{ index: 0, id: 'a', type: 'custom', custom: { name: 'f', input: 'x' } }],                              [['a', 'custom', '', '']],                           'a call of another kind'],
  ] as const;
  for (const [pieces, expected, why] of cases) {
    const { live } = play(open('openai'), pieces.map((piece) => frame({ tool_calls: [piece] })));
    const sums: string[][] = [];
    for (const call of live.flatMap((chunk) => chunk.choices.flatMap(({ delta }) => delta.tool_calls ?? []))) {
      const sum = (sums[call.index] ??= ['', '', '', '']);
      for (const [at, text] of [call.id, call.type, call.function?.name, call.function?.arguments].entries()) sum[at] = `${sum[at] ?? ''}${text ?? ''}`;
    }
    t.strictSame(sums, expected, why);
  }
});

t.test('a chunk bears one tool call, for some clients read no more', async (t) => {
  const calls = [0, 1, 2].map((index) => ({ index, id: `c${index}`, type: 'function', function: { name: 'f', arguments: '{}' } }));
  const both = event({ id: 'x1', created: 1, choices: [{ index: 0, delta: { role: 'assistant', content: 'a', tool_calls: calls }, finish_reason: 'tool_calls' }, { index: 1, delta: { content: 'b' }, finish_reason: 'stop' }] });
  const { live, closing } = play(open('zhipu', { choices: 2 }), [both]);
  t.strictSame(live.map((chunk) => chunk.choices), [
    [{ index: 0, delta: { role: 'assistant', content: 'a', tool_calls: [calls[0]] }, finish_reason: null }, { index: 1, delta: { role: 'assistant', content: 'b' }, finish_reason: null }],
    [{ index: 0, delta: { tool_calls: [calls[1]] }, finish_reason: null }],
    [{ index: 0, delta: { tool_calls: [calls[2]] }, finish_reason: null }],
  ]);
  t.match(closing.map((chunk) => chunk.choices[0]?.finish_reason), ['tool_calls', 'stop']);
});

t.test('the estimate counts all that the model wrote, once', async (t) => {
  const cases = [
    [{ content: 'x'.repeat(10) },                                                 3, 'text'],
    [{ reasoning_content: 'x'.repeat(10) },                                       3, 'reasoning'],
    [{ reasoning_content: 'x'.repeat(10), reasoning: 'x'.repeat(10) },            3, 'the same reasoning in two fields'],
    [{ reasoning: 'x'.repeat(10) },                                               3, 'reasoning in another field'],
    [{ tool_calls: [{ id: 'c', function: { name: 'xxxxx', arguments: 'xxxxx' } }] }, 3, 'a call, less its id'],
    [{ function_call: { name: 'xxxxx', arguments: 'xxxxx' } },                    3, 'a call in the old form'],
    [{ refusal: '你'.repeat(5) },                                                 3, 'a refusal'],
    [{ role: 'assistant', content: '' },                                          0, 'a role'],
  ] as const;
  for (const [delta, expected, why] of cases) {
    const stream = open('openai');
    stream.take(frame(delta));
    t.equal(stream.completionEstimate, expected, why);
  }
});

t.test('several answers at once end each for itself', async (t) => {
  const both = (first: unknown, second: unknown, ends: readonly (string | null)[] = [null, null]) =>
    event({ id: 'x', created: 1, choices: [{ index: 0, delta: first, finish_reason: ends[0] }, { index: 1, delta: second, finish_reason: ends[1] }] });
  const stream = open('openai');
  const events = [both({ role: 'assistant' }, { role: 'assistant' }), both({ content: 'a' }, { content: 'x' }), both({}, { content: 'y' }, ['stop', null])];
  const begun = events.flatMap((one) => stream.take(one));
  t.equal(stream.finished, false, 'one is still under way');
  const { live, closing } = play(stream, [both({}, { content: 'z' }, [null, 'length']), DONE]);
  t.equal(stream.finished, true);
  t.equal(begun.length, 3);
  t.match(live, [{ choices: [{ index: 1, delta: { content: 'z' }, finish_reason: null }] }]);
  t.match(closing, [{ choices: [{ index: 0, finish_reason: 'stop' }], usage: undefined }, { choices: [{ index: 1, finish_reason: 'length' }], usage: BILLED_BODY }]);
  t.equal(closing.length, 2);
});

t.test('an answer is whole when as many choices have ended as were asked for', async (t) => {
  const cases = [
    // asked  frames                                                            finished  ended   why
    [1, [frame({ content: 'a' })],                                              false,    false,  'under way'],
    [1, [frame({}, 'stop')],                                                    true,     true,   'the one'],
    [2, [frame({ content: 'a' }, 'stop')],                                      false,    true,   'the other has not begun, or never will'],
    [2, [frame({}, 'stop'), event({ choices: [{ index: 1, delta: { content: 'b' } }] })], false, false, 'the other has begun'],
    [2, [frame({}, 'stop'), event({ choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] })], true, true, 'both'],
    [1, [frame({}, 'stop'), event({ choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] })], true, true, 'one more than was asked for'],
    [1, [DONE],                                                                 false,    false,  'nothing came'],
  ] as const;
  for (const [choices, events, finished, ended, why] of cases) {
    const stream = open('openai', { choices });
    for (const one of events) stream.take(one);
    t.strictSame([stream.finished, stream.ended], [finished, ended], why);
  }
});

t.test('behind the end of an answer an event that is cut off spoils nothing', async (t) => {
  const cut = event('{"id":"x1","choices":[],"usa');
  const stream = open('openai');
  const { closing } = play(stream, [frame({ content: 'a' }), frame({}, 'stop'), cut]);
  t.strictSame([stream.failure, stream.finished, closing.length], [undefined, true, 1]);
  const half = open('openai', { choices: 2 });
  for (const one of [frame({ content: 'a' }, 'stop'), cut]) half.take(one);
  t.equal(half.failure?.providerCode, 'invalid_json', 'with a choice missing it may be of that one');
});

t.test('a provider that counts wildly makes nothing grow without bounds', async (t) => {
  const stream = open('openai');
  for (let index = 0; index < 5_000; index += 1) {
    stream.take(event({ choices: [{ index, delta: { tool_calls: [{ index: index * 1_000_000, id: `c${index}`, function: { arguments: 'x' } }] } }] }));
  }
  t.equal(stream.close({ usage: BILLED, cost: 0 }).length, 128, 'ends are made up for as many answers as can be asked for');
});

t.test('of tool calls there are at most 1,024 an answer, however they come', async (t) => {
  const numbers = (chunks: ReturnType<typeof play>['live']) => chunks.flatMap((chunk) => chunk.choices.flatMap(({ delta }) => (delta.tool_calls ?? []).map(({ index }) => index)));
  const many = Array.from({ length: 1_500 }, (_, at) => ({ id: `c${at}`, function: { arguments: 'xxxxx' } }));
  const expected = many.slice(0, 1_024).map((_, at) => at);
  const atOnce = open('kimi');
  t.strictSame(numbers(play(atOnce, [frame({ tool_calls: many })]).live), expected, 'in one frame');
  t.equal(atOnce.completionEstimate, 1_536, 'what is dropped is not counted');
  const { live } = play(open('kimi'), [...many.map((call) => frame({ tool_calls: [call] })), frame({ tool_calls: [{ id: 'c1023' }] }), frame({ tool_calls: [{ id: 'c1200' }] })]);
  t.strictSame(numbers(live), [...expected, 1_023], 'one after the other: those that are known go on');
});

t.test('ids of tool calls are kept only where they are short and few', async (t) => {
  const stream = open('kimi');
  const call = (id: string, index: number, more: object = {}) => event({ choices: [{ index, delta: { tool_calls: [{ ...more, id, function: { arguments: 'x' } }] } }] });
  const long = 'i'.repeat(257);
  const { live } = play(stream, [call(long, 0), call('short', 0), call('short', 0), call(long, 0)]);
  t.match(live.map((chunk) => chunk.choices[0]?.delta.tool_calls?.[0]), [{ id: long, index: 0 }, { id: 'short', index: 1 }, { index: 1 }, { id: long, index: 2 }], 'a long id passes on, and is not known again');
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < 60; at += 1) stream.take(call(`${at}${'i'.repeat(1_000_000)}`, 0, { index: at }));
  for (let at = 0; at < 40_000; at += 1) stream.take(call(`${at}${'i'.repeat(240)}`, at % 128));
  collect();
  t.ok(process.memoryUsage().heapUsed - before < 8_000_000, 'and what a provider sends does not pile up');
  t.equal(stream.failure, undefined);
});

t.test('frames that wait for the end of a stream are no larger together than it may be', (t) => {
  const padded = (choices: readonly unknown[]) => event({ id: 'x1', padding: 'p'.repeat(1_000_000), choices });
  for (const [why, choiceOf] of [
    ['roles before any words', (index: number) => ({ index, delta: { role: 'assistant' } })],
    ['ends', (index: number) => ({ index, delta: {}, finish_reason: 'stop' })],
  ] as const) {
    const stream = open('openai', { choices: 5 });
    for (let index = 0; index < 4; index += 1) stream.take(padded([choiceOf(index)]));
    t.equal(stream.failure, undefined, `${why}: four large ones pass`);
    t.strictSame(stream.take(padded([choiceOf(4)])), []);
    t.match(stream.failure, { providerCode: 'too_large', class: 'next' }, `${why}: with the fifth the stream is broken`);
  }
  t.end();
});

t.test('an end that the provider forgot is made up, and only once', async (t) => {
  const stream = open('openai', { includeUsage: true });
  stream.take(frame({ role: 'assistant', content: '' }));
  stream.take(frame({ content: 'a' }));
  stream.take(DONE);
  t.strictSame([stream.finished, stream.done], [false, true]);
  const chunks = stream.close({ usage: BILLED, cost: 0.00042 });
  t.strictSame(chunks.map((text): unknown => JSON.parse(text)), [
    { id: 'x1', object: 'chat.completion.chunk', created: 1, model: MODEL.id, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    { id: 'x1', object: 'chat.completion.chunk', created: 1, model: MODEL.id, choices: [], usage: BILLED_BODY },
  ]);
  t.strictSame(stream.close({ usage: BILLED, cost: 0.00042 }), [], 'closed is closed');
  const empty = play(open('openai'), [DONE]);
  t.strictSame(empty.closing, [{ id: 'chatcmpl-req_1', object: 'chat.completion.chunk', created: 1_790_000_000, model: MODEL.id, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: BILLED_BODY }], 'even of nothing at all');
});

t.test('after [DONE] nothing is taken; it may have blanks around it', async (t) => {
  const stream = open('openai');
  stream.take(frame({ content: 'a' }));
  stream.take(event(' [DONE] '));
  t.strictSame([stream.done, stream.take(frame({ content: 'b' })), stream.completionEstimate], [true, [], 1]);
});

const parsed = (texts: readonly string[]) => texts.map((text): unknown => JSON.parse(text));

/** The long way for each frame: a stream that never saw one like it. */
function slowly(events: readonly SseEvent[], dialect: string): readonly unknown[] {
  return events.map((one) => {
    const stream = open(dialect);
    stream.take(frame({ reasoning_content: 'begun' }));
    return parsed(stream.take(one));
  });
}

function quickly(events: readonly SseEvent[], dialect: string): readonly unknown[] {
  const stream = open(dialect);
  stream.take(frame({ reasoning_content: 'begun' }));
  return events.map((one) => parsed(stream.take(one)));
}

t.test('frames that are alike come out as if each were read anew', async (t) => {
  const raw = (content: string, more = '') => event(`{"id":"x1","created":1,"model":"upstream-model","choices":[{"index":0,"delta":{"content":${content}},"finish_reason":null}]${more}}`);
  const tricky = [
    '"a"', '"b c"', '"\\"usage\\":{"', '"\\"},\\"finish_reason\\":\\"stop"', '"\\u4f60\\n\\t\\\\"', '"你好 😀"', '"\\ud83d\\ude00"', '"findtoken.slot"', '"[DONE]"', '""',
    'null', '"x"', '" "', '"\\\\"', '"\\\\\\""', '"error"', '"\\"error\\":{}"', '"\u2028"',
  ];
  const events = [
    ...tricky.map((content) => raw(content)),
    raw('"a","role":"assistant"'), raw('"a","role":""'), raw('"a","role":"","foo":[1]'), raw('"b","role":"","foo":[1]'),
    raw('"a"', ',"usage":null'), raw('"b"', ',"usage":null'), raw('"c"', ',"base_resp":{"status_code":0}'), raw('"d"', ',"base_resp":{"status_code":0}'),
    raw('"a"', ',"foo":1'), raw('"b"', ',"foo":2'), raw('"b"', ',"foo":1'), event({ ...JSON.parse(raw('"c"').data), id: 'x2' }), event({ ...JSON.parse(raw('"d"').data), id: 'x3' }),
    raw('"a","reasoning_content":"r"'), raw('"b","reasoning_content":"r"'), raw('"a","reasoning":"r"'), raw('"b","content":"c"'), raw('"e","content":"f"'),
  ];
  const backwards = [...events].reverse();
  for (const dialect of Object.keys(QUIRKS)) {
    t.strictSame(quickly(events, dialect), slowly(events, dialect), dialect);
    t.strictSame(quickly(backwards, dialect), slowly(backwards, dialect), `${dialect}, backwards`);
  }
});

t.test('a frame that is no JSON is a failure, however alike it looks', async (t) => {
  const raw = (inside: string) => event(`{"id":"x1","choices":[{"index":0,"delta":{"content":"${inside}"},"finish_reason":null}]}`);
  for (const inside of ['"', 'a"b', '\\', '\\x', 'a\nb', '\u0001']) {
    const stream = open('openai');
    t.equal([...stream.take(raw('a')), ...stream.take(raw('b'))].length, 2);
    t.strictSame(stream.take(raw(inside)), []);
    t.equal(stream.failure?.providerCode, 'invalid_json', JSON.stringify(inside));
  }
  const stream = open('openai');
  stream.take(raw('a'));
  const both = stream.take(raw('b"},"finish_reason":null},{"index":1,"delta":{"content":"c'));
  t.match(both.map((text): unknown => JSON.parse(text)), [{ choices: [{ index: 0, delta: { content: 'b' } }, { index: 1, delta: { content: 'c' } }] }], 'two choices where there was one');
  t.strictSame([stream.completionEstimate, stream.finished], [1, false]);
});

t.test('a whole answer in the clothes of a stream', async (t) => {
  for (const provider of PROVIDERS) {
    const outcome = readWhole({ status: 200, headers: {}, text: fixture(`${provider}/whole.json`) }, { dialect: provider, model: MODEL, requestId: 'req_1' });
    if (outcome.kind === 'failed') return t.fail(`${provider} answered`);
    const { chunks, stream } = simulateAnswer(outcome.answer, { model: MODEL, requestId: 'req_1', includeUsage: true, createdS: 1 });
    t.match(chunks.map((text): unknown => JSON.parse(text)), [{ object: 'chat.completion.chunk', model: MODEL.id, choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello "wörld" 你好' }, finish_reason: null }] }], provider);
    t.equal(chunks.length, 1);
    t.strictSame([stream.started, stream.finished, stream.done, stream.failure], [true, true, true, undefined]);
    t.strictSame([stream.usage, stream.completionEstimate], [outcome.answer.usage, outcome.answer.completionEstimate]);
    t.match(stream.close({ usage: BILLED, cost: 0.00042 }).map((text): unknown => JSON.parse(text)), [{ choices: [{ delta: {}, finish_reason: 'stop' }] }, { choices: [], usage: BILLED_BODY }]);
  }
  const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const body = { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [call, { ...call, id: 'c2' }] }, finish_reason: 'tool_calls' }] };
  const { chunks } = simulateAnswer({ body, usage: undefined, completionEstimate: 2 }, { model: MODEL, requestId: 'req_1', includeUsage: false, createdS: 1 });
  t.match(chunks.map((text): unknown => JSON.parse(text)), [
    { choices: [{ index: 0, delta: { role: 'assistant', content: null, tool_calls: [{ index: 0, id: 'c1' }] }, finish_reason: null }] },
    { id: 'x', model: MODEL.id, choices: [{ index: 0, delta: { tool_calls: [{ index: 1, id: 'c2' }] }, finish_reason: null }] },
  ]);
  t.equal(chunks.length, 2, 'a chunk a call');
});
