import { invalidRequest } from '../faults.ts';
import { answerInChat, contentInChat, fieldsOf, isFields, resultInChat, textOf } from '../wire/index.ts';
import type { Fields } from '../wire/index.ts';
import { offeredName, TEXT_ARGUMENT } from './tools.ts';
import type { KnownTool } from './tools.ts';

/** One turn of the model: in this API several items, in chat one message. */
interface Turn {
  text: string | undefined;
  reasoning: string;
  readonly calls: Fields[];
}

/** How many characters of a name an error repeats. */
const NAME_CHARS = 60;

/**
 * The items of an input, as the messages of a chat. What the model did in one turn (thinking, speaking, calling tools) becomes one
 * message; pictures that a tool returned follow all results of that turn as a message of the user's, for results are texts in chat.
 */
export class Conversation {
  readonly #tools: ReadonlyMap<string, KnownTool>;
  readonly #messages: Fields[] = [];
  #turn: Turn | undefined;
  #pictures: Fields[] = [];

  /** @param tools by their names in chat */
  constructor(tools: ReadonlyMap<string, KnownTool>) {
    this.#tools = tools;
  }

  /** All that was added, in order. */
  messages(): readonly Fields[] {
    this.#endTurn();
    this.#showPictures();
    return this.#messages;
  }

  say(role: string, content: unknown): void {
    this.#endTurn();
    this.#showPictures();
    this.#messages.push({ role, content });
  }

  /** @throws Fault invalid_request for an item that chat has no words for */
  add(item: unknown, param: string): void {
    if (!isFields(item)) throw invalidRequest(`"${param}" must be an object.`, param);
    const type = item['type'] ?? 'message';
    if (type === 'message') return this.#addMessage(item, param);
    if (type === 'reasoning') return this.#addReasoning(item);
    if (type === 'function_call') return this.#addCall(item, textOf(item['arguments']) ?? '{}', param);
    if (type === 'custom_tool_call') return this.#addCall(item, JSON.stringify({ [TEXT_ARGUMENT]: item['input'] ?? '' }), param);
    if (type === 'function_call_output' || type === 'custom_tool_call_output') return this.#addOutput(item, param);
    if (type === 'item_reference') throw invalidRequest(`"${param}" names an item that would have to be kept here. Send the item itself; clients do so with "store": false.`, param);
    throw invalidRequest(`"${param}" is of the type ${JSON.stringify(typeof type === 'string' ? type.slice(0, NAME_CHARS) : type)}. Served are messages, reasoning, and the calls of functions and custom tools with their outputs.`, param);
  }

  #addMessage({ role, content }: Fields, param: string): void {
    if (role === 'assistant') {
      const text = textsOf(content, param).join('');
      // Words behind a call belong to its turn, for nothing may stand between a call and its result.
      const turn = this.#turnFor((open) => open.text === undefined || open.calls.length > 0);
      turn.text = turn.text === undefined ? text : `${turn.text}\n\n${text}`;
    } else if (role === 'system' || role === 'developer') {
      this.say(role, textsOf(content, param).join('\n\n'));
    } else if (role === 'user') {
      this.say(role, partsOf(content, param));
    } else {
      throw invalidRequest(`"${param}.role" must be "user", "assistant", "system" or "developer".`, `${param}.role`);
    }
  }

  #addReasoning({ content, summary }: Fields): void {
    const text = [content, summary].map(thoughtsOf).find((thoughts) => thoughts !== '');
    if (text === undefined) return;
    this.#turnFor((open) => open.text === undefined || open.calls.length > 0).reasoning += text;
  }

  #addCall(item: Fields, written: string, param: string): void {
    const { call_id: id, namespace } = item;
    const name = textOf(item['name']);
    if (textOf(id) === undefined || name === undefined) throw invalidRequest(`"${param}" must bear "call_id" and "name".`, param);
    this.#turnFor(() => true).calls.push({ id, type: 'function', function: { name: offeredName(this.#tools, name, namespace), arguments: written } });
  }

  #addOutput({ call_id: id, output }: Fields, param: string): void {
    if (textOf(id) === undefined) throw invalidRequest(`"${param}" must bear the "call_id" of its call.`, param);
    this.#endTurn();
    const said = partsOf(output ?? '', `${param}.output`);
    const { text, shown } = resultInChat(typeof said === 'string' ? [{ type: 'text', text: said }] : said);
    this.#messages.push({ role: 'tool', tool_call_id: id, content: text });
    this.#pictures.push(...shown);
  }

  /** The turn under way, if it still takes what comes; else a new one. */
  #turnFor(takes: (open: Turn) => boolean): Turn {
    if (this.#turn !== undefined && !takes(this.#turn)) this.#endTurn();
    if (this.#turn === undefined) this.#showPictures();
    return (this.#turn ??= { text: undefined, reasoning: '', calls: [] });
  }

  #endTurn(): void {
    const message = this.#turn === undefined ? undefined : answerInChat(this.#turn);
    this.#turn = undefined;
    if (message !== undefined) this.#messages.push(message);
  }

  #showPictures(): void {
    const pictures = this.#pictures;
    this.#pictures = [];
    if (pictures.length > 0) this.#messages.push({ role: 'user', content: pictures });
  }
}

function thoughtsOf(value: unknown): string {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.map((part) => textOf(fieldsOf(part)['text']) ?? '').join('');
}

/** Content that can be text alone. */
function textsOf(content: unknown, param: string): readonly string[] {
  if (typeof content === 'string') return [content];
  const list: readonly unknown[] = Array.isArray(content) ? content : [];
  return list.map((part, at) => {
    const { text, refusal } = fieldsOf(part);
    const said = typeof text === 'string' ? text : refusal;
    if (typeof said !== 'string') throw invalidRequest(`"${param}.content[${at}]" must be a text.`, `${param}.content[${at}]`);
    return said;
  });
}

/** Content as chat has it: a text where it is nothing else, or a list of parts. */
function partsOf(content: unknown, param: string): string | readonly Fields[] {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidRequest(`"${param}.content" must be a text or a list of parts.`, `${param}.content`);
  return contentInChat((content as readonly unknown[]).map((part, at) => partOf(fieldsOf(part), `${param}.content[${at}]`)));
}

function partOf(part: Fields, param: string): Fields {
  const { type } = part;
  if (typeof part['text'] === 'string' && (type === 'input_text' || type === 'output_text' || type === 'text')) return { type: 'text', text: part['text'] };
  if (type === 'input_image' && typeof part['image_url'] === 'string') return { type: 'image_url', image_url: { url: part['image_url'], ...(typeof part['detail'] === 'string' ? { detail: part['detail'] } : {}) } };
  if (type === 'input_file' && typeof part['file_data'] === 'string') return { type: 'file', file: { file_data: part['file_data'], ...(typeof part['filename'] === 'string' ? { filename: part['filename'] } : {}) } };
  if (type === 'input_audio' && isFields(part['input_audio'])) return { type, input_audio: part['input_audio'] };
  throw invalidRequest(`"${param}" must be an input_text, an input_image with "image_url", or an input_file with "file_data": files are not kept here.`, param);
}
