import { estimateTokens } from '../wire/index.ts';
import type { Behaviour } from './models.ts';
import type { Asked } from './request.ts';
import { sampleOf } from './sample.ts';

/** One choice of an answer, in the pieces in which it streams. */
export interface Choice {
  readonly reasoning: readonly string[];
  readonly content: readonly string[];
  /** Name of the called tool and the pieces of its arguments. */
  readonly call: { readonly name: string; readonly arguments: readonly string[] } | undefined;
  readonly finish: 'stop' | 'length' | 'tool_calls';
}

export interface Composed {
  readonly choices: readonly Choice[];
  /** In OpenAI's shape; undefined where the model reports none. */
  readonly usage: Readonly<Record<string, unknown>> | undefined;
}

/** About a word; long words and scripts without spaces are cut, never inside a character. */
const PIECE = /\s*\S{1,12}|\s+$/gu;
const ARGUMENTS_PIECE = /[\s\S]{1,8}/gu;
/** What all choices of an answer together may say by a schema: a request must not get many times its own size. */
const SAMPLE_CHARS_MAX = 65_536;

/**
 * What the sandbox says to a request: always the same to the same one.
 * Tokens are counted by `estimateTokens`, and an answer never counts more than `max_tokens`.
 */
export function compose(asked: Asked, behaviour: Behaviour, modelId: string): Composed {
  const choices = Array.from({ length: asked.choices }, (_, index) => composeChoice(asked, behaviour, modelId, index));
  if (!behaviour.reportsUsage) return { choices, usage: undefined };
  const prompt = Math.max(1, estimateTokens(asked.promptText));
  const reasoning = sum(choices.map((choice) => estimateTokens(choice.reasoning.join(''))));
  const completion = reasoning + sum(choices.map((choice) => estimateTokens(choice.content.join('') + (choice.call?.arguments ?? []).join(''))));
  return {
    choices,
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: reasoning },
    },
  };
}

function composeChoice(asked: Asked, behaviour: Behaviour, modelId: string, index: number): Choice {
  if (asked.tool !== undefined && behaviour.speaks) {
    const text = sampleText(asked.tool.parameters, asked);
    return { reasoning: [], content: [], call: { name: asked.tool.name, arguments: text.match(ARGUMENTS_PIECE) ?? [] }, finish: 'tool_calls' };
  }
  const thought = behaviour.thinks ? `Asked for: ${asked.question || 'nothing'}. That is soon answered.` : '';
  const said = behaviour.speaks ? beforeStop(speech(asked, modelId, index), asked.stops) : '';
  const budget = asked.maxTokens ?? Infinity;
  const reasoning = within(thought, budget);
  const content = within(said, budget - estimateTokens(reasoning.join('')));
  const isWhole = reasoning.join('') === thought && content.join('') === said;
  return { reasoning, content, call: undefined, finish: isWhole ? 'stop' : 'length' };
}

function speech(asked: Asked, modelId: string, index: number): string {
  const subject = asked.toolResult === undefined ? `You asked: ${asked.question || '(nothing)'}` : `The tool said: ${asked.toolResult || '(nothing)'}`;
  const text = `${subject} — so much from ${modelId} in the sandbox, which made this up without asking anyone.${index === 0 ? '' : ` (${index + 1})`}`;
  if (asked.json === undefined) return text;
  return asked.json.schema === undefined ? JSON.stringify({ answer: text }) : sampleText(asked.json.schema, asked);
}

function sampleText(schema: unknown, { choices }: Asked): string {
  return JSON.stringify(sampleOf(schema, Math.floor(SAMPLE_CHARS_MAX / choices)));
}

function beforeStop(text: string, stops: readonly string[]): string {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at !== -1);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** The pieces of a text, as many as fit into so many tokens. */
function within(text: string, maxTokens: number): readonly string[] {
  const pieces = text.match(PIECE) ?? [];
  // Halved, not added up: to count a long text anew for each of its pieces takes a second.
  let fits = 0;
  let tooMany = pieces.length + 1;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (estimateTokens(pieces.slice(0, middle).join('')) > maxTokens) tooMany = middle;
    else fits = middle;
  }
  return pieces.slice(0, fits);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
