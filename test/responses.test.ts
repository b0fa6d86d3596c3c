import t from 'tap';
import { Fault } from '../src/faults.ts';
import { openResponse, readResponsesRequest } from '../src/responses/index.ts';
import { eventsOf } from './support/named-events.ts';

/** The Responses API said in chat completions and back, without a gateway. */

const SHELL = { type: 'function', name: 'shell', description: 'Runs a command.', parameters: { type: 'object', properties: { cmd: { type: 'string' } } }, strict: false };
const PATCH = { type: 'custom', name: 'apply_patch', description: 'Patches files.', format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' } };
const NAMESPACE = { type: 'namespace', name: 'mcp__weather__', description: 'Weather.', tools: [{ type: 'function', name: 'shell', parameters: { type: 'object' } }] };

const chatOf = (body: object) => readResponsesRequest({ model: 'm', input: 'Hi', ...body }).chat;
const messagesOf = (input: unknown, more: object = {}) => chatOf({ input, ...more })['messages'];

t.test('fields are said in chat\'s words, and all others pass', async (t) => {
  t.strictSame(messagesOf([{ role: 'developer', content: 'And kind.' }, { role: 'user', content: 'Hi' }, { role: 'developer', content: 'Mind the time.' }], { instructions: 'Be brief.' }), [
    { role: 'system', content: 'Be brief.\n\nAnd kind.' }, { role: 'user', content: 'Hi' }, { role: 'user', content: '<system-reminder>\nMind the time.\n</system-reminder>' },
  ], 'one message of the system: many templates take no second');
  t.strictSame(chatOf({ instructions: 'Be brief.' }), { model: 'm', messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hi' }] });
  const cases: readonly [object, object][] = [
    [{ max_output_tokens: 9 }, { max_completion_tokens: 9 }],
    [{ stream: true }, { stream: true, stream_options: { include_usage: true } }],
    [{ stream: true, stream_options: { include_obfuscation: false } }, { stream: true, stream_options: { include_usage: true } }],
    [{ reasoning: { effort: 'low', summary: 'auto' } }, { reasoning_effort: 'low' }],
    [{ text: { format: { type: 'text' }, verbosity: 'low' } }, { verbosity: 'low' }],
    [{ text: { format: { type: 'json_object' } } }, { response_format: { type: 'json_object' } }],
    [{ text: { format: { type: 'json_schema', name: 'n', strict: true, schema: { type: 'object' } } } }, { response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'object' } } } }],
    [{ temperature: 0.5, top_p: 0.9, user: 'u', seed: 7, routing: 'cheapest', enable_thinking: false, provider_key: { provider: 'qwen' } }, { temperature: 0.5, top_p: 0.9, user: 'u', seed: 7, routing: 'cheapest', enable_thinking: false, provider_key: { provider: 'qwen' } }],
    [{ store: true, include: ['reasoning.encrypted_content'], truncation: 'auto', previous_response_id: null, conversation: null, background: false, client_metadata: {}, metadata: { a: 'b' }, moderation: {}, n: 3, messages: [] }, {}],
  ];
  for (const [body, fields] of cases) t.strictSame(chatOf(body), { model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...fields }, JSON.stringify(body));
});

t.test('tools and the choice among them', async (t) => {
  const tools = [SHELL, PATCH, { type: 'web_search' }, { type: 'image_generation' }, NAMESPACE, null, { type: 'function' }];
  const { chat, wishes } = readResponsesRequest({ model: 'm', input: 'Hi', tools, tool_choice: { type: 'custom', name: 'apply_patch' } });
  t.match(chat, {
    tools: [
      { type: 'function', function: { name: 'shell', description: 'Runs a command.', parameters: SHELL.parameters, strict: false } },
      { type: 'function', function: { name: 'apply_patch', description: /Patches files\.\n\nThe input follows this grammar:\nstart: "x"/, parameters: { required: ['input'] } } },
      { type: 'function', function: { name: 'mcp__weather__shell' } },
    ],
    tool_choice: { type: 'function', function: { name: 'apply_patch' } },
  });
  t.strictSame([...wishes.tools], [
    ['shell', { name: 'shell', namespace: undefined, custom: false }],
    ['apply_patch', { name: 'apply_patch', namespace: undefined, custom: true }],
    ['mcp__weather__shell', { name: 'shell', namespace: 'mcp__weather__', custom: false }],
  ]);
  const choices: readonly [unknown, unknown][] = [
    ['auto', undefined], ['none', 'none'], ['required', 'required'], [undefined, undefined],
    [{ type: 'function', name: 'shell' }, { type: 'function', function: { name: 'shell' } }],
    [{ type: 'function', name: 'shell', namespace: 'mcp__weather__' }, { type: 'function', function: { name: 'mcp__weather__shell' } }],
    [{ type: 'function', name: 'gone' }, undefined],
    [{ type: 'web_search' }, undefined],
    [{ type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'shell' }, { type: 'web_search' }] }, { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'shell' } }] } }],
  ];
  for (const [wish, said] of choices) t.strictSame(chatOf({ tools, tool_choice: wish })['tool_choice'], said, JSON.stringify(wish));
  t.strictSame(chatOf({ tools: [{ type: 'web_search' }], tool_choice: 'required' }), { model: 'm', messages: [{ role: 'user', content: 'Hi' }] }, 'without a tool there is nothing to choose');
  const many = Array.from({ length: 3 }, () => ({ type: 'namespace', name: 'n'.repeat(64), tools: [{ type: 'function', name: 'f' }] }));
  const twins = ['a', 'b'].map((end) => ({ type: 'namespace', name: `${'n'.repeat(64)}${end}`, tools: [{ type: 'function', name: 'f' }] }));
  t.match([...readResponsesRequest({ model: 'm', input: 'x', tools: twins }).wishes.tools], [['f', { namespace: /a$/ }], [/^n{55}_[0-9a-f]{8}$/, { name: 'f', namespace: /b$/ }]], 'and no two bear one name');
  t.equal(new Set(readResponsesRequest({ model: 'm', input: 'x', tools: many.slice(0, 1) }).wishes.tools.keys()).has('f'), true, 'a name that chat would not take stays the tool\'s own');
});

t.test('what the model did in one turn is one message', async (t) => {
  const call = (id: string, more: object = {}) => ({ type: 'function_call', call_id: id, name: 'shell', arguments: '{"cmd":"ls"}', ...more });
  const output = (id: string, said: unknown) => ({ type: 'function_call_output', call_id: id, output: said });
  t.strictSame(messagesOf([
    { role: 'user', content: 'List.' },
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'I should ' }, { type: 'summary_text', text: 'look.' }], content: null, encrypted_content: null },
    { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Let me ', annotations: [] }, { type: 'output_text', text: 'see.' }] },
    call('a'), call('b'),
    output('a', 'x'), output('b', [{ type: 'input_text', text: 'y' }, { type: 'input_image', image_url: 'data:image/png;base64,AA' }]),
    { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Done.' }] },
    { role: 'assistant', content: 'There is x.' },
    { role: 'assistant', content: 'And y.' },
    { role: 'user', content: [{ type: 'input_text', text: 'Thanks' }] },
  ]), [
    { role: 'user', content: 'List.' },
    { role: 'assistant', content: 'Let me see.', reasoning_content: 'I should look.', tool_calls: [
      { id: 'a', type: 'function', function: { name: 'shell', arguments: '{"cmd":"ls"}' } }, { id: 'b', type: 'function', function: { name: 'shell', arguments: '{"cmd":"ls"}' } },
    ] },
    { role: 'tool', tool_call_id: 'a', content: 'x' },
    { role: 'tool', tool_call_id: 'b', content: 'y' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }] },
    { role: 'assistant', content: 'There is x.', reasoning_content: 'Done.' },
    { role: 'assistant', content: 'And y.' },
    { role: 'user', content: 'Thanks' },
  ]);
  t.match(messagesOf([{ role: 'user', content: 'Go' }, call('a'), output('a', [{ type: 'input_image', image_url: 'https://a.test/x.png' }])]), [{}, {}, { role: 'tool', content: /shown in the next message/ }, { role: 'user', content: [{ type: 'image_url' }] }], 'a result that is a picture is not told as empty');
  t.strictSame(messagesOf([{ role: 'user', content: 'Go' }, { type: 'custom_tool_call', call_id: 'c', name: 'apply_patch', input: 'a "patch"' }, { type: 'custom_tool_call_output', call_id: 'c', output: 'ok' }], { tools: [PATCH] }), [
    { role: 'user', content: 'Go' },
    { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'apply_patch', arguments: '{"input":"a \\"patch\\""}' } }] },
    { role: 'tool', tool_call_id: 'c', content: 'ok' },
  ], 'a text tool has its one argument');
  t.match(messagesOf([{ role: 'user', content: 'Go' }, call('d', { namespace: 'mcp__weather__' }), output('d', 'z')], { tools: [SHELL, NAMESPACE] }), [{}, { tool_calls: [{ function: { name: 'mcp__weather__shell' } }] }, {}], 'the namespace tells which');
  t.strictSame(messagesOf([{ role: 'developer', content: [{ type: 'input_text', text: 'One.' }, { type: 'input_text', text: 'Two.' }] }, { type: 'reasoning', summary: [{ text: 'lost' }] }, { role: 'user', content: [{ type: 'input_text', text: 'See' }, { type: 'input_image', image_url: 'https://a.test/x.png', detail: 'low' }] }]), [
    { role: 'system', content: 'One.\n\nTwo.' },
    { role: 'user', content: [{ type: 'text', text: 'See' }, { type: 'image_url', image_url: { url: 'https://a.test/x.png', detail: 'low' } }] },
  ], 'thoughts that led to nothing are no message');
  t.strictSame(messagesOf([
    { role: 'user', content: [{ type: 'input_text', text: '<environment>' }, { type: 'input_text', text: 'List.' }] },
    { type: 'reasoning', summary: [{ text: 'One. ' }] }, call('a'), { type: 'reasoning', summary: [{ text: 'Two.' }] }, call('b'), { role: 'assistant', content: 'I called ' }, { role: 'assistant', content: 'both.' },
    output('a', 'x'), output('b', 'y'),
  ]), [
    { role: 'user', content: '<environment>\n\nList.' },
    { role: 'assistant', content: 'I called \n\nboth.', reasoning_content: 'One. Two.', tool_calls: ['a', 'b'].map((id) => ({ id, type: 'function', function: { name: 'shell', arguments: '{"cmd":"ls"}' } })) },
    { role: 'tool', tool_call_id: 'a', content: 'x' }, { role: 'tool', tool_call_id: 'b', content: 'y' },
  ], 'nothing stands between calls and their results, and words alone are a text: DeepSeek takes no list');
});

t.test('an answer repeats no more of its request than can be kept while it lasts', async (t) => {
  const repeatsOf = (body: object) => readResponsesRequest({ model: 'm', input: 'Hi', ...body }).wishes.repeats;
  const fits = { instructions: 'x'.repeat(65_536), tools: [SHELL], metadata: { a: 'b' } };
  t.match(repeatsOf(fits), fits);
  const long = 'x'.repeat(65_537);
  t.match(repeatsOf({ instructions: long, tools: [{ ...SHELL, description: long }], metadata: { long }, text: { format: { type: 'text' }, long }, reasoning: { long }, tool_choice: { long } }), {
    instructions: null, tools: [], metadata: {}, text: { format: { type: 'text' } }, reasoning: { effort: null, summary: null }, tool_choice: 'auto',
  });
  t.match(chatOf({ instructions: long }), { messages: [{ role: 'system', content: long }, {}] }, 'the model is told all the same');
});

t.test('what cannot be said is refused, with the mend', async (t) => {
  const cases: readonly [object, string | undefined, RegExp][] = [
    [{ previous_response_id: 'resp_1' }, 'previous_response_id', /whole conversation/],
    [{ conversation: 'conv_1' }, 'conversation', /whole conversation/],
    [{ prompt: { id: 'p' } }, 'prompt', /instructions/],
    [{ background: true }, 'background', /leave "background" out/],
    [{ input: '' }, 'input', /at least one item/],
    [{ input: [] }, 'input', /at least one item/],
    [{ input: 7 }, 'input', /text, or a list/],
    [{ input: [{ type: 'reasoning', summary: [] }] }, 'input', /nothing that a model/],
    [{ input: ['x'] }, 'input[0]', /must be an object/],
    [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0]', /"store": false/],
    [{ input: [{ type: 'web_search_call' }] }, 'input[0]', /of the type "web_search_call"/],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input[0].role', /must be "user"/],
    [{ input: [{ role: 'user', content: 7 }] }, 'input[0].content', /a text or a list/],
    [{ input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file_1' }] }] }, 'input[0].content[0]', /not kept here/],
    [{ input: [{ role: 'assistant', content: [{ type: 'input_image' }] }] }, 'input[0].content[0]', /must be a text/],
    [{ input: [{ type: 'function_call', name: 'f' }] }, 'input[0]', /call_id/],
    [{ input: [{ type: 'function_call_output', output: 'f' }] }, 'input[0]', /call_id/],
    [{ tools: [{ type: 'function', name: 'f'.repeat(257) }] }, 'tools', /256 characters/],
    [{ tools: [{ ...NAMESPACE, name: 'n'.repeat(257) }] }, 'tools', /256 characters/],
  ];
  for (const [body, param, text] of cases) {
    try {
      readResponsesRequest({ model: 'm', input: 'Hi', ...body });
      t.fail(`taken: ${JSON.stringify(body)}`);
    } catch (refusal) {
      if (!(refusal instanceof Fault)) throw refusal;
      t.match({ code: refusal.code, param: refusal.param, message: refusal.message }, { code: 'invalid_request', param, message: text });
    }
  }
  t.throws(() => readResponsesRequest('x'), Fault);
});

const chunk = (delta: object, reason: string | null = null, more: object = {}) => ({ id: 'c', object: 'chat.completion.chunk', created: 1_790_000_000, model: 'm', choices: [{ index: 0, delta, finish_reason: reason }], ...more });
const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 2 }, cost: 0.00042 };

t.test('a stream is told item by item, each whole at its end', async (t) => {
  const { wishes } = readResponsesRequest({ model: 'm', input: 'Hi', stream: true, tools: [SHELL, PATCH, NAMESPACE], metadata: { a: 'b' } });
  const answer = openResponse('req_1', wishes);
  const piece = (index: number, more: object) => chunk({ tool_calls: [{ index, ...more }] });
  const events = eventsOf([
    chunk({ role: 'assistant', reasoning_content: 'Hm' }), chunk({ reasoning_content: 'm.' }), chunk({ content: 'Hel' }), chunk({ content: 'lo' }),
    piece(0, { id: 'call_a', type: 'function', function: { name: 'shell', arguments: '' } }),
    piece(0, { function: { arguments: '{"cmd":' } }),
    piece(1, { id: 'call_b', type: 'function', function: { name: 'apply_patch', arguments: '{"input":"a\\n' } }),
    piece(0, { function: { arguments: '"ls"}' } }),
    piece(1, { function: { arguments: 'b"}' } }),
    piece(2, { id: 'call_c', type: 'function', function: { name: 'mcp__weather__shell', arguments: '{}' } }),
    chunk({}, 'tool_calls'), { ...chunk({}), choices: [], usage: USAGE },
  ].map((one) => answer.take(one)).join('') + answer.finish());

  t.strictSame(events.map(({ sequence_number: at }) => at), events.map((_, at) => at), 'numbered without a gap');
  t.strictSame(events.map(({ type }) => type.replace('response.', '')), [
    'created', 'in_progress',
    'output_item.added', 'reasoning_summary_part.added', 'reasoning_summary_text.delta', 'reasoning_summary_text.delta', 'reasoning_summary_text.done', 'reasoning_summary_part.done', 'output_item.done',
    'output_item.added', 'content_part.added', 'output_text.delta', 'output_text.delta', 'output_text.done', 'content_part.done', 'output_item.done',
    'output_item.added', 'function_call_arguments.delta', 'output_item.added', 'function_call_arguments.delta', 'output_item.added', 'function_call_arguments.delta',
    'function_call_arguments.done', 'output_item.done', 'custom_tool_call_input.delta', 'custom_tool_call_input.done', 'output_item.done', 'function_call_arguments.done', 'output_item.done',
    'completed',
  ]);
  const output = [
    { id: 'rs_1_0', type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hmm.' }] },
    { id: 'msg_1_1', type: 'message', status: 'completed', role: 'assistant', content: [{ type: 'output_text', text: 'Hello', annotations: [], logprobs: [] }] },
    { id: 'fc_1_2', type: 'function_call', status: 'completed', call_id: 'call_a', name: 'shell', arguments: '{"cmd":"ls"}' },
    { id: 'fc_1_3', type: 'custom_tool_call', status: 'completed', call_id: 'call_b', name: 'apply_patch', input: 'a\nb' },
    { id: 'fc_1_4', type: 'function_call', status: 'completed', call_id: 'call_c', name: 'shell', namespace: 'mcp__weather__', arguments: '{}' },
  ];
  t.strictSame(events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item), output);
  t.match(events.at(-1), { response: {
    id: 'resp_1', object: 'response', created_at: 1_790_000_000, status: 'completed', model: 'm', error: null, incomplete_details: null, metadata: { a: 'b' }, store: false, output,
    usage: { input_tokens: 10, input_tokens_details: { cached_tokens: 4 }, output_tokens: 5, output_tokens_details: { reasoning_tokens: 2 }, total_tokens: 15, cost: 0.00042 },
  } });

  const whole = openResponse('req_1', { ...wishes, stream: false });
  t.equal(whole.take({
    ...chunk({}), usage: USAGE, choices: [{ index: 0, finish_reason: 'tool_calls', message: {
      role: 'assistant', reasoning_content: 'Hmm.', content: 'Hello', tool_calls: [
        { id: 'call_a', type: 'function', function: { name: 'shell', arguments: '{"cmd":"ls"}' } },
        { id: 'call_b', type: 'function', function: { name: 'apply_patch', arguments: '{"input":"a\\nb"}' } },
        { id: 'call_c', type: 'function', function: { name: 'mcp__weather__shell', arguments: '{}' } },
      ],
    } }],
  }) + whole.finish(), '', 'nobody reads events of it');
  t.strictSame(whole.whole(), answer.whole(), 'a whole answer is the same answer');
});

t.test('ends that are none', async (t) => {
  const { wishes } = readResponsesRequest({ model: 'm', input: 'Hi', stream: true });
  const open = () => openResponse('req_1', wishes);
  for (const [reason, why] of [['length', 'max_output_tokens'], ['content_filter', 'content_filter']] as const) {
    const answer = open();
    answer.take(chunk({ content: 'Hel' }, reason));
    t.match(eventsOf(answer.finish()).at(-1), { type: 'response.incomplete', response: { status: 'incomplete', incomplete_details: { reason: why }, output: [{ status: 'incomplete', content: [{ text: 'Hel' }] }] } });
  }
  const cut = open();
  for (const index of [0, 1]) cut.take(chunk({ tool_calls: [{ index, id: `call_${index}`, function: { name: 'f', arguments: index === 0 ? '{}' : '{"a' } }] }));
  cut.take(chunk({}, 'length'));
  t.match(eventsOf(cut.finish()).at(-1), { response: { output: [{ call_id: 'call_0', status: 'completed' }, { call_id: 'call_1', status: 'incomplete', arguments: '{"a' }] } }, 'only the last is cut');
  for (const delta of [{ role: 'assistant', content: '' }, { reasoning_content: 'Nothing to say.' }]) {
    const empty = open();
    empty.take(chunk(delta, 'stop'));
    t.match(eventsOf(empty.finish()).at(-1), { type: 'response.completed' });
    const { output } = empty.whole() as { output: readonly object[] };
    t.match(output.at(-1), { type: 'message', status: 'completed', content: [{ type: 'output_text', text: '' }] }, 'an agent knows that this was all');
    t.strictSame(messagesOf([{ role: 'user', content: 'Hi' }, ...output, { role: 'user', content: 'And?' }]), [{ role: 'user', content: 'Hi' }, { role: 'user', content: 'And?' }], 'and what is empty is not sent on');
  }
  const bare = open();
  bare.take(chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '' } }] }, 'tool_calls'));
  t.match(eventsOf(bare.finish()).slice(-4), [{ type: 'response.function_call_arguments.delta', delta: '{}' }, { type: 'response.function_call_arguments.done', arguments: '{}' }, { item: { arguments: '{}' } }, { response: { output: [{ arguments: '{}' }] } }], 'clients parse it');
  const broken = open();
  broken.take(chunk({ content: 'Hel' }));
  const told = eventsOf(broken.fail({ code: 'provider_failed', message: 'broke off', param: null, type: 'api_error' }));
  t.match(told, [
    { type: 'error', code: 'provider_failed', message: 'broke off', param: null, error: { type: 'api_error', code: 'provider_failed', message: 'broke off', param: null } },
    { type: 'response.failed', response: { status: 'failed', error: { code: 'provider_failed', message: 'broke off' }, output: [{ status: 'incomplete' }] } },
  ]);
  t.equal(broken.fail({ code: 'x' }), '', 'an end is told once');
  t.equal(broken.over, true);
  t.match(eventsOf(open().fail(undefined)), [{ type: 'response.created' }, { type: 'response.in_progress' }, { type: 'error', code: 'server_error' }, { type: 'response.failed' }], 'even before a word');
  const odd = open();
  odd.take(chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }));
  odd.take(chunk({ tool_calls: [{ index: 0, id: 'late', function: { name: 'f', arguments: ':1}' } }] }));
  t.match(eventsOf(odd.finish()).at(-1), { response: { output: [{ type: 'function_call', call_id: 'call_1_0', name: 'f', arguments: '{"a":1}' }] } }, 'a name that comes late, an id of ours');
  const text = openResponse('req_1', { ...wishes, tools: new Map([['p', { name: 'p', namespace: undefined, custom: true }]]) });
  text.take(chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'p', arguments: 'no JSON' } }] }));
  t.match(eventsOf(text.finish()).at(-1), { response: { output: [{ type: 'custom_tool_call', input: 'no JSON' }] } }, 'a model that gave the text itself');
});

t.test('thoughts are sealed for whoever keeps them himself, or asks for it', async (t) => {
  const cases: readonly [object, boolean][] = [[{}, false], [{ store: true }, false], [{ store: false }, true], [{ include: ['reasoning.encrypted_content'] }, true], [{ include: ['file_search_call.results'] }, false], [{ include: 7 }, false]];
  for (const [body, isSealed] of cases) {
    const answer = openResponse('req_1', readResponsesRequest({ model: 'm', input: 'Hi', stream: true, ...body }).wishes);
    const events = eventsOf(answer.take(chunk({ reasoning_content: 'Hm.' }, 'length')) + answer.finish());
    for (const { type, item } of events) if (type.startsWith('response.output_item')) t.equal('encrypted_content' in Object(item), isSealed, JSON.stringify(body));
    const { output: [thoughts] } = answer.whole() as { output: readonly [object] };
    t.equal('encrypted_content' in thoughts, isSealed);
    t.match(messagesOf([thoughts, { role: 'assistant', content: 'Hi' }]), [{ reasoning_content: 'Hm.' }]);
  }
});
