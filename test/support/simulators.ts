/** The six providers as their wire facts have them: how they stream, report usage, refuse, and what they do not take. */
import { createHash } from 'node:crypto';

import { isRecord, json, sse, startProvider } from './provider.ts';
import type { Answer, FakeProvider, SeenRequest } from './provider.ts';
import { PROVIDER_ERRORS } from './simulated-errors.ts';
import type { SimulatedError } from './simulated-errors.ts';

export type SimulatedProvider = 'deepseek' | 'zhipu' | 'minimax' | 'qwen' | 'kimi' | 'stepfun';
export const SIMULATED: readonly SimulatedProvider[] = ['deepseek', 'zhipu', 'minimax', 'qwen', 'kimi', 'stepfun'];

/** What a simulator says, to be set at will between requests. */
export interface SimulatedAnswer {
  text: string;
  /** Empty: it does not think. */
  reasoning: string;
  prompt: number;
  cached: number;
  completion: number;
  reasoningTokens: number;
}

export interface Simulator extends FakeProvider {
  readonly name: SimulatedProvider;
  readonly says: SimulatedAnswer;
  /** The next requests are refused with these codes of `PROVIDER_ERRORS`, one each. */
  fail(...codes: readonly string[]): void;
}

type Fields = Readonly<Record<string, unknown>>;

/** Where one provider differs. */
interface Manner {
  /** Which error, if any, these fields of a request earn. */
  readonly refuses: (body: Fields) => string | undefined;
  readonly usage: (says: SimulatedAnswer) => Fields;
  /** Data of the events of a stream; `includeUsage` as the request asked. */
  readonly stream: (parts: Parts, includeUsage: boolean) => readonly unknown[];
  readonly whole?: (body: Fields) => unknown;
  readonly hasDone: boolean;
  readonly comments?: readonly string[];
}

/** An answer taken apart, before a provider's manner is put on it. */
interface Parts {
  readonly head: Fields;
  /** Deltas before the end, in order. */
  readonly deltas: readonly Fields[];
  readonly message: Fields;
  readonly finish: string;
  readonly usage: Fields;
  readonly says: SimulatedAnswer;
}

const KEYS = ['Bearer good-key', 'Bearer good.key'];

/** Starts the simulator of one provider. The key is `good-key`, or `good.key` where a key has a dot. */
export async function startSimulator(name: SimulatedProvider): Promise<Simulator> {
  const provider = await startProvider();
  const says: SimulatedAnswer = { text: 'It is sunny in 杭州 today.', reasoning: '', prompt: 1900, cached: 1200, completion: 130, reasoningTokens: 0 };
  const guarded = (answer: Answer): Answer => (request, response) => {
    const isKnown = KEYS.includes(request.headers.authorization ?? '');
    return (isKnown ? answer : refusal(name, 'key'))(request, response);
  };
  provider.always(guarded((request, response) => simulated(name, request, says)(request, response)));
  provider.models(guarded(json(200, { object: 'list', data: [{ id: `${name}-model`, object: 'model', owned_by: name }] })));
  const fail = (...codes: readonly string[]): void => provider.next(...codes.map((code) => guarded(refusal(name, code))));
  return Object.assign(provider, { name, says, fail });
}

/** The error of this code as the provider words it. */
export function refusal(name: SimulatedProvider, code: string): Answer {
  const errors: Readonly<Record<string, SimulatedError>> = PROVIDER_ERRORS[name];
  const error = errors[code];
  if (error === undefined) throw new Error(`${name} has no error ${code}; it has ${Object.keys(errors).join(', ')}`);
  return json(error.status, error.body, error.headers);
}

function simulated(name: SimulatedProvider, request: SeenRequest, says: SimulatedAnswer): Answer {
  const body = isRecord(request.body) ? request.body : {};
  const manner = MANNERS[name];
  const refused = manner.refuses(body);
  if (refused !== undefined) return refusal(name, refused);
  const parts = partsOf(name, body, says, manner.usage(says));
  if (body['stream'] === true) {
    const options = isRecord(body['stream_options']) ? body['stream_options'] : {};
    return sse(manner.stream(parts, options['include_usage'] === true), { done: manner.hasDone, comments: manner.comments ?? [] });
  }
  const whole = { ...parts.head, object: 'chat.completion', choices: [{ index: 0, message: parts.message, finish_reason: parts.finish }], usage: parts.usage };
  const text = JSON.stringify(manner.whole?.(whole) ?? whole);
  return json(200, manner.comments === undefined ? text : `\n\n${text}`);
}

function partsOf(name: SimulatedProvider, body: Fields, says: SimulatedAnswer, usage: Fields): Parts {
  const id = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 24);
  const head = { id, created: 1_790_000_000, model: body['model'] };
  const messages: readonly unknown[] = Array.isArray(body['messages']) ? body['messages'] : [];
  const last = messages.at(-1);
  const callsTool = Array.isArray(body['tools']) && body['tool_choice'] !== 'none' && !(isRecord(last) && last['role'] === 'tool');
  const reasoningField = name === 'stepfun' && body['reasoning_format'] !== 'deepseek-style' ? 'reasoning' : 'reasoning_content';
  const thinksInText = name === 'minimax' && body['reasoning_split'] !== true && says.reasoning !== '';
  const text = thinksInText ? `<think>${says.reasoning}</think>\n${says.text}` : says.text;
  const reasoning = thinksInText ? '' : says.reasoning;
  const words = (whole: string): readonly string[] => whole.match(/\s*\S+/g) ?? [];
  const tool = { id: `call_${id.slice(0, 8)}`, type: 'function' };
  return {
    head, usage, says, finish: callsTool ? 'tool_calls' : 'stop',
    deltas: [
      ...words(reasoning).map((piece) => ({ [reasoningField]: piece })),
      ...callsTool ? toolDeltas(name, tool) : words(text).map((content) => ({ content })),
    ],
    message: {
      role: 'assistant', content: callsTool ? '' : text,
      ...(reasoning === '' ? {} : { [reasoningField]: reasoning }),
      ...(callsTool ? { tool_calls: [{ ...tool, function: { name: 'get_weather', arguments: '{"city":"杭州"}' } }] } : {}),
    },
  };
}

/** Zhipu sends the arguments in one frame; Kimi leaves the index out. */
function toolDeltas(name: SimulatedProvider, tool: Fields): readonly Fields[] {
  const index = name === 'kimi' ? {} : { index: 0 };
  if (name === 'zhipu') return [{ tool_calls: [{ ...index, ...tool, function: { name: 'get_weather', arguments: '{"city":"杭州"}' } }] }];
  const first = { tool_calls: [{ ...index, ...tool, function: { name: 'get_weather', arguments: '' } }] };
  return [first, ...['{"city":', '"杭', '州"}'].map((piece) => ({ tool_calls: [{ ...index, function: { arguments: piece } }] }))];
}

function frame(head: Fields, delta: Fields, finish: string | null, extra: Fields = {}, ofChoice: Fields = {}): Fields {
  return { ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish, ...ofChoice }], ...extra };
}

function counts({ prompt, completion }: SimulatedAnswer): Fields {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function detailed(says: SimulatedAnswer): Fields {
  return { ...counts(says), prompt_tokens_details: { cached_tokens: says.cached }, completion_tokens_details: { reasoning_tokens: says.reasoningTokens } };
}

function formatOf(body: Fields): unknown {
  return isRecord(body['response_format']) ? body['response_format']['type'] : undefined;
}

function isOver(value: unknown, limit: number): boolean {
  return typeof value === 'number' && value > limit;
}

function isForced(choice: unknown): boolean {
  return choice === 'required' || isRecord(choice);
}

/** One of its own answers in the conversation, among those that matter, comes without what it thought. */
function lacksReasoning(body: Fields, matters: (message: Fields) => boolean): boolean {
  const messages: readonly unknown[] = Array.isArray(body['messages']) ? body['messages'] : [];
  return messages.some((message) => isRecord(message) && message['role'] === 'assistant' && matters(message) && (message['reasoning_content'] ?? '') === '');
}

/** Kimi refuses what it does not know. */
const KIMI_FIELDS = [
  'model', 'messages', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens', 'n', 'stop', 'tools', 'tool_choice', 'parallel_tool_calls',
  'response_format', 'thinking', 'prompt_cache_key', 'safety_identifier', 'user', 'seed', 'reasoning_effort',
];

const MANNERS: Readonly<Record<SimulatedProvider, Manner>> = {
  deepseek: {
    refuses: (body) => {
      if (body['stream_options'] !== undefined && body['stream'] !== true) return 'stream_options';
      const thinks = !(isRecord(body['thinking']) && body['thinking']['type'] === 'disabled');
      if (thinks && isForced(body['tool_choice'])) return 'tool_choice';
      if (thinks && body['tools'] !== undefined && lacksReasoning(body, () => true)) return 'invalid';
      return formatOf(body) === 'json_schema' ? 'invalid' : undefined;
    },
    usage: (says) => ({ ...detailed(says), prompt_cache_hit_tokens: says.cached, prompt_cache_miss_tokens: says.prompt - says.cached }),
    // The usage rides on the finish frame, asked for or not.
    stream: ({ head, deltas, finish, usage }, includeUsage) => {
      const none = includeUsage ? { usage: null } : {};
      return [frame(head, { role: 'assistant', content: '' }, null, none), ...deltas.map((delta) => frame(head, { role: null, ...delta }, null, none)),
        frame(head, { content: '' }, finish, { usage })];
    },
    hasDone: true,
    comments: ['keep-alive'],
  },
  zhipu: {
    refuses: (body) => {
      if (isOver(body['temperature'], 1) || isForced(body['tool_choice']) || body['tool_choice'] === 'none') return '1210';
      return typeof body['stop'] === 'string' || formatOf(body) === 'json_schema' ? '1210' : undefined;
    },
    usage: (says) => ({ ...counts(says), prompt_tokens_details: { cached_tokens: says.cached } }),
    stream: ({ head, deltas, finish, usage }) => {
      const own = { ...head, request_id: 'zhipu-request' };
      return [...deltas.map((delta) => frame(own, { role: 'assistant', ...delta }, null)),
        frame(own, { role: 'assistant', content: '' }, finish, { usage, content_filter: [{ role: 'assistant', level: 3 }] })];
    },
    whole: (body) => ({ ...body, request_id: 'zhipu-request' }),
    hasDone: true,
  },
  minimax: {
    // `n` and what else it does not take is ignored.
    refuses: () => undefined,
    usage: (says) => ({ ...detailed(says), total_characters: 0 }),
    // The end frame repeats the whole text as a message; no [DONE].
    stream: ({ head, deltas, finish, message, usage }) => [
      ...deltas.map((delta) => frame(head, { role: '', name: 'MiniMax AI', audio_content: '', ...delta }, null, { usage: { total_tokens: 0, total_characters: 0 } })),
      { ...head, object: 'chat.completion', choices: [{ index: 0, finish_reason: finish, message: { name: 'MiniMax AI', audio_content: '', ...message } }], usage,
        input_sensitive: false, output_sensitive: false, base_resp: { status_code: 0, status_msg: '' } },
    ],
    whole: (body) => ({ ...(isRecord(body) ? body : {}), input_sensitive: false, output_sensitive: false, base_resp: { status_code: 0, status_msg: '' } }),
    hasDone: false,
  },
  qwen: {
    refuses: (body) => {
      if (isOver(body['temperature'], 1.999) || body['top_p'] === 0 || body['tool_choice'] === 'required') return 'invalid_parameter_error';
      const saysJson = /json/i.test(JSON.stringify(body['messages'] ?? ''));
      return formatOf(body) === 'json_object' && !saysJson ? 'invalid_parameter_error' : undefined;
    },
    usage: detailed,
    // No usage unless asked for; then in a frame of its own.
    stream: ({ head, deltas, finish, usage }, includeUsage) => {
      const empty = { function_call: null, refusal: null };
      const frames = [...deltas, { content: '' }].map((delta, at) =>
        frame(head, { ...empty, ...(at === 0 ? { role: 'assistant' } : {}), ...delta }, at === deltas.length ? finish : null, { usage: null }, { logprobs: null }));
      return includeUsage ? [...frames, { ...head, object: 'chat.completion.chunk', choices: [], usage }] : frames;
    },
    hasDone: true,
  },
  kimi: {
    refuses: (body) => {
      for (const field of ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty']) if (body[field] !== undefined) return 'temperature';
      if (isOver(body['n'], 1)) return 'n';
      const thinks = !(isRecord(body['thinking']) && body['thinking']['type'] === 'disabled');
      if (body['tool_choice'] === 'required' || (thinks && isForced(body['tool_choice']))) return 'invalid';
      if (thinks && lacksReasoning(body, (message) => message['tool_calls'] !== undefined)) return 'invalid';
      return Object.keys(body).every((field) => KIMI_FIELDS.includes(field)) ? undefined : 'invalid';
    },
    usage: (says) => ({ ...counts(says), cached_tokens: says.cached }),
    // The usage is within the choice of the finish frame, and in a frame of its own where asked for.
    stream: ({ head, deltas, finish, usage }, includeUsage) => [
      frame(head, { role: 'assistant', content: '' }, null), ...deltas.map((delta) => frame(head, delta, null)),
      frame(head, {}, finish, {}, { usage }),
      ...(includeUsage ? [{ ...head, object: 'chat.completion.chunk', choices: [], usage }] : []),
    ],
    hasDone: true,
  },
  stepfun: {
    refuses: (body) => (formatOf(body) === 'json_schema' || isOver(body['frequency_penalty'], 1) ? 'invalid' : undefined),
    usage: (says) => ({ ...counts(says), cached_tokens: says.cached }),
    // Every frame bears the usage so far; the finish_reason is '' until the end.
    stream: ({ head, deltas, finish, usage, says }) => {
      const soFar = (at: number): Fields => {
        const completion = Math.floor((says.completion * at) / (deltas.length + 1));
        return { ...usage, completion_tokens: completion, total_tokens: says.prompt + completion };
      };
      return [...deltas.map((delta, at) => ({ ...frame(head, { role: '', ...delta }, ''), usage: soFar(at + 1) })),
        frame(head, { role: 'assistant', content: '' }, finish, { usage })];
    },
    hasDone: true,
  },
};
