import type { Value } from './postings.ts';
import { int, big, word, flag, type Row } from './rows.ts';
import type { RequestEnd } from './types.ts';

export const ORIGINS = ['reported', 'estimated', 'unknown'] as const;

/** What was measured of a request, whether it ends with it or not. */
export type Measures = Omit<RequestEnd, 'id' | 'nowMs'>;

/** The SET of an UPDATE, with a place for each of `measureValues`. */
export const MEASURES_SET = `prompt_tokens = ?, cached_tokens = ?, completion_tokens = ?, reasoning_tokens = ?, usage_origin = ?,
  latency_ms = ?, first_byte_ms = ?, attempts = ?, priced = ?, price_input = ?, price_cached = ?, price_output = ?, price_rate = ?`;

/** What was measured, in the order of the columns: binding by place costs half of binding by name. */
export function measureValues(end: Measures): Value[] {
  const { price } = end;
  return [
    Math.round(end.promptTokens), Math.round(end.cachedTokens), Math.round(end.completionTokens), Math.round(end.reasoningTokens),
    end.usageOrigin, Math.round(end.latencyMs), Math.round(end.firstByteMs ?? -1), Math.round(end.attempts), price === undefined ? 0 : 1,
    price?.input ?? 0n, price?.cachedInput ?? 0n, price?.output ?? 0n, price?.rate ?? 0n,
  ];
}

/** What an abandoned row last knew of itself. */
export function measuresIn(row: Row, status: string): Measures {
  const firstByteMs = int(row, 'first_byte_ms');
  return {
    status,
    model: '',
    provider: '',
    promptTokens: int(row, 'prompt_tokens'),
    cachedTokens: int(row, 'cached_tokens'),
    completionTokens: int(row, 'completion_tokens'),
    reasoningTokens: int(row, 'reasoning_tokens'),
    usageOrigin: word(row, 'usage_origin', ORIGINS),
    latencyMs: int(row, 'latency_ms'),
    firstByteMs: firstByteMs === -1 ? undefined : firstByteMs,
    attempts: int(row, 'attempts'),
    price: flag(row, 'priced')
      ? { input: big(row, 'price_input'), cachedInput: big(row, 'price_cached'), output: big(row, 'price_output'), rate: big(row, 'price_rate') }
      : undefined,
  };
}
