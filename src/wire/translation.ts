import { fieldsOf, isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { Json, JsonObject, Usage } from './types.ts';
import { readUsage } from './usage.ts';

/** What a chunk of a chat answer, or a whole one, brings: what its first choice says, and what stands around it. */
export interface ChatPiece {
  readonly created: number | undefined;
  readonly model: string | undefined;
  readonly thoughts: string | undefined;
  /** What it says, also where it declines: the six do that in plain words, others in a field of its own. */
  readonly words: string | undefined;
  readonly calls: readonly CallPiece[];
  readonly reason: string | undefined;
  /** Present where usage is told; `cost` where we told one. */
  readonly usage: { readonly tokens: Usage; readonly cost: Json | undefined } | undefined;
}

/** A tool call, or a piece of one. */
export interface CallPiece {
  /** Which of the answer's calls it is. */
  readonly place: number;
  readonly id: string | undefined;
  readonly name: string;
  readonly written: string;
}

const NO_TOKENS: Usage = { origin: 'reported', prompt: 0, cached: 0, completion: 0, reasoning: 0 };

/** Reads a chat answer as clients get it, for an API that tells it in other words. */
export function readPiece(answer: unknown): ChatPiece {
  const { created, model, choices, usage } = fieldsOf(answer);
  const [choice] = Array.isArray(choices) ? (choices as readonly unknown[]) : [];
  const { delta, message, finish_reason: reason } = fieldsOf(choice);
  const { reasoning_content: thoughts, reasoning, content, refusal, tool_calls: calls } = fieldsOf(delta ?? message);
  return {
    created: typeof created === 'number' ? created : undefined,
    model: textOf(model),
    thoughts: wordsOf(thoughts) ?? wordsOf(reasoning),
    words: textOf((wordsOf(content) ?? '') + (wordsOf(refusal) ?? '')),
    calls: (Array.isArray(calls) ? (calls as readonly unknown[]) : []).flatMap((call, at) => (isFields(call) ? [callOf(call, at)] : [])),
    reason: typeof reason === 'string' ? reason : undefined,
    usage: isFields(usage) ? { tokens: readUsage(usage) ?? NO_TOKENS, cost: usage['cost'] as Json | undefined } : undefined,
  };
}

/** A text, or the texts of a list of parts, as some providers beyond the six answer. */
function wordsOf(value: unknown): string | undefined {
  if (!Array.isArray(value)) return textOf(value);
  return textOf((value as readonly unknown[]).map((part) => textOf(fieldsOf(part)['text']) ?? '').join(''));
}

function callOf(call: Fields, at: number): CallPiece {
  const { index, id } = call;
  const { name, arguments: written } = fieldsOf(call['function']);
  return { place: typeof index === 'number' ? index : at, id: textOf(id), name: textOf(name) ?? '', written: textOf(written) ?? '' };
}

/** Server-sent events that bear their name and their type, gathered until they are taken. */
export class NamedEvents {
  readonly #isWanted: boolean;
  #text = '';

  /** @param isWanted false where the whole answer alone is asked for */
  constructor(isWanted: boolean) {
    this.#isWanted = isWanted;
  }

  emit(type: string, fields: JsonObject): void {
    if (this.#isWanted) this.#text += `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  }

  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
