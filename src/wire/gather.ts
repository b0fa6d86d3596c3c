import { brokenAnswer } from './envelope.ts';
import { bareObject, isJsonObject, parseJson } from './json.ts';
import { readWhole } from './outcome.ts';
import { openAnswer } from './stream.ts';
import type { AnswerStream, AnswerTarget, EventBlock, Failure, FailureClass, GatheredAnswer, Json, JsonObject, SseEvent, Usage, WholeOutcome } from './types.ts';
import { writeUsage } from './usage.ts';

/** As long as an answer may be that comes whole. */
const CHARS_MAX = 8 * 1_048_576;
/** What comes in pieces; of everything else the last word holds. */
const TEXTS: ReadonlySet<string> = new Set(['content', 'reasoning_content', 'reasoning', 'refusal', 'arguments']);
/** A tool's name may come in pieces as well, and is said no second time. */
const CALL_TEXTS: ReadonlySet<string> = new Set(['name', 'arguments']);
/** What is asked for once more at the same provider. */
const AGAIN: ReadonlySet<FailureClass> = new Set(['retry', 'overloaded']);
const NO_USAGE: Usage = { origin: 'estimated', prompt: 0, cached: 0, completion: 0, reasoning: 0 };

/** One choice as it grows. */
interface Grown {
  readonly message: Record<string, Json>;
  /** By their index. */
  readonly calls: Map<number, Record<string, Json>>;
  /** Finish reason, log probabilities, and whatever else stands beside the message. */
  readonly around: Record<string, Json>;
}

/**
 * Opens a stream that nobody reads as one: its client waits for a whole answer, but the provider answers this model in streams only.
 * Two pieces, `Hel` and `lo`, an end and `[DONE]` become the `chat.completion` that says `Hello`.
 */
export function gatherAnswer(target: Omit<AnswerTarget, 'includeUsage'>): GatheredAnswer {
  return new Gathering(target);
}

class Gathering implements GatheredAnswer {
  readonly #target: Omit<AnswerTarget, 'includeUsage'>;
  readonly #stream: AnswerStream;
  readonly #choices = new Map<number, Grown>();
  #envelope: JsonObject | undefined;
  #chars = 0;

  constructor(target: Omit<AnswerTarget, 'includeUsage'>) {
    this.#target = target;
    this.#stream = openAnswer({ ...target, includeUsage: false });
  }

  get failure(): Failure | undefined {
    const { failure, started } = this.#stream;
    if (failure === undefined) return this.#chars > CHARS_MAX ? brokenAnswer('too_large') : undefined;
    // Words that have come may be on the bill: they are not asked for again there, as they would not be in any stream.
    return started && AGAIN.has(failure.class) ? { ...failure, class: 'next', maybeServed: true } : failure;
  }

  get finished(): boolean {
    return this.#stream.finished;
  }

  get ended(): boolean {
    return this.#stream.ended;
  }

  get done(): boolean {
    return this.#stream.done;
  }

  take(arrived: SseEvent | EventBlock): void {
    for (const event of 'bytes' in arrived ? arrived.scan(0, arrived.bytes.length) : [arrived]) {
      for (const chunk of this.#stream.take(event)) this.#add(chunk);
    }
  }

  whole(): WholeOutcome {
    const { started, usage } = this.#stream;
    const failure = this.failure ?? (started ? undefined : brokenAnswer('empty_stream'));
    if (failure !== undefined) return failure;
    // What was kept back for the cost: the ends, and whatever they bear.
    for (const chunk of this.#stream.close({ usage: NO_USAGE, cost: 0 })) this.#add(chunk);
    const choices = [...this.#choices].sort(([one], [other]) => one - other).map(([index, { message, calls, around }]) => ({
      ...around,
      index,
      message: calls.size === 0 ? message : { ...message, tool_calls: [...calls].sort(([one], [other]) => one - other).map(([, call]) => call) },
    }));
    const body = { ...this.#envelope, choices, ...(usage === undefined ? {} : { usage: writeUsage(usage) }) };
    const { model, requestId, createdS } = this.#target;
    // The dialect has been read already.
    return readWhole({ status: 200, headers: {}, text: JSON.stringify(body) }, { dialect: 'openai', model, requestId, createdS });
  }

  #add(text: string): void {
    const chunk = parseJson(text);
    if (!isJsonObject(chunk)) return;
    const { choices, usage: _, ...envelope } = chunk;
    this.#envelope ??= envelope;
    for (const choice of Array.isArray(choices) ? (choices as readonly Json[]) : []) if (isJsonObject(choice)) this.#grow(choice);
  }

  #grow({ index, delta, ...around }: JsonObject): void {
    const at = typeof index === 'number' ? index : 0;
    const grown = this.#choices.get(at) ?? newlyGrown();
    this.#choices.set(at, grown);
    this.#join(grown.around, around, TEXTS);
    if (!isJsonObject(delta)) return;
    const { tool_calls: pieces, ...message } = delta;
    this.#join(grown.message, message, TEXTS);
    for (const piece of Array.isArray(pieces) ? (pieces as readonly Json[]) : []) {
      if (!isJsonObject(piece)) continue;
      const { index: number, ...call } = piece;
      const place = typeof number === 'number' ? number : grown.calls.size;
      const known = grown.calls.get(place) ?? bareObject();
      grown.calls.set(place, known);
      this.#join(known, call, CALL_TEXTS);
    }
  }

  /** Adds what a piece says to what is known: texts and lists grow, objects are joined in turn, and nothing takes the place of something. */
  #join(known: Record<string, Json>, piece: JsonObject, texts: ReadonlySet<string>): void {
    for (const [name, value] of Object.entries(piece)) {
      const before = known[name];
      if (value === null || value === undefined) known[name] ??= null;
      else if (typeof value === 'string') {
        known[name] = texts.has(name) && typeof before === 'string' ? before + value : value;
        this.#chars += value.length;
      } else if (Array.isArray(value)) {
        // A list of our own, that grows: a copy for each token of an answer would take time by its square.
        const list = Array.isArray(before) ? (before as Json[]) : [];
        for (const entry of value as readonly Json[]) list.push(entry);
        known[name] = list;
        this.#chars += JSON.stringify(value).length;
      } else if (isJsonObject(value)) {
        const joined: Record<string, Json> = Object.assign(bareObject(), isJsonObject(before) ? before : undefined);
        this.#join(joined, value, texts);
        known[name] = joined;
      } else known[name] = value;
    }
  }
}

function newlyGrown(): Grown {
  const message = bareObject();
  message['role'] = 'assistant';
  message['content'] = null;
  return { message, calls: new Map(), around: bareObject() };
}
