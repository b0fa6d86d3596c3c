import { CHOICES_MAX, KEY_TEXT, MODEL_CHARS_MAX } from './request.ts';

/**
 * The OpenAI shapes as JSON Schema (draft 2020-12), for the description of the HTTP API. Its limits are those that
 * `readChatRequest` reads with. It describes what is well formed; the reader forgives more, and every field that stands nowhere
 * here passes through to the provider.
 */

const orNull = (schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => ({ anyOf: [schema, { type: 'null' }] });
const count = { type: 'integer', minimum: 0 };

const REQUEST = {
  type: 'object',
  required: ['model', 'messages'],
  properties: {
    model: { type: 'string', minLength: 1, maxLength: MODEL_CHARS_MAX, description: 'a model of `GET /v1/models`, where wished with a routing behind a colon', examples: ['deepseek-chat', 'deepseek-chat:cheapest'] },
    messages: { type: 'array', minItems: 1, items: { $ref: '#/components/schemas/ChatMessage' } },
    stream: orNull({ type: 'boolean' }),
    stream_options: orNull({ type: 'object', properties: { include_usage: { type: 'boolean', description: 'a last chunk without choices bears usage and cost' } } }),
    max_tokens: orNull({ type: 'integer', minimum: 1, description: 'also what is held; without it the model\'s own limit, at most `billing.default_max_tokens`' }),
    max_completion_tokens: orNull({ type: 'integer', minimum: 1, description: 'goes before max_tokens' }),
    n: orNull({ type: 'integer', minimum: 1, maximum: CHOICES_MAX }),
    temperature: orNull({ type: 'number' }),
    top_p: orNull({ type: 'number' }),
    stop: orNull({ anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] }),
    tools: orNull({ type: 'array', items: { type: 'object' } }),
    tool_choice: { description: 'as OpenAI has it' },
    response_format: orNull({ type: 'object', properties: { type: { type: 'string', examples: ['text', 'json_object', 'json_schema'] } } }),
    routing: orNull({ enum: ['auto', 'cheapest', 'fallback'], description: 'findtoken\'s own: which candidate is asked first; `auto` where nothing says otherwise' }),
    provider_key: orNull({
      type: 'object',
      required: ['provider'],
      description: 'findtoken\'s own: this request is paid with that key, on that provider alone. Without `api_key`: the account\'s registered one.',
      properties: {
        provider: { type: 'string', minLength: 1, maxLength: MODEL_CHARS_MAX },
        api_key: orNull({ type: 'string', pattern: KEY_TEXT.source, writeOnly: true }),
      },
    }),
  },
};

const MESSAGE = {
  type: 'object',
  required: ['role'],
  properties: {
    role: { type: 'string', examples: ['system', 'user', 'assistant', 'tool'] },
    content: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'object' } }, { type: 'null' }] },
  },
};

const USAGE = {
  type: 'object',
  required: ['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_tokens_details', 'completion_tokens_details', 'prompt_cache_hit_tokens', 'prompt_cache_miss_tokens', 'cost'],
  properties: {
    prompt_tokens: count,
    completion_tokens: count,
    total_tokens: count,
    prompt_tokens_details: { type: 'object', required: ['cached_tokens'], properties: { cached_tokens: count } },
    completion_tokens_details: { type: 'object', required: ['reasoning_tokens'], properties: { reasoning_tokens: count } },
    prompt_cache_hit_tokens: { ...count, description: 'the cached tokens once more, as DeepSeek names them' },
    prompt_cache_miss_tokens: { ...count, description: 'the rest of the prompt' },
    cost: { type: 'number', minimum: 0, description: 'what the request was charged, in US dollars with at most 6 decimals' },
  },
};

const finish = orNull({ type: 'string', examples: ['stop', 'length', 'tool_calls', 'content_filter'] });

const answer = (object: string, choice: object, usage: object, required: readonly string[]) => ({
  type: 'object',
  required: ['id', 'object', 'created', 'model', 'choices', ...required],
  properties: {
    id: { type: 'string' },
    object: { const: object },
    created: { type: 'integer', description: 'Unix seconds' },
    model: { type: 'string', description: 'the public name of the model that served' },
    choices: { type: 'array', items: choice },
    usage,
  },
});

const USAGE_REF = { $ref: '#/components/schemas/ChatUsage' };

/** By their names in the description. */
export const CHAT_SCHEMAS = {
  ChatRequest: REQUEST,
  ChatMessage: MESSAGE,
  ChatUsage: USAGE,
  ChatCompletion: answer('chat.completion', {
    type: 'object',
    required: ['index', 'message', 'finish_reason'],
    properties: { index: count, message: { $ref: '#/components/schemas/ChatMessage' }, finish_reason: finish },
  }, USAGE_REF, ['usage']),
  ChatCompletionChunk: answer('chat.completion.chunk', {
    type: 'object',
    required: ['index', 'delta', 'finish_reason'],
    properties: {
      index: count,
      delta: { type: 'object', properties: { role: { const: 'assistant' }, content: orNull({ type: 'string' }), reasoning_content: orNull({ type: 'string' }), tool_calls: { type: 'array', items: { type: 'object' } } } },
      finish_reason: finish,
    },
  }, orNull(USAGE_REF), []),
} as const;
