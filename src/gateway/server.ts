import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { mintId } from '../vault/index.ts';
import { ClientGone } from './body.ts';
import { checkWishes, flushed, guardConnections, isFlushed } from './connections.ts';
import { admitAccount, authenticate, checkHost, corsHeaders, knownHosts } from './door.ts';
import { Drain, type CallUnderWay } from './drain.ts';
import { Interrupter } from './interrupter.ts';
import { linger, lingeringOf } from './linger.ts';
import { HEADER_BYTES } from './raw-refusals.ts';
import { pathToLog } from './redact.ts';
import { breakOf } from './refusals.ts';
import { findRoute, serveRoute } from './routes.ts';
import { isBilled, refusalAt, sendAnswer } from './send.ts';
import { watchTurns } from './turns.ts';
import { UnderWay } from './under-way.ts';
import type { AccessLine, Answer, Call, Running, Streamed } from './types.ts';

const HEADERS_MAX = 100;
const HEADERS_MS = 10_000;
const KEEP_ALIVE_MS = 75_000;
/**
 * What a slow reader may leave unread before we wait for it. One write more may follow upon less than this, and one is as much as a read of the
 * provider's connection brings: 64 KiB, and what is left of its last event.
 */
const BUFFER_BYTES = 16_384;

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
  const calls = new UnderWay<CallUnderWay>();
  const hosts = knownHosts(running.settings);
  const awaitTurn = watchTurns();
  const take = (req: IncomingMessage, res: ServerResponse) => {
    // Its connection was refused while the request was on its way, or ends with the answer to one before: there is nobody to answer.
    if (ending.isPast(res)) return void req.resume();
    const one: CallUnderWay = { interrupter: new Interrupter(), res, done: undefined, place: 0 };
    calls.add(one);
    awaitTurn(req, res);
    ending.begun(one);
    one.done = serveToEnd(site, req, res, one);
  };
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES, highWaterMark: BUFFER_BYTES, headersTimeout: Math.min(HEADERS_MS, running.timing.bodyMs - 1), requestTimeout: running.timing.bodyMs, keepAliveTimeout: KEEP_ALIVE_MS, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    take,
  );
  const ending = new Drain(server, calls);
  const site: Site = { running, hosts, calls, ending };
  server.on('checkExpectation', take);
  guardConnections(running, server, {
    isAnswering: (socket) => calls.some(({ res }) => res.headersSent && res.socket === socket),
    pathOn: (socket) => calls.now().find(({ res }) => res.req.socket === socket && !res.headersSent)?.res.req.url?.split('?', 1)[0],
    breakOff(socket, fault, isEnded) {
      for (const { res, interrupter } of calls.now()) if (res.req.socket === socket && isEnded(res.req)) interrupter.abort(fault);
    },
  });
  running.load.watch(calls);
  return {
    listen: (host, port) => listen(server, host, port),
    get inFlight() {
      return calls.size;
    },
    drain: (limitMs) => ending.drain(limitMs),
    cutOff: () => ending.cutOff(),
  };
}

const NO_QUERY: Pick<URLSearchParams, 'get' | 'getAll' | 'has'> = new URLSearchParams();

interface Site {
  readonly running: Running;
  readonly hosts: ReadonlySet<string> | undefined;
  readonly calls: UnderWay<CallUnderWay>;
  readonly ending: Drain;
}

async function serveToEnd({ running, hosts, calls, ending }: Site, req: IncomingMessage, res: ServerResponse, one: CallUnderWay): Promise<void> {
  try {
    const call = callOf(running, req, res, one.interrupter);
    let owner: KeyOwner | undefined;
    let answer: Answer | Streamed;
    /** Where a request is refused here, it is not plain where the next one begins: its connection takes none. */
    let isAtDoor = true;
    try {
      if (req.headers.origin !== undefined) allowOrigin(running, req, res);
      checkHost(req, running.settings, hosts);
      if (req.rawHeaders.length > 2 * HEADERS_MAX) throw new Fault('headers_too_large', { fill: { limit: `${HEADERS_MAX} headers` } });
      checkWishes(req);
      isAtDoor = false;
      const preflight = preflightAnswer(call, res);
      const route = preflight === undefined ? findRoute(call.method, call.path) : undefined;
      if (route?.needsKey === true) {
        running.load.admit();
        // Known before it is let in: an account that is not served is told its balance, and its line in the log bears its name.
        owner = await authenticate(req, running.ledger);
        admitAccount(owner, route);
      }
      answer = preflight ?? (route === undefined ? refusedRoute() : await serveRoute(route, running, call, owner));
    } catch (cause) {
      if (!isAtDoor) owner ??= await ownerToTell(running, call, cause);
      const refusal = refused(running, call, cause, owner);
      answer = isAtDoor ? { ...refusal, close: true } : refusal;
    }
    // The same two ends as in `deliver`: what comes behind it on this connection is not begun.
    if (!('streamed' in answer) && (answer.close === true || !req.complete)) ending.last(req.socket);
    const isOver = 'streamed' in answer || deliver(running, call, res, answer);
    logAccess(running, call, answer, owner);
    if (!isOver) return;
    // What has begun and cannot be ended (its reader stalled, its books could not be closed) is cut off: its client would wait for ever.
    if (res.headersSent && !res.writableEnded) res.destroy();
    else if (!isFlushed(res)) await flushed(res, running.timing.writeStallMs);
  } catch (error) {
    running.log.error('answer_failed', error);
    res.destroy();
  } finally {
    calls.delete(one);
    ending.ended(one);
  }
}

function callOf(running: Running, req: IncomingMessage, res: ServerResponse, interrupter: Interrupter): Call {
  const url = req.url ?? '/';
  const cut = url.indexOf('?');
  res.on('close', () => {
    if (!res.writableFinished) interrupter.abort();
  });
  return {
    id: mintId('req', running.clock.nowMs()),
    req,
    res,
    method: req.method ?? 'GET',
    path: cut === -1 ? url : url.slice(0, cut),
    query: cut === -1 ? NO_QUERY : new URLSearchParams(url.slice(cut + 1)),
    startedMs: running.clock.monotonicMs(),
    signal: interrupter,
    waits: { ms: 0 },
  };
}

/**
 * Whose balance a refusal tells where no route fits, so that none has asked for a key. A key that is not good, and books that cannot
 * be read, leave the refusal as it is.
 */
async function ownerToTell(running: Running, call: Call, cause: unknown): Promise<KeyOwner | undefined> {
  if (!isBilled(call.path) || !(cause instanceof Fault) || (cause.code !== 'not_found' && cause.code !== 'method_not_allowed')) return undefined;
  try {
    running.load.admit();
    return await authenticate(call.req, running.ledger);
  } catch (error) {
    if (!(error instanceof Fault)) running.log.error('balance_not_told', error);
    return undefined;
  }
}

function refused(running: Running, call: Call, cause: unknown, owner: KeyOwner | undefined): Answer {
  if (cause instanceof ClientGone) return { status: breakOf(call.signal, [])?.status ?? 499, body: '' };
  if (!(cause instanceof Fault)) running.log.error('request_failed', cause);
  return refusalAt(call, cause, owner?.balance);
}

/** On the response itself, so that streams bear them too, and what is kept for repeats does not: those may be another page's. */
function allowOrigin(running: Running, req: IncomingMessage, res: ServerResponse): void {
  for (const [name, value] of Object.entries(corsHeaders(req, running.settings))) res.setHeader(name, value);
}

/**
 * Sends an answer whose request may not have been read to its end; then the connection cannot be used again. False where it lingers:
 * it ends by itself.
 */
function deliver({ settings }: Running, call: Call, res: ServerResponse, answer: Answer): boolean {
  const { req } = call;
  const isUnread = !req.complete;
  const lingers = isUnread && !req.destroyed && !res.destroyed && !res.headersSent && res.socket !== null;
  sendAnswer(call, res, isUnread ? { ...answer, close: true } : answer, !lingers);
  if (lingers) linger(req, lingeringOf(settings.limits.bodyBytes));
  else if (isUnread && !req.destroyed) req.resume();
  return !lingers;
}

function preflightAnswer({ method }: Call, res: ServerResponse): Answer | undefined {
  return method === 'OPTIONS' && res.hasHeader('access-control-allow-origin') ? { status: 204, body: '' } : undefined;
}

function refusedRoute(): never {
  throw new Error('a request without a route and without a preflight answer');
}

function logAccess(running: Running, call: Call, answer: Answer | Streamed, owner: KeyOwner | undefined): void {
  const line: AccessLine = {
    req_id: call.id,
    method: call.method,
    path: pathToLog(call.path),
    status: answer.status,
    dur_ms: Math.round(running.clock.monotonicMs() - call.startedMs),
    trace_id: traceOf(call.req),
    account_id: owner?.accountId,
    key_id: owner?.keyId,
    chat: answer.chat,
  };
  running.log.access(line);
  running.metrics.ended(line);
}

/** W3C trace context: the id by which a caller finds its request in other programs' logs. */
function traceOf({ headers }: IncomingMessage): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' ? /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(traceparent)?.[1] : undefined;
}

async function listen(server: Server, host: string, port: number): Promise<{ readonly port: number }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address: AddressInfo | string | null = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : port };
}
