import { isJsonObject, textOf } from './json.ts';
import { addText } from './measure.ts';
import type { TextMeasure } from './measure.ts';
import type { AnswerQuirks } from './quirks.ts';
import type { FailureClass, Json, JsonObject } from './types.ts';

/** What messages and deltas of all providers become. */

/** A finish_reason as clients know it; null while the answer goes on; `failed` where it says that the provider broke off. */
export type Finish = { readonly failed: false; readonly reason: string | null } | { readonly failed: true; readonly reason: string; readonly class: FailureClass };

/** Finish reasons outside OpenAI's set. Source: facts of the providers, section 3. */
const FINISHES: Readonly<Record<string, Finish>> = {
  sensitive: { failed: false, reason: 'content_filter' },
  model_context_window_exceeded: { failed: false, reason: 'length' },
  network_error: { failed: true, reason: 'network_error', class: 'retry' },
  aborted: { failed: true, reason: 'aborted', class: 'retry' },
  error: { failed: true, reason: 'error', class: 'retry' },
  insufficient_system_resource: { failed: true, reason: 'insufficient_system_resource', class: 'overloaded' },
};

/** An empty finish_reason means that the answer goes on; an unknown one stays as it is. */
export function readFinish(value: Json | undefined): Finish {
  const reason = textOf(value);
  if (reason === undefined) return { failed: false, reason: null };
  return (Object.hasOwn(FINISHES, reason) ? FINISHES[reason] : undefined) ?? { failed: false, reason };
}

/** The body's fields less the provider's own extras and the fields named. */
export function withoutExtras(body: JsonObject, quirks: AnswerQuirks, names: readonly string[]): Record<string, Json> {
  const extras = quirks.extras?.body;
  const kept: Record<string, Json> = {};
  // Not a copy with deletions: an object that lost a field is slow ever after.
  for (const name of Object.keys(body)) {
    const value = body[name];
    if (value === undefined || extras?.includes(name) === true || names.includes(name) || name === '__proto__') continue;
    kept[name] = value;
  }
  return kept;
}

/**
 * A message or delta in OpenAI's shape: role `assistant` or none, reasoning in `reasoning_content`, extras gone.
 * Where both fields hold reasoning it is the same text twice, and one goes.
 */
export function shapeMessage(message: JsonObject, quirks: AnswerQuirks): Record<string, Json> {
  const shaped: Record<string, Json> = { ...message };
  for (const name of quirks.extras?.message ?? []) if (name in shaped) delete shaped[name];
  if ('role' in shaped) {
    if (textOf(shaped['role']) === undefined) delete shaped['role'];
    else shaped['role'] = 'assistant';
  }
  const { reasoningField } = quirks;
  if (reasoningField !== undefined && reasoningField in shaped) {
    const reasoning = shaped[reasoningField];
    delete shaped[reasoningField];
    if (reasoning !== undefined && textOf(shaped['reasoning_content']) === undefined) shaped['reasoning_content'] = reasoning;
  }
  return shaped;
}

/** Something of an answer is in it: a text, a list or an object that is not empty, other than the role. */
export function hasSubstance(message: JsonObject): boolean {
  return Object.keys(message).some((name) => name !== 'role' && isSubstance(message[name]));
}

function isSubstance(value: Json | undefined): boolean {
  if (typeof value === 'string') return value !== '';
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/** Adds what the model wrote, reasoning and tool calls included, to a measure. */
export function addAnswer(measure: TextMeasure, message: JsonObject): void {
  addValue(measure, message['content']);
  addValue(measure, message['refusal']);
  // Some say reasoning in two fields: the same text twice.
  addValue(measure, message['reasoning_content'] ?? message['reasoning']);
  addCall(measure, message['function_call']);
  const calls = message['tool_calls'];
  if (Array.isArray(calls)) for (const call of calls as readonly Json[]) if (isJsonObject(call)) addCall(measure, call['function']);
}

function addCall(measure: TextMeasure, call: Json | undefined): void {
  if (!isJsonObject(call)) return;
  addValue(measure, call['name']);
  addValue(measure, call['arguments']);
}

function addValue(measure: TextMeasure, value: Json | undefined): void {
  if (typeof value === 'string') addText(measure, value);
}
