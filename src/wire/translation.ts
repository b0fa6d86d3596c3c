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

/** As long as a function's name may be in chat; elsewhere it may be longer, and names of MCP tools, with those of their servers before them, are. */
const NAME_CHARS = 64;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The text of a tool's result that is pictures alone: results are texts in chat, and the pictures follow. An empty one says that there is nothing. */
export const SHOWN_NEXT = 'The result is shown in the next message.';

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

/**
 * A tool's name as chat takes it. One that is too long is cut, with a number made of all of it at its end, so that names that begin alike
 * stay apart. A name has the same one in each request, for it stands in what the model has said before.
 */
export function nameInChat(name: string): string {
  if (name.length <= NAME_CHARS) return name;
  let hash = FNV_OFFSET;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), FNV_PRIME) >>> 0;
  const number = hash.toString(16).padStart(8, '0');
  return `${name.slice(0, NAME_CHARS - number.length - 1)}_${number}`;
}

/**
 * Messages with one of the system's at most, before all others: templates of many open models take no second one, and agents send several.
 * Those that come first are one; what the system says later stands where it stood, in the user's turn and marked as the system's, for
 * moved to the front it would put the whole conversation out of the provider's cache.
 * @param messages whose system says texts alone
 */
export function withLeadingSystem(messages: readonly Fields[]): readonly Fields[] {
  const isSystem = ({ role }: Fields): boolean => role === 'system' || role === 'developer';
  const first = messages.findIndex((message) => !isSystem(message));
  const leading = first === -1 ? messages : messages.slice(0, first);
  const rest = messages.slice(leading.length).map((message) => (isSystem(message) ? { role: 'user', content: `<system-reminder>\n${String(message['content'])}\n</system-reminder>` } : message));
  return leading.length === 0 ? rest : [{ role: 'system', content: leading.map(({ content }) => content).join('\n\n') }, ...rest];
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
