import { callsAnything, withoutEmpty } from './answers.ts';
import { oneText } from './asked.ts';
import { argumentsOf } from './calls.ts';
import { fieldsOf, isFields, isSameList, parseJson, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { RequestQuirks } from './quirks.ts';

/** What a target refuses in the messages of a conversation, said so that it takes them. */

/** Whose messages are texts alone, where lists are refused; those of the user may hold more. */
const ONE_TEXT: ReadonlySet<unknown> = new Set(['assistant', 'tool']);

/** What stands for reasoning that nobody kept, and for an answer that says nothing: an empty text is refused as well. */
const NOTHING_SAID = '.';

/** What the user says where nobody said anything. */
const GO_ON = { role: 'user', content: 'Continue.' };

export interface ReasoningRules {
  readonly keepsReasoning: boolean;
  /** An answer without reasoning gets a dot. */
  readonly fillsReasoning: boolean;
}

/** The message itself where nothing is to change; undefined where it says nothing, and the target refuses such. */
export function adaptMessage(given: Fields, quirks: RequestQuirks, { keepsReasoning, fillsReasoning }: ReasoningRules): Fields | undefined {
  const message = withoutEmpty(given, quirks);
  if (message === undefined) return undefined;
  const changes: Record<string, unknown> = {};
  const isAnswer = message['role'] === 'assistant';
  if (message['role'] === 'developer') changes['role'] = 'system';
  if (!keepsReasoning && 'reasoning_content' in message) changes['reasoning_content'] = undefined;
  if (fillsReasoning && isAnswer && textOf(message['reasoning_content']) === undefined) changes['reasoning_content'] = NOTHING_SAID;
  const content = contentFor(message, quirks);
  if (content !== message['content']) changes['content'] = content;
  const calls = isAnswer && quirks.callsAsObjects === true ? callsAsObjects(message['tool_calls']) : undefined;
  if (calls !== undefined) changes['tool_calls'] = calls;
  return Object.keys(changes).length === 0 ? message : { ...message, ...changes };
}

function contentFor(message: Fields, { textsAsOne, contentAlways, emptyAnswer }: RequestQuirks): unknown {
  const { role, content: said } = message;
  const content = textsAsOne === true && ONE_TEXT.has(role) && Array.isArray(said) ? (oneText(said) ?? said) : said;
  if (role !== 'assistant') return content;
  const isMissing = content === undefined || content === null;
  if (contentAlways === true && isMissing) return '';
  if (emptyAnswer === undefined || callsAnything(message)) return content;
  if (emptyAnswer === 'text') return isMissing ? '' : content;
  return isEmpty(content) ? NOTHING_SAID : content;
}

function isEmpty(content: unknown): boolean {
  if (typeof content === 'string') return content.trim() === '';
  return content === undefined || content === null || (Array.isArray(content) && content.length === 0);
}

/** The calls of an answer with arguments that are an object, as text; undefined where all are so already. */
function callsAsObjects(calls: unknown): readonly unknown[] | undefined {
  if (!Array.isArray(calls)) return undefined;
  const given: readonly unknown[] = calls;
  const shaped = given.map((call) => {
    const { function: called } = fieldsOf(call);
    if (!isFields(call) || !isFields(called)) return call;
    const written = objectIn(called['arguments']);
    return written === called['arguments'] ? call : { ...call, function: { ...called, arguments: written } };
  });
  return isSameList(shaped, given) ? undefined : shaped;
}

/** No arguments are an empty object; an object that was written twice is written once; what is none, for it was cut off, goes into one. */
function objectIn(value: unknown): string {
  const text = argumentsOf(value, '{}');
  const read = parseJson(text);
  if (isFields(read)) return text;
  if (typeof read === 'string' && isFields(parseJson(read))) return read;
  return text.trim() === '' ? '{}' : JSON.stringify({ arguments: text });
}

/**
 * The messages with one of the user's among them. Where there are but system messages the last of them is what was asked; else the user
 * bids to go on, in front of it all, so that the end stays what it was.
 */
export function withUser(messages: readonly unknown[], rule: RequestQuirks['userWanted']): readonly unknown[] {
  if (rule === undefined || messages.some((message) => fieldsOf(message)['role'] === 'user')) return messages;
  const other = messages.findIndex((message) => fieldsOf(message)['role'] !== 'system');
  if (other === -1) return messages.map((message, at) => (at === messages.length - 1 ? { ...fieldsOf(message), role: 'user' } : message));
  return rule === 'always' ? [...messages.slice(0, other), GO_ON, ...messages.slice(other)] : messages;
}
