import { invalidRequest } from '../faults.ts';
import { isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';

/** What requests of other APIs come to in chat, whichever they are of. */

/** As long as a function's name may be in chat; elsewhere it may be longer, and names of MCP tools, with those of their servers before them, are. */
const NAME_CHARS = 64;
/** Names are kept for as long as the answer lasts. Far above what any provider takes. */
const NAME_CHARS_MAX = 256;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The text of a tool's result that is pictures alone: results are texts in chat, and the pictures follow. An empty one says that there is nothing. */
const SHOWN_NEXT = 'The result is shown in the next message.';

/**
 * A tool's name as chat takes it. One that is too long is cut, with a number made of all of it at its end, so that names that begin alike
 * stay apart. A name has the same one in each request, for it stands in what the model has said before.
 */
export function nameInChat(name: string): string {
  if (name.length <= NAME_CHARS) return name;
  let hash = FNV_OFFSET;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), FNV_PRIME) >>> 0;
  const number = hash.toString(16).padStart(8, '0');
  return `${name.slice(0, NAME_CHARS - number.length - 1)}_${number}`;
}

/** @throws Fault invalid_request for a tool's name that nobody could keep */
export function checkToolName(name: string): void {
  if (name.length > NAME_CHARS_MAX) throw invalidRequest(`A tool's name may have ${NAME_CHARS_MAX} characters.`, 'tools');
}

/** What the model did in one turn. */
export interface Answered {
  readonly text: string | undefined;
  readonly reasoning: string;
  readonly calls: readonly Fields[];
}

/**
 * An earlier answer as a message of chat. Thoughts alone are no message, for what they led to was not sent; nor is an answer that was
 * empty, which some providers refuse: undefined.
 */
export function answerInChat({ text: said, reasoning, calls }: Answered): Fields | undefined {
  const text = textOf(said);
  if (text === undefined && calls.length === 0) return undefined;
  return { role: 'assistant', content: text ?? null, ...(reasoning === '' ? {} : { reasoning_content: reasoning }), ...(calls.length === 0 ? {} : { tool_calls: calls }) };
}

/** The result of a tool, from chat's parts: its text, and what is to be shown behind all results of the turn. */
export function resultInChat(parts: readonly Fields[]): { readonly text: string; readonly shown: readonly Fields[] } {
  const shown = parts.filter(({ type }) => type !== 'text');
  const text = textsIn(parts).join('\n');
  return { text: text === '' && shown.length > 0 ? SHOWN_NEXT : text, shown };
}

/** Parts as one text where there is nothing else, for not every provider takes a list. */
export function contentInChat(parts: readonly Fields[]): string | readonly Fields[] {
  return oneText(parts) ?? parts;
}

/** The texts of a list in one, with a line between; undefined where there is anything else, or nothing. Marks on a text, such as `cache_control`, go. */
export function oneText(parts: readonly unknown[]): string | undefined {
  const texts = textsIn(parts);
  return parts.length > 0 && texts.length === parts.length ? texts.join('\n\n') : undefined;
}

export function textsIn(parts: readonly unknown[]): readonly string[] {
  return parts.flatMap((part) => (isFields(part) && part['type'] === 'text' && typeof part['text'] === 'string' ? [part['text']] : []));
}

/**
 * Messages with one of the system's at most, before all others: templates of many open models take no second one, and agents send several.
 * Those that come first are one; what the system says later stands where it stood, in the user's turn and marked as the system's, for
 * moved to the front it would put the whole conversation out of the provider's cache.
 * @param messages whose system says texts alone
 */
export function withLeadingSystem(messages: readonly Fields[]): readonly Fields[] {
  const isSystem = ({ role }: Fields): boolean => role === 'system' || role === 'developer';
  const first = messages.findIndex((message) => !isSystem(message));
  const leading = first === -1 ? messages : messages.slice(0, first);
  const rest = messages.slice(leading.length).map((message) => (isSystem(message) ? { role: 'user', content: `<system-reminder>\n${String(message['content'])}\n</system-reminder>` } : message));
  return leading.length === 0 ? rest : [{ role: 'system', content: leading.map(({ content }) => content).join('\n\n') }, ...rest];
}
