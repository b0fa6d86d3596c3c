import { readFileSync } from 'node:fs';
import type { Model } from '../../src/catalog/index.ts';
import { EventScanner, openAnswer, readChatRequest } from '../../src/wire/index.ts';
import type { AnswerStream, AnswerTarget, ChatRequest, EventBlock, Piece, SseEvent, Usage } from '../../src/wire/index.ts';

export const MODEL: Model = {
  id: 'public-model',
  name: 'Public Model',
  provider: 'deepseek',
  upstream: 'upstream-model',
  force: {},
  drop: [],
  contextWindow: 128_000,
  maxOutput: 8_192,
  price: { input: 140_000n, cachedInput: 2_800n, output: 280_000n },
  cost: undefined,
  priced: '2026-11-23',
  capabilities: ['tools', 'json_object'],
  source: 'a test',
  sandbox: false,
};

/** A request with one message, and whatever else. */
export function request(fields: Readonly<Record<string, unknown>> = {}): ChatRequest {
  return readChatRequest({ model: MODEL.id, messages: [{ role: 'user', content: 'hello' }], ...fields }, { pictureTokens: 4_096, mediaTokens: 131_072, routingHeader: undefined });
}

/** What a target is sent, as its fields. */
export function fieldsSent(body: readonly Piece[]): Record<string, unknown> {
  const fields: Record<string, unknown> = JSON.parse(Buffer.concat(body.map((piece) => Buffer.from(piece))).toString());
  return fields;
}

export function fixture(path: string): string {
  return readFileSync(new URL(`../fixtures/${path}`, import.meta.url), 'utf8');
}

export function scan(text: string): readonly SseEvent[] {
  const scanner = new EventScanner();
  return [...scanner.push(text), ...scanner.end()];
}

/** Events as a reader of them sees them, whether they came singly or in blocks. */
export function singly(arrived: readonly (SseEvent | EventBlock)[]): readonly SseEvent[] {
  return arrived.flatMap((one) => ('bytes' in one ? one.scan(0, one.bytes.length) : one));
}

export function open(dialect: string, target: Partial<AnswerTarget> = {}): AnswerStream {
  return openAnswer({ dialect, model: MODEL, requestId: 'req_1', includeUsage: false, choices: 1, createdS: 1_790_000_000, ...target });
}

export const BILLED: Usage = { origin: 'reported', prompt: 10, cached: 4, completion: 3, reasoning: 1 };
export const BILLED_BODY = {
  prompt_tokens: 10,
  completion_tokens: 3,
  total_tokens: 13,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 1 },
  prompt_cache_hit_tokens: 4,
  prompt_cache_miss_tokens: 6,
  cost: 0.00042,
};

/** A piece of a tool call. */
export interface CallPiece {
  readonly index: number;
  readonly id?: string;
  readonly type?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

/** A chunk as far as tests look into it. */
export interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: string; readonly content?: string | null; readonly reasoning_content?: string; readonly tool_calls?: readonly CallPiece[] };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: unknown;
}

/** A stream told to its end: what went out at once, and what `close` gave. */
export function play(stream: AnswerStream, events: readonly SseEvent[]): { readonly live: readonly Chunk[]; readonly closing: readonly Chunk[] } {
  const parse = (texts: readonly string[]) => texts.map((text): Chunk => JSON.parse(text));
  const live = events.flatMap((event) => parse(stream.take(event)));
  return { live, closing: parse(stream.close({ usage: BILLED, cost: BILLED_BODY.cost })) };
}

/** All content of one choice, joined. */
export function contentOf(chunks: readonly Chunk[], index = 0): string {
  return chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index).map(({ delta }) => delta.content ?? '')).join('');
}
