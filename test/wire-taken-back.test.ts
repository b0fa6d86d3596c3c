import t from 'tap';
import { toUpstream } from '../src/wire/index.ts';
import { fieldsSent, MODEL, request } from './support/wire.ts';

const SIX = ['deepseek', 'zhipu', 'minimax', 'qwen', 'kimi', 'stepfun'] as const;
const HELLO = { role: 'user', content: 'hello' };
const text = (words: string) => ({ type: 'text', text: words });
const call = (id: string, written: unknown = '{}') => ({ id, type: 'function', function: { name: 'f', arguments: written } });
const result = (id: string, content: unknown = 'ok') => ({ role: 'tool', tool_call_id: id, content });

function sent(dialect: string, fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return fieldsSent(toUpstream(request(fields), { model: MODEL, dialect, maxTokens: undefined }).body);
}

/** What becomes of messages behind a first one. */
function messagesOf(dialect: string, ...messages: readonly unknown[]): readonly unknown[] {
  const [, ...others] = sent(dialect, { messages: [HELLO, ...messages] })['messages'] as readonly unknown[];
  return others;
}

t.test('an answer without words goes back in the form that its target takes', async (t) => {
  const bare = { role: 'assistant' };
  const calling = { ...bare, tool_calls: [call('c')] };
  const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } };
  const cases = [
    // dialect    came                                                    goes out                              why
    ['kimi',      { ...bare, content: '' },                               undefined,                            'it refuses one that says nothing'],
    ['kimi',      { ...bare, content: null },                             undefined,                            'nor takes null'],
    ['kimi',      { ...bare, content: [text('')] },                       undefined,                            'nor a list of nothing'],
    ['kimi',      { ...bare, content: '', tool_calls: [] },               undefined,                            'nor an empty list of calls'],
    ['kimi',      { ...bare, content: '', partial: true, name: 'Ann' },   'the same',                           'an answer that shall begin is none'],
    ['kimi',      { ...bare, content: '', reasoning_content: 'Hm.' },     'the same',                           'what it thought is something'],
    ['kimi',      { ...bare, content: ' ' },                              'the same',                           'a blank is taken'],
    ['kimi',      { ...calling, content: '' },                            calling,                              'calls need no text'],
    ['kimi',      { ...calling, content: [text('')] },                    calling,                              'nor a list'],
    ['kimi',      { ...calling, content: null },                          'the same',                           'null is none'],
    ['kimi',      { ...calling, content: [text(''), text('So.')] },       { ...calling, content: [text('So.')] }, 'what is left of a list'],
    ['kimi',      result('c', [text(''), picture]),                       result('c', [picture]),               'a result as well'],
    ['kimi',      result('c', [text('')]),                                result('c', ''),                      'a result without anything'],
    ['kimi',      { role: 'user', content: [text(''), picture] },         { role: 'user', content: [picture] }, 'and what the user says'],
    ['deepseek',  { ...bare, content: null },                             { ...bare, content: '' },             'it asks for a text or calls'],
    ['deepseek',  { ...bare, reasoning_content: 'Hm.' },                  { ...bare, reasoning_content: 'Hm.', content: '' }, 'all the answer was thought'],
    ['deepseek',  { ...calling, content: null },                          'the same',                           'calls are enough'],
    ['deepseek',  { ...bare, content: '' },                               'the same',                           'so is an empty text'],
    ['qwen',      { ...bare, content: null },                             'the same',                           'the others say nothing about it'],
    ['openai',    { ...bare, content: '', tool_calls: [] },               'the same',                           'as sent'],
  ] as const;
  for (const [dialect, came, expected, why] of cases) {
    t.strictSame(messagesOf(dialect, came), expected === undefined ? [] : [expected === 'the same' ? came : expected], `${dialect}: ${why}`);
  }
  for (const dialect of SIX) t.strictSame(messagesOf(dialect, { ...bare, content: 'Hi', tool_calls: [] }), [{ ...bare, content: 'Hi' }], `${dialect} gets no empty list of calls`);
});

t.test('arguments of earlier calls are JSON for a target that reads them', async (t) => {
  const cases = [
    // came                  goes out                                why
    ['{"a":1}',              '{"a":1}',                              'as they were'],
    ['"a"',                  '{"arguments":"\\"a\\""}',              'no object'],
    ['',                     '{}',                                   'none'],
    [' ',                    '{}',                                   'a blank'],
    [undefined,              '{}',                                   'nothing'],
    ['{"path":"/a","text":"', '{"arguments":"{\\"path\\":\\"/a\\",\\"text\\":\\""}', 'cut off where the answer was'],
  ] as const;
  for (const [came, expected, why] of cases) {
    const made = { role: 'assistant', content: null, tool_calls: [call('c', came), call('d')] };
    t.strictSame(messagesOf('qwen', made), [{ ...made, tool_calls: [call('c', expected), call('d')] }], why);
    if (came !== undefined) t.strictSame(messagesOf('deepseek', made), [made], `${why}: others judge it themselves`);
  }
});

t.test('calls of the same id are told apart for targets that refuse them', async (t) => {
  const answer = (...ids: readonly string[]) => ({ role: 'assistant', content: null, tool_calls: ids.map((id) => call(id)) });
  const came = [answer('f:0', 'f:1'), result('f:0', 'a'), result('f:1', 'b'), HELLO, answer('f:0', 'f:0-2', 'f:0'), result('f:0', 'c'), result('f:0-2', 'd'), result('f:0', 'e'), result('f:0', 'once more'), result('x')];
  const told = [
    answer('f:0', 'f:1'), result('f:0', 'a'), result('f:1', 'b'), HELLO,
    answer('f:0-2', 'f:0-2-2', 'f:0-3'), result('f:0-2', 'c'), result('f:0-2-2', 'd'), result('f:0-3', 'e'), result('f:0', 'once more'), result('x'),
  ];
  for (const dialect of ['deepseek', 'kimi']) {
    t.strictSame(messagesOf(dialect, ...came), told, `${dialect}: the first keeps its id, and each result goes by its call`);
    t.strictSame(messagesOf(dialect, ...told.slice(0, 8)), told.slice(0, 8), `${dialect}: calls that differ stay as they are`);
  }
  for (const dialect of ['openai', 'qwen', 'minimax']) t.strictSame(messagesOf(dialect, ...came), came, `${dialect} gets them as they came`);
});
