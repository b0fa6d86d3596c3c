import { fieldsOf, parseJson } from '../wire/index.ts';
import type { CallPiece, JsonObject } from '../wire/index.ts';
import { TEXT_ARGUMENT } from './tools.ts';
import type { KnownTool } from './tools.ts';

/** The items that an answer is made of, each from the event that announces it to the one that tells it whole. */

export type Emit = (type: string, fields: JsonObject) => void;

export interface Item {
  /** As it stands in the answer's `output`. */
  whole(): JsonObject;
}

interface Place {
  readonly id: string;
  /** In the answer's `output`. */
  readonly index: number;
}

/** In the place of thoughts that only OpenAI can read: some clients send none back without. Here they stand in the summary, and nobody reads this. */
const SEAL: JsonObject = { encrypted_content: 'findtoken' };

/** Thoughts, told as their own summary (clients show that, and send it back), or the words of the answer. */
export class TextItem implements Item {
  readonly kind: 'reasoning' | 'message';
  readonly #place: Place;
  readonly #seal: JsonObject;
  #text = '';
  /** As long as it is not closed, for an answer that breaks off. */
  #status = 'incomplete';

  /** @param isSealed where these are thoughts, they bear an `encrypted_content` */
  constructor(kind: 'reasoning' | 'message', place: Place, isSealed: boolean) {
    this.kind = kind;
    this.#place = place;
    this.#seal = isSealed ? SEAL : {};
  }

  open(emit: Emit): void {
    const { id, index } = this.#place;
    const empty: JsonObject = this.kind === 'message' ? { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] } : { id, type: 'reasoning', summary: [], ...this.#seal };
    emit('response.output_item.added', { output_index: index, item: empty });
    emit(this.kind === 'message' ? 'response.content_part.added' : 'response.reasoning_summary_part.added', { ...this.#at(), part: this.#part() });
  }

  add(text: string, emit: Emit): void {
    this.#text += text;
    if (this.kind === 'message') emit('response.output_text.delta', { ...this.#at(), delta: text, logprobs: [] });
    else emit('response.reasoning_summary_text.delta', { ...this.#at(), delta: text });
  }

  /** @param isCut the answer ends in the middle of it */
  close(emit: Emit, isCut: boolean): void {
    if (!isCut) this.#status = 'completed';
    if (this.kind === 'message') emit('response.output_text.done', { ...this.#at(), text: this.#text, logprobs: [] });
    else emit('response.reasoning_summary_text.done', { ...this.#at(), text: this.#text });
    emit(this.kind === 'message' ? 'response.content_part.done' : 'response.reasoning_summary_part.done', { ...this.#at(), part: this.#part() });
    emit('response.output_item.done', { output_index: this.#place.index, item: this.whole() });
  }

  whole(): JsonObject {
    const { id } = this.#place;
    return this.kind === 'message' ? { id, type: 'message', status: this.#status, role: 'assistant', content: [this.#part()] } : { id, type: 'reasoning', summary: [this.#part()], ...this.#seal };
  }

  #at(): JsonObject {
    return { item_id: this.#place.id, output_index: this.#place.index, ...(this.kind === 'message' ? { content_index: 0 } : { summary_index: 0 }) };
  }

  #part(): JsonObject {
    return this.kind === 'message' ? { type: 'output_text', text: this.#text, annotations: [], logprobs: [] } : { type: 'summary_text', text: this.#text };
  }
}

/**
 * The call of a function, or of a tool that takes a text: that one is told at its end, when its one argument is whole. It is announced
 * once its tool is known by its name.
 */
export class CallItem implements Item {
  readonly #toolNamed: (name: string) => KnownTool;
  readonly #callId: string;
  readonly #place: Place;
  #isOpen = false;
  #name = '';
  #written = '';
  /** Of the arguments, what is not told yet. */
  #untold = '';
  #status = 'incomplete';

  constructor(toolNamed: (name: string) => KnownTool, callId: string, place: Place) {
    this.#toolNamed = toolNamed;
    this.#callId = callId;
    this.#place = place;
  }

  add({ name, written }: Pick<CallPiece, 'name' | 'written'>, emit: Emit): void {
    this.#name += name;
    this.#written += written;
    this.#untold += written;
    if (this.#name !== '') this.#tell(emit);
  }

  /** @param isCut the answer ends in the middle of it */
  close(emit: Emit, isCut: boolean): void {
    // Of a function that takes nothing some providers say nothing; clients parse it.
    if (this.#written === '' && !isCut && !this.#tool().custom) this.add({ name: '', written: '{}' }, emit);
    if (!isCut) this.#status = 'completed';
    this.#tell(emit);
    const { name, custom } = this.#tool();
    if (custom) {
      emit('response.custom_tool_call_input.delta', { ...this.#at(), delta: this.#input() });
      emit('response.custom_tool_call_input.done', { ...this.#at(), input: this.#input() });
    } else {
      emit('response.function_call_arguments.done', { ...this.#at(), name, arguments: this.#written });
    }
    emit('response.output_item.done', { output_index: this.#place.index, item: this.whole() });
  }

  whole(): JsonObject {
    return this.#told(this.#status, this.#tool().custom ? this.#input() : this.#written);
  }

  #tell(emit: Emit): void {
    if (!this.#isOpen) emit('response.output_item.added', { output_index: this.#place.index, item: this.#told('in_progress', '') });
    this.#isOpen = true;
    if (this.#untold !== '' && !this.#tool().custom) emit('response.function_call_arguments.delta', { ...this.#at(), delta: this.#untold });
    this.#untold = '';
  }

  #tool(): KnownTool {
    return this.#toolNamed(this.#name);
  }

  #told(status: string, said: string): JsonObject {
    const { name, namespace, custom } = this.#tool();
    const { id } = this.#place;
    return { id, type: custom ? 'custom_tool_call' : 'function_call', status, call_id: this.#callId, name, ...(namespace === undefined ? {} : { namespace }), [custom ? 'input' : 'arguments']: said };
  }

  /** The one argument; what is no JSON, or has none, is taken as it is. */
  #input(): string {
    const input = fieldsOf(parseJson(this.#written))[TEXT_ARGUMENT];
    return typeof input === 'string' ? input : this.#written;
  }

  #at(): JsonObject {
    return { item_id: this.#place.id, output_index: this.#place.index };
  }
}
