import { oneCallEach, ToolCalls } from './calls.ts';
import { brokenAnswer, readError, readFlags, refusalOf } from './envelope.ts';
import { readChoices, shapeEnvelope, writeChoice } from './frame.ts';
import type { FrameChoice, FrameNames } from './frame.ts';
import { isJsonObject, isTooDeep, parseJson, textOf } from './json.ts';
import { addText, addUtf8, emptyMeasure, tokensOf } from './measure.ts';
import { quirksOf } from './quirks.ts';
import type { AnswerQuirks } from './quirks.ts';
import { addAnswer, hasSubstance } from './shape.ts';
import { Templates } from './template.ts';
import type { AnswerStream, AnswerTarget, EventBlock, Failure, JsonObject, Outgoing, SimulatedAnswer, SseEvent, Usage, WholeAnswer } from './types.ts';
import { laterUsage, readUsage, writeUsage } from './usage.ts';

const DONE = '[DONE]';
/** Frames that wait bear whatever a provider puts around their choices: characters of all of them in one stream. */
const WAITING_CHARS_MAX = 4 * 1_048_576;

/**
 * Opens the reading of one stream: provider's events in, normalised chunks for the client out.
 *
 * A first chunk with nothing but a role waits for the first content, so that failing over stays possible. Content goes at
 * once. A chunk with a finish_reason waits for `close`, and usage shows up nowhere before. Frames without choices are read,
 * never passed on. After a failure or `[DONE]` nothing more is taken.
 * Source: facts of the providers, section 3.
 */
export function openAnswer(target: AnswerTarget): AnswerStream {
  return new OpenAnswer(target);
}

/**
 * A whole answer in the clothes of a stream, for a provider that answered a stream request with one JSON body: `chunks` go
 * to the client now, `stream` is finished, done, has the answer's usage, and takes `close` like any other.
 */
export function simulateAnswer(answer: WholeAnswer, target: Omit<AnswerTarget, 'dialect' | 'choices'>): SimulatedAnswer {
  const stream = openAnswer({ ...target, dialect: 'openai', choices: 1 });
  const chunks = stream.take({ data: JSON.stringify(answer.body), name: '' });
  stream.take({ data: DONE, name: '' });
  return { chunks, stream };
}

/** One choice under way. */
interface ChoiceState {
  /** A role was said. Some providers never say one, and the SDKs' own accumulators refuse an answer without. */
  named: boolean;
  streamed: boolean;
  ended: boolean;
}

class OpenAnswer implements AnswerStream {
  readonly #target: AnswerTarget;
  readonly #quirks: AnswerQuirks;
  readonly #templates = new Templates();
  readonly #written = emptyMeasure();
  readonly #choices = new Map<number, ChoiceState>();
  /** From the first tool call on. */
  #calls: ToolCalls | undefined;
  #names: FrameNames;
  /** Chunks without substance that came before any with. */
  #held: JsonObject[] = [];
  /** Chunks with a finish_reason. */
  #ends: JsonObject[] = [];
  /** What the frames of both lists came as. */
  #waitingChars = 0;
  #closed = false;
  #started = false;
  #done = false;
  #failure: Failure | undefined;
  #usage: Usage | undefined;

  constructor(target: AnswerTarget) {
    this.#target = target;
    this.#quirks = quirksOf(target.dialect).answer;
    this.#names = { id: `chatcmpl-${target.requestId}`, created: target.createdS, model: target.model.id };
  }

  get started(): boolean {
    return this.#started;
  }

  get done(): boolean {
    return this.#done;
  }

  get failure(): Failure | undefined {
    return this.#failure;
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  get finished(): boolean {
    return this.#choices.size >= this.#target.choices && this.ended;
  }

  get ended(): boolean {
    return this.#choices.size > 0 && [...this.#choices.values()].every((choice) => choice.ended);
  }

  get completionEstimate(): number {
    return tokensOf(this.#written);
  }

  take(event: SseEvent): readonly string[];
  take(arrived: SseEvent | EventBlock): readonly Outgoing[];
  take(arrived: SseEvent | EventBlock): readonly Outgoing[] {
    return 'bytes' in arrived ? this.#takeBlock(arrived) : this.#takeEvent(arrived);
  }

  #takeBlock(block: EventBlock): readonly Outgoing[] {
    const { bytes } = block;
    const ready: Outgoing[] = [];
    let at = 0;
    while (at < bytes.length && !this.#done && this.#failure === undefined) {
      const run = this.#templates.fillRun(bytes, at);
      const end = run?.end ?? endOfEvent(bytes, at);
      if (run === undefined) {
        for (const event of block.scan(at, end)) ready.push(...this.#takeEvent(event));
      } else {
        addUtf8(this.#written, run.plain);
        addText(this.#written, run.escaped);
        ready.push({ bytes: run.bytes });
      }
      at = end;
    }
    return ready;
  }

  #takeEvent(event: SseEvent): readonly string[] {
    if (this.#done || this.#failure !== undefined) return [];
    if (event.name === '') {
      const filled = this.#templates.fill(event.data);
      if (filled !== undefined) {
        addText(this.#written, filled.text);
        return [filled.chunk];
      }
    }
    const text = event.data.trim();
    if (text === '') return [];
    if (text === DONE) {
      this.#done = true;
      return [];
    }
    const frame = parseJson(text);
    const error = readError(frame);
    if (error !== undefined) this.#failure = refusalOf(error, { dialect: this.#target.dialect, status: 200, headers: {} });
    else if (event.name === 'error') this.#failure = brokenAnswer('error_event');
    // Behind a finished answer only usage can be in what was cut: no reason to throw the answer away.
    else if (!isJsonObject(frame)) this.#failure = this.finished ? undefined : brokenAnswer('invalid_json');
    else if (isTooDeep(frame, text)) this.#failure = brokenAnswer('too_deep');
    else return this.#takeFrame(frame, event.data);
    return [];
  }

  close(end: { readonly usage: Usage; readonly cost: number }): readonly string[] {
    if (this.#closed) return [];
    this.#closed = true;
    const usage = writeUsage(end.usage, end.cost);
    const chunks = [...this.#release(), ...this.#ends, ...this.#missingEnds()];
    if (this.#target.includeUsage) chunks.push({ ...this.#envelope(), choices: [], usage });
    else chunks.push({ ...chunks.pop(), usage });
    return chunks.map((chunk) => JSON.stringify(chunk));
  }

  #takeFrame(frame: JsonObject, text: string): readonly string[] {
    const choices = readChoices(frame, this.#quirks);
    this.#usage = laterUsage(this.#usage, readUsage(frame['usage'], choices[0]?.usage));
    const broken = choices.find((choice) => choice.finish.failed)?.finish;
    if (broken?.failed === true) {
      this.#failure = { ...brokenAnswer(broken.reason, broken.class), maybeServed: false };
      return [];
    }
    const flagged = readFlags(frame);
    if (flagged !== undefined && ![...this.#choices.values()].some((choice) => choice.streamed) && !choices.some(({ delta, message }) => hasSubstance(message ?? delta))) {
      this.#failure = flagged;
      return [];
    }
    if (choices.length === 0) return [];
    const envelope = shapeEnvelope(frame, this.#names, this.#quirks);
    this.#learnNames(envelope);
    const live: JsonObject[] = [];
    const later: JsonObject[] = [];
    const ends: JsonObject[] = [];
    let substance = false;
    for (const choice of choices) {
      const read = this.#readChoice(choice);
      substance ||= read.substance;
      const [piece, ...pieces] = read.live === undefined ? [] : oneCallEach(read.live);
      if (piece !== undefined) live.push(piece);
      for (const one of pieces) later.push({ ...envelope, choices: [one] });
      if (read.end !== undefined) ends.push(read.end);
    }
    for (const end of ends) this.#ends.push({ ...envelope, choices: [end] });
    if (ends.length > 0) this.#keepWaiting(text);
    const chunk: JsonObject | undefined = live.length === 0 ? undefined : { ...envelope, choices: live };
    if (!this.#started && !substance && ends.length === 0) {
      if (chunk !== undefined && choices.some((choice) => 'role' in choice.delta)) this.#hold(chunk, text);
      return [];
    }
    this.#started = true;
    const [only] = choices;
    // Frames that each bear their own usage are never alike.
    if (substance && ends.length === 0 && choices.length === 1 && only !== undefined && !isJsonObject(frame['usage'])) this.#learn(only, text);
    return [...this.#release(), ...(chunk === undefined ? [] : [chunk]), ...later].map((ready) => JSON.stringify(ready));
  }

  /** Splits a choice into what may go now and its end, which may not. */
  #readChoice(choice: FrameChoice): { readonly live: JsonObject | undefined; readonly end: JsonObject | undefined; readonly substance: boolean } {
    const state = this.#choices.get(choice.index) ?? { named: false, streamed: false, ended: false };
    this.#choices.set(choice.index, state);
    const source = choice.message !== undefined && !state.streamed ? choice.message : choice.delta;
    const ordered = 'tool_calls' in source ? (this.#calls ??= new ToolCalls(this.#target.requestId)).shape(source, choice.index) : source;
    const substance = hasSubstance(ordered);
    const { reason } = choice.finish;
    const isNameless = !state.named && !('role' in ordered) && (substance || reason !== null);
    const delta: JsonObject = isNameless ? { role: 'assistant', ...ordered } : ordered;
    state.named ||= 'role' in delta;
    const ends = reason !== null && !state.ended;
    if (substance) addAnswer(this.#written, delta);
    state.streamed ||= substance;
    state.ended ||= reason !== null;
    const end = ends ? writeChoice(substance ? withoutLogprobs(choice) : choice, {}, reason) : undefined;
    if (!substance && (reason !== null || state.ended)) {
      // A role that comes only with the end is said with it.
      return { live: undefined, end: end === undefined || state.streamed ? end : { ...end, delta }, substance };
    }
    return { live: writeChoice(choice, delta, null), end, substance };
  }

  #learnNames(envelope: JsonObject): void {
    const { id, created } = envelope;
    this.#names = { id: textOf(id) ?? this.#names.id, created: typeof created === 'number' ? created : this.#names.created, model: this.#names.model };
  }

  /** Only the first role of each choice is worth keeping. */
  #hold(chunk: JsonObject, text: string): void {
    if (this.#held.length >= this.#choices.size) return;
    this.#held.push(chunk);
    this.#keepWaiting(text);
  }

  #keepWaiting(text: string): void {
    this.#waitingChars += text.length;
    if (this.#waitingChars > WAITING_CHARS_MAX) this.#failure = brokenAnswer('too_large');
  }

  #release(): readonly JsonObject[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  #learn(choice: FrameChoice, text: string): void {
    const field = Object.keys(choice.delta).filter((name) => hasSubstance({ [name]: choice.delta[name] ?? null }));
    const [name] = field;
    if (field.length !== 1 || (name !== 'content' && name !== 'reasoning_content') || choice.message !== undefined || isJsonObject(choice.usage ?? null)) return;
    const { reasoningField } = this.#quirks;
    const named = name === 'reasoning_content' && reasoningField !== undefined && text.includes(`"${reasoningField}":"`) ? reasoningField : name;
    this.#templates.learn(text, named, (sample) => this.#rewrite(sample, name));
  }

  /** What `take` makes of a frame with one plain delta, without leaving a trace. */
  #rewrite(text: string, field: string): { readonly chunk: string; readonly text: string } | undefined {
    const frame = parseJson(text);
    if (!isJsonObject(frame) || readError(frame) !== undefined) return undefined;
    const [choice] = readChoices(frame, this.#quirks);
    const written = textOf(choice?.delta[field]);
    if (choice === undefined || written === undefined || choice.finish.failed || choice.finish.reason !== null) return undefined;
    const chunk = { ...shapeEnvelope(frame, this.#names, this.#quirks), choices: [writeChoice(choice, choice.delta, null)] };
    return { chunk: JSON.stringify(chunk), text: written };
  }

  /** Made up for choices that the provider left without one. */
  #missingEnds(): readonly JsonObject[] {
    const open = [...this.#choices].filter(([, state]) => !state.ended);
    const missing = this.#choices.size === 0 ? [0] : open.map(([index]) => index);
    return missing.map((index) => ({
      ...this.#envelope(),
      choices: [{ index, delta: {}, finish_reason: this.#calls?.has(index) === true ? 'tool_calls' : 'stop' }],
    }));
  }

  #envelope(): JsonObject {
    return shapeEnvelope({}, this.#names, this.#quirks);
  }
}

/** Behind the blank line that ends the event at `at`; blank lines more than one may be left at the very end. */
function endOfEvent(bytes: string, at: number): number {
  const blank = bytes.indexOf('\n\n', at);
  return blank === -1 ? bytes.length : blank + 2;
}

/** Of a frame with content and end, the content takes the log probabilities. */
function withoutLogprobs(choice: FrameChoice): FrameChoice {
  const { logprobs: _, ...rest } = choice.rest;
  return { ...choice, rest };
}
