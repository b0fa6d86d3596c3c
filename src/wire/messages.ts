import { fieldsOf, isFields } from './json.ts';
import type { Fields } from './json.ts';

type Draft = Record<string, unknown>;

/** Renames the role `developer` and leaves out the reasoning of another vendor's model. Untouched where nothing is to change. */
export function adaptMessages(draft: Draft, rules: { readonly strict: boolean; readonly keepsReasoning: boolean }): void {
  const { messages } = draft;
  if (!Array.isArray(messages) || (!rules.strict && rules.keepsReasoning)) return;
  const list: readonly unknown[] = messages;
  const isRenamed = (message: Fields) => rules.strict && message['role'] === 'developer';
  const isStripped = (message: Fields) => !rules.keepsReasoning && 'reasoning_content' in message;
  const stays = (message: unknown) => !isFields(message) || !(isRenamed(message) || isStripped(message));
  if (list.every(stays)) return;
  draft['messages'] = list.map((message) => {
    if (!isFields(message) || stays(message)) return message;
    const { reasoning_content: reasoning, ...rest } = message;
    return { ...rest, ...(isStripped(message) || reasoning === undefined ? {} : { reasoning_content: reasoning }), ...(isRenamed(message) ? { role: 'system' } : {}) };
  });
}

/**
 * Sends only the response format that the model is known to take. A schema it does not take becomes `json_object`, and goes
 * ahead as a system message, for these providers also demand that the prompt speaks of JSON.
 */
export function adaptResponseFormat(draft: Draft, capabilities: readonly string[]): void {
  const format = fieldsOf(draft['response_format']);
  const type = format['type'];
  if (type === undefined || (typeof type === 'string' && capabilities.includes(type))) return;
  delete draft['response_format'];
  if (type !== 'json_schema') return;
  if (capabilities.includes('json_object')) draft['response_format'] = { type: 'json_object' };
  const schema = fieldsOf(format['json_schema'])['schema'];
  const wish = isFields(schema) ? ` that follows this JSON schema: ${JSON.stringify(schema)}` : '';
  const messages: readonly unknown[] = Array.isArray(draft['messages']) ? draft['messages'] : [];
  draft['messages'] = [{ role: 'system', content: `Answer with one JSON object${wish}` }, ...messages];
}
