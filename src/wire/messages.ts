import { takenBack, withOwnIds } from './answers.ts';
import type { AnswerRules } from './answers.ts';
import { fieldsOf, isFields, isSameList, textOf } from './json.ts';
import type { Fields } from './json.ts';

type Draft = Record<string, unknown>;

const JSON_WORD = /json/i;

/** Whose messages are texts alone, where lists are refused; those of the user may hold more. */
const ONE_TEXT: ReadonlySet<unknown> = new Set(['assistant', 'tool']);

/** What stands for reasoning that nobody kept: an empty text is refused as well. */
const LOST_REASONING = '.';

export interface MessageRules {
  readonly strict: boolean;
  readonly keepsReasoning: boolean;
  /** An answer without reasoning gets a dot. */
  readonly fillsReasoning: boolean;
  readonly oneSystem: boolean;
  readonly textsAsOne: boolean;
  readonly callsOnce: boolean;
  readonly answers: AnswerRules;
}

/**
 * Renames the role `developer`, leaves out the reasoning of another vendor's model or puts a dot where there is none and it is demanded,
 * joins system messages, and the texts of one message, and puts earlier answers into the form in which the target takes them back. The very
 * list that came where nothing is to change: it goes out as it came.
 */
export function adaptMessages(draft: Draft, rules: MessageRules): void {
  const { messages } = draft;
  if (!Array.isArray(messages)) return;
  const list: readonly unknown[] = messages;
  const each = rules.strict || !rules.keepsReasoning ? list.flatMap((message) => (isFields(message) ? (adaptMessage(message, rules) ?? []) : [message])) : list;
  const named = rules.callsOnce ? withOwnIds(each) : each;
  const adapted = rules.oneSystem ? withOneSystem(named) : named;
  if (!isSameList(adapted, list)) draft['messages'] = adapted;
}

function adaptMessage(given: Fields, { strict, keepsReasoning, fillsReasoning, textsAsOne, answers }: MessageRules): Fields | undefined {
  const message = strict ? takenBack(given, answers) : given;
  if (message === undefined) return undefined;
  const renamed = strict && message['role'] === 'developer';
  const stripped = !keepsReasoning && 'reasoning_content' in message;
  const filled = fillsReasoning && message['role'] === 'assistant' && textOf(message['reasoning_content']) === undefined;
  const text = textsAsOne && ONE_TEXT.has(message['role']) ? textOfList(message['content']) : undefined;
  if (!renamed && !stripped && !filled && text === undefined) return message;
  const { reasoning_content: said, ...rest } = message;
  const reasoning = filled ? LOST_REASONING : said;
  return { ...rest, ...(stripped || reasoning === undefined ? {} : { reasoning_content: reasoning }), ...(renamed ? { role: 'system' } : {}), ...(text === undefined ? {} : { content: text }) };
}

/** The texts of a list in one, with a line between; undefined where there is anything else. Marks on a text, such as `cache_control`, go. */
function textOfList(content: unknown): string | undefined {
  if (!Array.isArray(content) || content.length === 0) return undefined;
  const parts: readonly unknown[] = content;
  const texts = parts.flatMap((part) => (isFields(part) && part['type'] === 'text' && typeof part['text'] === 'string' ? [part['text']] : []));
  return texts.length === parts.length ? texts.join('\n\n') : undefined;
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
