import t from 'tap';
import { toUpstream } from '../src/wire/index.ts';
import { fieldsSent, MODEL, request } from './support/wire.ts';

/** What one target refuses in a conversation's messages and others take: said anew for that one, as it came for the rest. */

const SYSTEM = { role: 'system', content: 'Be brief.' };
const USER = { role: 'user', content: 'hello' };
/** Who takes an answer as `calling` makes it, with or without its empty text. */
const OTHERS = ['openai', 'deepseek', 'zhipu', 'minimax', 'qwen'] as const;

function sent(dialect: string, fields: Readonly<Record<string, unknown>>, model: Partial<typeof MODEL> = {}): Record<string, unknown> {
  const { body } = toUpstream(request(fields), { model: { ...MODEL, ...model }, dialect, maxTokens: undefined });
  return fieldsSent(body);
}

const calling = (written?: unknown, more: object = {}) => ({
  role: 'assistant', content: '', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', ...(written === undefined ? {} : { arguments: written }) } }], ...more,
});
const RESULT = { role: 'tool', tool_call_id: 'c', content: 'ok' };

t.test('a conversation in which no user speaks', async (t) => {
  const go = { role: 'user', content: 'Continue.' };
  const asked = { role: 'user', content: 'Write a title.' };
  const asks = { role: 'system', content: 'Write a title.' };
  const cases = [
    // messages                          zhipu                                    minimax                              why
    [[SYSTEM, USER],                     [SYSTEM, USER],                          [SYSTEM, USER],                      'one does'],
    [[USER, asks],                       [USER, asks],                            [asks, USER],                        'wherever'],
    [[asks],                             [asked],                                 [asked],                             'a system message alone is what was asked'],
    [[SYSTEM, asks],                     [SYSTEM, asked],                         [SYSTEM, asked],                     'the last of several'],
    [[{ ...asks, role: 'developer' }],   [asked],                                 [asked],                             'whatever it is called'],
    [[SYSTEM, calling('{}'), RESULT],    [SYSTEM, go, calling('{}'), RESULT],     [SYSTEM, calling('{}'), RESULT],     'the beginning was cut off, and the result stays last'],
    [[calling('{}'), RESULT],            [go, calling('{}'), RESULT],             [calling('{}'), RESULT],             'without a system message'],
  ] as const;
  for (const [messages, zhipu, minimax, why] of cases) {
    t.strictSame(sent('zhipu', { messages })['messages'], zhipu, `zhipu: ${why}`);
    t.strictSame(sent('minimax', { messages })['messages'], minimax, `minimax: ${why}`);
    if (messages.some(({ role }) => role === 'developer')) continue;
    for (const dialect of ['openai', 'deepseek', 'qwen', 'stepfun']) t.strictSame(sent(dialect, { messages })['messages'], messages, `${dialect}: as it came`);
  }
  const wish = { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } } };
  t.match(sent('zhipu', { ...wish, messages: [asks] })['messages'], [{ role: 'user', content: /^Write a title\.\n\nAnswer with one JSON object/ }], 'with the schema that it has to follow');
});

t.test('an answer that neither says nor calls anything', async (t) => {
  const answers = [
    // content of the answer, and more                                       zhipu gets
    [{ content: '' },                                                        '.'],
    [{ content: null },                                                      '.'],
    [{},                                                                     '.'],
    [{ content: ' \n' },                                                     '.'],
    [{ content: [] },                                                        '.'],
    [{ content: [{ type: 'text', text: '' }] },                              '.'],
    [{ content: '', reasoning_content: 'Hm.' },                              '.'],
    [{ content: 'ok' },                                                      'ok'],
    [{ content: '', tool_calls: calling('{}').tool_calls },                  ''],
    [{ content: null, tool_calls: calling('{}').tool_calls },                null],
    [{ content: '', function_call: { name: 'f', arguments: '{}' } },         ''],
  ] as const;
  for (const [fields, expected] of answers) {
    const messages = [USER, { role: 'assistant', ...fields }, USER];
    t.strictSame(sent('zhipu', { messages })['messages'], [USER, { role: 'assistant', ...fields, content: expected }, USER], JSON.stringify(fields));
    t.strictSame(sent('qwen', { messages })['messages'], messages, 'as it came');
  }
  t.strictSame(sent('zhipu', { messages: [{ role: 'user', content: '' }] })['messages'], [{ role: 'user', content: '' }], 'what a user says is the user\'s');
});

t.test('an answer without content, as one that only calls tools', async (t) => {
  const bare: Record<string, unknown> = { ...calling('{}') };
  delete bare['content'];
  for (const answer of [calling('{}', { content: null }), bare, calling('{}')]) {
    t.strictSame(sent('stepfun', { messages: [USER, answer, RESULT] })['messages'], [USER, calling('{}'), RESULT]);
    for (const dialect of OTHERS) t.strictSame(sent(dialect, { messages: [USER, answer, RESULT] })['messages'], [USER, answer, RESULT], dialect);
  }
});

t.test('earlier calls whose arguments are no object', async (t) => {
  const cases = [
    // arguments                   minimax gets                              why
    ['{"a":1}',                    '{"a":1}',                                'as they came'],
    [' {"a": 1.0} ',               ' {"a": 1.0} ',                           'to the letter'],
    ['',                           '{}',                                     'none'],
    [' ',                          '{}',                                     'blanks'],
    [undefined,                    '{}',                                     'left out'],
    [null,                         '{}',                                     'null'],
    [{ a: 1 },                     '{"a":1}',                                'an object in itself'],
    ['"{\\"a\\":1}"',              '{"a":1}',                                'written twice'],
    ['{"path":"x","text":"abc',    '{"arguments":"{\\"path\\":\\"x\\",\\"text\\":\\"abc"}', 'cut off at the limit'],
    ['[1]',                        '{"arguments":"[1]"}',                    'a list'],
    ['null',                       '{"arguments":"null"}',                   'a null in words'],
  ] as const;
  for (const [written, expected, why] of cases) {
    const messages = [USER, calling(written), RESULT];
    t.strictSame(sent('minimax', { messages })['messages'], [USER, calling(expected), RESULT], why);
    t.strictSame(sent('deepseek', { messages })['messages'], messages, `${why}: others get what came`);
  }
  const odd = [{ id: 'c' }, 'x', { function: 'f' }];
  t.strictSame(sent('minimax', { messages: [USER, calling('{}', { tool_calls: odd }), RESULT] })['messages'], [USER, calling('{}', { tool_calls: odd }), RESULT], 'what is no call passes');
});
