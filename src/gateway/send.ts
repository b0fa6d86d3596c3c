import { ServerResponse, type OutgoingHttpHeaders } from 'node:http';
import { Fault, toEnvelope, type AttemptTrace, type Envelope } from '../faults.ts';
import { formatUsd, type UsdE8 } from '../money/index.ts';
import type { Interruption } from '../upstream/index.ts';
import type { Lease } from './limits.ts';
import type { Answer, Billing, Call, Outlet } from './types.ts';

/** Why a call's signal aborts when it was not the client who left: the daemon stops, and nobody pays for that. A `Fault` is such a reason too: the connection was refused with it. */
export const STOPPING = 'the server is stopping';

/** What a call is told that a daemon which stops has cut off. */
export function stopping(more: { readonly attempts?: readonly AttemptTrace[]; readonly retryAfterS?: number } = {}): Fault {
  return new Fault('overloaded', { fill: { detail: 'The server is stopping; send the request again.' }, ...more });
}

/** Where chat calls come in. Their refusals bear more than others do. */
export const CHAT_PATH = '/v1/chat/completions';
export const RESPONSES_PATH = '/v1/responses';
export const MESSAGES_PATH = '/v1/messages';

/** Whether models are asked at this path. */
export function asksModels(path: string): boolean {
  return path === CHAT_PATH || path === RESPONSES_PATH || path === MESSAGES_PATH;
}

/** The headers that every answer bears. */
export function commonHeaders(call: Pick<Call, 'id'>): Record<string, string> {
  return { 'x-request-id': call.id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
}

/** Whether answers at this path bear the billing headers: everything under /v1 does, errors too. */
export function isBilled(path: string): boolean {
  return path === '/v1' || path.startsWith('/v1/');
}

/**
 * Sends an answer in one write. An answer to a client that is gone goes nowhere.
 * @param ends false: all of it is sent, but the response is not told so, for Node closes the connection of a last one at once
 */
export function sendAnswer(call: Pick<Call, 'id' | 'method'>, res: ServerResponse, answer: Answer, ends = true): void {
  if (res.destroyed || res.headersSent) return;
  const { body: content } = answer;
  const isText = typeof content === 'string';
  // Text goes into the same write as the head; bytes would be a write of their own.
  const body = isText ? content : JSON.stringify(content);
  res.writeHead(answer.status, headersOf(call, answer, isText, Buffer.byteLength(body)));
  const sent = call.method === 'HEAD' ? '' : body;
  if (ends) res.end(sent);
  else if (sent === '') res.flushHeaders();
  else res.write(sent);
}

/**
 * All headers of an answer, names and values in turn: an object of so many names would be made anew several times as it grows. The
 * answer's own media type and id go before the common ones. Source: CONTRACT section 2. A cost of 42_000n is `X-FindToken-Cost: 0.00042`.
 */
export function headersOf({ id }: Pick<Call, 'id'>, { headers: own, billing, close }: Answer, isText: boolean, bytes: number): string[] {
  const type = own?.['content-type'] ?? (isText ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8');
  const headers = ['content-type', type, 'content-length', String(bytes), 'x-request-id', own?.['x-request-id'] ?? id, 'cache-control', 'no-store', 'x-content-type-options', 'nosniff'];
  if (billing !== undefined) {
    headers.push('x-findtoken-mode', billing.mode, 'x-findtoken-cost', formatUsd(billing.cost));
    if (billing.balance !== undefined) headers.push('x-findtoken-balance', formatUsd(billing.balance));
  }
  for (const name in own) {
    const value = own[name];
    if (value !== undefined && name !== 'content-type' && name !== 'x-request-id') headers.push(name, value);
  }
  if (close === true) headers.push('connection', 'close');
  return headers;
}

/** One by one: joining objects of so many names with spreads takes several times as long. */
export function setHeaders(all: OutgoingHttpHeaders, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) all[name] = value;
  }
}

/** Anything that is no `Fault` is a bug: the caller learns only that it happened. */
function told(call: Pick<Call, 'id'>, cause: unknown): Fault {
  return cause instanceof Fault ? cause : new Fault('internal_error', { fill: { request_id: call.id } });
}

/** An error as the clients of its path read it: Anthropic's know it by a type beside it, and look for the request's id there. */
function errorAt({ id, path }: Pick<Call, 'id' | 'path'>, error: Envelope): object {
  return path === MESSAGES_PATH || path.startsWith(`${MESSAGES_PATH}/`) ? { type: 'error', ...error, request_id: id } : error;
}

/** The answer that tells a refusal. */
export function answerFault(call: Pick<Call, 'id' | 'path'>, cause: unknown, billing?: Billing): Answer {
  const fault = told(call, cause);
  return {
    status: fault.status,
    headers: fault.headers,
    body: errorAt(call, toEnvelope(fault, call.id)),
    ...(billing === undefined ? {} : { billing: { ...billing, cost: 0n } }),
  };
}

/**
 * As `answerFault`, for a chat call: its errors bear their attempts, even where there were none.
 * @param known.mayHaveAsked a provider may have been asked before a bug was thrown: then no header says that nobody was
 */
export function chatFault(call: Pick<Call, 'id' | 'path'>, cause: unknown, billing: Billing | undefined, known: { readonly lease?: Pick<Lease, 'headers'> | undefined; readonly mayHaveAsked?: boolean } = {}): Answer {
  const fault = told(call, cause);
  const attempts = fault.attempts ?? [];
  const { error } = toEnvelope(fault, call.id);
  return {
    ...answerFault(call, fault, billing),
    body: errorAt(call, { error: { ...error, metadata: { request_id: call.id, attempts } } }),
    headers: { ...(known.mayHaveAsked === true ? {} : { 'x-findtoken-attempts': String(attempts.length) }), ...known.lease?.headers, ...fault.headers },
  };
}

/** The answer that tells a refusal before anything was done, as its path has it. @param balance where a good key came with the request */
export function refusalAt(call: Pick<Call, 'id' | 'path'>, cause: unknown, balance?: UsdE8): Answer {
  const billing: Billing | undefined = isBilled(call.path) ? { mode: 'standard', cost: 0n, balance } : undefined;
  return asksModels(call.path) ? chatFault(call, cause, billing) : answerFault(call, cause, billing);
}

/**
 * Begins a stream: its head and its first words (one character a byte), in one write to the system. False when no more should be
 * written before `drain`.
 *
 * Node keeps a head as long as its response, put together of some fifty pieces; handed to the socket by itself it becomes one,
 * which spares each open stream 2 KiB.
 */
export function writeFirst(res: Outlet, status: number, headers: OutgoingHttpHeaders, bytes: string): boolean {
  if (!(res instanceof ServerResponse)) {
    res.writeHead(status, headers);
    return res.write(bytes, 'latin1');
  }
  const { socket } = res;
  // The socket, not the response: that one would let go of the head before it writes the rest, in pieces.
  socket?.cork();
  res.writeHead(status, headers);
  res.flushHeaders();
  const flows = res.write(bytes, 'latin1');
  socket?.uncork();
  return flows;
}

/** Waits until a full socket takes more; false when the reader stalled or left. */
export async function drained(res: Outlet, stallMs: number, signal: Interruption): Promise<boolean> {
  if (signal.aborted || res.destroyed) return false;
  return new Promise((resolve) => {
    const done = (ready: boolean) => {
      clearTimeout(timer);
      res.off('drain', onDrain);
      signal.removeEventListener('abort', onGone);
      resolve(ready);
    };
    const onDrain = () => done(true);
    const onGone = () => done(false);
    const timer = res.endsStalls === true ? undefined : setTimeout(onGone, stallMs);
    res.on('drain', onDrain);
    signal.addEventListener('abort', onGone);
  });
}
