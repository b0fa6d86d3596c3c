import t from 'tap';
import { QUIRKS, toUpstream } from '../src/wire/index.ts';
import { fieldsSent, MODEL, request } from './support/wire.ts';

/** Requests that were written for a model of one dialect and reach one of another: what is said anew, what stays behind, what is as it was. */

const HELLO = [{ role: 'user', content: 'hello' }];
const THINKER: Partial<typeof MODEL> = { capabilities: ['tools', 'json_object', 'reasoning'] };

/** JSON text of what a target gets, parsed again. */
function sent(dialect: string, fields: Readonly<Record<string, unknown>>, { writtenFor, model = THINKER }: { readonly writtenFor?: string; readonly model?: Partial<typeof MODEL> } = {}): Record<string, unknown> {
  const { body } = toUpstream(request(fields), { model: { ...MODEL, ...model }, dialect, writtenFor, maxTokens: undefined });
  return fieldsSent(body);
}

const WORDS = ['thinking', 'enable_thinking', 'thinking_budget', 'reasoning_effort'];
/** Of what was sent, all that is about thinking. */
function thinkingOf(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => WORDS.includes(name)));
}

const OFF = { thinking: { type: 'disabled' } };

t.test('a wish not to think is said in the words of whoever answers', async (t) => {
  const wishes = [
    ['deepseek', OFF], ['zhipu', { thinking: { type: 'disabled', clear_thinking: true } }], ['qwen', { enable_thinking: false, thinking_budget: 1_024 }],
    ['openai', { reasoning_effort: 'none' }], ['deepseek', { reasoning_effort: 'none' }],
  ] as const;
  const said: Readonly<Record<keyof typeof QUIRKS, unknown>> = {
    deepseek: OFF, zhipu: OFF, kimi: OFF, minimax: OFF, qwen: { enable_thinking: false }, stepfun: { reasoning_effort: 'low' }, openai: undefined,
  };
  for (const [writtenFor, wish] of wishes) {
    for (const [dialect, expected] of Object.entries(said)) {
      if (dialect === writtenFor) continue;
      t.strictSame(thinkingOf(sent(dialect, wish, { writtenFor })), expected ?? wish, `${JSON.stringify(wish)} for ${writtenFor}, at ${dialect}`);
    }
  }
});

t.test("OpenAI's word for it is said in the target's words without another dialect between", async (t) => {
  const none = { reasoning_effort: 'none' };
  const said: Readonly<Record<keyof typeof QUIRKS, unknown>> = {
    deepseek: OFF, zhipu: OFF, kimi: OFF, minimax: OFF, qwen: { enable_thinking: false }, stepfun: { reasoning_effort: 'low' }, openai: none,
  };
  for (const [dialect, expected] of Object.entries(said)) t.strictSame(thinkingOf(sent(dialect, none)), expected, dialect);
  t.strictSame(thinkingOf(sent('deepseek', { ...none, thinking: { type: 'enabled' } })), { thinking: { type: 'enabled' } }, 'the switch itself goes before');
  t.strictSame(thinkingOf(sent('qwen', none, { model: { capabilities: ['tools'] } })), {}, 'who cannot think is told nothing');
  const forced = { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { x: {} } } } }], tool_choice: 'required' };
  t.equal(sent('deepseek', { ...none, ...forced })['tool_choice'], 'required', 'a tool may be demanded then');
  t.equal(sent('deepseek', forced)['tool_choice'], 'auto');
});

t.test('how much to think goes where there is the same measure, and to think need not be said', async (t) => {
  const cases = [
    // written for  fields                                             target      what it gets                       why
    ['qwen',     { thinking_budget: 2_048 },                           'deepseek', {},                                'no budget there'],
    ['zhipu',    { thinking: { type: 'enabled', budget_tokens: 512 } }, 'qwen',    { thinking_budget: 512 },          'a budget by another name'],
    ['zhipu',    { thinking_budget: 0, thinking: { budget_tokens: 'x' } }, 'qwen', {},                             'none that counts'],
    ['openai',   { reasoning_effort: 'minimal' },                      'stepfun',  { reasoning_effort: 'low' },       'three levels'],
    ['openai',   { reasoning_effort: 'xhigh' },                        'stepfun',  { reasoning_effort: 'high' },      'three levels'],
    ['openai',   { reasoning_effort: 'medium' },                       'deepseek', { reasoning_effort: 'medium' },    'as it was'],
    ['openai',   { reasoning_effort: 7 },                              'deepseek', {},                                'no level'],
    ['openai',   { reasoning_effort: 'high' },                         'kimi',     {},                                'refused there'],
    ['openai',   { reasoning_effort: 'high' },                         'zhipu',    {},                                'refused there'],
    ['openai',   { reasoning_effort: 'high', thinking_budget: 9 },     'qwen',     { thinking_budget: 9 },            'never both'],
    ['qwen',     { enable_thinking: true },                            'kimi',     {},                                'it does'],
    ['minimax',  { thinking: { type: 'adaptive' } },                   'kimi',     {},                                'a word that nobody else knows'],
    ['deepseek', { thinking: { type: 'enabled' } },                    'minimax',  {},                                'a word that it does not know'],
  ] as const;
  for (const [writtenFor, fields, dialect, expected, why] of cases) t.strictSame(thinkingOf(sent(dialect, fields, { writtenFor })), expected, `${writtenFor} to ${dialect}: ${why}`);
});

t.test('the catalogue goes before the wish, and who cannot think is told nothing', async (t) => {
  const forced = { ...THINKER, force: { thinking: { type: 'enabled' } } };
  t.strictSame(thinkingOf(sent('deepseek', { enable_thinking: false }, { writtenFor: 'qwen', model: forced })), { thinking: { type: 'enabled' } });
  t.strictSame(thinkingOf(sent('kimi', { enable_thinking: false }, { writtenFor: 'qwen', model: { ...THINKER, drop: ['thinking'] } })), {}, 'a switch that is refused there');
  for (const dialect of ['zhipu', 'qwen', 'deepseek']) t.strictSame(thinkingOf(sent(dialect, { ...OFF, enable_thinking: true }, { writtenFor: 'kimi', model: {} })), {}, dialect);
  const named = { tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: { type: 'function', function: { name: 'f' } } };
  t.strictSame(sent('kimi', { ...named, enable_thinking: false }, { writtenFor: 'qwen' })['tool_choice'], named.tool_choice, 'a tool may be named then');
  t.strictSame(sent('qwen', { thinking: { type: 'enabled' }, response_format: { type: 'json_object' } }, { writtenFor: 'deepseek' })['enable_thinking'], false, 'and JSON goes before thinking where only one can be had');
});

t.test('a request to the model itself passes as it was sent, but for a word that its provider does not know', async (t) => {
  const fields = { thinking: { type: 'enabled', keep: 'all' }, enable_thinking: false, reasoning_effort: 'high', seed: 7, logit_bias: { 1: 1 }, top_k: 9 };
  for (const dialect of Object.keys(QUIRKS)) {
    const expected = dialect === 'minimax' ? { ...fields, thinking: { type: 'adaptive', keep: 'all' } } : fields;
    for (const writtenFor of [undefined, dialect]) t.match(sent(dialect, fields, writtenFor === undefined ? {} : { writtenFor }), expected, dialect);
  }
  const forced = { model: { ...THINKER, force: OFF } };
  t.strictSame(thinkingOf(sent('kimi', { reasoning_effort: 'high' }, forced)), OFF, 'Kimi refuses an effort beside the switch, and that is the catalogue\'s here');
  t.match(thinkingOf(sent('deepseek', { reasoning_effort: 'high' }, forced)), { ...OFF, reasoning_effort: 'high' });
});

t.test('fields that a provider may refuse as unknown stay behind', async (t) => {
  const fields = { seed: 7, logit_bias: { 1: 1 }, top_k: 9, enable_search: true, chat_template_kwargs: {}, stop: 'x', max_tokens: 9, stream: true, temperature: 0.5, user: 'somebody' };
  const rest = { model: 'upstream-model', messages: HELLO, stream: true, stream_options: { include_usage: true } };
  t.strictSame(sent('kimi', { ...fields, logprobs: true }, { writtenFor: 'qwen' }), { ...rest, stop: 'x', max_completion_tokens: 9, logprobs: true });
  t.strictSame(sent('zhipu', { ...fields, logprobs: true }, { writtenFor: 'qwen' }), { ...rest, stop: ['x'], max_tokens: 9, temperature: 0.5, user_id: 'somebody' });
  t.match(sent('deepseek', fields, { writtenFor: 'qwen' }), { seed: 7, logit_bias: { 1: 1 }, top_k: 9 }, 'who ignores them gets them');
  t.match(sent('kimi', { functions: [{ name: 'f' }] }, { writtenFor: 'openai' }), { functions: [{ name: 'f' }] }, 'tools in their old form are never lost without a word');
  t.equal(sent('zhipu', { temperature: 0 }, { writtenFor: 'openai' })['do_sample'], false, 'what is said anew is known');
});

t.test('to think, in the words of a model that refuses OpenAI\'s', async (t) => {
  const on = { thinking: { type: 'enabled', budget_tokens: 1_024 } };
  t.strictSame(sent('minimax', on)['thinking'], { type: 'adaptive', budget_tokens: 1_024 }, 'M3 knows adaptive and disabled');
  for (const thinking of [{ type: 'adaptive' }, { type: 'disabled' }, 'enabled']) t.strictSame(sent('minimax', { thinking })['thinking'], thinking, 'all else as it came');
  for (const dialect of Object.keys(QUIRKS).filter((name) => name !== 'minimax')) t.strictSame(sent(dialect, on)['thinking'], on.thinking, dialect);

  const always: Partial<typeof MODEL> = { ...THINKER, drop: ['thinking'] };
  const levels = { none: 'low', minimal: 'low', low: 'low', medium: 'high', high: 'high', xhigh: 'max', max: 'max' };
  for (const [effort, level] of Object.entries(levels)) {
    const body = sent('zhipu', { reasoning_effort: effort }, { model: always });
    t.equal(body['reasoning_effort'], level, `${effort} where it cannot but think`);
    t.equal(body['thinking'], undefined);
  }
  t.strictSame(thinkingOf(sent('zhipu', OFF, { model: always })), { reasoning_effort: 'low' }, 'the switch that it refuses, for it thinks the most where nothing is said');
  t.strictSame(thinkingOf(sent('zhipu', { ...OFF, reasoning_effort: 'high' }, { model: always })), { reasoning_effort: 'high' }, 'what is said of the effort goes before');
  for (const wish of [OFF, { enable_thinking: false }, { reasoning_effort: 'none' }]) t.strictSame(thinkingOf(sent('zhipu', wish, { writtenFor: 'qwen', model: always })), { reasoning_effort: 'low' }, 'also where it stands in');
  t.strictSame(thinkingOf(sent('zhipu', { reasoning_effort: 'medium' }, { writtenFor: 'openai', model: always })), { reasoning_effort: 'high' });
  t.strictSame(thinkingOf(sent('zhipu', { reasoning_effort: 'soon', thinking_budget: 9 }, { writtenFor: 'openai', model: always })), {}, 'no level');
  t.equal(sent('zhipu', { reasoning_effort: 'soon' }, { model: always })['reasoning_effort'], 'soon', 'an unknown word is its provider\'s to refuse');
  t.equal(sent('zhipu', {}, { model: always })['reasoning_effort'], undefined, 'nothing said');
  t.equal(sent('zhipu', { reasoning_effort: 'medium' })['reasoning_effort'], 'medium', 'its others read it');
  t.equal(sent('kimi', { reasoning_effort: 'medium' }, { model: always })['reasoning_effort'], 'medium', 'another provider\'s is its own to read');
});
