import { fieldsOf, isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';

type Draft = Record<string, unknown>;

const JSON_WORD = /json/i;

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
 * @param isNamed also where the client asks for JSON itself: the message goes ahead if no other names it
 */
export function adaptResponseFormat(draft: Draft, capabilities: readonly string[], isNamed: boolean): void {
  const format = fieldsOf(draft['response_format']);
  const type = format['type'];
  if (type === undefined) return;
  const messages: readonly unknown[] = Array.isArray(draft['messages']) ? draft['messages'] : [];
  if (typeof type === 'string' && capabilities.includes(type)) {
    if (isNamed && type === 'json_object' && !messages.some(namesJson)) draft['messages'] = [asking(''), ...messages];
    return;
  }
  delete draft['response_format'];
  if (type !== 'json_schema') return;
  if (capabilities.includes('json_object')) draft['response_format'] = { type: 'json_object' };
  const schema = fieldsOf(format['json_schema'])['schema'];
  draft['messages'] = [asking(isFields(schema) ? ` that follows this JSON schema: ${JSON.stringify(schema)}` : ''), ...messages];
}

function asking(how: string): Fields {
  return { role: 'system', content: `Answer with one JSON object${how}` };
}

/** Only what the system and the user say counts. */
function namesJson(message: unknown): boolean {
  const { role, content } = fieldsOf(message);
  if (role !== 'system' && role !== 'developer' && role !== 'user') return false;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [content];
  return parts.some((part) => JSON_WORD.test(textOf(part) ?? textOf(fieldsOf(part)['text']) ?? ''));
}
