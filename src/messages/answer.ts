import { fieldsOf, isFields, NamedEvents, parseJson, readPiece, textOf } from '../wire/index.ts';
import type { ChatPiece, ChatTranslation, Fields, JsonObject } from '../wire/index.ts';

/** Anthropic's words for a finish reason of chat. */
const STOPS: Readonly<Record<string, string>> = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', function_call: 'tool_use', content_filter: 'refusal' };
/** Clients send thoughts back only with a signature; here nobody checks it. */
const SIGNATURE = 'findtoken';

/** As a stream begins, before its provider has told. */
const NOTHING_USED: JsonObject = { input_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 };

/** One block of the answer as it grows. */
interface Block {
  readonly type: 'thinking' | 'text' | 'tool_use';
  readonly id: string;
  /** From its beginning on, which for a call is when its tool has a name. */
  index: number | undefined;
  name: string;
  /** Thoughts, words, or the JSON of a call's input. */
  written: string;
}

/**
 * Opens an answer of the Messages API: takes what a chat answer brings, gives the events that tell the same.
 *
 * ```
 * message_start ─▶ blocks: start, deltas, stop (thinking, text, calls) ─▶ message_delta (stop_reason, usage) ─▶ message_stop
 *                                                                  └──── error
 * ```
 * @param id the request's; the message is named by it, so that a replay tells the same name
 * @param stream whether the events are wanted, or the whole message alone
 */
export function openMessage(id: string, stream: boolean): ChatTranslation {
  return new OpenMessage(id, stream);
}

class OpenMessage implements ChatTranslation {
  over = false;
  readonly #name: string;
  readonly #events: NamedEvents;
  readonly #blocks: Block[] = [];
  /** Thoughts or words under way. */
  #open: Block | undefined;
  /** By their index in chat. */
  readonly #calls = new Map<number, Block>();
  #model = '';
  #stop: string | null = null;
  #usage: JsonObject = NOTHING_USED;
  #isBegun = false;

  constructor(id: string, stream: boolean) {
    this.#name = id.replace(/^req_/, '');
    this.#events = new NamedEvents(stream);
  }

  take(answer: unknown): string {
    const { model, said, reason, usage } = readPiece(answer);
    this.#model = model ?? this.#model;
    this.#begin();
    if (usage !== undefined) this.#usage = usageOf(usage);
    this.#grow(said);
    if (reason !== undefined) this.#stop = STOPS[reason] ?? 'end_turn';
    return this.#events.take();
  }

  finish(): string {
    this.#begin();
    this.#closeOpen();
    for (const call of this.#calls.values()) this.#close(call);
    this.over = true;
    this.#events.emit('message_delta', { delta: { stop_reason: this.#stop, stop_sequence: null }, usage: this.#usage });
    this.#events.emit('message_stop', {});
    return this.#events.take();
  }

  fail(error: unknown): string {
    if (this.over) return '';
    this.over = true;
    const { type, message } = fieldsOf(error);
    this.#events.emit('error', { error: { type: textOf(type) ?? 'api_error', message: textOf(message) ?? 'The answer broke off.' } });
    return this.#events.take();
  }

  whole(): JsonObject {
    return { ...this.#head(), content: this.#blocks.map(wholeBlock), stop_reason: this.#stop, stop_sequence: null, usage: this.#usage };
  }

  #head(): JsonObject {
    return { id: `msg_${this.#name}`, type: 'message', role: 'assistant', model: this.#model };
  }

  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    this.#events.emit('message_start', { message: { ...this.#head(), content: [], stop_reason: null, stop_sequence: null, usage: this.#usage } });
  }

  #grow({ reasoning_content: thoughts, content, refusal, tool_calls: calls }: Fields): void {
    this.#write('thinking', textOf(thoughts));
    for (const words of [content, refusal]) this.#write('text', textOf(words));
    for (const [at, call] of (Array.isArray(calls) ? (calls as readonly unknown[]) : []).entries()) if (isFields(call)) this.#call(call, at);
  }

  #write(type: 'thinking' | 'text', text: string | undefined): void {
    if (text === undefined) return;
    let block = this.#open;
    if (block?.type !== type) {
      this.#closeOpen();
      block = { type, id: '', index: undefined, name: '', written: '' };
      this.#start(block);
      this.#open = block;
    }
    block.written += text;
    this.#delta(block, type === 'text' ? { type: 'text_delta', text } : { type: 'thinking_delta', thinking: text });
  }

  #call(call: Fields, at: number): void {
    const place = typeof call['index'] === 'number' ? call['index'] : at;
    const { name, arguments: written } = fieldsOf(call['function']);
    let block = this.#calls.get(place);
    if (block === undefined) {
      this.#closeOpen();
      block = { type: 'tool_use', id: textOf(call['id']) ?? `toolu_${this.#name}_${place}`, index: undefined, name: '', written: '' };
      this.#calls.set(place, block);
    }
    block.name += textOf(name) ?? '';
    const piece = textOf(written) ?? '';
    block.written += piece;
    if (block.index !== undefined) this.#inputDelta(block, piece);
    else if (block.name !== '') this.#start(block);
  }

  /** Announces a block, and what has come of it. */
  #start(block: Block): void {
    const { type, id, name } = block;
    block.index = this.#blocks.length;
    this.#blocks.push(block);
    const empty: Readonly<Record<Block['type'], JsonObject>> = { thinking: { type, thinking: '', signature: '' }, text: { type, text: '' }, tool_use: { type, id, name, input: {} } };
    this.#events.emit('content_block_start', { index: block.index, content_block: empty[type] });
    if (type === 'tool_use') this.#inputDelta(block, block.written);
  }

  #inputDelta(block: Block, piece: string): void {
    if (piece !== '') this.#delta(block, { type: 'input_json_delta', partial_json: piece });
  }

  #delta({ index = 0 }: Block, delta: JsonObject): void {
    this.#events.emit('content_block_delta', { index, delta });
  }

  #closeOpen(): void {
    if (this.#open !== undefined) this.#close(this.#open);
    this.#open = undefined;
  }

  #close(block: Block): void {
    if (block.index === undefined) this.#start(block);
    if (block.type === 'thinking') this.#delta(block, { type: 'signature_delta', signature: SIGNATURE });
    this.#events.emit('content_block_stop', { index: block.index ?? 0 });
  }
}

function wholeBlock({ type, written, id, name }: Block): JsonObject {
  if (type === 'text') return { type, text: written };
  if (type === 'thinking') return { type, thinking: written, signature: SIGNATURE };
  const input = parseJson(written);
  return { type, id, name, input: isFields(input) ? (input as JsonObject) : {} };
}

/** Tokens by this API's names, where what was cached is no part of the input, and our cost. */
function usageOf({ tokens: { prompt, cached, completion }, cost }: NonNullable<ChatPiece['usage']>): JsonObject {
  return { input_tokens: prompt - cached, cache_creation_input_tokens: 0, cache_read_input_tokens: cached, output_tokens: completion, ...(cost === undefined ? {} : { cost }) };
}
