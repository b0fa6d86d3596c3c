import t from 'tap';
import { Fault } from '../src/faults.ts';
import { openMessage, readMessagesRequest } from '../src/messages/index.ts';
import { eventsOf } from './support/named-events.ts';

/** Anthropic's Messages API said in chat completions and back, without a gateway. */

const SHELL = { name: 'Bash', description: 'Runs a command.', input_schema: { type: 'object', properties: { command: { type: 'string' } } } };
const CHAT_SHELL = { type: 'function', function: { name: 'Bash', description: 'Runs a command.', parameters: SHELL.input_schema } };
const HI = [{ role: 'user', content: 'Hi' }];
const chatOf = (body: object) => readMessagesRequest({ model: 'm', max_tokens: 9, messages: HI, ...body }).chat;
const messagesOf = (messages: unknown) => chatOf({ messages })['messages'];

t.test('fields are said in chat\'s words, and all others pass', async (t) => {
  const cases: readonly [object, object][] = [
    [{ stream: true }, { stream: true, stream_options: { include_usage: true } }],
    [{ stop_sequences: ['END'], temperature: 0.5, top_p: 0.9, top_k: 40 }, { stop: ['END'], temperature: 0.5, top_p: 0.9, top_k: 40 }],
    [{ stop_sequences: [] }, {}],
    [{ metadata: { user_id: 'u-1' }, routing: 'cheapest', enable_thinking: false }, { user: 'u-1', routing: 'cheapest', enable_thinking: false }],
    [{ thinking: { type: 'disabled' }, output_config: { effort: 'high' } }, { reasoning_effort: 'none' }],
    [{ thinking: { type: 'adaptive' }, output_config: { effort: 'high' } }, { reasoning_effort: 'high' }],
    [{ thinking: { type: 'enabled', budget_tokens: 1_024 } }, {}],
    [{ output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } }, { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: { type: 'object' } } } }],
    [{ tools: [SHELL, { type: 'web_search_20250305', name: 'web_search' }, { type: 'custom', ...SHELL, name: 'Other' }] }, { tools: [CHAT_SHELL, { ...CHAT_SHELL, function: { ...CHAT_SHELL.function, name: 'Other' } }] }],
    [{ tools: [SHELL], tool_choice: { type: 'any', disable_parallel_tool_use: true } }, { tools: [CHAT_SHELL], tool_choice: 'required', parallel_tool_calls: false }],
    [{ tools: [SHELL], tool_choice: { type: 'tool', name: 'Bash' } }, { tools: [CHAT_SHELL], tool_choice: { type: 'function', function: { name: 'Bash' } } }],
    [{ tools: [SHELL, { type: 'web_search_20250305', name: 'web_search' }], tool_choice: { type: 'tool', name: 'web_search' } }, { tools: [CHAT_SHELL] }],
    [{ tools: [SHELL], tool_choice: { type: 'none' } }, { tools: [CHAT_SHELL], tool_choice: 'none' }],
    [{ tools: [SHELL], tool_choice: { type: 'auto' } }, { tools: [CHAT_SHELL] }],
    [{ tools: [], tool_choice: { type: 'any' } }, {}],
    [{ context_management: {}, service_tier: 'auto', container: 'c', mcp_servers: [], betas: ['x'], thread: null, fallbacks: [], compaction: {}, billing_policy: {}, workspace_id: 'w', n: 3 }, {}],
  ];
  for (const [body, fields] of cases) t.strictSame(chatOf(body), { model: 'm', messages: HI, max_tokens: 9, ...fields }, JSON.stringify(body));
  t.strictSame(chatOf({ system: 'Be brief.', messages: [{ role: 'system', content: 'And kind.' }, ...HI] })['messages'], [{ role: 'system', content: 'Be brief.\n\nAnd kind.' }, ...HI], 'one message of the system: many templates take no second');
  t.strictSame(chatOf({ system: 'Be brief.' })['messages'], [{ role: 'system', content: 'Be brief.' }, ...HI]);
  t.strictSame(chatOf({ system: [{ type: 'text', text: 'x-anthropic-billing-header: cc_version=1; cch=ab12;' }, { type: 'text', text: 'One.', cache_control: { type: 'ephemeral' } }, { type: 'text', text: 'Two.' }] })['messages'], [{ role: 'system', content: 'One.\n\nTwo.' }, ...HI], 'a line that changes each time would keep the rest out of every cache');
});

t.test('blocks become messages', async (t) => {
  t.strictSame(messagesOf([
    { role: 'user', content: [{ type: 'text', text: 'List.', cache_control: { type: 'ephemeral' } }] },
    { role: 'assistant', content: [{ type: 'thinking', thinking: 'I should look.', signature: 'x' }, { type: 'redacted_thinking', data: 'x' }, { type: 'text', text: 'Let me see.' }, { type: 'tool_use', id: 'a', name: 'Bash', input: { command: 'ls' } }, { type: 'tool_use', id: 'b', name: 'Bash', input: {} }] },
    { role: 'user', content: [
      { type: 'tool_result', tool_use_id: 'a', content: 'README' },
      { type: 'tool_result', tool_use_id: 'b', is_error: true, content: [{ type: 'text', text: 'no such' }, { type: 'text', text: 'file' }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }] },
      { type: 'text', text: 'Well?' },
    ] },
    { role: 'assistant', content: [{ type: 'thinking', thinking: 'lost', signature: 'x' }] },
    { role: 'assistant', content: 'There is README.' },
    { role: 'system', content: [{ type: 'text', text: 'Mind the time.' }] },
    { role: 'user', content: [{ type: 'image', source: { type: 'url', url: 'https://a.test/x.png' } }, { type: 'document', title: 'a.pdf', source: { type: 'base64', media_type: 'application/pdf', data: 'BB' } }, { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'plain' } }] },
  ]), [
    { role: 'user', content: 'List.' },
    { role: 'assistant', content: 'Let me see.', reasoning_content: 'I should look.', tool_calls: [{ id: 'a', type: 'function', function: { name: 'Bash', arguments: '{"command":"ls"}' } }, { id: 'b', type: 'function', function: { name: 'Bash', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 'a', content: 'README' },
    { role: 'tool', tool_call_id: 'b', content: 'Error: no such\nfile' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }, { type: 'text', text: 'Well?' }] },
    { role: 'assistant', content: 'There is README.', reasoning_content: 'lost' },
    { role: 'user', content: '<system-reminder>\nMind the time.\n</system-reminder>' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.test/x.png' } }, { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,BB' } }, { type: 'text', text: 'plain' }] },
  ]);
  t.strictSame(messagesOf([...HI, { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } }] }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a' }] }]), [
    ...HI, { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }] }, { role: 'tool', tool_call_id: 'a', content: '' },
  ], 'a result that is empty is one');
  const seen = { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'image', source: { type: 'url', url: 'https://a.test/x.png' } }] };
  t.match(messagesOf([...HI, { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: {} }] }, { role: 'user', content: [seen] }]), [{}, {}, { role: 'tool', content: /shown in the next message/ }, { role: 'user', content: [{ type: 'image_url' }] }], 'one that is a picture is not told as empty');
});

t.test('a tool\'s name that is too long for chat is another one there, and its own for the client', async (t) => {
  const long = (end: string) => `mcp__plugin_a-server-with-a-long-name__and_a_tool_with_a_longer_one_${end}`;
  const { chat, names } = readMessagesRequest({
    model: 'm', max_tokens: 9, tools: ['one', 'two'].map((end) => ({ ...SHELL, name: long(end) })), tool_choice: { type: 'tool', name: long('two') },
    messages: [...HI, { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: long('one'), input: {} }] }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'tool_reference', tool_name: long('two') }] }] }],
  });
  const [one = '', two = ''] = names.keys();
  t.match([one, two], [/^mcp__[\w-]{59}$/, /^mcp__[\w-]{59}$/]);
  t.not(one, two);
  t.match(chat, { tools: [{ function: { name: one } }, { function: { name: two } }], tool_choice: { function: { name: two } }, messages: [{}, { tool_calls: [{ function: { name: one } }] }, { content: two }] });
  const answer = openMessage('req_1', true, { names });
  const events = eventsOf(answer.take(chunk({ tool_calls: [{ index: 0, id: 'b', function: { name: two, arguments: '{}' } }] }, 'tool_calls')) + answer.finish());
  t.match(events[1], { content_block: { type: 'tool_use', name: long('two') } });
  t.match(answer.whole(), { content: [{ name: long('two') }] });
  t.strictSame([...readMessagesRequest({ model: 'm', messages: HI, tools: [{ ...SHELL, name: 'x'.repeat(64) }] }).names], [], 'one that fits is the same');
});

t.test('an answer that was empty is not sent on', async (t) => {
  const again = { role: 'user', content: 'And?' };
  for (const content of ['', [], [{ type: 'text', text: '' }]]) t.strictSame(messagesOf([...HI, { role: 'assistant', content }, again]), [...HI, again], JSON.stringify(content));
});

t.test('several messages of one side are one turn, where chat needs it', async (t) => {
  const use = (id: string) => ({ type: 'tool_use', id, name: 'Bash', input: {} });
  const result = (id: string, ...content: object[]) => ({ role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content }] });
  const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } };
  t.strictSame(messagesOf([
    { role: 'user', content: [{ type: 'text', text: '<reminder>' }, { type: 'text', text: 'List.' }] },
    { role: 'assistant', content: [{ type: 'thinking', thinking: 'I should look.', signature: 'x' }] },
    { role: 'assistant', content: [{ type: 'text', text: 'Let me see.' }, use('a')] },
    { role: 'assistant', content: [{ type: 'text', text: 'And this.' }, use('b')] },
    result('a', { type: 'text', text: 'x' }, picture), result('b', { type: 'text', text: 'y' }),
    { role: 'user', content: 'Well?' },
  ]), [
    { role: 'user', content: '<reminder>\n\nList.' },
    { role: 'assistant', content: 'Let me see.\n\nAnd this.', reasoning_content: 'I should look.', tool_calls: ['a', 'b'].map((id) => ({ id, type: 'function', function: { name: 'Bash', arguments: '{}' } })) },
    { role: 'tool', tool_call_id: 'a', content: 'x' },
    { role: 'tool', tool_call_id: 'b', content: 'y' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }] },
    { role: 'user', content: 'Well?' },
  ], 'no picture stands between two results, and words alone are a text: DeepSeek takes no list');
});

t.test('what cannot be said is refused, with the mend', async (t) => {
  const cases: readonly [object, string, RegExp][] = [
    [{ tools: [{ ...SHELL, name: 'x'.repeat(257) }] }, 'tools', /256 characters/],
    [{ messages: [] }, 'messages', /at least one/],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role', /"user" or "assistant"/],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', /text or a list/],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text', /must be a text/],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'file', file_id: 'f' } }] }] }, 'messages[0].content[0]', /with their data/],
    [{ messages: [{ role: 'user', content: [{ type: 'tool_result' }] }] }, 'messages[0].content[0]', /tool_use_id/],
    [{ messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 7 }] }] }, 'messages[0].content[0].content', /text or a list/],
    [{ messages: [{ role: 'assistant', content: [{ type: 'tool_use', name: 'f' }] }] }, 'messages[0].content[0]', /"id" and "name"/],
    [{ messages: [{ role: 'assistant', content: [{ type: 'server_tool_use' }] }] }, 'messages[0].content[0]', /type "server_tool_use"/],
    [{ system: [{ type: 'image' }] }, 'system[0]', /text block/],
  ];
  for (const [body, param, text] of cases) {
    try {
      chatOf(body);
      t.fail(`taken: ${JSON.stringify(body)}`);
    } catch (refusal) {
      if (!(refusal instanceof Fault)) throw refusal;
      t.match({ code: refusal.code, param: refusal.param, message: refusal.message }, { code: 'invalid_request', param, message: text });
    }
  }
  t.throws(() => readMessagesRequest([]), Fault);
  for (const thread of [{ type: 'create' }, { type: 'continue', previous_message_id: 'msg_1' }]) {
    t.throws(() => chatOf({ thread }), { code: 'invalid_request', param: 'thread', message: /send the whole of it/, details: { error_code: 'thread_unsupported_request' } });
  }
});

const chunk = (delta: object, reason: string | null = null) => ({ id: 'c', object: 'chat.completion.chunk', created: 1_790_000_000, model: 'm', choices: [{ index: 0, delta, finish_reason: reason }] });
const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, prompt_tokens_details: { cached_tokens: 4 }, cost: 0.00042 };

t.test('a stream is told block by block', async (t) => {
  const answer = openMessage('req_1', true);
  const piece = (index: number, more: object) => chunk({ tool_calls: [{ index, ...more }] });
  const events = eventsOf([
    chunk({ role: 'assistant', reasoning_content: 'Hm' }), chunk({ reasoning_content: 'm.' }), chunk({ content: 'Hello' }),
    piece(0, { id: 'call_a', function: { name: 'Bash', arguments: '{"command":' } }), piece(0, { function: { arguments: '"ls"}' } }),
    piece(1, { id: 'call_b', function: { arguments: '{' } }), piece(1, { function: { name: 'Other', arguments: '}' } }),
    chunk({}, 'tool_calls'), { ...chunk({}), choices: [], usage: USAGE },
  ].map((one) => answer.take(one)).join('') + answer.finish());
  const usage = { input_tokens: 6, cache_creation_input_tokens: 0, cache_read_input_tokens: 4, output_tokens: 5, cost: 0.00042 };
  t.match(events, [
    { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'm.' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'findtoken' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hello' } },
    { type: 'content_block_stop', index: 1 },
    { type: 'content_block_start', index: 2, content_block: { type: 'tool_use', id: 'call_a', name: 'Bash', input: {} } },
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '{"command":' } },
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '"ls"}' } },
    { type: 'content_block_stop', index: 2 },
    { type: 'content_block_start', index: 3, content_block: { type: 'tool_use', id: 'call_b', name: 'Other' } },
    { type: 'content_block_delta', index: 3, delta: { type: 'input_json_delta', partial_json: '{}' } },
    { type: 'content_block_stop', index: 3 },
    { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]);
  t.equal(events.length, 18);
  t.strictSame(answer.whole(), {
    id: 'msg_1', type: 'message', role: 'assistant', model: 'm',
    content: [{ type: 'thinking', thinking: 'Hmm.', signature: 'findtoken' }, { type: 'text', text: 'Hello' }, { type: 'tool_use', id: 'call_a', name: 'Bash', input: { command: 'ls' } }, { type: 'tool_use', id: 'call_b', name: 'Other', input: {} }],
    stop_reason: 'tool_use', stop_sequence: null, usage,
  });
});

t.test('one block is told at a time, whatever comes between', async (t) => {
  const piece = (index: number, more: object) => chunk({ tool_calls: [{ index, ...more }] });
  const answer = openMessage('req_1', true);
  const events = eventsOf([
    piece(0, { id: 'a', function: { name: 'Bash', arguments: '' } }), piece(1, { id: 'b', function: { name: 'Bash', arguments: '' } }), piece(2, { id: 'c', function: { name: 'Other', arguments: '' } }),
    piece(1, { function: { arguments: '{"command":{"x":1}' } }), piece(0, { function: { arguments: '{"command":' } }), piece(0, { function: { arguments: '"ls"}' } }), piece(1, { function: { arguments: '}' } }),
    chunk({ content: 'I called ' }), chunk({ content: 'them.' }), chunk({}, 'tool_calls'),
  ].map((one) => answer.take(one)).join('') + answer.finish()).slice(1, -2);
  let open = -1;
  for (const { type, index } of events) {
    if (type === 'content_block_start') t.equal(index, open === -1 ? 0 : open, 'the next one, once the last is closed');
    if (type === 'content_block_delta') t.equal(index, open);
    open = type === 'content_block_stop' ? Number(index) + 1 : Number(index);
  }
  const said = (index: number) => events.filter((event) => event['index'] === index).map(({ delta }) => { const { partial_json: json, text } = { ...(delta as { partial_json?: string; text?: string } | undefined) }; return json ?? text ?? ''; }).join('');
  t.strictSame([0, 1, 2, 3].map(said), ['{"command":"ls"}', '{"command":{"x":1}}', '', 'I called them.']);
  t.match(answer.whole(), { content: [{ id: 'a', input: { command: 'ls' } }, { id: 'b', input: { command: { x: 1 } } }, { id: 'c', input: {} }, { text: 'I called them.' }] });
  t.match(eventsOf(openMessage('req_1', true, { promptEstimate: 42 }).take(chunk({ content: 'Hi' })))[0], { type: 'message_start', message: { usage: { input_tokens: 42 } } }, 'some clients read the input there alone');
  const lively = openMessage('req_1', true);
  lively.take(piece(0, { id: 'a', function: { name: 'Bash', arguments: '{}' } }));
  t.match(eventsOf(lively.take(chunk({ content: 'So ' }))), [{ type: 'content_block_stop', index: 0 }, { type: 'content_block_start', index: 1 }, { type: 'content_block_delta' }], 'what waits for nothing goes at once');
});

t.test('ends', async (t) => {
  for (const [reason, stop] of [['stop', 'end_turn'], ['length', 'max_tokens'], ['content_filter', 'refusal'], ['else', 'end_turn']] as const) {
    const whole = openMessage('req_1', false);
    t.equal(whole.take({ ...chunk({}), choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: reason }] }) + whole.finish(), '');
    t.match(whole.whole(), { stop_reason: stop, content: [{ type: 'text', text: 'Hi' }] });
  }
  for (const [reason, stop] of [['stop', 'tool_use'], ['tool_calls', 'tool_use'], ['length', 'max_tokens']] as const) {
    const called = openMessage('req_1', true);
    called.take(chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'Bash', arguments: '{}' } }] }));
    called.take(chunk({}, reason));
    t.match(eventsOf(called.finish()).at(-2), { delta: { stop_reason: stop } }, `calls that end with ${reason}`);
  }
  const parts = openMessage('req_1', false);
  parts.take({ ...chunk({}), choices: [{ index: 0, message: { role: 'assistant', reasoning: 'Hm.', content: [{ type: 'text', text: 'Hel' }, { type: 'text', text: 'lo' }] }, finish_reason: 'stop' }] });
  t.match(parts.whole(), { content: [{ type: 'thinking', thinking: 'Hm.' }, { type: 'text', text: 'Hello' }] }, 'as providers beyond the six say it');
  const broken = openMessage('req_1', true);
  broken.take(chunk({ content: 'Hel' }));
  t.match(eventsOf(broken.fail({ type: 'api_error', code: 'provider_failed', message: 'broke off' })), [{ type: 'error', error: { type: 'api_error', message: 'broke off' } }]);
  t.equal(broken.fail(undefined), '', 'an end is told once');
  t.match(eventsOf(openMessage('req_1', true).fail(undefined)), [{ type: 'error', error: { type: 'api_error' } }]);
  const odd = openMessage('req_1', true);
  odd.take(chunk({ tool_calls: [{ index: 0, function: { arguments: 'no JSON' } }] }));
  odd.finish();
  t.match(odd.whole(), { content: [{ type: 'tool_use', id: 'toolu_1_0', name: '', input: {} }] });
});
