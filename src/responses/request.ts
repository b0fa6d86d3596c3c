import { invalidRequest } from '../faults.ts';
import { fieldsOf, isFields, textOf, withLeadingSystem } from '../wire/index.ts';
import type { Fields, Json, JsonObject } from '../wire/index.ts';
import { Conversation } from './conversation.ts';
import { readToolChoice, readTools } from './tools.ts';
import type { KnownTool } from './tools.ts';

/** A request of the Responses API as the chat request that it is here. */
export interface ResponsesRequest {
  /** The body of `POST /v1/chat/completions` that asks the same. */
  readonly chat: Readonly<Record<string, unknown>>;
  readonly wishes: Wishes;
}

/** What the answer needs to know of the request. */
export interface Wishes {
  readonly stream: boolean;
  /** The tools by their names in chat: their calls are told as the client knows them. */
  readonly tools: ReadonlyMap<string, KnownTool>;
  /** Thoughts are to be sent back by whoever keeps nothing here either, or says so: they bear what clients look for. */
  readonly sealsThoughts: boolean;
  /** What the answer repeats of the request. */
  readonly repeats: JsonObject;
}

/** Fields that are said in other words, or that only somebody who keeps answers could serve: OpenAI takes `metadata` of a chat call for nothing else. All others pass as they are. */
const OWN: ReadonlySet<string> = new Set([
  'input', 'instructions', 'max_output_tokens', 'text', 'reasoning', 'tools', 'tool_choice', 'include', 'store', 'previous_response_id', 'conversation', 'background',
  'truncation', 'prompt', 'max_tool_calls', 'stream', 'stream_options', 'context_management', 'client_metadata', 'metadata', 'moderation', 'prompt_cache_options', 'messages', 'n', 'top_logprobs', '__proto__',
]);

/** Characters, as JSON, of one thing that an answer repeats: all of it is kept for as long as the answer lasts. */
const REPEATED_CHARS_MAX = 65_536;

/** What would need answers to be kept, and the mend. */
const KEPT: readonly (readonly [field: string, mend: string])[] = [
  ['previous_response_id', 'Answers are not kept here: send the whole conversation as "input", and leave "previous_response_id" out.'],
  ['conversation', 'Conversations are not kept here: send the whole conversation as "input", and leave "conversation" out.'],
  ['prompt', 'Prompts are not kept here: send the text as "instructions" or "input", and leave "prompt" out.'],
];

/**
 * Says a request of the Responses API as a chat request. Fields that are the same in both, or unknown, pass as they are; `store` is of no
 * effect, for nothing is kept.
 *
 * `{ model: 'm', instructions: 'Be brief.', input: 'Hi' }` is `{ model: 'm', messages: [{ role: 'system', … }, { role: 'user', content: 'Hi' }] }`.
 * @throws Fault invalid_request, its `param` the field at fault: an input that cannot be said so, or what would need answers to be kept
 */
export function readResponsesRequest(raw: unknown): ResponsesRequest {
  if (!isFields(raw)) throw invalidRequest('The request body must be a JSON object with "model" and "input".');
  for (const [field, mend] of KEPT) if (raw[field] !== undefined && raw[field] !== null) throw invalidRequest(mend, field);
  if (raw['background'] === true) throw invalidRequest('Nothing runs in the background here: leave "background" out, and stream the answer if it takes long.', 'background');
  const stream = raw['stream'] === true;
  const tools = readTools(raw['tools']);
  const chat: Record<string, unknown> = Object.fromEntries(Object.entries(raw).filter(([name]) => !OWN.has(name)));
  chat['messages'] = readConversation(raw, tools.known);
  if (stream) Object.assign(chat, { stream, stream_options: { include_usage: true } });
  if (raw['max_output_tokens'] !== undefined && raw['max_output_tokens'] !== null) chat['max_completion_tokens'] = raw['max_output_tokens'];
  if (tools.chat.length > 0) chat['tools'] = tools.chat;
  const choice = readToolChoice(raw['tool_choice'], tools.known);
  if (choice !== undefined && tools.chat.length > 0) chat['tool_choice'] = choice;
  const effort = fieldsOf(raw['reasoning'])['effort'];
  if (typeof effort === 'string') chat['reasoning_effort'] = effort;
  const { format, verbosity } = fieldsOf(raw['text']);
  const responseFormat = formatOf(fieldsOf(format));
  if (responseFormat !== undefined) chat['response_format'] = responseFormat;
  if (typeof verbosity === 'string') chat['verbosity'] = verbosity;
  return { chat, wishes: { stream, tools: tools.known, sealsThoughts: raw['store'] === false || includes(raw, 'reasoning.encrypted_content'), repeats: repeatsOf(raw) } };
}

function includes({ include }: Fields, name: string): boolean {
  return Array.isArray(include) && include.includes(name);
}

function readConversation({ input, instructions }: Fields, tools: Wishes['tools']): readonly unknown[] {
  const conversation = new Conversation(tools);
  if (textOf(instructions) !== undefined) conversation.say('system', instructions);
  if (typeof input === 'string' && input !== '') conversation.say('user', input);
  else if (Array.isArray(input) && input.length > 0) for (const [at, item] of (input as readonly unknown[]).entries()) conversation.add(item, `input[${at}]`);
  else throw invalidRequest('"input" must be a text, or a list with at least one item.', 'input');
  const messages = withLeadingSystem(conversation.messages());
  if (messages.length === 0) throw invalidRequest('"input" holds nothing that a model could answer.', 'input');
  return messages;
}

/** The form of the answer, nested one level deeper in chat requests. */
function formatOf({ type, ...schema }: Fields): Fields | undefined {
  if (type === 'json_schema') return { type, json_schema: schema };
  return type === 'json_object' ? { type } : undefined;
}

/** What every answer of this API says of its request, with OpenAI's words for what was not said, or is too long to be said again. */
function repeatsOf(raw: Fields): JsonObject {
  const said = (name: string, otherwise: Json): Json => {
    const value = raw[name] as Json | undefined;
    return value === undefined || value === null || isLong(value) ? otherwise : value;
  };
  return {
    background: false,
    instructions: said('instructions', null),
    max_output_tokens: said('max_output_tokens', null),
    metadata: said('metadata', {}),
    parallel_tool_calls: said('parallel_tool_calls', true),
    previous_response_id: null,
    reasoning: said('reasoning', { effort: null, summary: null }),
    store: false,
    temperature: said('temperature', null),
    text: said('text', { format: { type: 'text' } }),
    tool_choice: said('tool_choice', 'auto'),
    tools: said('tools', []),
    top_p: said('top_p', null),
    truncation: 'disabled',
  };
}

function isLong(value: Json): boolean {
  return (typeof value === 'string' ? value : JSON.stringify(value)).length > REPEATED_CHARS_MAX;
}
