// What the canned upstream answers and what the clients send. One place, so that nginx, Node and the checks agree.

/** The model that clients name, and the name that the upstream has for it: they differ, as they do in real life. */
export const MODELS = { json: { id: 'bench-chat', upstream: 'canned-large' }, sse: { id: 'bench-stream', upstream: 'canned-large' } };

/** About 190 bytes each, as providers send them. */
export const EVENTS_A_STREAM = 200;

/** About 300 bytes. */
export function requestBody(kind) {
  return JSON.stringify({
    model: MODELS[kind].id,
    messages: [
      { role: 'system', content: 'You are a helpful assistant that answers in one short paragraph.' },
      { role: 'user', content: 'Explain in plain words why the sky is blue, and why it turns red in the evening.' },
    ],
    max_tokens: 256,
    temperature: 0.7,
    ...(kind === 'sse' ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

/** About 590 bytes. */
export const JSON_ANSWER = JSON.stringify({
  id: 'chatcmpl-9f2c7a1be04d4c5f8e6a3b7d', object: 'chat.completion', created: 1_760_000_000, model: MODELS.json.upstream, system_fingerprint: 'fp_canned',
  choices: [{
    index: 0,
    message: { role: 'assistant', content: 'Sunlight holds all colours. Air scatters blue light far more than red, so blue reaches us from every side. In the evening the light crosses more air, the blue is lost on the way, and red remains.' },
    logprobs: null, finish_reason: 'stop',
  }],
  usage: { prompt_tokens: 46, completion_tokens: 48, total_tokens: 94, prompt_tokens_details: { cached_tokens: 0 } },
});

/** The whole stream as one text: a role, the deltas, the finish, usage, `[DONE]`. */
export function sseAnswer() {
  const event = (choices, usage) => `data: ${JSON.stringify({
    id: 'chatcmpl-9f2c7a1be04d4c5f8e6a3b7d', object: 'chat.completion.chunk', created: 1_760_000_000, model: MODELS.sse.upstream, choices, ...usage,
  })}\n\n`;
  const delta = (content, reason = null) => [{ index: 0, delta: content, finish_reason: reason }];
  const events = [event(delta({ role: 'assistant', content: '' }))];
  while (events.length < EVENTS_A_STREAM - 2) events.push(event(delta({ content: ` word${events.length}` })));
  events.push(event(delta({}, 'stop')), event([], { usage: { prompt_tokens: 46, completion_tokens: 197, total_tokens: 243 } }));
  return `${events.join('')}data: [DONE]\n\n`;
}

/** Where each kind of answer lies at the upstream, and so at the servers that only pass on. */
export const PATHS = { json: '/json/v1/chat/completions', sse: '/sse/v1/chat/completions' };
