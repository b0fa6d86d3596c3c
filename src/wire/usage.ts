import { fieldsOf } from './json.ts';
import type { Usage } from './types.ts';

/** A provider that counts more tokens than this in one answer is not counting tokens. */
const TOKENS_MAX = 100_000_000;

/** OpenAI's usage object, with DeepSeek's names for what was cached, for its clients read no others, and our `cost` in US dollars where it is known. */
export type UsageBody = {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens_details: { readonly reasoning_tokens: number };
  readonly prompt_cache_hit_tokens: number;
  readonly prompt_cache_miss_tokens: number;
  readonly cost?: number;
};

/**
 * The tokens a provider reported, in whichever of the known places, or undefined where it reported nothing usable.
 *
 * A count is a whole number from 0 to 100 million; anything else counts as not reported. A missing prompt or completion is
 * taken from the total less the other. Cached tokens come from the first place that has them, never from two, and are
 * clamped to the prompt; reasoning is clamped to the completion. Prompt and completion both 0 report nothing: no answer had no prompt.
 * Source: facts of the providers, section 4. `{ prompt_tokens: 9, completion_tokens: 2, cached_tokens: 4 }` has 4 cached.
 *
 * @param usage the `usage` field of an answer or frame
 * @param choiceUsage `choices[0].usage`, where one provider puts it in streams
 */
export function readUsage(usage: unknown, choiceUsage?: unknown): Usage | undefined {
  return laterUsage(readOne(choiceUsage), readOne(usage));
}

/**
 * Of two reports on one answer the later, but for what it leaves out: cached and reasoning tokens that one has told and the next has not
 * are still there. Reports are cumulative. 1,200 cached of 1,900, then 1,900 without a word on them, is 1,200 cached.
 */
export function laterUsage(before: Usage | undefined, now: Usage | undefined): Usage | undefined {
  if (before === undefined || now === undefined) return now ?? before;
  const cached = now.cached === 0 && now.prompt === before.prompt ? before.cached : now.cached;
  const reasoning = now.reasoning === 0 ? Math.min(before.reasoning, now.completion) : now.reasoning;
  return cached === now.cached && reasoning === now.reasoning ? now : { ...now, cached, reasoning };
}

/** The same tokens in OpenAI's form, as every client sees them. `cost` in US dollars is added where given. */
export function writeUsage(usage: Usage, cost?: number): UsageBody {
  return {
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
    prompt_tokens_details: { cached_tokens: usage.cached },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
    prompt_cache_hit_tokens: usage.cached,
    prompt_cache_miss_tokens: usage.prompt - usage.cached,
    ...(cost === undefined ? {} : { cost }),
  };
}

function readOne(value: unknown): Usage | undefined {
  const usage = fieldsOf(value);
  const total = count(usage['total_tokens']);
  const ownPrompt = count(usage['prompt_tokens']);
  const ownCompletion = count(usage['completion_tokens']);
  const prompt = ownPrompt ?? difference(total, ownCompletion);
  const completion = ownCompletion ?? difference(total, ownPrompt);
  if (prompt === undefined || completion === undefined || prompt + completion === 0) return undefined;
  const cached =
    count(fieldsOf(usage['prompt_tokens_details'])['cached_tokens']) ??
    count(usage['cached_tokens']) ??
    count(usage['prompt_cache_hit_tokens']) ??
    0;
  const reasoning = count(fieldsOf(usage['completion_tokens_details'])['reasoning_tokens']) ?? 0;
  return {
    origin: 'reported',
    prompt,
    cached: Math.min(cached, prompt),
    completion,
    reasoning: Math.min(reasoning, completion),
  };
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX ? value : undefined;
}

function difference(total: number | undefined, part: number | undefined): number | undefined {
  return total === undefined || part === undefined || part > total ? undefined : total - part;
}
