import { EXIT, Refusal } from './failure.ts';

/** One answered chat call, as its client saw it. */
export interface Talk {
  readonly requestId: string;
  readonly provider: string;
  readonly model: string;
  readonly text: string;
  readonly usage: { readonly prompt: number; readonly completion: number; /** US dollars, for showing. */ readonly cost: number | undefined };
  readonly latencyMs: number;
}

/**
 * Sends one message to a daemon and hands over the answer's text as it comes.
 * @throws Refusal with the daemon's own words where it refuses, or where it cannot be reached.
 */
export async function talk(wish: {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly message: string;
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
}): Promise<Talk> {
  const { EventScanner } = await import('../wire/index.ts');
  const startedMs = performance.now();
  const response = await ask(wish);
  if (response.body === null) throw new Refusal('the daemon answered without a body; `findtoken status` may say more.');
  const scanner = new EventScanner();
  const decoder = new TextDecoder();
  let text = '';
  let usage: Talk['usage'] = { prompt: 0, completion: 0, cost: undefined };
  for await (const piece of response.body) {
    for (const { data } of scanner.push(decoder.decode(piece, { stream: true }))) {
      if (data === '[DONE]') continue;
      const chunk = readChunk(data);
      if (chunk.error !== undefined) throw new Refusal(chunk.error);
      if (chunk.text !== '') wish.onText(chunk.text);
      text += chunk.text;
      usage = chunk.usage ?? usage;
    }
  }
  const { headers } = response;
  return {
    requestId: headers.get('x-request-id') ?? '',
    provider: headers.get('x-findtoken-provider') ?? '',
    model: headers.get('x-findtoken-model') ?? wish.model,
    text,
    usage,
    latencyMs: Math.round(performance.now() - startedMs),
  };
}

async function ask({ url, key, model, message, signal }: Parameters<typeof talk>[0]): Promise<Response> {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: message }], stream: true, stream_options: { include_usage: true } });
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  let response: Response;
  try {
    response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refusal(`the daemon at ${url} cannot be reached; \`findtoken status\` says whether it runs.`);
  }
  if (response.ok) return response;
  const said = readChunk(await response.text()).error ?? `the daemon answered ${response.status}.`;
  throw new Refusal(said, response.status === 404 ? EXIT.notFound : EXIT.failed);
}

/** What one event, or the body of a refusal, says. */
function readChunk(json: string): { readonly text: string; readonly usage: Talk['usage'] | undefined; readonly error: string | undefined } {
  const chunk = parsed(json);
  const error = fieldsOf(fieldsOf(chunk)['error'])['message'];
  const choices = fieldsOf(chunk)['choices'];
  const delta = fieldsOf(fieldsOf(Array.isArray(choices) ? choices[0] : undefined)['delta']);
  const usage = fieldsOf(chunk)['usage'];
  const { prompt_tokens: prompt, completion_tokens: completion, cost } = fieldsOf(usage);
  return {
    text: typeof delta['content'] === 'string' ? delta['content'] : '',
    usage: typeof prompt === 'number' && typeof completion === 'number' ? { prompt, completion, cost: typeof cost === 'number' ? cost : undefined } : undefined,
    error: typeof error === 'string' ? error : undefined,
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function fieldsOf(raw: unknown): Readonly<Record<string, unknown>> {
  return isFields(raw) ? raw : {};
}

function isFields(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
