import { big, whole, word, type Row } from './rows.ts';
import type { RequestEnd } from './types.ts';

export const ORIGINS = ['reported', 'estimated', 'unknown'] as const;

/** What was measured of a request, as the columns of `requests` take it. */
export interface Measures {
  readonly status: string;
  readonly model: string;
  readonly provider: string;
  readonly promptTokens: bigint;
  readonly cachedTokens: bigint;
  readonly completionTokens: bigint;
  readonly reasoningTokens: bigint;
  readonly usageOrigin: (typeof ORIGINS)[number];
  readonly latencyMs: bigint;
  readonly firstByteMs: bigint;
  readonly attempts: bigint;
  readonly priced: bigint;
  readonly priceInput: bigint;
  readonly priceCached: bigint;
  readonly priceOutput: bigint;
  readonly priceRate: bigint;
}

/** The SET of an UPDATE with these parameters. An empty model or provider keeps that of the hold. */
export const MEASURES_SET = `
  model = CASE @model WHEN '' THEN model ELSE @model END, provider = CASE @provider WHEN '' THEN provider ELSE @provider END,
  prompt_tokens = @promptTokens, cached_tokens = @cachedTokens, completion_tokens = @completionTokens, reasoning_tokens = @reasoningTokens,
  usage_origin = @usageOrigin, latency_ms = @latencyMs, first_byte_ms = @firstByteMs, attempts = @attempts, priced = @priced,
  price_input = @priceInput, price_cached = @priceCached, price_output = @priceOutput, price_rate = @priceRate`;

export function measuresOf(end: RequestEnd): Measures {
  const { price } = end;
  return {
    status: end.status,
    model: end.model,
    provider: end.provider,
    promptTokens: whole(end.promptTokens),
    cachedTokens: whole(end.cachedTokens),
    completionTokens: whole(end.completionTokens),
    reasoningTokens: whole(end.reasoningTokens),
    usageOrigin: end.usageOrigin,
    latencyMs: whole(end.latencyMs),
    firstByteMs: whole(end.firstByteMs ?? -1),
    attempts: whole(end.attempts),
    priced: price === undefined ? 0n : 1n,
    priceInput: price?.input ?? 0n,
    priceCached: price?.cachedInput ?? 0n,
    priceOutput: price?.output ?? 0n,
    priceRate: price?.rate ?? 0n,
  };
}

/** What an abandoned row last knew of itself. */
export function measuresIn(row: Row, status: string): Measures {
  return {
    status,
    model: '',
    provider: '',
    promptTokens: big(row, 'prompt_tokens'),
    cachedTokens: big(row, 'cached_tokens'),
    completionTokens: big(row, 'completion_tokens'),
    reasoningTokens: big(row, 'reasoning_tokens'),
    usageOrigin: word(row, 'usage_origin', ORIGINS),
    latencyMs: big(row, 'latency_ms'),
    firstByteMs: big(row, 'first_byte_ms'),
    attempts: big(row, 'attempts'),
    priced: big(row, 'priced'),
    priceInput: big(row, 'price_input'),
    priceCached: big(row, 'price_cached'),
    priceOutput: big(row, 'price_output'),
    priceRate: big(row, 'price_rate'),
  };
}
