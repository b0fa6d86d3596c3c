import { fieldsOf, isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';

type Draft = Record<string, unknown>;

const JSON_WORD = /json/i;

/** What stands for reasoning that nobody kept: an empty text is refused as well. */
const LOST_REASONING = '.';

/**
 * Renames the role `developer`, leaves out the reasoning of another vendor's model, or puts a dot where there is none and it is demanded.
 * Untouched where nothing is to change.
 */
export function adaptMessages(draft: Draft, rules: { readonly strict: boolean; readonly keepsReasoning: boolean; readonly fillsReasoning: boolean }): void {
  const { messages } = draft;
  if (!Array.isArray(messages) || (!rules.strict && rules.keepsReasoning)) return;
  const list: readonly unknown[] = messages;
  const adapted = list.map((message) => {
    if (!isFields(message)) return message;
    const renamed = rules.strict && message['role'] === 'developer';
    if (rules.fillsReasoning && message['role'] === 'assistant' && textOf(message['reasoning_content']) === undefined) return { ...message, reasoning_content: LOST_REASONING };
    const stripped = !rules.keepsReasoning && 'reasoning_content' in message;
    if (!renamed && !stripped) return message;
    const { reasoning_content: reasoning, ...rest } = message;
    return { ...rest, ...(stripped || reasoning === undefined ? {} : { reasoning_content: reasoning }), ...(renamed ? { role: 'system' } : {}) };
  });
  // The same list as came goes out as it came.
  if (adapted.some((message, at) => message !== list[at])) draft['messages'] = adapted;
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
