/** Clients that write down what they received, and nothing they wished for. */
import { Agent, request } from 'node:http';

/** Makes the bound of the prompt larger than what the scripted provider reports. */
const PADDING = 'word '.repeat(300);

/** What one call brought, as far as it came. */
export interface Received {
  /** Stands in the prompt, so that the provider's log can be laid beside this one. */
  readonly tag: string;
  readonly stream: boolean;
  /** 0: no head came. */
  status: number;
  /** `X-Request-Id`: the row in the books. Empty where no head came. */
  id: string;
  headers: Readonly<Record<string, string>>;
  trailers: Readonly<Record<string, string>>;
  text: string;
  /** The body came to its proper end; a stream's with `[DONE]`. */
  whole: boolean;
  /** The connection broke. */
  broke: boolean;
}

export interface CallWish {
  readonly url: string;
  readonly key: string;
  readonly tag: string;
  readonly stream: boolean;
  readonly model: string;
  readonly agent?: Agent;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Hang up when this becomes true; asked at every piece that comes. */
  readonly until?: (received: Received) => boolean;
  readonly signal?: AbortSignal;
}

/** One connection a call unless an agent is given. */
export function freshAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 4_096 });
}

/** Calls once and tells what came; never rejects, for a broken connection is a thing to tell. */
export function call(wish: CallWish): Promise<Received> {
  const received: Received = { tag: wish.tag, stream: wish.stream, status: 0, id: '', headers: {}, trailers: {}, text: '', whole: false, broke: false };
  const body = JSON.stringify({ model: wish.model, stream: wish.stream, max_tokens: 400, messages: [{ role: 'user', content: `tag:${wish.tag} ${PADDING}` }], ...wish.body });
  return new Promise((resolve) => {
    const broke = () => {
      received.broke = !received.whole;
      resolve(received);
    };
    const req = request(`${wish.url}/v1/chat/completions`, {
      method: 'POST', ...(wish.agent === undefined ? {} : { agent: wish.agent }), ...(wish.signal === undefined ? {} : { signal: wish.signal }),
      headers: { authorization: `Bearer ${wish.key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...wish.headers },
    }, (response) => {
      received.status = response.statusCode ?? 0;
      received.headers = flat(response.headers);
      received.id = received.headers['x-request-id'] ?? '';
      const look = () => {
        if (wish.until?.(received) === true) req.destroy();
      };
      look();
      response.setEncoding('utf8').on('data', (text: string) => {
        received.text += text;
        look();
      });
      response.on('end', () => {
        received.trailers = flat(response.trailers);
        received.whole = response.complete && (!wish.stream || received.status !== 200 || received.text.endsWith('data: [DONE]\n\n'));
        resolve(received);
      });
      response.on('error', broke);
      response.on('close', broke);
    });
    req.on('error', broke);
    req.end(body);
  });
}

/** The data of each event of a stream. */
export function eventsOf(text: string): readonly string[] {
  return text.split('\n\n').filter((block) => block.startsWith('data: ')).map((block) => block.slice('data: '.length));
}

/** The code of an error, in a body or in-band; empty where there is none. */
export function codeOf(received: Received): string {
  const last = received.stream && received.status === 200 ? (eventsOf(received.text).findLast((data) => data.startsWith('{"error"')) ?? '') : received.text;
  return /^\{"error":\{.*?"code":"(\w+)"/s.exec(last)?.[1] ?? '';
}

/** The cost as every place shows it; one element where they agree. */
export function shownCosts(received: Received): readonly string[] {
  if (received.status !== 200) return [received.headers['x-findtoken-cost'] ?? 'none'];
  const inBody = /"cost":([\d.e-]+)/.exec(received.text)?.[1];
  const shown = received.stream
    ? [received.trailers['x-findtoken-cost'], /^: x-findtoken-cost (\S+)$/m.exec(received.text)?.[1]]
    : [received.headers['x-findtoken-cost']];
  return [...new Set([...shown.map((cost) => Number(cost ?? Number.NaN)), Number(inBody ?? Number.NaN)].map((cost) => cost.toFixed(6)))];
}

/** What was said, deltas joined. */
export function saidIn(received: Received): string {
  if (!received.stream) return /"content":"((?:[^"\\]|\\.)*)"/.exec(received.text)?.[1] ?? '';
  return eventsOf(received.text).map((data) => /"content":"((?:[^"\\]|\\.)*)"/.exec(data)?.[1] ?? '').join('');
}

function flat(headers: NodeJS.Dict<string | string[]>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]));
}
