import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault, toEnvelope } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { mintId } from '../vault/index.ts';
import { ClientGone } from './body.ts';
import { authenticate, checkHost, corsHeaders, knownHosts } from './door.ts';
import { findRoute, serveRoute } from './routes.ts';
import { answerFault, sendAnswer, STOPPING } from './send.ts';
import type { Answer, Billing, Call, Running, Streamed } from './types.ts';

const HEADER_BYTES = 16_384;
const HEADERS_MAX = 100;
const KEEP_ALIVE_MS = 75_000;

/** The HTTP side: connections, limits at the door, and one answer for every request whatever it is. */
export interface HttpSide {
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Calls under way. */
  readonly inFlight: number;
  /** No new connections; open ones end after their answer. Resolves when all calls have ended, or cuts them off after `limitMs`. */
  drain(limitMs: number): Promise<void>;
  /** Cuts off what still runs; every call still closes its books. */
  cutOff(): Promise<void>;
}

/** Builds the server around the running parts; it listens only when told to. */
export function createHttpSide(running: Running): HttpSide {
  const calls = new Map<Promise<void>, AbortController>();
  const hosts = knownHosts(running.settings);
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES, headersTimeout: 10_000, requestTimeout: running.timing.bodyMs, keepAliveTimeout: KEEP_ALIVE_MS, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    (req, res) => {
      const controller = new AbortController();
      const work = serve(running, hosts, req, res, controller)
        .catch((error: unknown) => {
          running.log.error('answer_failed', error);
          res.destroy();
        })
        .finally(() => calls.delete(work));
      calls.set(work, controller);
    },
  );
  server.on('clientError', (error, socket) => refuseRaw(running, error, socket));
  return {
    listen: (host, port) => listen(server, host, port),
    get inFlight() {
      return calls.size;
    },
    drain: (limitMs) => drain(server, calls, limitMs),
    cutOff: () => cutOff(server, calls),
  };
}

async function serve(running: Running, hosts: ReadonlySet<string> | undefined, req: IncomingMessage, res: ServerResponse, controller: AbortController): Promise<void> {
  const id = mintId('req', running.clock.nowMs());
  const url = req.url ?? '/';
  const cut = url.indexOf('?');
  const call: Call = {
    id,
    req,
    res,
    method: req.method ?? 'GET',
    path: cut === -1 ? url : url.slice(0, cut),
    query: new URLSearchParams(cut === -1 ? '' : url.slice(cut + 1)),
    startedMs: running.clock.monotonicMs(),
    signal: controller.signal,
  };
  res.on('close', () => {
    if (!res.writableFinished) controller.abort();
  });
  let owner: KeyOwner | undefined;
  let answer: Answer | Streamed;
  try {
    checkHost(req, running.settings, hosts);
    if (req.rawHeaders.length > 2 * HEADERS_MAX) throw new Fault('headers_too_large', { fill: { limit: `${HEADERS_MAX} headers` } });
    const preflight = preflightAnswer(running, call);
    const route = preflight === undefined ? findRoute(call.method, call.path) : undefined;
    if (route?.needsKey === true) owner = await authenticate(req, running.ledger, route);
    answer = preflight ?? (route === undefined ? refusedRoute() : await serveRoute(route, running, call, owner));
  } catch (cause) {
    if (cause instanceof ClientGone) answer = { status: 499, body: '' };
    else {
      if (!(cause instanceof Fault)) running.log.error('request_failed', cause);
      answer = answerFault(call, cause, standardBilling(call, owner));
    }
  }
  if (!('streamed' in answer)) await deliver(running, call, answer);
  logAccess(running, call, answer, owner);
}

/** Sends an answer whose request may not have been read to its end; then the connection cannot be used again. */
async function deliver(running: Running, call: Call, answer: Answer): Promise<void> {
  const isUnread = !call.req.complete;
  const headers = { ...corsHeaders(call.req, running.settings), ...answer.headers };
  sendAnswer(call, { ...answer, headers, close: isUnread || running.isDraining() });
  if (isUnread && !call.req.destroyed) call.req.resume();
}

function preflightAnswer(running: Running, call: Call): Answer | undefined {
  const cors = corsHeaders(call.req, running.settings);
  if (call.method !== 'OPTIONS' || cors['access-control-allow-origin'] === undefined) return undefined;
  return { status: 204, body: '' };
}

function refusedRoute(): never {
  throw new Error('a request without a route and without a preflight answer');
}

/** Everything under /v1 bears the billing headers, errors too. */
function standardBilling(call: Call, owner: KeyOwner | undefined): Billing | undefined {
  return call.path.startsWith('/v1/') ? { mode: 'standard', cost: 0n, balance: owner?.balance } : undefined;
}

function logAccess(running: Running, call: Call, answer: Answer | Streamed, owner: KeyOwner | undefined): void {
  running.log.access({
    req_id: call.id,
    method: call.method,
    path: call.path,
    status: answer.status,
    dur_ms: Math.round(running.clock.monotonicMs() - call.startedMs),
    ...(owner === undefined ? {} : { account_id: owner.accountId, key_id: owner.keyId }),
    ...(answer.chat === undefined ? {} : { chat: answer.chat }),
  });
}

/** What the parser refuses never becomes a request; it still gets an answer in our form. */
function refuseRaw(running: Running, error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const fault =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new Fault('headers_too_large', { fill: { limit: `${HEADER_BYTES} bytes` } })
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new Fault('request_timeout', { fill: { seconds: Math.round(running.timing.bodyMs / 1000) } })
        : new Fault('invalid_request', { fill: { detail: 'This is not a valid HTTP/1.1 request.' } });
  const id = mintId('req', running.clock.nowMs());
  const body = JSON.stringify(toEnvelope(fault, id));
  socket.end(
    `HTTP/1.1 ${fault.status} Refused\r\ncontent-type: application/json; charset=utf-8\r\nx-request-id: ${id}\r\ncache-control: no-store\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

async function listen(server: Server, host: string, port: number): Promise<{ readonly port: number }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address: AddressInfo | string | null = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : port };
}

async function drain(server: Server, calls: ReadonlyMap<Promise<void>, AbortController>, limitMs: number): Promise<void> {
  server.close();
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  const ended = (async () => {
    while (calls.size > 0) await Promise.all(calls.keys());
  })();
  await Promise.race([ended, limit]);
  clearTimeout(timer);
  clearInterval(sweep);
  await cutOff(server, calls);
}

async function cutOff(server: Server, calls: ReadonlyMap<Promise<void>, AbortController>): Promise<void> {
  server.close();
  for (const controller of calls.values()) controller.abort(STOPPING);
  await Promise.all(calls.keys());
  server.closeAllConnections();
}

