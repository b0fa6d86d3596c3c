import { invalidRequest, type Fault } from '../faults.ts';
import { fieldsOf, textOf } from '../wire/index.ts';
import type { Fields } from '../wire/index.ts';

/** Blocks of an answer that say nothing a chat could: thoughts that only their maker can read. */
const UNREADABLE: ReadonlySet<unknown> = new Set(['redacted_thinking']);
const NAME_CHARS = 60;

/**
 * The messages of a conversation as chat has them. One message of the user's may hold results of tools and words: the results become
 * messages of their own, and what follows them (pictures that a tool returned, the words) one of the user's.
 * @throws Fault invalid_request for a block that chat has no words for
 */
export function readTurns(value: unknown): readonly Fields[] {
  if (!Array.isArray(value) || value.length === 0) throw invalidRequest('"messages" must be a list with at least one message.', 'messages');
  return (value as readonly unknown[]).flatMap((message, at) => {
    const param = `messages[${at}]`;
    const { role, content } = fieldsOf(message);
    if (role !== 'user' && role !== 'assistant' && role !== 'system') throw invalidRequest(`"${param}.role" must be "user" or "assistant".`, `${param}.role`);
    if (typeof content === 'string') return [{ role, content }];
    if (!Array.isArray(content)) throw invalidRequest(`"${param}.content" must be a text or a list of blocks.`, `${param}.content`);
    const blocks = (content as readonly unknown[]).map((block, place) => ({ block: fieldsOf(block), param: `${param}.content[${place}]` }));
    return role === 'assistant' ? assistantOf(blocks) : userOf(role, blocks);
  });
}

interface Placed {
  readonly block: Fields;
  readonly param: string;
}

function assistantOf(blocks: readonly Placed[]): readonly Fields[] {
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
  if (text === undefined && calls.length === 0) return [];
  return [{ role: 'assistant', content: text ?? null, ...(reasoning === '' ? {} : { reasoning_content: reasoning }), ...(calls.length === 0 ? {} : { tool_calls: calls }) }];
}

function callOf({ id, name, input }: Fields, param: string): Fields {
  if (textOf(id) === undefined || textOf(name) === undefined) throw invalidRequest(`"${param}" must bear "id" and "name".`, param);
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input ?? {}) } };
}

function userOf(role: 'user' | 'system', blocks: readonly Placed[]): readonly Fields[] {
  const results: Fields[] = [];
  const parts: Fields[] = [];
  for (const { block, param } of blocks) {
    if (block['type'] !== 'tool_result') {
      parts.push(partOf(block, param));
      continue;
    }
    const { tool_use_id: id, content, is_error: failed } = block;
    if (textOf(id) === undefined) throw invalidRequest(`"${param}" must bear the "tool_use_id" of its call.`, param);
    const told = contentOf(content, `${param}.content`);
    const texts = told.flatMap(({ type, text }) => (type === 'text' && typeof text === 'string' ? [text] : []));
    const written = texts.join('\n');
    results.push({ role: 'tool', tool_call_id: id, content: failed === true && !/^error/i.test(written) ? `Error: ${written}` : written });
    parts.push(...told.filter(({ type }) => type !== 'text'));
  }
  if (parts.length === 0) return results;
  const texts = parts.flatMap(({ type, text }) => (type === 'text' && typeof text === 'string' ? [text] : []));
  const [only] = texts;
  const content = role === 'system' ? texts.join('\n\n') : parts.length === 1 && only !== undefined ? only : parts;
  return [...results, { role, content }];
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
  if (type === 'tool_reference' && textOf(block['tool_name']) !== undefined) return { type: 'text', text: String(block['tool_name']) };
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
