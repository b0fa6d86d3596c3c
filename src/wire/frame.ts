import { isJsonObject, textOf } from './json.ts';
import type { AnswerQuirks } from './quirks.ts';
import { CHOICES_MAX } from './request.ts';
import { hasSubstance, readFinish, shapeMessage, withoutExtras } from './shape.ts';
import type { Finish } from './shape.ts';
import type { Json, JsonObject } from './types.ts';

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
