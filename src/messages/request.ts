import { Fault, invalidRequest } from '../faults.ts';
import { fieldsOf, isFields, textOf, withLeadingSystem } from '../wire/index.ts';
import type { Fields } from '../wire/index.ts';
import { choiceOf, readTools } from './tools.ts';
import { readTurns } from './turns.ts';

/** A request of the Messages API as the chat request that it is here. */
export interface MessagesRequest {
  /** The body of `POST /v1/chat/completions` that asks the same. */
  readonly chat: Readonly<Record<string, unknown>>;
  readonly stream: boolean;
  /** The tools whose names chat does not take, by those that they bear there. */
  readonly names: ReadonlyMap<string, string>;
}

/** Fields that are said in other words, or that are Anthropic's alone. All others pass as they are. */
const OWN: ReadonlySet<string> = new Set([
  'messages', 'system', 'max_tokens', 'stop_sequences', 'tools', 'tool_choice', 'thinking', 'output_config', 'output_format', 'metadata', 'stream', 'stream_options',
  'service_tier', 'container', 'context_management', 'mcp_servers', 'betas', 'anthropic_version', 'cache_control', 'inference_geo', 'speed', 'diagnostics', 'thread', 'compaction', 'fallbacks', 'fallback_credit_token',
  'billing_policy', 'user_profile_id', 'workspace_id', 'n', '__proto__',
]);
/** A line that one client puts before its prompt, another one each time: no provider would ever find the rest in its cache. */
const NOT_PROMPT = /^x-anthropic-billing-header:/;

/**
 * Says a request of the Messages API as a chat request. Fields that are the same in both, or unknown, pass as they are; cache marks have
 * no meaning here, for these providers cache by themselves.
 *
 * `{ model: 'm', max_tokens: 9, system: 'Be brief.', messages: [{ role: 'user', content: 'Hi' }] }` is
 * `{ model: 'm', max_tokens: 9, messages: [{ role: 'system', … }, { role: 'user', content: 'Hi' }] }`.
 * @throws Fault invalid_request, its `param` the field at fault
 */
export function readMessagesRequest(raw: unknown): MessagesRequest {
  if (!isFields(raw)) throw invalidRequest('The request body must be a JSON object with "model", "max_tokens" and "messages".');
  if (raw['thread'] !== undefined && raw['thread'] !== null) throw threadRefused();
  const stream = raw['stream'] === true;
  const chat: Record<string, unknown> = Object.fromEntries(Object.entries(raw).filter(([name]) => !OWN.has(name)));
  chat['messages'] = withLeadingSystem([...systemOf(raw['system']), ...readTurns(raw['messages'])]);
  if (stream) Object.assign(chat, { stream, stream_options: { include_usage: true } });
  if (raw['max_tokens'] !== undefined) chat['max_tokens'] = raw['max_tokens'];
  if (Array.isArray(raw['stop_sequences']) && raw['stop_sequences'].length > 0) chat['stop'] = raw['stop_sequences'];
  const { tools, names } = readTools(raw['tools']);
  if (tools.length > 0) Object.assign(chat, { tools }, choiceOf(fieldsOf(raw['tool_choice']), tools));
  const user = textOf(fieldsOf(raw['metadata'])['user_id']);
  if (user !== undefined) chat['user'] = user;
  Object.assign(chat, wishesOf(raw));
  return { chat, stream, names };
}

/** A thread sends what is new alone. By these details the SDK's tool runner knows that it is to send the whole conversation instead. */
function threadRefused(): Fault {
  const detail = 'Conversations are not kept here: send the whole of it as "messages", and leave "thread" out.';
  return new Fault('invalid_request', { fill: { detail }, param: 'thread', details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] } });
}

function systemOf(value: unknown): readonly Fields[] {
  if (value === undefined || value === null || value === '') return [];
  const blocks: readonly unknown[] = typeof value === 'string' ? [{ text: value }] : Array.isArray(value) ? value : [];
  const texts = blocks.map((block, at) => {
    const { text } = fieldsOf(block);
    if (typeof text !== 'string') throw invalidRequest(`"system[${at}]" must be a text block.`, `system[${at}]`);
    return text;
  }).filter((text) => !NOT_PROMPT.test(text));
  return texts.length === 0 ? [] : [{ role: 'system', content: texts.join('\n\n') }];
}

/** How much to think, and in which form to answer. That a model shall think need not be said: those that can do. */
function wishesOf({ thinking, output_config: config, output_format: older }: Fields): Fields {
  const { effort, format } = fieldsOf(config);
  const { type, schema } = fieldsOf(format ?? older);
  return {
    ...(typeof effort === 'string' ? { reasoning_effort: effort } : {}),
    ...(fieldsOf(thinking)['type'] === 'disabled' ? { reasoning_effort: 'none' } : {}),
    ...(type === 'json_schema' && isFields(schema) ? { response_format: { type, json_schema: { name: 'answer', strict: true, schema } } } : {}),
  };
}
