// What the canned upstream answers and what the clients send. One place, so that nginx, Node and the checks agree.

/**
 * The kinds of call. `json` and `big` are whole answers to a small and to a large body; the others are streams: `sse` leaves in one
 * piece, `paced` an event at a time, `first` waits before its first event, `idle` falls silent after it, `endless` never stops.
 */
export const KINDS = ['json', 'big', 'sse', 'paced', 'first', 'idle', 'endless'];
const WHOLE = new Set(['json', 'big']);
export const isStream = (kind) => !WHOLE.has(kind);

/** The name that the upstream has for its model: it differs from what clients name, as it does in real life. */
export const UPSTREAM_MODEL = 'canned-large';
/** The model that clients name, one a kind, for the kind of answer hangs on the address of its provider. */
export const MODELS = Object.fromEntries(KINDS.map((kind) => [kind, { id: `bench-${kind}`, upstream: UPSTREAM_MODEL }]));

/** About 190 bytes each, as providers send them. */
export const EVENTS_A_STREAM = 200;
export const PACE_MS = 20;
const BIG_BYTES = 128 * 1024;
const SENTENCE = ' The quick brown fox jumps over the lazy dog while the five boxing wizards wait for it.';

/** About 300 bytes; the large one 128 KiB, nearly all of it text of the prompt. */
export function requestBody(kind) {
  const small = bodyOf(kind, '');
  return kind === 'big' ? bodyOf(kind, SENTENCE.repeat(Math.ceil(BIG_BYTES / SENTENCE.length)).slice(0, BIG_BYTES - small.length)) : small;
}

function bodyOf(kind, more) {
  return JSON.stringify({
    model: MODELS[kind].id,
    messages: [
      { role: 'system', content: 'You are a helpful assistant that answers in one short paragraph.' },
      { role: 'user', content: `Explain in plain words why the sky is blue, and why it turns red in the evening.${more}` },
    ],
    max_tokens: 256,
    temperature: 0.7,
    ...(isStream(kind) ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

/** About 590 bytes. */
export const JSON_ANSWER = JSON.stringify({
  id: 'chatcmpl-9f2c7a1be04d4c5f8e6a3b7d', object: 'chat.completion', created: 1_760_000_000, model: UPSTREAM_MODEL, system_fingerprint: 'fp_canned',
  choices: [{
    index: 0,
    message: { role: 'assistant', content: 'Sunlight holds all colours. Air scatters blue light far more than red, so blue reaches us from every side. In the evening the light crosses more air, the blue is lost on the way, and red remains.' },
    logprobs: null, finish_reason: 'stop',
  }],
  usage: { prompt_tokens: 46, completion_tokens: 48, total_tokens: 94, prompt_tokens_details: { cached_tokens: 0 } },
});

const event = (choices, usage) => `data: ${JSON.stringify({
  id: 'chatcmpl-9f2c7a1be04d4c5f8e6a3b7d', object: 'chat.completion.chunk', created: 1_760_000_000, model: UPSTREAM_MODEL, choices, ...usage,
})}\n\n`;
const delta = (content, reason = null) => [{ index: 0, delta: content, finish_reason: reason }];

/** One event of a stream, with this text. */
export const deltaEvent = (content) => event(delta({ content }));
/** How a stream begins: the role. */
export const FIRST_EVENT = event(delta({ role: 'assistant', content: '' }));
/** How it ends: the finish, usage, `[DONE]`. */
export const LAST_EVENTS = `${event(delta({}, 'stop'))}${event([], { usage: { prompt_tokens: 46, completion_tokens: 197, total_tokens: 243 } })}data: [DONE]\n\n`;

/** The whole stream as one text. */
export function sseAnswer() {
  const words = Array.from({ length: EVENTS_A_STREAM - 3 }, (_, at) => deltaEvent(` word${at + 1}`));
  return `${FIRST_EVENT}${words.join('')}${LAST_EVENTS}`;
}

/** Where each kind of answer lies at the upstream, and so at the servers that only pass on. */
export const PATHS = Object.fromEntries(KINDS.map((kind) => [kind, `/${kind}/v1/chat/completions`]));
