import t from 'tap';
import { charge, offPeak } from '../src/money/index.ts';
import { estimateTokens, QUIRKS, readChatRequest, readUsage, toUpstream, writeUsage } from '../src/wire/index.ts';
import type { ChatRequest } from '../src/wire/index.ts';
import { fieldsSent, MODEL, request } from './support/wire.ts';

const HELLO = [{ role: 'user', content: 'hello' }];
const PICTURE = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } };

const LONG = 'A'.repeat(100_000);
/** A request whose only message has this part alone. */
const parts = (...content: readonly unknown[]) => ({ messages: [{ role: 'user', content }] });

const read = (raw: unknown, routingHeader?: string): ChatRequest => readChatRequest(raw, { pictureTokens: 4_096, mediaTokens: 131_072, routingHeader });

/** JSON text of what a target gets, parsed again. */
function sent(dialect: string, fields: Readonly<Record<string, unknown>>, target: { readonly maxTokens?: number; readonly model?: Partial<typeof MODEL> } = {}): Record<string, unknown> {
  const { body } = toUpstream(request(fields), { model: { ...MODEL, ...target.model }, dialect, maxTokens: target.maxTokens });
  return fieldsSent(body);
}

t.test('a request that cannot be understood is refused with the field at fault', async (t) => {
  const cases = [
    // body                                                      param              why
    [null,                                                       null,              'no object'],
    ['text',                                                     null,              'no object'],
    [[],                                                         null,              'a list is no object'],
    [{ messages: HELLO },                                        'model',           'no model'],
    [{ model: '', messages: HELLO },                             'model',           'an empty name'],
    [{ model: 7, messages: HELLO },                              'model',           'a number'],
    [{ model: 'm'.repeat(257), messages: HELLO },                'model',           'a name of 257 characters'],
    [{ model: 'm' },                                             'messages',        'no messages'],
    [{ model: 'm', messages: [] },                               'messages',        'an empty list'],
    [{ model: 'm', messages: 'hello' },                          'messages',        'a text'],
    [{ model: 'm', messages: [...HELLO, null] },                 'messages[1]',     'null among them'],
    [{ model: 'm', messages: ['hello'] },                        'messages[0]',     'a text among them'],
    [{ model: 'm', messages: HELLO, routing: 'fastest' },        'routing',         'an unknown routing'],
    [{ model: 'm', messages: HELLO, routing: 3 },                'routing',         'a routing that is no text'],
    [{ model: 'm', messages: HELLO, provider_key: 'sk-1' },      'provider_key',    'a bare key'],
    [{ model: 'm', messages: HELLO, provider_key: {} },          'provider_key',    'no provider'],
    [{ model: 'm', messages: HELLO, provider_key: { provider: 'kimi', api_key: 7 } }, 'provider_key', 'a key that is no text'],
    [{ model: 'm', messages: HELLO, provider_key: { provider: 'kimi', api_key: 'sk\r\nX: y' } }, 'provider_key', 'a key that would break a header'],
    [{ model: 'm', messages: HELLO, n: 129 },                    'n',               'more answers than OpenAI gives'],
    [{ model: 'm', messages: HELLO, tools: JSON.parse('['.repeat(200) + ']'.repeat(200)) }, 'tools', 'nested too deep'],
  ] as const;
  for (const [raw, param, why] of cases) {
    t.throws(() => read(raw), { code: 'invalid_request', status: 400, param }, why);
  }
  t.throws(() => read({ model: 'm', messages: HELLO }, 'fastest'), { param: 'X-FindToken-Routing', message: /"auto", "cheapest" or "fallback"/ }, 'an unknown routing in the header');
  t.throws(() => read({ model: 'm', messages: HELLO, provider_key: { provider: 'kimi', api_key: 'sk secret' } }), { message: /^(?!.*secret)/s }, 'the key is not repeated');
});

t.test('odd but harmless fields are mapped, stripped or passed', async (t) => {
  const cases = [
    // fields                                       maxTokens  choices  kept in the body                why
    [{ max_tokens: 0 },                             undefined, 1,       {},                             'no limit'],
    [{ max_tokens: -1 },                            undefined, 1,       {},                             'no limit'],
    [{ max_tokens: '9' },                           9,         1,       { max_tokens: 9 },              'a number written as a text'],
    [{ max_tokens: 'nine' },                        undefined, 1,       {},                             'another text is no limit'],
    [{ max_tokens: 1.5, max_completion_tokens: null }, 1,      1,       { max_tokens: 1 },              'a fraction is rounded down, null is no limit'],
    [{ max_tokens: 0.5 },                           undefined, 1,       {},                             'nothing is left of it'],
    [{ max_tokens: 9 },                             9,         1,       { max_tokens: 9 },              'the old field'],
    [{ max_tokens: 9, max_completion_tokens: 7 },   7,         1,       { max_tokens: 9, max_completion_tokens: 7 }, 'the new field goes first'],
    [{ max_tokens: 9, max_completion_tokens: 0 },   9,         1,       { max_tokens: 9 },              'the new field says nothing'],
    [{ n: 0 },                                      undefined, 1,       {},                             'no number of answers'],
    [{ n: 2 },                                      undefined, 2,       { n: 2 },                       'two answers'],
    [{ n: 'x' },                                    undefined, 1,       {},                             'no number'],
    [{ temperature: 'hot', seed: 7, store: true, foo: [null] }, undefined, 1, { temperature: 'hot', seed: 7, store: true, foo: [null] }, 'others pass'],
  ] as const;
  for (const [fields, maxTokens, choices, kept, why] of cases) {
    const { body, ...understood } = request(fields);
    t.match(understood, { maxTokens, choices }, why);
    t.strictSame(JSON.parse(JSON.stringify(body)), { model: MODEL.id, messages: HELLO, ...kept }, why);
  }
  t.equal(request({ max_tokens: 1e300 }).maxTokens, 100_000_000, 'a limit stays countable');
  t.equal(request({ stream: true, stream_options: { include_usage: true } }).includeUsage, true);
  t.match([request({ stream: 'yes' }), request({ stream_options: 7 })], [{ stream: false, includeUsage: false }, { stream: false, includeUsage: false }], 'only true is true');
});

t.test('routing comes from the field, then the header, then the suffix', async (t) => {
  const cases = [
    // model                  field        header       routing     public model       why
    ['deepseek-chat',          undefined,   undefined,   'auto',     'deepseek-chat',   'the default'],
    ['deepseek-chat:cheapest', undefined,   undefined,   'cheapest', 'deepseek-chat',   'a suffix'],
    ['deepseek-chat:cheapest', undefined,   'fallback',  'fallback', 'deepseek-chat',   'the header before the suffix, which still goes'],
    ['deepseek-chat:cheapest', 'auto',      'fallback',  'auto',     'deepseek-chat',   'the field before both'],
    ['deepseek-chat',          null,        '',          'auto',     'deepseek-chat',   'null and an empty header say nothing'],
    ['deepseek-chat',          'Cheapest ', undefined,   'cheapest', 'deepseek-chat',   'case and blanks are forgiven'],
    ['llama:8b',               undefined,   undefined,   'auto',     'llama:8b',        'another suffix belongs to the name'],
    ['llama:8b:fallback',      undefined,   undefined,   'fallback', 'llama:8b',        'the last suffix counts'],
    [':cheapest',              undefined,   undefined,   'auto',     ':cheapest',       'no name, no suffix'],
  ] as const;
  for (const [model, routing, header, expected, id, why] of cases) {
    const understood = read({ model, messages: HELLO, routing }, header);
    t.match(understood, { routing: expected, model: id, requestedModel: model }, why);
    t.notOk('routing' in understood.body, 'the field is ours');
  }
});

t.test('a provider key is taken out of the body', async (t) => {
  const inline = request({ provider_key: { provider: 'kimi', api_key: 'sk-1' } });
  t.strictSame(inline.providerKey, { provider: 'kimi', apiKey: 'sk-1' });
  t.notMatch(JSON.stringify(inline.body), /sk-1|provider_key/);
  t.strictSame(request({ provider_key: { provider: 'kimi' } }).providerKey, { provider: 'kimi', apiKey: undefined }, 'the registered key is meant');
  t.strictSame(request({ provider_key: { provider: 'kimi', api_key: null } }).providerKey, { provider: 'kimi', apiKey: undefined });
  t.equal(request({ provider_key: null }).providerKey, undefined);
});

t.test('no prototype is reached and none is had', async (t) => {
  const raw: unknown = JSON.parse('{"model":"m","messages":[{"role":"user","content":"x","__proto__":{"a":1}}],"__proto__":{"stream":true},"constructor":{"prototype":{"b":1}},"tools":[{"function":{"parameters":{"properties":{"constructor":{"type":"string"}}}}}]}');
  const { body, stream } = read(raw);
  t.equal(stream, false);
  t.strictSame(Object.keys(body), ['model', 'messages', 'tools']);
  for (const name of ['__proto__', 'constructor', 'toString']) t.notOk(name in body, `${name} is not inherited`);
  t.equal(JSON.stringify(body['messages']), '[{"role":"user","content":"x"}]');
  t.match(JSON.stringify(body['tools']), /"constructor":\{"type":"string"\}/, "a tool's parameter may have any name");
  t.notOk('a' in {} || 'b' in {});
});

t.test('needs are read off the request', async (t) => {
  const cases = [
    // fields                                                     needs                                             why
    [{},                                                          { tools: false, vision: false, json: 'none' },     'plain chat'],
    [{ tools: [{ type: 'function' }] },                           { tools: true },                                   'tools'],
    [{ functions: [{ name: 'f' }] },                              { tools: true },                                   'their old form'],
    [{ tools: [] },                                               { tools: false },                                  'no tool at all'],
    [{ messages: [{ role: 'user', content: [PICTURE] }] },        { vision: true },                                  'a picture'],
    [parts({ type: 'video_url', video_url: { url: 'x' } }),       { vision: true },                                  'a video'],
    [parts({ type: 'video', video: ['x', 'y'] }),                 { vision: true },                                  'a video in frames'],
    [parts({ type: 'input_audio', input_audio: { data: 'A' } }),  { vision: false },                                 'a sound is not seen'],
    [parts(PICTURE),                                              { linked: false },                                 'a picture that comes along'],
    [parts({ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }), { vision: true, linked: true },  'one that is to be fetched'],
    [parts({ type: 'image_url', image_url: 'HTTP://example.com/a.png' }), { vision: true, linked: true },            'its address alone'],
    [parts({ type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } }), { vision: true, linked: true },  'a video'],
    [parts({ type: 'text', text: 'https://example.com/a.png' }),  { linked: false },                                 'only spoken of'],
    [{ messages: [{ role: 'user', content: [{ type: 'text', text: 'image_url' }] }] }, { vision: false },             'only the word'],
    [{ response_format: { type: 'json_object' } },                { json: 'json_object' },                           'JSON'],
    [{ response_format: { type: 'json_schema' } },                { json: 'json_schema' },                           'JSON by a schema'],
    [{ response_format: { type: 'text' } },                       { json: 'none' },                                  'text'],
  ] as const;
  for (const [fields, needs, why] of cases) t.match(request(fields).needs, needs, why);
});

t.test('a prompt is bounded by its bytes and estimated by its characters', async (t) => {
  const tools = [{ type: 'function', function: { name: 'f', description: 'line\n"quoted" \u0001 é', parameters: { a: [], b: {}, c: [1, true, null, -2.5] } } }];
  const toolBytes = Buffer.byteLength(JSON.stringify(tools));
  const cases = [
    // fields                                                                   bound                   estimate  why
    [{},                                                                        5 + 16,                 2,        'five letters'],
    [{ messages: [...HELLO, ...HELLO] },                                        10 + 32,                3,        '16 a message; rounded once'],
    [{ messages: [{ role: 'user', content: '你好' }] },                         6 + 16,                 2,        'three bytes and 0.6 a CJK character'],
    [{ messages: [{ role: 'user', content: 'é😀' }] },                          6 + 16,                 1,        'two bytes and four'],
    [{ messages: [{ role: 'user', content: '\ud800' }] },                       3 + 16,                 1,        'half a character'],
    [{ messages: [{ role: 'user', content: null, name: 'bob' }] },              4 + 3 + 16,             3,        'all text of a message, null as JSON has it'],
    [{ messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }] }, 5 + 16,              2,        'parts'],
    [{ messages: [{ role: 'user', content: [PICTURE, { type: 'text', text: 'hello' }] }] }, 5 + 16 + 4_096, 2 + 4_096, 'a picture by its setting, not its bytes'],
    [parts({ type: 'video_url', video_url: { url: LONG } }),                    16 + 131_072,           4_096,    'a video by its setting, and probably a short one'],
    [parts({ type: 'video', video: [LONG, LONG] }),                             16 + 131_072,           4_096,    'the same in frames'],
    [parts({ type: 'input_audio', input_audio: { data: LONG, format: 'wav' } }), 16 + 131_072,          4_096,    'a sound'],
    [parts({ type: 'file', file: { file_id: 'f1' } }),                          16 + 131_072 + 16,      4_096 + 5, 'a file, and its JSON: it may be text'],
    [parts({ type: 'input_file', file_id: 'f1' }),                              16 + 131_072 + 2,       4_096 + 1, 'in another form'],
    [parts({ type: 'hologram', hologram: 'x' }),                                16 + 131_072 + 1,       4_096 + 1, 'what nobody knows may be anything'],
    [parts({ ...PICTURE, video_url: { url: 'x' } }),                            16 + 4_096 + 131_072,   8_192,    'two in one'],
    [parts({ text: 'hello' }),                                                  16 + 5,                 2,        'a part without a type is text'],
    [parts(...Array.from({ length: 25_000 }, () => ({ type: 'x' }))),           100_000_000,            100_000_000, 'never more than are counted'],
    [{ tools },                                                                 5 + 16 + toolBytes,     Math.ceil((5 + JSON.stringify(tools).length) * 0.3), 'tools as JSON'],
    [{ documents: 'abc' },                                                      5 + 5 + 16,             3,        'a field nobody knows may be read by the model'],
    [{ user: 'abc', stop: 'abc', metadata: { a: 'b' }, seed: 123_456 },         5 + 16,                 2,        'fields that no model reads'],
  ] as const;
  for (const [fields, bound, estimate, why] of cases) t.match(request(fields), { promptBound: bound, promptEstimate: estimate }, why);
  t.ok(request({ response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } } }).promptBound >= Buffer.byteLength(JSON.stringify(sent('deepseek', { response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } } })['messages'])), 'the message that stands in for a schema is in the bound');
});

t.test('no part counts for less than a picture, whatever the setting', async (t) => {
  const { promptBound } = readChatRequest({ model: 'm', ...parts({ type: 'video_url', video_url: { url: 'x' } }) }, { pictureTokens: 4_096, mediaTokens: 7, routingHeader: undefined });
  t.equal(promptBound, 16 + 4_096);
});

t.test('an estimate is 0.3 a Latin and 0.6 a CJK character, rounded up', async (t) => {
  const cases = [['', 0], ['a', 1], ['hello', 2], ['x'.repeat(10), 3], ['你好', 2], ['你'.repeat(5), 3], ['안녕', 2], ['カ', 1], ['😀😀😀😀😀', 3]] as const;
  for (const [text, tokens] of cases) t.equal(estimateTokens(text), tokens, JSON.stringify(text));
});

t.test('a target gets its own names, limits and forms', async (t) => {
  const forced = { model: { force: { thinking: { type: 'disabled' } }, drop: ['seed'] } };
  t.strictSame(sent('deepseek', { thinking: { type: 'enabled' }, seed: 7, foo: 1 }, forced), { model: 'upstream-model', messages: HELLO, foo: 1, thinking: { type: 'disabled' } }, 'forced fields win, dropped ones go, unknown ones pass');
  const cases = [
    // dialect   sent by the client                           what the target gets                             why
    ['openai',   { store: true, user: 'u', seed: null, temperature: 9, stop: 'x' }, { store: true, user: 'u', seed: null, temperature: 9, stop: 'x' }, "nothing is changed for OpenAI's own form"],
    ['nobody',   { max_completion_tokens: 9 },                { max_completion_tokens: 9 },                    'a dialect without a row is plain OpenAI'],
    ['openai',   { max_tokens: 99_999 },                      { max_tokens: 8_192 },                           'no limit over what the model can write'],
    ['deepseek', { max_completion_tokens: 9 },                { max_tokens: 9 },                               'the field that it wants'],
    ['zhipu',    { max_completion_tokens: 9_000 },            { max_tokens: 8_192 },                           'capped in the field that it wants'],
    ['minimax',  { max_tokens: 9 },                           { max_completion_tokens: 9 },                    'the newer field'],
    ['kimi',     { max_tokens: 9 },                           { max_completion_tokens: 9 },                    'the newer field'],
    ['deepseek', { store: true, metadata: {}, service_tier: 'auto', prompt_cache_key: 'k', seed: null }, {},   "OpenAI's housekeeping and nulls stay here"],
    ['deepseek', { temperature: 3 },                          { temperature: 2 },                              'clamped'],
    ['zhipu',    { temperature: 1.3 },                        { temperature: 1 },                              'clamped'],
    ['zhipu',    { temperature: 0.333 },                      { temperature: 0.33 },                           'two decimals'],
    ['zhipu',    { temperature: 0 },                          { do_sample: false },                            '0 is said otherwise'],
    ['zhipu',    { temperature: 0.001 },                      { do_sample: false },                            'also what rounds to it'],
    ['zhipu',    { top_p: 0, presence_penalty: 1, frequency_penalty: 1 }, { top_p: 0.01 },                     'penalties are unknown there'],
    ['zhipu',    { top_p: 0.987_6 },                          { top_p: 0.99 },                                 'two decimals'],
    ['minimax',  { temperature: 0 },                          { temperature: 0.01 },                           '0 is refused'],
    ['qwen',     { temperature: 2, top_p: 0 },                { temperature: 1.99, top_p: 0.01 },              '2 and 0 are refused'],
    ['kimi',     { temperature: 0.7, top_p: 1, presence_penalty: 0, frequency_penalty: 0 }, {},                'no sampling at all'],
    ['stepfun',  { frequency_penalty: -1, presence_penalty: 1 }, { frequency_penalty: 0 },                     'one penalty, not below 0'],
    ['deepseek', { temperature: 'hot' },                      { temperature: 'hot' },                          'what is no number is for the provider to refuse'],
    ['deepseek', { n: 3 },                                    {},                                              'one answer'],
    ['qwen',     { n: 9 },                                    { n: 4 },                                        'four answers'],
    ['openai',   { n: 3 },                                    { n: 3 },                                        'as asked'],
    ['zhipu',    { stop: 'x' },                               { stop: ['x'] },                                 'a list only'],
    ['zhipu',    { stop: ['a', 'b', 'c', 'd', 'e'] },         { stop: ['a', 'b', 'c', 'd'] },                  'four'],
    ['kimi',     { stop: ['x'.repeat(33), '你'.repeat(11), 'y'] }, { stop: ['y'] },                            '32 bytes each'],
    ['kimi',     { stop: 'x'.repeat(33) },                    {},                                              'nothing left'],
    ['qwen',     { stop: 'x' },                               { stop: 'x' },                                   'as sent'],
    ['deepseek', { user: 'u_1' },                             { user_id: 'u_1' },                              'a user that fits the pattern'],
    ['deepseek', { user: 'u 1' },                             {},                                              'one that does not'],
    ['zhipu',    { user: 'short' },                           {},                                              'six characters at least'],
    ['zhipu',    { user: 'longer' },                          { user_id: 'longer' },                           'six characters'],
    ['kimi',     { user: 'u_1' },                             {},                                              'a field it does not know'],
    ['deepseek', { stream: false, stream_options: { include_usage: true } }, {},                               'refused without a stream'],
    ['deepseek', { stream: true },                            { stream: true, stream_options: { include_usage: true } }, 'usage is always asked for'],
    ['stepfun',  { stream: true, stream_options: { include_usage: true } }, { stream: true },                  'not documented there'],
    ['openai',   { stream: true, stream_options: { foo: 1, include_usage: false } }, { stream: true, stream_options: { foo: 1, include_usage: true } }, 'other options pass'],
  ] as const;
  for (const [dialect, fields, expected, why] of cases) {
    t.strictSame(sent(dialect, fields), { model: 'upstream-model', messages: HELLO, ...expected }, `${dialect}: ${why}`);
  }
  t.equal(toUpstream(request({ stream: true }), { model: MODEL, dialect: 'qwen', maxTokens: undefined }).streams, true);
});

t.test('how many answers a target is asked for is told with the request', async (t) => {
  const cases = [
    ['openai',   {},                              {},            1, 'none is one'],
    ['openai',   { n: 3 },                        {},            3, 'as asked'],
    ['deepseek', { n: 3 },                        {},            1, 'at most what the dialect allows'],
    ['qwen',     { n: 9 },                        {},            4, 'at most what the dialect allows'],
    ['qwen',     { n: 9, tools: [{}] },           {},            1, 'fewer with tools'],
    ['openai',   { n: 3 },                        { drop: ['n'] }, 1, 'a field that the model drops was not sent'],
    ['openai',   { n: 3 },                        { force: { n: 2 } }, 2, 'a forced one was'],
  ] as const;
  for (const [dialect, fields, model, choices, why] of cases) {
    t.equal(toUpstream(request(fields), { model: { ...MODEL, ...model }, dialect, maxTokens: undefined }).choices, choices, `${dialect}: ${why}`);
  }
});

t.test("the gateway's limit replaces the client's in the field that the target wants", async (t) => {
  const cases = [
    ['deepseek', { max_completion_tokens: 4_000 }, { max_tokens: 256 }],
    ['kimi',     {},                               { max_completion_tokens: 256 }],
    ['openai',   { max_completion_tokens: 4_000 }, { max_completion_tokens: 256 }],
    ['openai',   {},                               { max_tokens: 256 }],
  ] as const;
  for (const [dialect, fields, expected] of cases) {
    t.strictSame(sent(dialect, fields, { maxTokens: 256 }), { model: 'upstream-model', messages: HELLO, ...expected }, dialect);
  }
});

t.test('what a model thinks is within its limit', async (t) => {
  const thinking: Partial<typeof MODEL> = { capabilities: ['tools', 'json_object', 'reasoning'], maxOutput: 65_536 };
  const cases = [
    // dialect   sent by the client                             model                                                   what is sent                        why
    ['qwen',     { max_tokens: 40_000 },                        thinking,                                               { max_completion_tokens: 40_000 },  'max_tokens would limit the answer alone, and be refused over 32,768'],
    ['qwen',     { max_completion_tokens: 9 },                  thinking,                                               { max_completion_tokens: 9 },       'the same'],
    ['qwen',     { max_tokens: 9, enable_thinking: false },     thinking,                                               { max_tokens: 9 },                  'it does not think'],
    ['qwen',     { max_tokens: 9, response_format: { type: 'json_object' } }, thinking,                                 { max_tokens: 9 },                  'nor for JSON'],
    ['qwen',     { max_tokens: 9 },                             { ...thinking, force: { enable_thinking: false } },     { max_tokens: 9 },                  'nor where the catalogue has it so'],
    ['qwen',     { max_tokens: 9 },                             {},                                                     { max_tokens: 9 },                  'it cannot'],
    ['qwen',     { max_tokens: 9, enable_thinking: true },      {},                                                     { max_completion_tokens: 9 },       'it is told to'],
    ['deepseek', { max_tokens: 9 },                             thinking,                                               { max_tokens: 9 },                  'one field for both'],
    ['kimi',     { max_tokens: 9 },                             thinking,                                               { max_completion_tokens: 9 },       'one field for both'],
  ] as const;
  for (const [dialect, fields, model, expected, why] of cases) {
    const { max_tokens, max_completion_tokens } = sent(dialect, fields, { model: model as Partial<typeof MODEL> });
    t.strictSame(JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens })), expected, `${dialect}: ${why}`);
  }
  t.equal(sent('qwen', {}, { model: thinking, maxTokens: 16_384 })['max_completion_tokens'], 16_384, 'the limit that was held too');
});

t.test('a limit of our own leaves room for the prompt in the window', async (t) => {
  const model = { contextWindow: 16_384, maxOutput: 16_384 };
  const said = (characters: number) => [{ role: 'user', content: 'x'.repeat(characters) }];
  const many = Array.from({ length: 100 }, () => ({ role: 'user', content: 'x' }));
  const cases = [
    // sent by the client                           held     what is sent   why
    [{ messages: said(40_000) },                    16_384,  2_868,         'a prompt of about 12,000, an eighth more for what we miscount, and 16 a message'],
    [{ messages: said(40_000) },                    1_000,   1_000,         'it fits: as held'],
    [{ messages: said(60_000) },                    16_384,  256,           'never so low that nothing can be said'],
    [{ messages: said(60_000) },                    100,     100,           'nor raised over what was held'],
    [{ messages: many },                            16_384,  14_750,        'many short messages'],
    [{ messages: said(40_000), max_tokens: 9_000 }, 9_000,   9_000,         "the client's own limit is for the provider to judge"],
    [{ messages: said(40_000), max_tokens: 9_000 }, 300,     300,           'also where less was held'],
    [{ messages: said(40_000) },                    undefined, undefined,   'no limit of ours, none at all'],
    [{ messages: said(40_000), max_tokens: 16_384 }, 16_384, 2_868,         'a limit as large as the window is none that any prompt leaves room for'],
    [{ messages: said(40_000), max_tokens: 99_999 }, undefined, 2_868,      'nor is a larger one, with a key of its own too'],
    [{ model: 'another', messages: said(40_000), max_tokens: 9_000 }, 9_000, 2_868, 'one that was set for another model'],
    [{ model: 'another', messages: said(40_000), max_tokens: 1_000 }, 1_000, 1_000, 'which fits'],
  ] as const;
  for (const [fields, held, expected, why] of cases) {
    t.equal(sent('stepfun', fields, { model, ...(held === undefined ? {} : { maxTokens: held }) })['max_tokens'], expected, why);
  }
});

t.test('tools are offered as the target can be told', async (t) => {
  const parameters = { type: 'object', properties: {} };
  const tools = [{ type: 'function', function: { name: 'f', parameters } }];
  const named = { type: 'function', function: { name: 'f' } };
  const plain: Partial<typeof MODEL> = {};
  const thinking: Partial<typeof MODEL> = { capabilities: ['tools', 'reasoning'] };
  const silent: Partial<typeof MODEL> = { capabilities: ['tools', 'reasoning'], force: { thinking: { type: 'disabled' } } };
  const cases = [
    // dialect   choice       model     what the target gets           why
    ['openai',   'required',  plain,    { tools, tool_choice: 'required' }, 'as sent'],
    ['deepseek', 'required',  plain,    { tools, tool_choice: 'required' }, 'a model that cannot think'],
    ['deepseek', 'required',  thinking, { tools, tool_choice: 'auto' },     'a model that thinks'],
    ['deepseek', 'required',  silent,   { tools, tool_choice: 'required' }, 'a model that may not'],
    ['zhipu',    'required',  plain,    { tools, tool_choice: 'auto' },     'only auto'],
    ['zhipu',    named,       plain,    { tools, tool_choice: 'auto' },     'only auto'],
    ['zhipu',    'none',      plain,    {},                                 'it must not know of tools that it may not call'],
    ['minimax',  'none',      plain,    { tools, tool_choice: 'none' },     'none can be said'],
    ['kimi',     named,       thinking, { tools, tool_choice: 'auto' },     'a name only without thinking'],
    ['kimi',     named,       silent,   { tools, tool_choice: named },      'a name only without thinking'],
    ['qwen',     'required',  plain,    { tools, tool_choice: 'auto', parallel_tool_calls: true }, 'its default is the opposite'],
    ['stepfun',  'required',  plain,    { tools, tool_choice: 'required' }, 'nothing is known: as sent'],
  ] as const;
  for (const [dialect, choice, model, expected, why] of cases) {
    const { force = {} } = model;
    const got = sent(dialect, { tools, tool_choice: choice }, { model });
    t.strictSame(got, { model: 'upstream-model', messages: HELLO, ...force, ...expected }, `${dialect}: ${why}`);
  }
  const switches = [
    // dialect   sent by the client                     model                    what becomes of the choice  why
    ['deepseek', { thinking: { type: 'disabled' } },    {},                      named,   'its own switch'],
    ['deepseek', { enable_thinking: false },            {},                      'auto',  "another dialect's is not read there"],
    ['qwen',     { enable_thinking: false },            {},                      named,   'its own switch'],
    ['qwen',     { thinking: { type: 'disabled' } },    {},                      'auto',  "another dialect's is not read there"],
    ['kimi',     { thinking: { type: 'disabled' } },    { drop: ['thinking'] },  'auto',  'a switch that the model drops does not arrive'],
    ['kimi',     { thinking: { type: 'disabled' } },    { force: { thinking: { type: 'enabled' } } }, 'auto', 'a forced one goes before it'],
  ] as const;
  for (const [dialect, fields, model, expected, why] of switches) {
    t.strictSame(sent(dialect, { tools, tool_choice: named, ...fields }, { model: { ...thinking, ...model } })['tool_choice'], expected, `${dialect}: ${why}`);
  }
  t.equal(sent('qwen', { tools, parallel_tool_calls: false })['parallel_tool_calls'], false, "the client's word stands");
  t.notOk('parallel_tool_calls' in sent('qwen', {}), 'no tools, no word');
  t.equal(sent('qwen', { tools, n: 3 })['n'], undefined, 'one answer with tools');
  const empty = { tools: [], tool_choice: 'auto', parallel_tool_calls: true };
  t.strictSame(sent('qwen', empty), { model: 'upstream-model', messages: HELLO }, 'an empty list, which is refused there, is no list');
  t.strictSame(sent('openai', empty), { model: 'upstream-model', messages: HELLO, ...empty }, 'as sent');
  const two = [...tools, { type: 'function', function: { name: 'g', parameters } }];
  const allowed = (mode: string, names: readonly string[]) => ({ tools: two, tool_choice: { type: 'allowed_tools', allowed_tools: { mode, tools: names.map((name) => ({ type: 'function', function: { name } })) } } });
  t.match(sent('deepseek', allowed('auto', ['f'])), { tools, tool_choice: 'auto' }, 'those that may be called are those that are given');
  t.match(sent('deepseek', allowed('required', ['f', 'g'])), { tools: two, tool_choice: 'required' }, 'one must be called');
  t.match(sent('zhipu', allowed('required', ['f'])), { tools, tool_choice: 'auto' }, 'as far as the target can be told');
  t.strictSame(sent('zhipu', allowed('auto', [])), { model: 'upstream-model', messages: HELLO }, 'none may be called');
  for (const bare of [{ name: 'f' }, { name: 'f', parameters: null }, { name: 'f', parameters: {} }]) {
    t.strictSame(sent('minimax', { tools: [{ type: 'function', function: bare }] })['tools'], tools, 'a function without parameters says that it has none');
    t.strictSame(sent('openai', { tools: [{ type: 'function', function: bare }] })['tools'], [{ type: 'function', function: bare }], 'as sent');
  }
  const odd = [{ type: 'function', function: { name: 'f', parameters: 'p' } }, { type: 'function', function: { name: 'h', parameters: { anyOf: [parameters] } } }, { type: 'custom', custom: { name: 'g' } }, 7];
  t.strictSame(sent('kimi', { tools: odd })['tools'], odd, 'what is no function, no schema or a schema of some kind stays');
  t.strictSame(sent('openai', allowed('auto', ['f'])), { model: 'upstream-model', messages: HELLO, ...allowed('auto', ['f']) }, 'as sent');
});

t.test('a response format is sent where it is known', async (t) => {
  const schema = { type: 'object', properties: { a: { type: 'string' } } };
  const wish = { type: 'json_schema', json_schema: { name: 'x', schema } };
  t.strictSame(sent('openai', { response_format: wish })['response_format'], wish);
  t.strictSame(sent('deepseek', { response_format: { type: 'json_object' } })['response_format'], { type: 'json_object' });
  t.strictSame(sent('kimi', { response_format: wish }, { model: { capabilities: ['json_schema'] } })['response_format'], wish);
  const lowered = sent('deepseek', { response_format: wish });
  t.strictSame(lowered['response_format'], { type: 'json_object' });
  const asked = `Answer with one JSON object that follows this JSON schema: ${JSON.stringify(schema)}`;
  t.strictSame(lowered['messages'], [{ role: 'system', content: asked }, ...HELLO], 'the schema goes ahead as a message');
  const cached = { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } };
  for (const [system, content] of [
    [{ role: 'system', content: 'Be brief.' }, `Be brief.\n\n${asked}`],
    [{ role: 'developer', content: 'Be brief.' }, `Be brief.\n\n${asked}`],
    [{ role: 'system', content: [{ type: 'text', text: 'Be' }, { type: 'text', text: 'brief.' }] }, `Be\n\nbrief.\n\n${asked}`],
    [{ role: 'system', content: [cached] }, [cached, { type: 'text', text: asked }]],
    [{ role: 'system', content: null }, asked],
  ] as const) {
    t.strictSame(sent('deepseek', { response_format: wish, messages: [system, ...HELLO] })['messages'], [{ role: 'system', content }, ...HELLO], 'or behind the words of the system message that is there');
  }
  const none = sent('minimax', { response_format: { type: 'json_object' } }, { model: { capabilities: [] } });
  t.strictSame(none, { model: 'upstream-model', messages: HELLO });
  t.strictSame(sent('zhipu', { response_format: { type: 'text' } })['response_format'], undefined, 'text is the default');
});

t.test('where JSON must be named, it is', async (t) => {
  const format = { response_format: { type: 'json_object' } };
  const asked = { role: 'system', content: 'Answer with one JSON object' };
  const said = (role: string, content: unknown) => [{ role, content }];
  const cases = [
    // dialect    messages                                                              put ahead  why
    ['qwen',      HELLO,                                                                true,      'nobody says it'],
    ['deepseek',  HELLO,                                                                true,      'nobody says it'],
    ['qwen',      said('user', 'Say it in Json.'),                                      false,     'the user says it'],
    ['qwen',      said('user', [{ type: 'text', text: 'as json' }]),                    false,     'in a part'],
    ['qwen',      [...said('developer', 'JSON, please'), ...HELLO],                     false,     'the system says it'],
    ['qwen',      [...HELLO, ...said('assistant', '{"json":1}'), ...HELLO],             true,      'what the model said does not count'],
    ['qwen',      said('user', null),                                                   true,      'nothing is said'],
    ['kimi',      HELLO,                                                                false,     'not demanded there'],
    ['openai',    HELLO,                                                                false,     'as sent'],
  ] as const;
  for (const [dialect, messages, isAhead, why] of cases) {
    const got = sent(dialect, { ...format, messages });
    const [first] = got['messages'] as readonly unknown[];
    t.equal(JSON.stringify(first) === JSON.stringify(asked), isAhead, `${dialect}: ${why}`);
    t.strictSame(got['response_format'], format.response_format);
  }
  t.equal(request({ ...format }).promptBound, 5 + 16 + 22 + 128, 'the message is in the bound, as the wish itself is');
});

t.test('JSON and thinking are not asked for together where only one can be had', async (t) => {
  const thinking = ['tools', 'json_object', 'reasoning'] as const;
  const json = { response_format: { type: 'json_object' } };
  const schema = { response_format: { type: 'json_schema', json_schema: { schema: {} } } };
  const named = { type: 'function', function: { name: 'f' } };
  const cases = [
    // dialect   sent by the client                       model                                                  enable_thinking  why
    ['qwen',     json,                                    {},                                                    false,     'off for JSON'],
    ['qwen',     { ...json, enable_thinking: null },      {},                                                    false,     'null says nothing'],
    ['qwen',     schema,                                  {},                                                    false,     'a schema that becomes JSON'],
    ['qwen',     schema,                                  { capabilities: [...thinking, 'json_schema'] },        undefined, 'a schema that stays one'],
    ['qwen',     { ...json, enable_thinking: true },      {},                                                    true,      "the client's word stands"],
    ['qwen',     json,                                    { force: { enable_thinking: true } },                  true,      'what is forced stands'],
    ['qwen',     json,                                    { capabilities: ['json_object'] },                     undefined, 'a model that cannot think'],
    ['qwen',     {},                                      {},                                                    undefined, 'no JSON'],
    ['deepseek', json,                                    {},                                                    undefined, 'elsewhere both can be had'],
  ] as const;
  for (const [dialect, fields, model, expected, why] of cases) {
    t.equal(sent(dialect, fields, { model: { capabilities: [...thinking], ...model } as Partial<typeof MODEL> })['enable_thinking'], expected, `${dialect}: ${why}`);
  }
  const calling = sent('qwen', { ...json, tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: named }, { model: { capabilities: [...thinking] } });
  t.strictSame(calling['tool_choice'], named, 'without thinking a tool may be named');
});

t.test('history is said in roles and fields that the target knows', async (t) => {
  const messages = [{ role: 'developer', content: 'a' }, { role: 'assistant', content: 'b', reasoning_content: 'r', x: 1 }, ...HELLO];
  const history = (dialect: string, id: string) => sent(dialect, { messages }, { model: { id } })['messages'];
  t.strictSame(history('openai', 'other'), messages, 'as sent');
  t.strictSame(history('zhipu', MODEL.id), [{ role: 'system', content: 'a' }, messages[1], ...HELLO], 'its own reasoning goes back to it');
  t.strictSame(history('zhipu', 'other'), [{ role: 'system', content: 'a' }, { role: 'assistant', content: 'b', x: 1 }, ...HELLO], "another model's does not");
  t.strictSame(history('kimi', 'other'), [{ role: 'system', content: 'a' }, messages[1], ...HELLO], 'unless it is demanded');
  const once = request({ messages });
  toUpstream(once, { model: MODEL, dialect: 'kimi', maxTokens: 1 });
  t.strictSame(JSON.parse(JSON.stringify(once.body)), { model: MODEL.id, messages }, 'the request itself is not changed');
});

t.test('what a model thought and nobody kept is a dot where it is demanded', async (t) => {
  const thinking: Partial<typeof MODEL> = { capabilities: ['tools', 'reasoning'] };
  const call = { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] };
  const said = { role: 'assistant', content: 'b' };
  const kept = { role: 'assistant', content: 'b', reasoning_content: 'r' };
  const tools = { tools: [{ type: 'function', function: { name: 'f' } }] };
  const cases = [
    // dialect    sent by the client                                            model      reasoning of the answers  why
    ['deepseek',  { ...tools, messages: [...HELLO, call, said, kept] },         thinking,  ['.', '.', 'r'],          'every answer of a conversation with tools'],
    ['kimi',      { messages: [...HELLO, call, { ...call, reasoning_content: '' }] }, thinking, ['.', '.'],           'an empty one is none; tools that are no longer offered'],
    ['deepseek',  { messages: [...HELLO, said] },                               thinking,  [undefined],              'no tools'],
    ['deepseek',  { ...tools, messages: [...HELLO, call], thinking: { type: 'disabled' } }, thinking, [undefined],   'it does not think'],
    ['deepseek',  { ...tools, messages: [...HELLO, call] },                     {},        [undefined],              'it cannot'],
    ['minimax',   { ...tools, messages: [...HELLO, call] },                     thinking,  [undefined],              'wished, not demanded'],
    ['zhipu',     { ...tools, messages: [...HELLO, call] },                     thinking,  [undefined],              'not demanded'],
    ['openai',    { ...tools, messages: [...HELLO, call] },                     thinking,  [undefined],              'as sent'],
  ] as const;
  for (const [dialect, fields, model, expected, why] of cases) {
    const messages = sent(dialect, fields, { model: model as Partial<typeof MODEL> })['messages'] as readonly { readonly role: string; readonly reasoning_content?: string }[];
    t.strictSame(messages.filter(({ role }) => role === 'assistant').map(({ reasoning_content: reasoning }) => reasoning), expected, `${dialect}: ${why}`);
  }
});

t.test('a target that refuses lists in answers and results gets texts there', async (t) => {
  const text = (words: string, more: object = {}) => ({ type: 'text', text: words, ...more });
  const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } };
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
  const messages = [
    { role: 'system', content: [text('Be brief.')] },
    { role: 'user', content: [text('One'), text('Two')] },
    { role: 'assistant', content: [text('')], tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c', content: [text('ok', { cache_control: { type: 'ephemeral' } }), text('done')] },
    { role: 'assistant', content: [text('Three')] },
    { role: 'tool', tool_call_id: 'c', content: [text('See'), picture] },
    { role: 'user', content: [text('See'), picture] },
    { role: 'user', content: [] },
    { role: 'user', content: 'Hi' },
  ];
  const told = new Map<number, string>([[2, ''], [3, 'ok\n\ndone'], [4, 'Three']]);
  for (const dialect of ['deepseek', 'zhipu']) {
    t.strictSame(sent(dialect, { messages })['messages'], messages.map((message, at) => (told.has(at) ? { ...message, content: told.get(at) } : message)), `${dialect}: and all else as it came`);
  }
  for (const dialect of ['openai', 'qwen', 'stepfun']) t.strictSame(sent(dialect, { messages })['messages'], messages, `${dialect} gets them as they came`);
});

t.test('a target that takes one system message gets one', async (t) => {
  const [a, b] = [{ role: 'system', content: 'a' }, { role: 'developer', content: [{ type: 'text', text: 'b' }] }];
  const answer = { role: 'assistant', content: 'c' };
  const picture = { type: 'image_url', image_url: { url: 'https://example.com/x.png' } };
  const cases = [
    [[a, ...HELLO],                       [a, ...HELLO],                                                        'one already'],
    [HELLO,                               HELLO,                                                                'none'],
    [[a, b, ...HELLO],                    [{ role: 'system', content: 'a\n\nb' }, ...HELLO],                  'two in a row'],
    [[...HELLO, answer, a, ...HELLO],     [a, ...HELLO, answer, ...HELLO],                                      'one in the middle'],
    [[a, ...HELLO, answer, b, ...HELLO],  [{ role: 'system', content: 'a\n\nb' }, ...HELLO, answer, ...HELLO], 'one before and one in the middle'],
    [[a, { role: 'system', content: [picture] }, ...HELLO], [{ role: 'system', content: [{ type: 'text', text: 'a' }, picture] }, ...HELLO], 'more than text'],
  ] as const;
  for (const [messages, expected, why] of cases) {
    t.strictSame(sent('minimax', { messages })['messages'], expected, why);
  }
  t.strictSame(sent('qwen', { messages: [a, a, ...HELLO] })['messages'], [a, a, ...HELLO], 'others take several');
  const wish = { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } } };
  t.match(sent('minimax', { ...wish, messages: [a, ...HELLO] }, { model: { capabilities: [] } })['messages'], [{ role: 'system', content: /^a\n\nAnswer with one JSON object/ }, ...HELLO], 'a schema is no second one');
});

t.test('usage is read from every known place, in range or not at all', async (t) => {
  const cases = [
    // usage                                                          prompt, cached, completion, reasoning   why
    [{ prompt_tokens: 9, completion_tokens: 2 },                      [9, 0, 2, 0],   'the least'],
    [{ prompt_tokens: 9, completion_tokens: 0 },                      [9, 0, 0, 0],   '0 is a value'],
    [{ prompt_tokens: 9, completion_tokens: 9 },                      [9, 0, 9, 0],   'an answer as long as its prompt'],
    [{ prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 }, cached_tokens: 5, prompt_cache_hit_tokens: 6 }, [9, 4, 2, 0], 'the details first, nothing summed'],
    [{ prompt_tokens: 9, completion_tokens: 2, cached_tokens: 5, prompt_cache_hit_tokens: 6 }, [9, 5, 2, 0], 'then the top'],
    [{ prompt_tokens: 9, completion_tokens: 2, prompt_cache_hit_tokens: 6 }, [9, 6, 2, 0], "then deepseek's own"],
    [{ prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: null, cached_tokens: null, prompt_cache_hit_tokens: 6 }, [9, 6, 2, 0], 'null says nothing'],
    [{ prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 0 }, cached_tokens: 5 }, [9, 0, 2, 0], '0 says something'],
    [{ prompt_tokens: 9, completion_tokens: 2, cached_tokens: 10 },   [9, 9, 2, 0],   'cached is part of the prompt'],
    [{ prompt_tokens: 9, completion_tokens: 2, cached_tokens: -1 },   [9, 0, 2, 0],   'nonsense says nothing'],
    [{ prompt_tokens: 9, completion_tokens: 2, completion_tokens_details: { reasoning_tokens: 3 } }, [9, 0, 2, 2], 'reasoning is part of the completion'],
    [{ prompt_tokens: 9, total_tokens: 11 },                          [9, 0, 2, 0],   'the total less the prompt'],
    [{ completion_tokens: 2, total_tokens: 11 },                      [9, 0, 2, 0],   'the total less the completion'],
    [{ prompt_tokens: 9, completion_tokens: 2, total_tokens: 50 },    [9, 0, 2, 0],   'a total that does not add up is not billed'],
    [{ prompt_tokens: 100_000_000, completion_tokens: 1 },            [100_000_000, 0, 1, 0], 'the last that counts'],
    [{ prompt_tokens: 9, total_tokens: 8 },                           undefined,      'a difference below 0'],
    [{ total_tokens: 11 },                                            undefined,      'a total alone'],
    [{ prompt_tokens: 9 },                                            undefined,      'half'],
    [{ prompt_tokens: 0, completion_tokens: 0 },                      undefined,      'no answer had no prompt'],
    [{ total_tokens: 0, total_characters: 0 },                        undefined,      "minimax's zeros"],
    [{ prompt_tokens: -9, completion_tokens: 2 },                     undefined,      'negative'],
    [{ prompt_tokens: 9.5, completion_tokens: 2 },                    undefined,      'a fraction'],
    [{ prompt_tokens: '9', completion_tokens: 2 },                    undefined,      'a text'],
    [{ prompt_tokens: 1e18, completion_tokens: 2 },                   undefined,      'absurd'],
    [{ prompt_tokens: 100_000_001, completion_tokens: 2 },            undefined,      'one too many'],
    [{ prompt_tokens: null, completion_tokens: 2 },                   undefined,      'null'],
    [null,                                                            undefined,      'nothing'],
    ['9',                                                             undefined,      'no object'],
    [[9, 2],                                                          undefined,      'a list'],
  ] as const;
  for (const [usage, counts, why] of cases) {
    const read = readUsage(usage);
    t.strictSame(read && [read.prompt, read.cached, read.completion, read.reasoning], counts, why);
    t.strictSame(readUsage({ total_tokens: 0 }, usage), read, `${why}, in a choice`);
    if (read !== undefined) t.strictSame(readUsage(writeUsage(read)), read, `${why}, written and read again`);
  }
});

t.test('what each provider reports costs what it should', async (t) => {
  const cases = [
    // usage as it comes                                                                        why
    [{ prompt_tokens: 1900, completion_tokens: 130, prompt_cache_hit_tokens: 1200, prompt_cache_miss_tokens: 700 }, 'deepseek'],
    [{ prompt_tokens: 1900, completion_tokens: 130, cached_tokens: 1200 },                      'kimi, stepfun'],
    [{ prompt_tokens: 1900, total_tokens: 2030, prompt_tokens_details: { cached_tokens: 1200 } }, 'minimax without a completion'],
  ] as const;
  for (const [reported, why] of cases) {
    const usage = readUsage(reported);
    t.strictSame(usage && charge(usage, offPeak(MODEL.price), 0n).total, 13_776n, `$0.00013776: ${why}`);
    t.strictSame(usage && charge(usage, offPeak(MODEL.price), 55_000n), { total: 14_534n, provider: 13_776n, fee: 758n }, `$0.00014534 with the fee: ${why}`);
  }
});

t.test('every row of the table of differences is a dialect that was asked for', async (t) => {
  t.strictSame(Object.keys(QUIRKS), ['openai', 'deepseek', 'zhipu', 'minimax', 'qwen', 'kimi', 'stepfun']);
});
