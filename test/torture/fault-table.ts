/** U: what a provider can do to us, and what must come of it. */
import { createServer as createTcpServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { drip, hang, json, pause, raw, resetBeforeHead, sse, type Answer } from '../support/provider.ts';
import { frame, usageBody } from './script.ts';

/**
 * What must come of a fault.
 *
 * `sends`: how often the provider is asked. `alone`: what the client sees where nobody stands in; `503` is a refusal that
 * names what was tried, `in-band` an error event after the head and no `[DONE]`, `200 x` an answer charged by what was reported
 * or estimated. `relief`: whether an equivalent model answers instead. Everything but a 200 costs nothing.
 */
export interface Expected {
  readonly sends: number;
  readonly alone: string;
  readonly relief: boolean;
}

export interface FaultRow {
  readonly id: string;
  readonly what: string;
  /** Left out: the row has an address of its own. */
  readonly answer?: Answer;
  readonly address?: 'refused' | 'no-such-host' | 'bad-certificate' | 'hanging-handshake';
  readonly whole: Expected;
  readonly stream: Expected;
}

/** Passing trouble before anything was sent, or a plea for patience: asked again as the rules say (one retry here). */
const RETRIED: Expected = { sends: 2, alone: '503 providers_unavailable', relief: true };
/** Perhaps it was served: not asked again, another may be. */
const ONCE: Expected = { sends: 1, alone: '503 providers_unavailable', relief: true };
/** Never got there. */
const NEVER: Expected = { sends: 0, alone: '503 providers_unavailable', relief: true };
const CLIENTS_FAULT: Expected = { sends: 1, alone: '400 invalid_request', relief: false };
/** The head was out. */
const IN_BAND: Expected = { sends: 1, alone: 'in-band provider_failed', relief: false };
const REPORTED: Expected = { sends: 1, alone: '200 reported', relief: false };
const ESTIMATED: Expected = { sends: 1, alone: '200 estimated', relief: false };

export const TOKENS = { prompt: 900, cached: 0, completion: 33 } as const;
const USAGE = usageBody(TOKENS);
const CRLF = '\r\n';
const JSON_HEAD = ['HTTP/1.1 200 OK', 'content-type: application/json'];
const EVENT_HEAD = ['HTTP/1.1 200 OK', 'content-type: text/event-stream'];
const message = (lines: readonly string[], body = ''): string => `${lines.join(CRLF)}${CRLF}${CRLF}${body}`;
const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}${CRLF}${text}${CRLF}`;
const error = (text: string, code = 'odd') => ({ error: { message: text, type: 'server_error', code, param: null } });
const BODY = JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'hello there' }, finish_reason: 'stop' }], usage: USAGE });
const word = (content: string) => frame({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const END = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
const usageEvent = (usage: unknown) => frame({ choices: [], usage });
const DONE = 'data: [DONE]\n\n';

/** Streams this text, or answers this body, as the request asks. */
function says(stream: string, body: string): Answer {
  return (request, response) => {
    const isStream = (request.body as { readonly stream?: unknown }).stream === true;
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
    response.end(isStream ? stream : body);
  };
}

/** A stream that begins well and then does this; a whole answer that does it in the middle of its body. */
function begins(then: 'close' | 'reset' | 'leave'): Answer {
  return (request, response) => {
    const isStream = (request.body as { readonly stream?: unknown }).stream === true;
    const text = isStream ? message([...EVENT_HEAD, 'transfer-encoding: chunked'], chunked(word('hello')) + chunked(word(' there'))) : message([...JSON_HEAD, 'content-length: 9000'], BODY.slice(0, 40));
    return raw(text, then)(request, response);
  };
}

function reports(usage: unknown): Answer {
  return says(word('hello there') + END + usageEvent(usage) + DONE, JSON.stringify({ ...(JSON.parse(BODY) as object), usage }));
}

/** The redirect's other host: whatever comes here has followed it. */
export interface Canary {
  readonly url: string;
}

export function faultTable(canary: Canary): readonly FaultRow[] {
  const both = (id: string, what: string, answer: Answer, whole: Expected, stream = whole): FaultRow => ({ id, what, answer, whole, stream });
  // Beforehand: it holds up every provider of this process for longer than their calls may take.
  const bomb = gzipSync(Buffer.alloc(200_000_000), { level: 1 });
  return [
    { id: 'U1', what: 'refuses connections', address: 'refused', whole: NEVER, stream: NEVER },
    { id: 'U2', what: 'has a name that nobody knows', address: 'no-such-host', whole: NEVER, stream: NEVER },
    { id: 'U3', what: 'has a certificate that nobody vouches for', address: 'bad-certificate', whole: NEVER, stream: NEVER },
    { id: 'U4', what: 'never finishes the handshake', address: 'hanging-handshake', whole: NEVER, stream: NEVER },
    both('U5', 'resets before the head', resetBeforeHead(), ONCE),
    both('U6', 'closes before the head', raw(''), ONCE),
    both('U7', 'is silent before the head', hang(), ONCE),
    both('U8', 'is silent in the middle of a body or stream', begins('leave'), ONCE, IN_BAND),
    both('U9', 'is silent after the head of a stream', (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      return hang()(request, response);
    }, ONCE),
    both('U10', 'drips a byte at a time for ever', (request, response) => drip((request.body as { stream?: boolean }).stream === true ? ':' : ' ', 100, (request.body as { stream?: boolean }).stream === true ? undefined : 'application/json')(request, response), ONCE),
    both('U11', 'resets in the middle of a body or stream', begins('reset'), ONCE, IN_BAND),
    both('U12', 'closes in the middle of a chunked body', begins('close'), ONCE, IN_BAND),
    both('U13', 'answers 500', json(500, error('boom')), RETRIED),
    both('U13', 'answers 502 with a page', json(502, '<html>Bad Gateway</html>', { 'content-type': 'text/html' }), RETRIED),
    both('U13', 'answers 503', json(503, error('later')), RETRIED),
    both('U13', 'answers 504', json(504, ''), RETRIED),
    both('U13', 'answers 529', json(529, error('overloaded', 'overloaded_error')), RETRIED),
    both('U14', 'answers 429 and asks for a second', json(429, error('slow down', 'rate_limit_exceeded'), { 'retry-after': '1' }), RETRIED),
    both('U14', 'answers 429 with a date long past', json(429, error('slow down'), { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }), RETRIED),
    both('U14', 'answers 429 with a negative wait', json(429, error('slow down'), { 'retry-after': '-5' }), RETRIED),
    both('U14', 'answers 429 and asks for 30 years', json(429, error('slow down'), { 'retry-after': '1000000000' }), RETRIED),
    both('U15', 'answers 401: the operator’s key, not the client’s', json(401, error('Incorrect API key good-key', 'invalid_api_key')), ONCE),
    both('U15', 'answers 403', json(403, error('not for you', 'forbidden')), ONCE),
    both('U16', 'answers 404: the model is gone', json(404, error('no such model', 'model_not_found')), ONCE),
    both('U17', 'answers 400: the request is at fault', json(400, error('bad temperature', 'invalid_value')), CLIENTS_FAULT),
    both('U18', 'answers 200 with an HTML page', json(200, '<html>Welcome</html>', { 'content-type': 'text/html' }), ONCE),
    both('U19', 'answers 200 with an error object', json(200, error('inside', 'internal_error')), RETRIED),
    both('U20', 'answers 200 with broken JSON', json(200, BODY.slice(0, -20)), ONCE),
    both('U21', 'answers 200 with nothing', json(200, ''), ONCE),
    both('U21', 'opens a stream and ends it', sse([], { done: false }), ONCE),
    both('U21', 'opens a stream and says only [DONE]', sse([]), ONCE),
    both('U22', 'says an error inside the stream, first thing', says(`data: ${JSON.stringify(error('inside', 'internal_error'))}\n\n`, JSON.stringify(error('inside', 'internal_error'))), RETRIED),
    both('U22', 'says an error in one breath with the first words', says(word('hello') + `data: ${JSON.stringify(error('inside', 'internal_error'))}\n\n`, JSON.stringify(error('inside', 'internal_error'))), RETRIED),
    both('U22', 'says an error when the first words are out', async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(word('hello'));
      await pause(100);
      response.end(`data: ${JSON.stringify(error('inside', 'internal_error'))}\n\n`);
    }, ONCE, IN_BAND),
    both('U23', 'ends by closing the connection, too early', (request, response) => raw((request.body as { stream?: boolean }).stream === true ? message(EVENT_HEAD, word('hello')) : message(JSON_HEAD, BODY.slice(0, -20)))(request, response), ONCE, IN_BAND),
    both('U24', 'answers in gzip, cut off', json(200, gzipSync(BODY).subarray(0, 40).toString('latin1'), { 'content-encoding': 'gzip' }), ONCE),
    both('U25', 'answers with a compressed bomb of 200 MB', (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(bomb);
    }, ONCE),
    both('U26', 'names a thousand encodings', json(200, BODY, { 'content-encoding': 'gzip,'.repeat(1_000) }), ONCE),
    both('U27', 'sends a header of 40 KB', (request, response) => {
      response.setHeader('x-long', 'a'.repeat(40_000));
      return reports(USAGE)(request, response);
    }, REPORTED),
    both('U27', 'sends a header of 70 KB', json(200, BODY, { 'x-long': 'a'.repeat(70_000) }), ONCE),
    both('U28', 'announces more than it sends', raw(message([...JSON_HEAD, `content-length: ${BODY.length + 50}`], BODY)), ONCE),
    both('U28', 'announces less than it sends', raw(message([...JSON_HEAD, `content-length: ${BODY.length}`], BODY + BODY)), REPORTED),
    both('U28', 'announces two lengths', raw(message([...JSON_HEAD, `content-length: ${BODY.length}`, 'content-length: 3'], BODY)), ONCE),
    both('U28', 'announces a length and chunks', raw(message([...JSON_HEAD, `content-length: ${BODY.length}`, 'transfer-encoding: chunked'], `${chunked(BODY)}0${CRLF}${CRLF}`)), ONCE),
    both('U29', 'answers with 64 MB', (request, response) => flood((request.body as { stream?: boolean }).stream === true)(request, response), ONCE, ONCE),
    both('U30', 'reports no usage', says(word('hello there') + END + DONE, JSON.stringify({ ...(JSON.parse(BODY) as object), usage: undefined })), ESTIMATED),
    both('U31', 'reports usage twice', says(word('hello there') + END + usageEvent(USAGE) + usageEvent(USAGE) + DONE, BODY), REPORTED),
    ...[['negative', -5], ['1e18', 1e18], ['text', '900'], ['a fraction', 1.5], ['null', null]].map(([name, count]) => both('U32', `reports usage as ${String(name)}`, reports({ prompt_tokens: count, completion_tokens: count, total_tokens: count }), ESTIMATED)),
    both('U33', 'reports usage before the text ends', says(word('hello') + frame({ choices: [{ index: 0, delta: { content: ' there' }, finish_reason: null }], usage: USAGE }) + END + DONE, BODY), REPORTED),
    both('U34', 'leaves out [DONE]', says(word('hello there') + END + usageEvent(USAGE), BODY), REPORTED),
    both('U34', 'leaves out the finish_reason too', says(word('hello there'), BODY.slice(0, -1)), ONCE, IN_BAND),
    both('U36', 'redirects to another host', json(302, '', { location: `${canary.url}/v1/chat/completions` }), ONCE),
    both('U36', 'redirects and asks for the POST again', json(307, '', { location: `${canary.url}/v1/chat/completions` }), ONCE),
  ];
}

function flood(stream: boolean): Answer {
  return async (_request, response) => {
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    const piece = stream ? `data: ${'a'.repeat(1 << 20)}` : 'a'.repeat(1 << 20);
    for (let count = 0; count < 64 && !response.destroyed; count += 1) {
      response.write(piece);
      while (response.writableNeedDrain && !response.destroyed) await pause(1);
    }
    response.end();
  };
}

/** The addresses of U1 to U4. */
export interface Addresses {
  readonly urls: Readonly<Record<NonNullable<FaultRow['address']>, string>>;
  close(): void;
}

export async function oddAddresses(certificate: { readonly key: string; readonly cert: string }): Promise<Addresses> {
  const silent = createTcpServer((socket) => socket.on('error', () => socket.destroy()));
  const tls = createTlsServer(certificate, (_request, response) => void response.end(BODY));
  tls.on('tlsClientError', () => undefined);
  const gone = createTcpServer();
  const ports = await Promise.all([listening(silent), listening(tls), listening(gone)]);
  await new Promise((resolve) => gone.close(resolve));
  return {
    urls: {
      refused: `http://127.0.0.1:${ports[2]}/v1`, 'no-such-host': 'http://no-such-host.invalid/v1',
      'bad-certificate': `https://127.0.0.1:${ports[1]}/v1`, 'hanging-handshake': `https://127.0.0.1:${ports[0]}/v1`,
    },
    close: () => {
      silent.close();
      tls.closeAllConnections();
      tls.close();
    },
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
