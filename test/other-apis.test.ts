import fc from 'fast-check';
import t from 'tap';
import { Fault } from '../src/faults.ts';
import { openMessage, readMessagesRequest } from '../src/messages/index.ts';
import { openResponse, readResponsesRequest } from '../src/responses/index.ts';
import { readChatRequest } from '../src/wire/index.ts';

/** Whatever a client or a provider sends: requests of the other APIs are refused or become chat requests, and answers become answers. */

const NAMES = [
  'type', 'role', 'content', 'text', 'input', 'messages', 'system', 'instructions', 'tools', 'tool_choice', 'name', 'call_id', 'id', 'arguments', 'output', 'tool_use_id', 'summary', 'namespace',
  'source', 'data', 'url', 'image_url', 'thinking', 'reasoning', 'format', 'schema', 'parameters', 'input_schema', 'function', 'delta', 'message', 'choices', 'index', 'finish_reason', 'tool_calls', 'usage', 'model', '__proto__', 'constructor',
];
const WORDS = [
  'user', 'assistant', 'system', 'message', 'function_call', 'function_call_output', 'custom_tool_call', 'reasoning', 'text', 'input_text', 'output_text', 'input_image', 'tool_use', 'tool_result', 'thinking', 'image', 'document',
  'base64', 'function', 'custom', 'namespace', 'allowed_tools', 'tool', 'any', 'none', 'json_schema', 'stop', 'length', 'm', '', '{"input":1}', '{',
];
const word = fc.constantFrom(...WORDS);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word, fc.integer(), fc.boolean(), fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(fc.constantFrom(...NAMES), tie('value')), { maxLength: 6 }).map((fields) => JSON.parse(`{${fields.map(([name, field]) => `${JSON.stringify(name)}:${JSON.stringify(field)}`).join(',')}}`) as unknown),
  ),
}));

const OPTIONS = { pictureTokens: 4_096, mediaTokens: 131_072, routingHeader: undefined };

/** What a request becomes; `refused` where that is told as the client's fault. Anything else that is thrown is a bug of ours. */
function outcome(read: () => { readonly chat: unknown }): 'refused' | 'chat' {
  try {
    readChatRequest(JSON.parse(JSON.stringify(read().chat)), OPTIONS);
    return 'chat';
  } catch (refusal) {
    if (refusal instanceof Fault && refusal.code === 'invalid_request') return 'refused';
    throw refusal;
  }
}

t.test('any request is refused in words, or is a chat request', async (t) => {
  const seen = new Set<string>();
  const body = fc.record({ model: fc.constant('m'), input: value, messages: value, instructions: value, system: value, tools: value, tool_choice: value, text: value, reasoning: value, thinking: value, output_config: value, stream: fc.boolean() }, { requiredKeys: ['model'] });
  const run = fc.check(fc.property(fc.oneof(body, value), (raw) => {
    seen.add(outcome(() => readResponsesRequest(raw)));
    seen.add(outcome(() => readMessagesRequest(raw)));
  }), { numRuns: 3_000 });
  t.notOk(run.failed, 'nothing else is thrown', { found: run.counterexample, seed: run.seed, error: run.errorInstance });
  t.same([...seen].sort(), ['chat', 'refused'], 'both were seen');
});

t.test('any answer is told, to an end', async (t) => {
  const { wishes } = readResponsesRequest({ model: 'm', input: 'Hi', stream: true, tools: [{ type: 'custom', name: 'm' }] });
  const run = fc.check(fc.property(fc.array(value, { maxLength: 8 }), fc.boolean(), (chunks, breaks) => {
    for (const answer of [openResponse('req_1', wishes), openMessage('req_1', true)]) {
      const told = chunks.map((one) => answer.take(one)).join('') + (breaks ? answer.fail(chunks[0]) : answer.finish());
      for (const event of told.split('\n\n').filter((one) => one !== '')) JSON.parse(event.slice(event.indexOf('\ndata: ') + '\ndata: '.length));
      JSON.stringify(answer.whole());
      if (!answer.over) throw new Error('no end was told');
    }
  }), { numRuns: 3_000 });
  t.notOk(run.failed, 'every event is JSON', { found: run.counterexample, seed: run.seed, error: run.errorInstance });
});
