import { invalidRequest, type Fault } from '../faults.ts';
import { answerInChat, contentInChat, fieldsOf, nameInChat, resultInChat, textOf, textsIn } from '../wire/index.ts';
import type { Answered, Fields } from '../wire/index.ts';

/** Blocks of an answer that say nothing a chat could: thoughts that only their maker can read. */
const UNREADABLE: ReadonlySet<unknown> = new Set(['redacted_thinking']);
const NAME_CHARS = 60;

/** What one side said before the other did, by one message or by several in a row, which this API takes as one. */
type Turn = AssistantTurn | UserTurn;

interface AssistantTurn extends Answered {
  readonly role: 'assistant';
}

interface UserTurn {
  readonly role: 'user' | 'system';
  /** Of tools, as messages of chat. */
  readonly results: readonly Fields[];
  /** All else, in chat's parts. */
  readonly parts: readonly Fields[];
}

/**
 * The messages of a conversation as chat has them. What the user says in one turn may hold results of tools and words: the results become
 * messages of their own, and what follows them (pictures that a tool returned, the words) one of the user's.
 * @throws Fault invalid_request for a block that chat has no words for
 */
export function readTurns(value: unknown): readonly Fields[] {
  if (!Array.isArray(value) || value.length === 0) throw invalidRequest('"messages" must be a list with at least one message.', 'messages');
  const turns: Turn[] = [];
  for (const [at, message] of (value as readonly unknown[]).entries()) {
    const turn = turnOf(message, `messages[${at}]`);
    const joined = joinedTurn(turns.at(-1), turn);
    if (joined !== undefined) turns.pop();
    turns.push(joined ?? turn);
  }
  return turns.flatMap((turn) => (turn.role === 'assistant' ? (answerInChat(turn) ?? []) : questionOf(turn)));
}

function turnOf(message: unknown, param: string): Turn {
  const { role, content } = fieldsOf(message);
  if (role !== 'user' && role !== 'assistant' && role !== 'system') throw invalidRequest(`"${param}.role" must be "user" or "assistant".`, `${param}.role`);
  if (typeof content !== 'string' && !Array.isArray(content)) throw invalidRequest(`"${param}.content" must be a text or a list of blocks.`, `${param}.content`);
  const blocks: readonly unknown[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const placed = blocks.map((block, place) => ({ block: fieldsOf(block), param: `${param}.content[${place}]` }));
  return role === 'assistant' ? assistantOf(placed) : userOf(role, placed);
}

/**
 * Two turns of one side as one, where chat needs it: thoughts and calls of one answer are one message there, and between calls and their
 * results nothing may stand. The user's words by themselves stay the messages that they are.
 */
function joinedTurn(before: Turn | undefined, turn: Turn): Turn | undefined {
  if (before?.role === 'assistant' && turn.role === 'assistant') {
    const texts = [before.text, turn.text].filter((text) => text !== undefined);
    return { role: 'assistant', text: texts.length === 0 ? undefined : texts.join('\n\n'), reasoning: before.reasoning + turn.reasoning, calls: [...before.calls, ...turn.calls] };
  }
  if (before?.role !== 'user' || turn.role !== 'user' || turn.results.length === 0) return undefined;
  return { role: 'user', results: [...before.results, ...turn.results], parts: [...before.parts, ...turn.parts] };
}

function questionOf({ role, results, parts }: UserTurn): readonly Fields[] {
  if (parts.length === 0) return results;
  return [...results, { role, content: role === 'system' ? textsIn(parts).join('\n\n') : contentInChat(parts) }];
}

interface Placed {
  readonly block: Fields;
  readonly param: string;
}

function assistantOf(blocks: readonly Placed[]): AssistantTurn {
  let text: string | undefined;
  let reasoning = '';
  const calls: Fields[] = [];
  for (const { block, param } of blocks) {
    const { type } = block;
    if (type === 'text') text = (text ?? '') + textIn(block, param);
    else if (type === 'thinking') reasoning += textOf(block['thinking']) ?? '';
    else if (type === 'tool_use') calls.push(callOf(block, param));
    else if (!UNREADABLE.has(type)) throw unknownBlock(block, param);
  }
  return { role: 'assistant', text, reasoning, calls };
}

function callOf({ id, name, input }: Fields, param: string): Fields {
  const called = textOf(name);
  if (textOf(id) === undefined || called === undefined) throw invalidRequest(`"${param}" must bear "id" and "name".`, param);
  return { id, type: 'function', function: { name: nameInChat(called), arguments: JSON.stringify(input ?? {}) } };
}

function userOf(role: UserTurn['role'], blocks: readonly Placed[]): UserTurn {
  const results: Fields[] = [];
  const parts: Fields[] = [];
  for (const { block, param } of blocks) {
    if (block['type'] !== 'tool_result') {
      parts.push(partOf(block, param));
      continue;
    }
    const { tool_use_id: id, content, is_error: failed } = block;
    if (textOf(id) === undefined) throw invalidRequest(`"${param}" must bear the "tool_use_id" of its call.`, param);
    const { text: written, shown } = resultInChat(contentOf(content, `${param}.content`));
    results.push({ role: 'tool', tool_call_id: id, content: failed === true && !/^error/i.test(written) ? `Error: ${written}` : written });
    parts.push(...shown);
  }
  return { role, results, parts };
}

function contentOf(content: unknown, param: string): readonly Fields[] {
  if (content === undefined || content === null) return [];
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  if (!Array.isArray(content)) throw invalidRequest(`"${param}" must be a text or a list of blocks.`, param);
  return (content as readonly unknown[]).map((block, at) => partOf(fieldsOf(block), `${param}[${at}]`));
}

function partOf(block: Fields, param: string): Fields {
  const { type } = block;
  if (type === 'text') return { type, text: textIn(block, param) };
  const source = fieldsOf(block['source']);
  const { media_type: media, data, url } = source;
  if (source['type'] === 'text' && typeof data === 'string') return { type: 'text', text: data };
  const address = source['type'] === 'base64' && typeof data === 'string' && typeof media === 'string' ? `data:${media};base64,${data}` : source['type'] === 'url' ? textOf(url) : undefined;
  if (address !== undefined && type === 'image') return { type: 'image_url', image_url: { url: address } };
  if (address !== undefined && type === 'document') return { type: 'file', file: { filename: textOf(block['title']) ?? 'document', file_data: address } };
  const referred = textOf(block['tool_name']);
  if (type === 'tool_reference' && referred !== undefined) return { type: 'text', text: nameInChat(referred) };
  throw unknownBlock(block, param);
}

function textIn({ text }: Fields, param: string): string {
  if (typeof text !== 'string') throw invalidRequest(`"${param}.text" must be a text.`, `${param}.text`);
  return text;
}

function unknownBlock({ type }: Fields, param: string): Fault {
  const name = JSON.stringify(typeof type === 'string' ? type.slice(0, NAME_CHARS) : type ?? null);
  return invalidRequest(`"${param}" is a block of the type ${name}, which is not served. Served are text, images and documents with their data, thinking, tool_use and tool_result.`, param);
}
