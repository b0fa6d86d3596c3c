import { fieldsOf, isFields, textOf } from './json.ts';
import type { Fields } from './json.ts';
import type { Json, JsonObject, Usage } from './types.ts';
import { readUsage } from './usage.ts';

/** What a chunk of a chat answer, or a whole one, brings: what its first choice says, and what stands around it. */
export interface ChatPiece {
  readonly created: number | undefined;
  readonly model: string | undefined;
  /** The delta, or the message of a whole answer. */
  readonly said: Fields;
  readonly reason: string | undefined;
  /** Present where usage is told; `cost` where we told one. */
  readonly usage: { readonly tokens: Usage; readonly cost: Json | undefined } | undefined;
}

const NO_TOKENS: Usage = { origin: 'reported', prompt: 0, cached: 0, completion: 0, reasoning: 0 };

/** Reads a chat answer as clients get it, for an API that tells it in other words. */
export function readPiece(answer: unknown): ChatPiece {
  const { created, model, choices, usage } = fieldsOf(answer);
  const [choice] = Array.isArray(choices) ? (choices as readonly unknown[]) : [];
  const { delta, message, finish_reason: reason } = fieldsOf(choice);
  return {
    created: typeof created === 'number' ? created : undefined,
    model: textOf(model),
    said: fieldsOf(delta ?? message),
    reason: typeof reason === 'string' ? reason : undefined,
    usage: isFields(usage) ? { tokens: readUsage(usage) ?? NO_TOKENS, cost: usage['cost'] as Json | undefined } : undefined,
  };
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
