import { isJsonObject, textOf } from './json.ts';
import type { AnswerQuirks } from './quirks.ts';
import { hasSubstance, readFinish, shapeMessage, withoutExtras } from './shape.ts';
import type { Finish } from './shape.ts';
import type { Json, JsonObject } from './types.ts';

/** A wild index must not make a list of millions. */
const TOOL_CALLS_MAX = 1_024;
/** As many as `readChatRequest` lets a client ask for. */
const CHOICES_MAX = 128;
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
 * Numbers the tool calls of a delta that come without an index: a call known by its id keeps its number, a new id is the
 * next one, a nameless piece belongs to the newest, and several in one delta count by position.
 * @param ids ids of the calls of this choice so far, in order of their numbers; grows
 */
export function numberToolCalls(delta: JsonObject, ids: (string | undefined)[]): JsonObject {
  const calls = delta['tool_calls'];
  if (!Array.isArray(calls) || calls.length === 0) return delta;
  const list: readonly Json[] = calls;
  const numbered = list.map((call, at) => {
    if (!isJsonObject(call)) return call;
    const index = numberOf(call, list.length > 1 ? at : undefined, ids);
    ids[index] ??= textOf(call['id']);
    return { ...call, index };
  });
  return { ...delta, tool_calls: numbered };
}

function numberOf(call: JsonObject, position: number | undefined, ids: readonly (string | undefined)[]): number {
  const { index } = call;
  if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < TOOL_CALLS_MAX) return index;
  const id = textOf(call['id']);
  if (id === undefined) return position ?? Math.max(0, ids.length - 1);
  const known = ids.indexOf(id);
  return known === -1 ? Math.min(ids.length, TOOL_CALLS_MAX - 1) : known;
}
