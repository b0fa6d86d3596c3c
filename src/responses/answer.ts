import { fieldsOf, NamedEvents, readPiece, textOf } from '../wire/index.ts';
import type { CallPiece, ChatPiece, ChatTranslation, JsonObject } from '../wire/index.ts';
import { CallItem, TextItem, type Emit, type Item } from './items.ts';
import type { Wishes } from './request.ts';
import type { KnownTool } from './tools.ts';

/** What is said of an answer that was cut short, by its finish reason in chat. */
const CUT: Readonly<Record<string, string>> = { length: 'max_output_tokens', content_filter: 'content_filter' };

/**
 * Opens an answer of the Responses API: takes what a chat answer brings, gives the events that tell the same.
 *
 * ```
 * created ─▶ reasoning: added, summary text …, done ─▶ message: added, text …, done ─▶ calls: added, arguments …, done ─▶ completed
 *                                                                                                              incomplete · failed
 * ```
 * @param id the request's; the answer and its items are named by it, so that a replay tells the same names
 */
export function openResponse(id: string, wishes: Wishes): ChatTranslation {
  return new OpenResponse(id, wishes);
}

class OpenResponse implements ChatTranslation {
  over = false;
  readonly #name: string;
  readonly #wishes: Wishes;
  readonly #items: Item[] = [];
  /** The text under way: thoughts or words. */
  #text: TextItem | undefined;
  /** By their index in chat. */
  readonly #calls = new Map<number, CallItem>();
  readonly #events: NamedEvents;
  #count = 0;
  #created = 0;
  #model = '';
  #usage: JsonObject | null = null;
  #cutBy: string | undefined;
  #error: JsonObject | null = null;
  #isBegun = false;

  constructor(id: string, wishes: Wishes) {
    this.#name = id.replace(/^req_/, '');
    this.#wishes = wishes;
    this.#events = new NamedEvents(wishes.stream);
  }

  take(answer: unknown): string {
    const { created, model, thoughts, words, calls, reason, usage } = readPiece(answer);
    this.#created = created ?? this.#created;
    this.#model = model ?? this.#model;
    this.#begin();
    if (usage !== undefined) this.#usage = usageOf(usage);
    if (thoughts !== undefined) this.#textOf('reasoning').add(thoughts, this.#emit);
    if (words !== undefined) this.#textOf('message').add(words, this.#emit);
    for (const call of calls) this.#callOf(call).add(call, this.#emit);
    if (reason !== undefined) this.#cutBy = CUT[reason];
    return this.#events.take();
  }

  finish(): string {
    this.#begin();
    const isCut = this.#cutBy !== undefined;
    // As OpenAI has it: agents take an answer without a message or a call for one that is to go on, and ask again.
    if (!isCut && this.#calls.size === 0 && !this.#items.some((item) => item instanceof TextItem && item.kind === 'message')) this.#textOf('message');
    const last = this.#items.at(-1);
    this.#closeText(isCut && this.#text === last);
    for (const call of this.#calls.values()) call.close(this.#emit, isCut && call === last);
    this.over = true;
    this.#emit(isCut ? 'response.incomplete' : 'response.completed', { response: this.whole() });
    return this.#events.take();
  }

  fail(error: unknown): string {
    if (this.over) return '';
    this.#begin();
    const { code, message, param, type } = fieldsOf(error);
    this.#error = { code: textOf(code) ?? 'server_error', message: textOf(message) ?? 'The answer broke off.' };
    this.over = true;
    const told = { ...this.#error, param: textOf(param) ?? null };
    // The fields stand in the event itself by OpenAI's reference, and in an object within it by OpenAI's own servers: without that its SDKs raise nothing.
    this.#emit('error', { ...told, error: { type: textOf(type) ?? 'server_error', ...told } });
    this.#emit('response.failed', { response: this.whole() });
    return this.#events.take();
  }

  whole(): JsonObject {
    const status = this.#error !== null ? 'failed' : !this.over ? 'in_progress' : this.#cutBy === undefined ? 'completed' : 'incomplete';
    return {
      id: `resp_${this.#name}`,
      object: 'response',
      created_at: this.#created,
      status,
      error: this.#error,
      incomplete_details: status === 'incomplete' ? { reason: this.#cutBy ?? null } : null,
      model: this.#model,
      output: this.over ? this.#items.map((item) => item.whole()) : [],
      usage: this.#usage,
      ...this.#wishes.repeats,
    };
  }

  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    this.#emit('response.created', { response: this.whole() });
    this.#emit('response.in_progress', { response: this.whole() });
  }

  #textOf(kind: TextItem['kind']): TextItem {
    if (this.#text?.kind === kind) return this.#text;
    this.#closeText(false);
    const item = new TextItem(kind, this.#place(kind === 'message' ? 'msg' : 'rs'), this.#wishes.sealsThoughts);
    this.#items.push(item);
    item.open(this.#emit);
    this.#text = item;
    return item;
  }

  #callOf({ place, id }: CallPiece): CallItem {
    const known = this.#calls.get(place);
    if (known !== undefined) return known;
    this.#closeText(false);
    const toolNamed = (name: string): KnownTool => this.#wishes.tools.get(name) ?? { name, namespace: undefined, custom: false };
    const item = new CallItem(toolNamed, id ?? `call_${this.#name}_${place}`, this.#place('fc'));
    this.#items.push(item);
    this.#calls.set(place, item);
    return item;
  }

  #place(kind: string): { readonly id: string; readonly index: number } {
    return { id: `${kind}_${this.#name}_${this.#items.length}`, index: this.#items.length };
  }

  #closeText(isCut: boolean): void {
    this.#text?.close(this.#emit, isCut);
    this.#text = undefined;
  }

  readonly #emit: Emit = (type, fields) => {
    this.#events.emit(type, { sequence_number: this.#count, ...fields });
    this.#count += 1;
  };
}

/** Tokens by this API's names, and our cost. */
function usageOf({ tokens: { prompt, cached, completion, reasoning }, cost }: NonNullable<ChatPiece['usage']>): JsonObject {
  return {
    input_tokens: prompt,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: completion,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: prompt + completion,
    ...(cost === undefined ? {} : { cost }),
  };
}
