import { fieldsOf, isFields, NamedEvents, parseJson, readPiece, textOf } from '../wire/index.ts';
import type { CallPiece, ChatPiece, ChatTranslation, JsonObject } from '../wire/index.ts';

/** Anthropic's words for a finish reason of chat. */
const STOPS: Readonly<Record<string, string>> = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', function_call: 'tool_use', content_filter: 'refusal' };
/** Clients send thoughts back only with a signature; here nobody checks it. */
const SIGNATURE = 'findtoken';

/** One block of the answer as it grows. */
interface Block {
  readonly type: 'thinking' | 'text' | 'tool_use';
  readonly id: string;
  name: string;
  /** Thoughts, words, or the JSON of a call's input. */
  written: string;
  /** Of what is written, the characters that were told; undefined before it is announced, which for a call wants a name. */
  told: number | undefined;
}

/**
 * Opens an answer of the Messages API: takes what a chat answer brings, gives the events that tell the same.
 *
 * ```
 * message_start ─▶ blocks: start, deltas, stop (thinking, text, calls) ─▶ message_delta (stop_reason, usage) ─▶ message_stop
 *                                                                  └──── error
 * ```
 * One block is told at a time, as clients expect it: what a provider says of a second call while the first is not whole waits for that.
 * @param id the request's; the message is named by it, so that a replay tells the same name
 * @param stream whether the events are wanted, or the whole message alone
 */
export function openMessage(id: string, stream: boolean, known: Known = {}): ChatTranslation {
  return new OpenMessage(id, stream, known);
}

/** What is known of the request. */
interface Known {
  /** What the beginning tells of the input, for some clients read it there alone; the end tells what was used. */
  readonly promptEstimate?: number;
  /** Of tools that bear another name in chat: the client's, by that. */
  readonly names?: ReadonlyMap<string, string>;
}

class OpenMessage implements ChatTranslation {
  over = false;
  readonly #name: string;
  readonly #names: Known['names'];
  readonly #events: NamedEvents;
  readonly #blocks: Block[] = [];
  /** Which of the blocks is being told: all before it are closed. */
  #at = 0;
  /** By their index in chat. */
  readonly #calls = new Map<number, Block>();
  #model = '';
  #reason: string | undefined;
  #usage: JsonObject;
  #isBegun = false;

  constructor(id: string, stream: boolean, { promptEstimate = 0, names }: Known) {
    this.#names = names;
    this.#name = id.replace(/^req_/, '');
    this.#usage = { input_tokens: promptEstimate, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 };
    this.#events = new NamedEvents(stream);
  }

  take(answer: unknown): string {
    const { model, thoughts, words, calls, reason, usage } = readPiece(answer);
    this.#model = model ?? this.#model;
    this.#begin();
    if (usage !== undefined) this.#usage = usageOf(usage);
    this.#write('thinking', thoughts);
    this.#write('text', words);
    for (const call of calls) this.#call(call);
    this.#reason = reason ?? this.#reason;
    return this.#events.take();
  }

  finish(): string {
    this.#begin();
    for (; this.#at < this.#blocks.length; this.#at += 1) this.#close();
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
    return { ...this.#head(), content: this.#blocks.map((block) => this.#wholeBlock(block)), stop_reason: this.#stop, stop_sequence: null, usage: this.#usage };
  }

  /** Clients run tools where it says `tool_use` alone, and some providers end an answer with calls as any other, above all where a tool was demanded. */
  get #stop(): string | null {
    if (this.#reason === undefined) return null;
    const stop = STOPS[this.#reason] ?? 'end_turn';
    return stop === 'end_turn' && this.#calls.size > 0 ? 'tool_use' : stop;
  }

  #head(): JsonObject {
    return { id: `msg_${this.#name}`, type: 'message', role: 'assistant', model: this.#model };
  }

  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    this.#events.emit('message_start', { message: { ...this.#head(), content: [], stop_reason: null, stop_sequence: null, usage: this.#usage } });
  }

  #write(type: 'thinking' | 'text', text: string | undefined): void {
    if (text === undefined) return;
    const last = this.#blocks.at(-1);
    if (last?.type === type) last.written += text;
    else this.#blocks.push({ type, id: '', name: '', written: text, told: undefined });
    this.#tell();
  }

  #call({ place, id, name, written }: CallPiece): void {
    let block = this.#calls.get(place);
    if (block === undefined) {
      block = { type: 'tool_use', id: id ?? `toolu_${this.#name}_${place}`, name: '', written: '', told: undefined };
      this.#calls.set(place, block);
      this.#blocks.push(block);
    }
    block.name += name;
    block.written += written;
    this.#tell();
  }

  /** Tells what has come of the block under way, and of those behind it as far as it is whole. */
  #tell(): void {
    for (let block = this.#blocks[this.#at]; block !== undefined; block = this.#blocks[this.#at]) {
      const isLast = this.#at === this.#blocks.length - 1;
      if (!isLast && isWhole(block)) {
        this.#close();
        this.#at += 1;
      } else {
        if (block.type !== 'tool_use' || block.name !== '') this.#tellBlock(block);
        return;
      }
    }
  }

  /** Announces a block, if that has not been done, and tells what has been added to it. */
  #tellBlock(block: Block): void {
    const { type, id, name, written } = block;
    if (block.told === undefined) {
      const empty: Readonly<Record<Block['type'], JsonObject>> = { thinking: { type, thinking: '', signature: '' }, text: { type, text: '' }, tool_use: { type, id, name: this.#ownName(name), input: {} } };
      this.#events.emit('content_block_start', { index: this.#at, content_block: empty[type] });
    }
    const piece = written.slice(block.told ?? 0);
    block.told = written.length;
    if (piece === '') return;
    this.#delta(type === 'text' ? { type: 'text_delta', text: piece } : type === 'thinking' ? { type: 'thinking_delta', thinking: piece } : { type: 'input_json_delta', partial_json: piece });
  }

  /** Closes the block under way. */
  #close(): void {
    const block = this.#blocks[this.#at];
    if (block === undefined) return;
    this.#tellBlock(block);
    if (block.type === 'thinking') this.#delta({ type: 'signature_delta', signature: SIGNATURE });
    this.#events.emit('content_block_stop', { index: this.#at });
  }

  #wholeBlock({ type, written, id, name }: Block): JsonObject {
    if (type === 'text') return { type, text: written };
    if (type === 'thinking') return { type, thinking: written, signature: SIGNATURE };
    const input = parseJson(written);
    return { type, id, name: this.#ownName(name), input: isFields(input) ? (input as JsonObject) : {} };
  }

  #ownName(inChat: string): string {
    return this.#names?.get(inChat) ?? inChat;
  }

  #delta(delta: JsonObject): void {
    this.#events.emit('content_block_delta', { index: this.#at, delta });
  }
}

/** Nothing more is to come of it, now that another has begun: a call's input ends where its JSON does. */
function isWhole({ type, name, written }: Block): boolean {
  return type !== 'tool_use' || (name !== '' && written.trimEnd().endsWith('}') && isFields(parseJson(written)));
}

/** Tokens by this API's names, where what was cached is no part of the input, and our cost. */
function usageOf({ tokens: { prompt, cached, completion }, cost }: NonNullable<ChatPiece['usage']>): JsonObject {
  return { input_tokens: prompt - cached, cache_creation_input_tokens: 0, cache_read_input_tokens: cached, output_tokens: completion, ...(cost === undefined ? {} : { cost }) };
}
