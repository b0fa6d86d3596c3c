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
    const text = JSON.stringify(sampleOf(asked.tool.parameters));
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
  return JSON.stringify(asked.json.schema === undefined ? { answer: text } : sampleOf(asked.json.schema));
}

function beforeStop(text: string, stops: readonly string[]): string {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at !== -1);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** The pieces of a text, as many as fit into so many tokens. */
function within(text: string, maxTokens: number): readonly string[] {
  const pieces: string[] = [];
  let taken = '';
  for (const piece of text.match(PIECE) ?? []) {
    taken += piece;
    if (estimateTokens(taken) > maxTokens) break;
    pieces.push(piece);
  }
  return pieces;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
