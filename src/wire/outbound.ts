import { leaveOut, type Draft } from './draft.ts';
import { adaptMessages, adaptResponseFormat } from './messages.ts';
import { quirksOf } from './quirks.ts';
import type { Range, RequestQuirks } from './quirks.ts';
import { addText, emptyMeasure } from './measure.ts';
import { fieldsOf } from './json.ts';
import { TOKENS_A_MESSAGE } from './prompt.ts';
import { carryThinking, isLeftThinking, preferJson, sayThinking } from './thinking.ts';
import { setTools } from './tools.ts';
import type { ChatRequest, UpstreamTarget } from './types.ts';

/** A prompt that seems to fill the window may yet leave this much of it. If it does not, the provider says that it is too long. */
const LEAST_TOKENS = 256;
/** Between two fields that go out as they came. */
const COMMA = Uint8Array.of(0x2c);
const TOKEN_LIMITS = ['max_tokens', 'max_completion_tokens'] as const;

/**
 * Writes a request down for one target: its name for the model, its forced and dropped fields, its dialect. Unknown fields pass; only
 * those of a request that was written for another dialect are said in the target's words, or left out where it may refuse them.
 *
 * The client's request is never changed, so that the next target starts from it. Fields that the model drops go after the
 * dialect's adaptation, forced ones come last. A dialect without a row gets OpenAI's form. `choices` is what the target is asked
 * for in the end, which may be fewer than the client wished. `body` is its JSON text, in pieces that follow each other.
 * Source: facts of the providers, section 6. `max_completion_tokens: 9000` to a model of zhipu that ends at 4095 is `max_tokens: 4095`.
 */
export function toUpstream(request: ChatRequest, target: UpstreamTarget): { readonly body: readonly Piece[]; readonly streams: boolean; readonly choices: number } {
  const { model } = target;
  const quirks = quirksOf(target.dialect).request;
  const draft: Draft = { ...request.body };
  const strict = quirks.strict === true;
  const isForeign = target.writtenFor !== undefined && target.writtenFor !== target.dialect;
  if (strict) dropNulls(draft);
  if (quirks.responseFormat === 'by-capability') adaptResponseFormat(draft, model.capabilities, quirks.jsonNamed === true);
  if (strict && isForeign) carryThinking(draft, model, quirks);
  else if (strict) sayThinking(draft, model, quirks);
  preferJson(draft, model, quirks);
  const thinks = isLeftThinking(draft, model, quirks);
  for (const name of quirks.strip ?? []) leaveOut(draft, name);
  setTokenLimit(draft, thinks ? (quirks.tokenLimitThinking ?? quirks.tokenLimit) : quirks.tokenLimit, limitFor(request, target));
  setSampling(draft, quirks);
  setChoices(draft, quirks, request);
  setStop(draft, quirks);
  setTools(draft, quirks, { thinks, hasTools: request.needs.tools });
  setUser(draft, quirks);
  const { wantsReasoning } = quirks;
  if (strict) {
    adaptMessages(draft, quirks, {
      keepsReasoning: wantsReasoning !== undefined || request.model === model.id,
      fillsReasoning: thinks && wantsReasoning === 'or-refuses' && speaksOfTools(request),
    });
  }
  setStream(draft, quirks, request.stream);
  if (quirks.knows !== undefined && isForeign) keepOnly(draft, quirks.knows);
  for (const name of model.drop) leaveOut(draft, name);
  Object.assign(draft, model.force);
  if (quirks.noEffortBesideSwitch === true && model.force['thinking'] !== undefined) leaveOut(draft, 'reasoning_effort');
  draft['model'] = model.upstream;
  return { body: piecesOf(draft, request), streams: request.stream, choices: choicesIn(draft) };
}

/** A piece of a JSON text: characters, or UTF-8. */
export type Piece = string | Uint8Array;

/**
 * The draft as JSON text. A field that no station has touched goes out in the client's own bytes: a long history is not written anew for
 * each call, and a number that no double holds stays what it was. Fields that are texts or truth values are written with the rest.
 */
function piecesOf(draft: Draft, { body, verbatim }: ChatRequest): readonly Piece[] {
  const asTheyCame: Uint8Array[] = [];
  for (const [name, text] of verbatim) {
    const value = draft[name];
    if (value !== body[name] || (typeof value !== 'number' && (typeof value !== 'object' || value === null))) continue;
    asTheyCame.push(COMMA, text);
    draft[name] = undefined;
  }
  const written = JSON.stringify(draft);
  return asTheyCame.length === 0 ? [written] : [written.slice(0, -1), ...asTheyCame, '}'];
}

/** Tools may have been about in a conversation that offers none any more. */
function speaksOfTools({ needs, body: { messages } }: ChatRequest): boolean {
  return needs.tools || (Array.isArray(messages) && messages.some((message) => fieldsOf(message)['tool_calls'] !== undefined));
}

function choicesIn({ n }: Draft): number {
  return typeof n === 'number' && Number.isInteger(n) && n > 0 ? n : 1;
}

function keepOnly(draft: Draft, names: readonly string[]): void {
  for (const name of Object.keys(draft)) if (!names.includes(name)) leaveOut(draft, name);
}

function dropNulls(draft: Draft): void {
  for (const name of Object.keys(draft)) if (draft[name] === null) draft[name] = undefined;
}

/**
 * The gateway's limit goes before the client's; none is over what the model can write.
 *
 * A limit that the client did not set for this model is at most what the prompt probably leaves of the window, for some providers refuse a
 * request whose prompt and limit together pass it; so is one that no prompt leaves room for. What else the client set its provider judges.
 * 16,384 held, a window of 16,384 and an estimate of 12,000 in one message is 2,868.
 */
function limitFor({ promptEstimate, body, maxTokens: own, model: requested }: ChatRequest, { model, maxTokens }: UpstreamTarget): number | undefined {
  const wanted = maxTokens ?? own;
  if (wanted === undefined) return undefined;
  const limit = Math.min(wanted, model.maxOutput);
  if (own !== undefined && requested === model.id && limit < model.contextWindow) return limit;
  const { messages } = body;
  const around = Array.isArray(messages) ? messages.length * TOKENS_A_MESSAGE : 0;
  const room = model.contextWindow - Math.ceil((promptEstimate * 9) / 8) - around;
  return Math.min(limit, Math.max(LEAST_TOKENS, room));
}

function setTokenLimit(draft: Draft, field: RequestQuirks['tokenLimit'], limit: number | undefined): void {
  const sent = TOKEN_LIMITS.filter((name) => draft[name] !== undefined);
  for (const name of sent) draft[name] = undefined;
  if (limit === undefined) return;
  const wantedFields = field === undefined ? sent : [field];
  for (const name of wantedFields.length === 0 ? ['max_tokens'] : wantedFields) draft[name] = limit;
}

function setSampling(draft: Draft, quirks: RequestQuirks): void {
  clamp(draft, 'top_p', quirks.topP);
  clamp(draft, 'frequency_penalty', quirks.frequencyPenalty);
  clamp(draft, 'temperature', quirks.temperature);
  const { zero } = quirks.temperature ?? {};
  if (zero === undefined || draft['temperature'] !== 0) return;
  draft['temperature'] = undefined;
  draft[zero] = false;
}

function clamp(draft: Draft, name: string, range: (Range & { readonly decimals?: number }) | undefined): void {
  const value = draft[name];
  if (range === undefined || typeof value !== 'number') return;
  const scale = range.decimals === undefined ? undefined : 10 ** range.decimals;
  const rounded = scale === undefined ? value : Math.round(value * scale) / scale;
  draft[name] = Math.min(range.max, Math.max(range.min, rounded));
}

function setChoices(draft: Draft, quirks: RequestQuirks, request: ChatRequest): void {
  if (quirks.choices === undefined) return;
  const max = request.needs.tools ? (quirks.choices.withTools ?? quirks.choices.max) : quirks.choices.max;
  const choices = Math.min(request.choices, max);
  if (choices > 1) draft['n'] = choices;
  else leaveOut(draft, 'n');
}

function setStop(draft: Draft, quirks: RequestQuirks): void {
  const rule = quirks.stop;
  const stop = draft['stop'];
  if (rule === undefined || (typeof stop !== 'string' && !Array.isArray(stop))) return;
  const given: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  const { bytesMax } = rule;
  const fit = (bytesMax === undefined ? given : given.filter((text) => bytesOf(text) <= bytesMax)).slice(0, rule.max);
  if (fit.length === 0) draft['stop'] = undefined;
  else draft['stop'] = typeof stop === 'string' && rule.listOnly !== true ? stop : fit;
}

function bytesOf(value: unknown): number {
  const measure = emptyMeasure();
  if (typeof value === 'string') addText(measure, value);
  return measure.bytes;
}

function setUser(draft: Draft, quirks: RequestQuirks): void {
  const { user } = draft;
  if (quirks.strict !== true || user === undefined) return;
  draft['user'] = undefined;
  if (quirks.userId !== undefined && typeof user === 'string' && quirks.userId.test(user)) draft['user_id'] ??= user;
}

function setStream(draft: Draft, quirks: RequestQuirks, stream: boolean): void {
  const options = draft['stream_options'];
  leaveOut(draft, 'stream_options');
  if (!stream) return leaveOut(draft, 'stream');
  draft['stream'] = true;
  if (quirks.streamOptions) draft['stream_options'] = quirks.strict === true ? { include_usage: true } : { ...fieldsOf(options), include_usage: true };
}
