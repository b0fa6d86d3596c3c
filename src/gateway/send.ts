import { ServerResponse, type OutgoingHttpHeaders } from 'node:http';
import { Fault, toEnvelope } from '../faults.ts';
import { formatUsd } from '../money/index.ts';
import type { Interruption } from '../upstream/index.ts';
import type { Answer, Billing, Call, Outlet } from './types.ts';

/** Why a call's signal aborts when it was not the client who left: the daemon stops, and nobody pays for that. */
export const STOPPING = 'the server is stopping';

/** The headers that every answer bears. */
export function commonHeaders(call: Pick<Call, 'id'>): Record<string, string> {
  return { 'x-request-id': call.id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
}

/** Sends an answer in one write. An answer to a client that is gone goes nowhere. */
export function sendAnswer(call: Call, answer: Answer): void {
  const { res } = call;
  if (res.destroyed || res.headersSent) return;
  const { body: content } = answer;
  const isText = typeof content === 'string';
  // Text goes into the same write as the head; bytes would be a write of their own.
  const body = isText ? content : JSON.stringify(content);
  const { billing, headers: own } = answer;
  const headers: OutgoingHttpHeaders = {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': call.id,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  // Source: CONTRACT section 2. A cost of 42_000n is `X-FindToken-Cost: 0.00042`.
  if (billing !== undefined) {
    headers['x-findtoken-mode'] = billing.mode;
    headers['x-findtoken-cost'] = formatUsd(billing.cost);
    if (billing.balance !== undefined) headers['x-findtoken-balance'] = formatUsd(billing.balance);
  }
  if (own !== undefined) setHeaders(headers, own);
  if (answer.close === true) headers['connection'] = 'close';
  res.writeHead(answer.status, headers);
  res.end(call.method === 'HEAD' ? undefined : body);
}

/** One by one: joining objects of so many names with spreads takes several times as long. */
export function setHeaders(all: OutgoingHttpHeaders, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) all[name] = value;
  }
}

/** The answer that tells a refusal. Anything that is no `Fault` is a bug: the caller learns only that it happened. */
export function answerFault(call: Pick<Call, 'id'>, cause: unknown, billing?: Billing): Answer {
  const fault = cause instanceof Fault ? cause : new Fault('internal_error', { fill: { request_id: call.id } });
  return {
    status: fault.status,
    headers: fault.headers,
    body: toEnvelope(fault, call.id),
    ...(billing === undefined ? {} : { billing: { ...billing, cost: 0n } }),
  };
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
    const timer = setTimeout(onGone, stallMs);
    res.on('drain', onDrain);
    signal.addEventListener('abort', onGone);
  });
}
