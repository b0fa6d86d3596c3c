/** A provider that can be told what to answer: real HTTP on a free port of the loopback. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** One request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  /** As sent, such as `/v1/chat/completions`. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed JSON; undefined without a body, the text where it is no JSON. */
  readonly body: unknown;
  /** The body as it came. */
  readonly text: string;
  /** Milliseconds since the provider started. */
  readonly atMs: number;
  /** The caller has dropped the connection before the answer was whole. */
  dropped: boolean;
}

/** One scripted answer. A returned promise is awaited; the response may be left open. */
export type Answer = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

export interface ReportedUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly [field: string]: unknown;
}

export interface FakeProvider {
  /** Base URL, ending in `/v1`. */
  readonly url: string;
  /** Every request but `GET /models`, in order of arrival. */
  readonly requests: SeenRequest[];
  /** How many times `GET /models` was asked. */
  readonly probes: SeenRequest[];
  /** Answers the coming requests, one each, before `always` holds again. */
  next(...answers: readonly Answer[]): void;
  /** Answers every request that no `next` is left for. The default echoes. */
  always(answer: Answer): void;
  /** What `GET /models` answers; by default a list with one model. */
  models(answer: Answer): void;
  /** What the default answer reports; undefined reports none. */
  usage: ReportedUsage | undefined;
  /** Connections open at this moment. */
  readonly openSockets: number;
  /** Ends every socket and stops listening. */
  close(): Promise<void>;
}

export interface SseOptions {
  /** Before the head; 0 by default. */
  readonly delayMs?: number;
  /** Between events; 0 by default: all in one write. */
  readonly gapMs?: number;
  /** Whether `data: [DONE]` follows; true by default. */
  readonly done?: boolean;
  /** Comment lines written before every event. */
  readonly comments?: readonly string[];
}

/** Starts a provider on a free port of 127.0.0.1. */
export async function startProvider(script?: Answer): Promise<FakeProvider> {
  const requests: SeenRequest[] = [];
  const probes: SeenRequest[] = [];
  const queue: Answer[] = [];
  const sockets = new Set<Socket>();
  const startedMs = performance.now();
  let fallback: Answer = script ?? ((request, response) => echo(provider.usage)(request, response));
  let models: Answer = json(200, { object: 'list', data: [{ id: 'fake-model', object: 'model' }] });

  const server = createServer((incoming, response) => {
    void readBody(incoming).then(async (text) => {
      const request: SeenRequest = {
        method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers,
        body: parsed(text), text, atMs: performance.now() - startedMs, dropped: false,
      };
      response.on('close', () => { request.dropped = !response.writableFinished; });
      const isProbe = request.path.endsWith('/models');
      (isProbe ? probes : requests).push(request);
      const answer = isProbe ? models : queue.shift() ?? fallback;
      await answer(request, response);
    });
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const provider: FakeProvider = {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    probes,
    usage: { prompt_tokens: 10, completion_tokens: 5 },
    next: (...answers) => { queue.push(...answers); },
    always: (answer) => { fallback = answer; },
    models: (answer) => { models = answer; },
    get openSockets() { return sockets.size; },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return provider;
}

/** A JSON answer (a string is sent as it is). */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(text);
  };
}

/** An event stream. Strings are written as `data:` as they are, everything else as JSON. */
export function sse(events: readonly unknown[], options: SseOptions = {}): Answer {
  const { delayMs = 0, gapMs = 0, done = true, comments = [] } = options;
  const written = events.map((event) => typeof event === 'string' ? event : JSON.stringify(event));
  const blocks = (done ? [...written, '[DONE]'] : written)
    .map((data) => `${comments.map((line) => `: ${line}\n`).join('')}data: ${data}\n\n`);
  return async (_request, response) => {
    if (delayMs > 0) await pause(delayMs);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (gapMs === 0) {
      response.end(blocks.join(''));
      return;
    }
    response.flushHeaders();
    for (const [index, block] of blocks.entries()) {
      if (index > 0) await pause(gapMs);
      if (response.destroyed) return;
      response.write(block);
    }
    response.end();
  };
}

/** These bytes on the socket and nothing else, head included; `then` says what becomes of the connection. */
export function raw(bytes: string | Buffer, then: 'close' | 'reset' | 'leave' = 'close'): Answer {
  return (_request, response) => {
    const socket = response.socket;
    if (socket === null) return;
    socket.write(bytes, () => {
      if (then === 'close') socket.end();
      if (then === 'reset') setTimeout(reset, 30, socket);
    });
  };
}

/** Takes the request and never answers. */
export function hang(): Answer {
  return () => undefined;
}

/** Breaks the connection before a byte of the head. */
export function resetBeforeHead(): Answer {
  return (_request, response) => { if (response.socket !== null) reset(response.socket); };
}

/** Streams the first `count` events, then breaks the connection. */
export function cutAfter(count: number, events: readonly unknown[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const text = events.slice(0, count).map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
    response.flushHeaders();
    const { socket } = response;
    if (socket !== null) response.write(text === '' ? ': cut\n' : text, () => setImmediate(reset, socket));
  };
}

/** Writes `piece` every `gapMs` for ever. */
export function drip(piece: string, gapMs: number, contentType = 'text/event-stream'): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': contentType });
    response.flushHeaders();
    const timer = setInterval(() => response.write(piece), gapMs);
    response.on('close', () => clearInterval(timer));
  };
}

/** The default: says back the last user message, streaming if asked, with this usage on the last chunk. */
export function echo(usage: ReportedUsage | undefined): Answer {
  return (request, response) => {
    const body = isRecord(request.body) ? request.body : {};
    const text = `echo: ${lastUserText(body['messages'])}`;
    const head = { id: 'chatcmpl-fake', created: 1_700_000_000, model: body['model'] ?? 'fake-model' };
    const total = usage === undefined ? {} : { usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens } };
    if (body['stream'] !== true) {
      const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' };
      return json(200, { ...head, object: 'chat.completion', choices: [choice], ...total })(request, response);
    }
    return sse([...textChunks(head, text), ...(usage === undefined ? [] : [{ ...head, object: 'chat.completion.chunk', choices: [], ...total }])])(request, response);
  };
}

/** Plain OpenAI chunks that say `text` word by word, the finish chunk included. */
export function textChunks(head: Readonly<Record<string, unknown>>, text: string): readonly unknown[] {
  const chunk = (delta: unknown, finish: string | null) => ({
    ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const words = text.match(/\s*\S+/g) ?? [];
  return [chunk({ role: 'assistant', content: '' }, null), ...words.map((content) => chunk({ content }, null)), chunk({}, 'stop')];
}

/** An RST and nothing before it; by itself `resetAndDestroy` ends the stream politely first, and a FIN is what the caller sees. */
function reset(socket: Socket): void {
  socket.end = () => socket;
  socket.resetAndDestroy();
  socket.destroy();
}

/** Looks every ten milliseconds whether it is so, for at most so long; whether it came to be. */
export async function until(isSo: () => boolean, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (!isSo() && performance.now() < endMs) await pause(10);
  return isSo();
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function lastUserText(messages: unknown): string {
  if (!Array.isArray(messages)) return '';
  const users = messages.filter((message: unknown) => isRecord(message) && message['role'] === 'user');
  const last: unknown = users.at(-1);
  return isRecord(last) && typeof last['content'] === 'string' ? last['content'] : '';
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of incoming) if (Buffer.isBuffer(part)) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
