import { withOwnIds } from './call-ids.ts';
import type { Draft } from './draft.ts';
import { adaptMessage, withUser } from './history.ts';
import type { ReasoningRules } from './history.ts';
import { fieldsOf, isFields, isSameList, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { RequestQuirks } from './quirks.ts';

const JSON_WORD = /json/i;

/**
 * Says messages in the target's words, each by itself, then the list: calls by ids of their own, one message of the user's among them where
 * that is demanded, and one system message where no more are taken. The very list that came where nothing is to change: it goes out as it came.
 */
export function adaptMessages(draft: Draft, quirks: RequestQuirks, reasoning: ReasoningRules): void {
  const { messages } = draft;
  if (!Array.isArray(messages)) return;
  const list: readonly unknown[] = messages;
  const each = list.flatMap((message) => (isFields(message) ? (adaptMessage(message, quirks, reasoning) ?? []) : [message]));
  const named = quirks.callsOnce === true ? withOwnIds(each) : each;
  const asked = withUser(named, quirks.userWanted);
  const adapted = quirks.oneSystem === true ? withOneSystem(asked) : asked;
  if (!isSameList(adapted, list)) draft['messages'] = adapted;
}

/** All system messages as one, before the others; the list itself where it is so already. */
function withOneSystem(messages: readonly unknown[]): readonly unknown[] {
  const isSystem = (message: unknown): message is Fields => isFields(message) && message['role'] === 'system';
  const systems = messages.filter(isSystem);
  const [first] = systems;
  if (first === undefined || (systems.length === 1 && messages[0] === first)) return messages;
  return [{ ...first, content: joined(systems.map(({ content }) => content)) }, ...messages.filter((message) => !isSystem(message))];
}

/** Contents of messages as one: a text, or parts where there is more than text. */
function joined(contents: readonly unknown[]): unknown {
  const parts = contents.flatMap((content) => {
    if (!Array.isArray(content)) return content === undefined || content === null ? [] : [{ type: 'text', text: content }];
    const list: readonly unknown[] = content;
    return list;
  });
  const texts = parts.flatMap((part) => (isFields(part) && part['type'] === 'text' && typeof part['text'] === 'string' && Object.keys(part).length === 2 ? [part['text']] : []));
  return texts.length === parts.length ? texts.join('\n\n') : parts;
}

/**
 * Sends only the response format that the model is known to take. A schema it does not take becomes `json_object`, and goes
 * along in the system message, for these providers also demand that the prompt speaks of JSON.
 * @param isNamed also where the client asks for JSON itself: the words go along if no message names it
 */
export function adaptResponseFormat(draft: Draft, capabilities: readonly string[], isNamed: boolean): void {
  const format = fieldsOf(draft['response_format']);
  const type = format['type'];
  if (type === undefined) return;
  const messages: readonly unknown[] = Array.isArray(draft['messages']) ? draft['messages'] : [];
  if (typeof type === 'string' && capabilities.includes(type)) {
    if (isNamed && type === 'json_object' && !messages.some(namesJson)) draft['messages'] = askingJson(messages, '');
    return;
  }
  delete draft['response_format'];
  if (type !== 'json_schema') return;
  if (capabilities.includes('json_object')) draft['response_format'] = { type: 'json_object' };
  const schema = fieldsOf(format['json_schema'])['schema'];
  draft['messages'] = askingJson(messages, isFields(schema) ? ` that follows this JSON schema: ${JSON.stringify(schema)}` : '');
}

function askingJson(messages: readonly unknown[], how: string): readonly unknown[] {
  const wish = `Answer with one JSON object${how}`;
  const [first, ...others] = messages;
  // Not as a second system message: some refuse it, and behind the client's own words it leaves those where the provider has cached them.
  const isSystem = isFields(first) && (first['role'] === 'system' || first['role'] === 'developer');
  return isSystem ? [{ ...first, content: joined([first['content'], wish]) }, ...others] : [{ role: 'system', content: wish }, ...messages];
}

/** Only what the system and the user say counts. */
function namesJson(message: unknown): boolean {
  const { role, content } = fieldsOf(message);
  if (role !== 'system' && role !== 'developer' && role !== 'user') return false;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [content];
  return parts.some((part) => JSON_WORD.test(textOf(part) ?? textOf(fieldsOf(part)['text']) ?? ''));
}
