import { fieldsOf, isJsonObject, textOf } from './json.ts';
import type { Json, JsonObject } from './types.ts';

/** What tool calls of all providers become. */

/** A wild index must not make a list of millions: more calls than this in a choice are dropped. */
const TOOL_CALLS_MAX = 1_024;
/** Of a stream: what is known of calls is kept for as long as it lasts, and comes from the provider. */
const KNOWN_MAX = 1_024;
const NAME_CHARS_MAX = 256;

/** What the client knows of a call that is under way; what is too long to be kept is empty. */
interface Said {
  readonly id: string;
  name: string;
}

/**
 * Puts the pieces of a stream's tool calls in order, for clients join them by their index alone.
 *
 * A call that comes without an index keeps the number that its id has; a new id is the next one, a nameless piece belongs to the
 * newest, and several in one delta count by position. A new id with a name under an index that is taken is another call: some
 * providers say 0 for each. The first piece of a call bears id, type and name, the later ones none of them, whether the provider
 * left them out, left them empty or said them again: clients add up what they are given, or take what is empty at its word.
 * An id that is too long, or one too many, passes on and is not known again.
 */
export class ToolCalls {
  readonly #requestId: string;
  /** By choice: the highest number so far and one more. */
  readonly #counts = new Map<number, number>();
  /** By choice and id. */
  readonly #known = new Map<string, number>();
  /** By choice and number. */
  readonly #said = new Map<string, Said>();
  /** By choice and the provider's index: the number of its newest call, where that is another. */
  readonly #moved = new Map<string, number>();

  constructor(requestId: string) {
    this.#requestId = requestId;
  }

  /** A call of this choice has come. */
  has(choice: number): boolean {
    return this.#counts.has(choice);
  }

  /** The delta of a choice with its tool calls in order, those beyond the bound left out; the delta itself where it has none. */
  shape(delta: JsonObject, choice: number): JsonObject {
    const calls = delta['tool_calls'];
    if (!Array.isArray(calls) || calls.length === 0) return delta;
    const list: readonly Json[] = calls.slice(0, TOOL_CALLS_MAX);
    const shaped: Json[] = [];
    for (const [at, call] of list.entries()) {
      const index = isJsonObject(call) ? this.#numberOf(call, choice, list.length > 1 ? at : undefined) : undefined;
      if (!isJsonObject(call)) shaped.push(call);
      else if (index !== undefined) shaped.push(this.#pieceOf(call, choice, index));
    }
    return { ...delta, tool_calls: shaped };
  }

  #numberOf(call: JsonObject, choice: number, position: number | undefined): number | undefined {
    const count = this.#counts.get(choice) ?? 0;
    const id = textOf(call['id']);
    const key = id === undefined || id.length > NAME_CHARS_MAX ? undefined : `${choice} ${id}`;
    const known = key === undefined ? undefined : this.#known.get(key);
    const index = this.#numberSaid(call, choice, count) ?? known ?? (id === undefined ? (position ?? Math.max(0, count - 1)) : count);
    if (index >= TOOL_CALLS_MAX) return undefined;
    if (index >= count) this.#counts.set(choice, index + 1);
    if (key !== undefined && known === undefined && this.#known.size < KNOWN_MAX) this.#known.set(key, index);
    return index;
  }

  /** The number that the provider's own index stands for; undefined where it says none. */
  #numberSaid(call: JsonObject, choice: number, count: number): number | undefined {
    const { index } = call;
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= TOOL_CALLS_MAX) return undefined;
    const place = `${choice} ${index}`;
    const number = this.#moved.get(place) ?? index;
    const said = this.#said.get(`${choice} ${number}`);
    const id = textOf(call['id']);
    const isOther = said !== undefined && said.id !== '' && id !== undefined && id !== said.id && textOf(fieldsOf(call['function'])['name']) !== undefined;
    if (!isOther) return number;
    this.#moved.set(place, count);
    return count;
  }

  #pieceOf(call: JsonObject, choice: number, index: number): JsonObject {
    const place = `${choice} ${index}`;
    const said = this.#said.get(place);
    if (said !== undefined) return laterPiece(call, index, said);
    if (this.#said.size >= KNOWN_MAX) return { ...call, index };
    const first: JsonObject = { ...wholeCall(call, { id: `call_${this.#requestId}_${choice}_${index}`, written: '' }), index };
    this.#said.set(place, { id: kept(textOf(first['id'])), name: kept(textOf(fieldsOf(first['function'])['name'])) });
    return first;
  }
}

/**
 * A choice of a chunk as choices that bear one tool call each, as OpenAI sends them: there are clients that read no more than the first
 * of a chunk. All that is no call stands in the first choice.
 */
export function oneCallEach(choice: JsonObject): readonly [JsonObject, ...(readonly JsonObject[])] {
  const { index, delta } = choice;
  const calls = fieldsOf(delta)['tool_calls'];
  if (!isJsonObject(delta) || !Array.isArray(calls) || calls.length < 2) return [choice];
  const [first = null, ...others]: readonly Json[] = calls;
  const later = others.map((call) => ({ index: index ?? 0, delta: { tool_calls: [call] }, finish_reason: null }));
  return [{ ...choice, delta: { ...delta, tool_calls: [first] } }, ...later];
}

/** The tool calls of a whole message as clients know them; what is no list stays as it is. */
export function wholeCalls(calls: Json | undefined, requestId: string, choice: number): Json | undefined {
  if (!Array.isArray(calls)) return calls;
  return (calls as readonly Json[]).map((call, at) => (isJsonObject(call) ? wholeCall(call, { id: `call_${requestId}_${choice}_${at}`, written: '{}' }) : call));
}

/** With an id and a type, for clients refuse a call without, or drop it; with arguments as text. @param spare id and arguments where the provider gave none */
function wholeCall(call: JsonObject, spare: { readonly id: string; readonly written: string }): Record<string, Json> {
  const shaped: Record<string, Json> = { ...call };
  shaped['id'] = textOf(call['id']) ?? spare.id;
  shaped['type'] = textOf(call['type']) ?? 'function';
  const { function: called } = call;
  if (isJsonObject(called)) shaped['function'] = { ...called, arguments: argumentsOf(called['arguments'], spare.written) };
  return shaped;
}

/** The arguments of a call as text. @param spare where there are none */
export function argumentsOf(value: unknown, spare: string): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? spare : JSON.stringify(value);
}

/** What a piece adds to a call that has begun. */
function laterPiece(call: JsonObject, index: number, said: Said): JsonObject {
  const { id, type: _, function: called, ...rest } = call;
  const piece: Record<string, Json> = { ...rest, index };
  // An id is said already, if only one of ours.
  if (said.id === '' && textOf(id) !== undefined) piece['id'] = id ?? null;
  if (called === undefined) return piece;
  if (!isJsonObject(called)) return { ...piece, function: called };
  const { name, arguments: written, ...more } = called;
  const added = textOf(name);
  const isNew = added !== undefined && added !== said.name;
  if (isNew) said.name = kept(said.name + added);
  piece['function'] = { ...(isNew ? { name: added } : {}), ...(written === undefined || written === null ? {} : { arguments: written }), ...more };
  return piece;
}

/** Empty where it is too long. */
function kept(text: string | undefined): string {
  return text !== undefined && text.length <= NAME_CHARS_MAX ? text : '';
}
