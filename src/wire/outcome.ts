import { wholeCalls } from './calls.ts';
import { brokenAnswer, readError, readFlags, refusalOf } from './envelope.ts';
import { fieldsOf, isJsonObject, isTooDeep, parseJson, textOf } from './json.ts';
import { emptyMeasure, tokensOf } from './measure.ts';
import { quirksOf } from './quirks.ts';
import type { AnswerQuirks } from './quirks.ts';
import { CHOICES_MAX } from './request.ts';
import { addAnswer, hasSubstance, readFinish, shapeMessage, withoutExtras } from './shape.ts';
import type { Failure, Json, JsonObject, TransportFailure, WholeOutcome, WholeReply, WholeTarget } from './types.ts';
import { readUsage, writeUsage } from './usage.ts';

const USAGE = ['usage'] as const;

/** Where nothing came of it for a passing reason, the same provider may be asked again, if the request never reached it. */
const PASSING: ReadonlySet<TransportFailure> = new Set(['connect', 'dns', 'tls', 'timeout', 'reset']);

/**
 * What an attempt that brought no answer means. A request that was sent may have been served and is not sent again to the
 * same provider; one that was not is harmless to repeat. `readTransport('reset', true).class` is `next`.
 * @param sent the request had left when it failed; `connect`, `dns` and `tls` failed before
 */
export function readTransport(failure: TransportFailure, sent: boolean): Failure {
  const maybeServed = sent && failure !== 'connect' && failure !== 'dns' && failure !== 'tls';
  const repeatable = PASSING.has(failure) && !maybeServed;
  return { kind: 'failed', class: repeatable ? 'retry' : 'next', status: 0, providerCode: failure, message: '', retryAfterMs: undefined, maybeServed };
}

/**
 * What a whole answer means: a failure with its class, or the answer in the form that clients see.
 *
 * An error inside a 200 is a failure, and so is a 200 without choices, without JSON or without anything, or one that is nested too deep.
 * Of the answer: no more choices than a client may ask for; `model` is the public id, usage has OpenAI's form, the provider's extras are gone, unknown fields stay.
 * Source: facts of the providers, sections 3 to 5. 429 with zhipu's code 1113 is `{ class: 'money' }`.
 */
export function readWhole(reply: WholeReply, target: WholeTarget): WholeOutcome {
  const body = parseJson(reply.text);
  const error = readError(body);
  if (error !== undefined || reply.status < 200 || reply.status > 299) {
    return refusalOf(error, { dialect: target.dialect, status: reply.status, headers: reply.headers });
  }
  if (reply.text.trim() === '') return brokenAnswer('empty_body');
  if (!isJsonObject(body)) return brokenAnswer('invalid_json');
  if (isTooDeep(body, reply.text)) return brokenAnswer('too_deep');
  return readAnswer(body, target);
}

function readAnswer(body: JsonObject, target: WholeTarget): WholeOutcome {
  const quirks = quirksOf(target.dialect).answer;
  // Says more than that there is no text.
  const flagged = readFlags(body);
  const list = body['choices'];
  if (!Array.isArray(list) || list.length === 0) return flagged ?? brokenAnswer('no_choices');
  const measure = emptyMeasure();
  const choices: JsonObject[] = [];
  let written = false;
  for (const [at, choice] of (list as readonly Json[]).slice(0, CHOICES_MAX).entries()) {
    const shaped = isJsonObject(choice) ? shapeChoice(choice, at, { quirks, requestId: target.requestId }) : undefined;
    if (shaped === undefined) return flagged ?? brokenAnswer('no_message');
    if ('kind' in shaped) return shaped;
    addAnswer(measure, shaped.message);
    written ||= hasSubstance(shaped.message);
    choices.push(shaped.choice);
  }
  if (!written && flagged !== undefined) return flagged;
  const usage = readUsage(body['usage'], fieldsOf(list[0])['usage']);
  const answer = withoutExtras(body, quirks, USAGE);
  answer['id'] = textOf(body['id']) ?? `chatcmpl-${target.requestId}`;
  answer['object'] = 'chat.completion';
  answer['created'] = typeof body['created'] === 'number' ? body['created'] : (target.createdS ?? 0);
  answer['model'] = target.model.id;
  answer['choices'] = choices;
  if (usage !== undefined) answer['usage'] = writeUsage(usage);
  return { kind: 'answered', answer: { body: answer, usage, completionEstimate: tokensOf(measure) } };
}

function shapeChoice(choice: JsonObject, at: number, { quirks, requestId }: { readonly quirks: AnswerQuirks; readonly requestId: string }): { readonly choice: JsonObject; readonly message: JsonObject } | Failure | undefined {
  const { message } = choice;
  if (!isJsonObject(message)) return undefined;
  const finish = readFinish(choice['finish_reason']);
  if (finish.failed) return { ...brokenAnswer(finish.reason, finish.class), maybeServed: false };
  const shaped = shapeMessage(message, quirks);
  shaped['role'] = 'assistant';
  shaped['content'] = message['content'] ?? null;
  const kept: Record<string, Json> = { ...choice };
  if ('usage' in kept) delete kept['usage'];
  const calls = wholeCalls(message['tool_calls'], requestId, at);
  if (calls !== undefined) shaped['tool_calls'] = calls;
  const reason = finish.reason ?? (Array.isArray(calls) && calls.length > 0 ? 'tool_calls' : 'stop');
  // Set one by one: a literal that spreads an object and then names its fields anew takes V8's slow way for each of them.
  kept['index'] = typeof choice['index'] === 'number' ? choice['index'] : at;
  kept['message'] = shaped;
  kept['finish_reason'] = reason;
  return { choice: kept, message: shaped };
}
