import { isJsonObject, textOf } from './json.ts';
import type { AnswerQuirks } from './quirks.ts';
import { CHOICES_MAX } from './request.ts';
import { hasSubstance, readFinish, shapeMessage, withoutExtras } from './shape.ts';
import type { Finish } from './shape.ts';
import type { Json, JsonObject } from './types.ts';

/** A wild index must not make a list of millions: more calls than this in a choice are dropped. */
const TOOL_CALLS_MAX = 1_024;
/** Of a stream: ids are kept for as long as it lasts, and come from the provider. */
const IDS_MAX = 1_024;
const ID_CHARS_MAX = 256;
const NOT_AROUND = ['usage', 'choices'] as const;

/** What frames that name themselves badly are called. */
export interface FrameNames {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** One choice of a frame, in the form that clients see. */
export interface FrameChoice {
  readonly index: number;
  /** Less delta, message, usage and finish_reason. */
  readonly rest: JsonObject;
  readonly delta: JsonObject;
  /** The whole text that one provider's end frame repeats instead of a delta. */
  readonly message: JsonObject | undefined;
  readonly finish: Finish;
  readonly usage: Json | undefined;
}

/** The fields around the choices of a chunk: OpenAI's, under our name for the model, less usage. */
export function shapeEnvelope(frame: JsonObject, names: FrameNames, quirks: AnswerQuirks): JsonObject {
  const envelope = withoutExtras(frame, quirks, NOT_AROUND);
  envelope['id'] = textOf(frame['id']) ?? names.id;
  envelope['object'] = 'chat.completion.chunk';
  envelope['created'] = typeof frame['created'] === 'number' ? frame['created'] : names.created;
  envelope['model'] = names.model;
  return envelope;
}

/** The choices of a frame, those that are none left out. */
export function readChoices(frame: JsonObject, quirks: AnswerQuirks): readonly FrameChoice[] {
  const { choices } = frame;
  if (!Array.isArray(choices)) return [];
  return (choices as readonly Json[]).slice(0, CHOICES_MAX).flatMap((choice, at) => (isJsonObject(choice) ? [readChoice(choice, at, quirks)] : []));
}

function readChoice(choice: JsonObject, at: number, quirks: AnswerQuirks): FrameChoice {
  const { index, delta, message, finish_reason: finish, usage, ...rest } = choice;
  const shaped = isJsonObject(delta) ? shapeMessage(delta, quirks) : {};
  return {
    index: typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < CHOICES_MAX ? index : at,
    rest,
    delta: shaped,
    message: isJsonObject(message) && !hasSubstance(shaped) ? shapeMessage(message, quirks) : undefined,
    finish: readFinish(finish),
    usage,
  };
}

/** A choice of a chunk as it goes to the client. */
export function writeChoice(choice: FrameChoice, delta: JsonObject, reason: string | null): JsonObject {
  return { index: choice.index, delta, ...choice.rest, finish_reason: reason };
}

/**
 * Numbers the tool calls of a stream that come without an index: a call known by its id keeps its number, a new id is the
 * next one, a nameless piece belongs to the newest, and several in one delta count by position.
 * An id that is too long, or one too many, passes on and is not known again.
 */
export class ToolNumbers {
  /** By choice: the highest number so far and one more. */
  readonly #counts = new Map<number, number>();
  /** By choice and id. */
  readonly #known = new Map<string, number>();

  /** A call of this choice has come. */
  has(choice: number): boolean {
    return this.#counts.has(choice);
  }

  /** The delta of a choice with its tool calls numbered, those beyond the bound left out; the delta itself where it has none. */
  number(delta: JsonObject, choice: number): JsonObject {
    const calls = delta['tool_calls'];
    if (!Array.isArray(calls) || calls.length === 0) return delta;
    const list: readonly Json[] = calls.slice(0, TOOL_CALLS_MAX);
    const numbered: Json[] = [];
    for (const [at, call] of list.entries()) {
      const index = isJsonObject(call) ? this.#numberOf(call, choice, list.length > 1 ? at : undefined) : undefined;
      if (!isJsonObject(call)) numbered.push(call);
      else if (index !== undefined) numbered.push({ ...call, index });
    }
    return { ...delta, tool_calls: numbered };
  }

  #numberOf(call: JsonObject, choice: number, position: number | undefined): number | undefined {
    const count = this.#counts.get(choice) ?? 0;
    const id = textOf(call['id']);
    const key = id === undefined || id.length > ID_CHARS_MAX ? undefined : `${choice} ${id}`;
    const known = key === undefined ? undefined : this.#known.get(key);
    const index = numberSaid(call) ?? known ?? (id === undefined ? (position ?? Math.max(0, count - 1)) : count);
    if (index >= TOOL_CALLS_MAX) return undefined;
    if (index >= count) this.#counts.set(choice, index + 1);
    if (key !== undefined && known === undefined && this.#known.size < IDS_MAX) this.#known.set(key, index);
    return index;
  }
}

function numberSaid({ index }: JsonObject): number | undefined {
  return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < TOOL_CALLS_MAX ? index : undefined;
}
