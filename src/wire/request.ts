import { invalidRequest } from '../faults.ts';
import { bareObject, textOf, isFields } from './json.ts';
import type { Fields } from './json.ts';
import { copyJson, copyMessage, newPrompt, promptTokens } from './prompt.ts';
import type { PartTokens, PromptMeasure } from './prompt.ts';
import type { ChatRequest, Routing, WrittenField } from './types.ts';

export const MODEL_CHARS_MAX = 256;
/** OpenAI's own limit of `n`; it keeps the tokens of one request countable. */
export const CHOICES_MAX = 128;
/** No answer is longer and no prompt is; it keeps the tokens of one request countable. */
const TOKENS_MAX = 100_000_000;
const SUFFIX = /^(.+):(auto|cheapest|fallback)$/;
/** What may stand in an Authorization header. */
export const KEY_TEXT = /^[\x21-\x7e]{1,1024}$/;

const OWN_FIELDS: ReadonlySet<string> = new Set(['routing', 'provider_key', '__proto__', 'constructor', 'prototype']);
/** Fields that are a limit or a number of choices. */
const COUNTS: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens', 'n']);
/** Fields that no model reads as text. A field that stands nowhere here is counted as part of the prompt. */
const NOT_PROMPT: ReadonlySet<string> = new Set([
  'model', 'stream', 'stream_options', 'user', 'user_id', 'metadata', 'store', 'stop', 'logit_bias', 'service_tier', 'prompt_cache_key',
  'prompt_cache_retention', 'safety_identifier', 'tool_choice', 'function_call', 'reasoning_effort', 'verbosity', 'modalities', 'thinking',
]);
/** What the message weighs, its schema aside, that asks for JSON where a provider knows no schemas or wants it said; see `toUpstream`. */
const JSON_MESSAGE_TOKENS = 128;

export interface RequestOptions extends PartTokens {
  /** Value of `X-FindToken-Routing`. */
  readonly routingHeader: string | undefined;
  /** The fields of the body as they were written, for those that can go out so. */
  readonly written?: ReadonlyMap<string, WrittenField>;
}

/**
 * Understands a chat request: the body as parsed JSON, in; the first of the six values, out.
 *
 * Lenient: a limit or `n` that is no positive whole number counts as not set, unknown fields stay, `__proto__` is dropped.
 * Routing comes from the field, then the header, then the model's suffix: `deepseek-chat:cheapest`.
 * Source: CONTRACT section 2. `{ model: 'm', messages: [{ role: 'user', content: 'hello' }] }` has a promptBound of 21 and a promptEstimate of 2.
 *
 * @throws Fault invalid_request, its `param` the field at fault: the client's mistake. No message repeats a key.
 */
export function readChatRequest(raw: unknown, options: RequestOptions): ChatRequest {
  if (!isFields(raw)) throw invalidRequest('The request body must be a JSON object with "model" and "messages".');
  const requestedModel = readModelName(raw['model']);
  const named = splitModel(requestedModel);
  const routing = readRouting(raw['routing'], 'routing') ?? readRouting(options.routingHeader, 'X-FindToken-Routing') ?? named.routing ?? 'auto';
  const providerKey = readProviderKey(raw['provider_key']);
  const prompt = newPrompt(options);
  const { body, verbatim } = copyBody(raw, prompt, options.written);
  const format = raw['response_format'];
  const json = isFields(format) && (format['type'] === 'json_object' || format['type'] === 'json_schema') ? format['type'] : 'none';
  const weight = promptTokens(prompt);
  return {
    model: named.model,
    requestedModel,
    routing,
    stream: raw['stream'] === true,
    includeUsage: isFields(raw['stream_options']) && raw['stream_options']['include_usage'] === true,
    providerKey,
    body,
    verbatim,
    maxTokens: positiveWhole(raw['max_completion_tokens']) ?? positiveWhole(raw['max_tokens']),
    choices: readChoices(raw['n']),
    promptBound: Math.min(weight.bound + (json === 'none' ? 0 : JSON_MESSAGE_TOKENS), TOKENS_MAX),
    promptEstimate: Math.min(weight.estimate, TOKENS_MAX),
    needs: { tools: hasEntries(raw['tools']) || hasEntries(raw['functions']), vision: prompt.vision, linked: prompt.linked, json },
  };
}

/** A model's name apart from the routing behind it: `deepseek-chat:cheapest` is `deepseek-chat` and `cheapest`. */
export function splitModel(name: string): { readonly model: string; readonly routing: Routing | undefined } {
  const [, model = name, suffix] = SUFFIX.exec(name) ?? [];
  return { model, routing: readRouting(suffix, 'model') };
}

/**
 * The client's fields on objects without a prototype, weighed on the way. What a field's text has and its copy has not (a name that stands
 * there twice, of which a provider may read the other one, or one that is dropped) shows in the number of strings: such a text goes nowhere.
 */
function copyBody(raw: Fields, prompt: PromptMeasure, written: ReadonlyMap<string, WrittenField> | undefined): Pick<ChatRequest, 'body' | 'verbatim'> {
  const messages = readMessages(raw['messages']);
  const body = bareObject();
  const verbatim = new Map<string, Uint8Array>();
  for (const name of Object.keys(raw)) {
    const value = raw[name];
    if (OWN_FIELDS.has(name)) continue;
    if (COUNTS.has(name)) {
      const count = positiveWhole(value);
      if (count !== undefined) body[name] = count;
      continue;
    }
    const before = prompt.strings;
    if (name === 'messages') body[name] = messages.map((message, at) => copyMessage(message, `messages[${at}]`, prompt));
    else body[name] = copyJson(value, { param: name, prompt, measure: typeof value === 'number' || NOT_PROMPT.has(name) ? undefined : prompt.text });
    const field = written?.get(name);
    if (field !== undefined && field.strings === prompt.strings - before) verbatim.set(name, field.text);
  }
  return { body, verbatim };
}

function readMessages(value: unknown): readonly Fields[] {
  if (!Array.isArray(value) || value.length === 0) throw invalidRequest('"messages" must be a list with at least one message.', 'messages');
  const list: readonly unknown[] = value;
  return list.map((message, at) => {
    const param = `messages[${at}]`;
    if (!isFields(message)) throw invalidRequest(`"${param}" must be an object with "role" and "content".`, param);
    return message;
  });
}

function readModelName(value: unknown): string {
  const name = textOf(value);
  if (name === undefined) throw invalidRequest('"model" must name a model. GET /v1/models lists all.', 'model');
  if (name.length > MODEL_CHARS_MAX) throw invalidRequest(`"model" is longer than ${MODEL_CHARS_MAX} characters. GET /v1/models lists all names.`, 'model');
  return name;
}

function readRouting(value: unknown, param: string): Routing | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const wish = typeof value === 'string' ? value.trim().toLowerCase() : value;
  if (wish === 'auto' || wish === 'cheapest' || wish === 'fallback') return wish;
  throw invalidRequest(`"${param}" must be "auto", "cheapest" or "fallback".`, param);
}

function readProviderKey(value: unknown): ChatRequest['providerKey'] {
  if (value === undefined || value === null) return undefined;
  const provider = isFields(value) ? textOf(value['provider']) : undefined;
  if (!isFields(value) || provider === undefined || provider.length > MODEL_CHARS_MAX) {
    throw invalidRequest('"provider_key" must be an object: {"provider": "deepseek", "api_key": "…"}; without "api_key" your registered key is used.', 'provider_key');
  }
  const apiKey = value['api_key'] ?? undefined;
  if (apiKey === undefined) return { provider, apiKey };
  if (typeof apiKey === 'string' && KEY_TEXT.test(apiKey)) return { provider, apiKey };
  throw invalidRequest('"provider_key.api_key" must be the key as the provider gave it: printable characters, no spaces.', 'provider_key');
}

function readChoices(value: unknown): number {
  const choices = positiveWhole(value) ?? 1;
  if (choices > CHOICES_MAX) throw invalidRequest(`"n" must lie between 1 and ${CHOICES_MAX}.`, 'n');
  return choices;
}

/**
 * As many as the client means: `"100"` is 100 and 1.5 is 1, for a limit that was lost would cost more than it may. Undefined for what
 * counts nothing (0, less, other texts): a provider would refuse it, and the client meant none.
 */
function positiveWhole(value: unknown): number | undefined {
  const count = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && count >= 1 ? Math.min(Math.floor(count), TOKENS_MAX) : undefined;
}

function hasEntries(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
