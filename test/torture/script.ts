/** A provider that says what it was told to say, and writes down to whom. */
import { hashOf } from './dice.ts';
import { isRecord, json, pause, startProvider, type Answer, type FakeProvider, type SeenRequest } from '../support/provider.ts';

/** How far an answer has come at the provider. */
export type Stage = 'asked' | 'head' | 'words' | 'said';

export interface Tokens {
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
}

export interface Spoken {
  readonly tag: string;
  readonly stream: boolean;
  /** Said to its end. */
  whole: boolean;
}

export interface Script {
  readonly provider: FakeProvider;
  /** Every chat request, in order of arrival. */
  readonly log: readonly Spoken[];
  /** Called at every stage of every answer. */
  onStage: (stage: Stage, tag: string) => void;
  close(): Promise<void>;
}

/** Six words take longer than the daemon lets pass before it notes a stream's progress. */
const SLOW_GAP_MS = 500;
const WORDS = ['one', ' two', ' three', ' four', ' five', ' six'];

/** What the provider reports for a tag: the same in every run. Never more than the padded prompt and 400 tokens. */
export function tokensFor(tag: string): Tokens {
  const hash = hashOf(tag);
  const prompt = 20 + (hash % 1_400);
  return { prompt, cached: hash % 3 === 0 ? prompt >>> 1 : 0, completion: 1 + ((hash >>> 11) % 390) };
}

/** US dollars per million tokens; prices whose sums end in awkward halves. */
export const PRICE = { input: 0.137, cached_input: 0.0031, output: 0.411 } as const;
const PICO = { input: 137_000n, cached: 3_100n, output: 411_000n };

/** The charge in 1e-8 dollars, reckoned here and not by the program: pico-dollars × 1.055, once rounded half up. */
export function costOf({ prompt, cached, completion }: Tokens, pico = PICO): bigint {
  const sum = BigInt(prompt - cached) * pico.input + BigInt(cached) * pico.cached + BigInt(completion) * pico.output;
  return (2n * sum * 1_055n + 10_000_000n) / 20_000_000n;
}

/** The settings for a provider `torture` with a model `torture-chat` at that price. */
export function scriptYaml(url: string): Readonly<Record<string, unknown>> {
  return {
    providers: { torture: { base_url: url, api_key: 'good-key' } },
    models: { 'torture-chat': { provider: 'torture', upstream: 'upstream-name', price: PRICE } },
  };
}

/** Whole answers after a few milliseconds, streams a word every `gapMs`. Usage comes in a stream only where it is asked for. */
export async function startScript(gapMs = 2): Promise<Script> {
  const log: Spoken[] = [];
  const answer: Answer = async (request, response) => {
    const stream = isRecord(request.body) && request.body['stream'] === true;
    const spoken: Spoken = { tag: tagOf(request), stream, whole: false };
    log.push(spoken);
    script.onStage('asked', spoken.tag);
    const usage = usageBody(tokensFor(spoken.tag));
    if (!stream) {
      await pause(gapMs * 2);
      await json(200, { ...HEAD, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: WORDS.join('') }, finish_reason: 'stop' }], usage })(request, response);
    } else {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      script.onStage('head', spoken.tag);
      for (const content of WORDS) {
        await pause(spoken.tag.endsWith('-slow') ? SLOW_GAP_MS : gapMs);
        response.write(frame({ choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
        script.onStage('words', spoken.tag);
      }
      response.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }));
      if (asksUsage(request)) response.write(frame({ choices: [], usage }));
      response.end('data: [DONE]\n\n');
    }
    spoken.whole = true;
    script.onStage('said', spoken.tag);
  };
  const provider = await startProvider(answer);
  const script: Script = { provider, log, onStage: () => undefined, close: () => provider.close() };
  return script;
}

const HEAD = { id: 'chatcmpl-script', created: 1_700_000_000, model: 'upstream-name' };

export function usageBody({ prompt, cached, completion }: Tokens): Readonly<Record<string, unknown>> {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion, prompt_tokens_details: { cached_tokens: cached } };
}

export function frame(part: Readonly<Record<string, unknown>>): string {
  return `data: ${JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', ...part })}\n\n`;
}

/** The tag in the first message; empty where there is none. */
export function tagOf(request: SeenRequest): string {
  const messages = isRecord(request.body) ? request.body['messages'] : undefined;
  const first: unknown = Array.isArray(messages) ? messages[0] : undefined;
  const content = isRecord(first) ? first['content'] : undefined;
  return typeof content === 'string' ? (/^tag:(\S+)/.exec(content)?.[1] ?? '') : '';
}

export function asksUsage(request: SeenRequest): boolean {
  const options = isRecord(request.body) ? request.body['stream_options'] : undefined;
  return isRecord(options) && options['include_usage'] === true;
}
