import type { Dispatcher } from 'undici';

import { Exchange } from './exchange.ts';
import type { Terms } from './exchange.ts';
import { Passing } from './passing.ts';
import { Scratch } from './scratch.ts';
import { openPool } from './sockets.ts';
import type { Attempt, Reply, Upstream } from './types.ts';

export interface UpstreamOptions {
  /** Cap of an answer that is read whole, in bytes; 8 MiB by default. */
  readonly maxBodyBytes?: number;
  /** Cap of one event of a stream, in characters; 1 Mi by default. */
  readonly maxEventChars?: number;
  /** For name resolution, TCP and TLS together; 5,000 by default. */
  readonly connectTimeoutMs?: number;
  /** Sent to every provider as `user-agent`. */
  readonly userAgent: string;
}

/** A pool of undici. It takes as a body whatever can be walked through, as its `fetch` does; its own types name less. */
interface Way {
  dispatch(options: Omit<Dispatcher.DispatchOptions, 'body'> & { readonly body?: Dispatcher.DispatchOptions['body'] | Passing }, handler: Dispatcher.DispatchHandler): boolean;
  destroy(): Promise<void>;
}

/** Where requests for one base URL go. */
interface Place {
  readonly pool: Way;
  /** Path of the base URL, without a trailing slash. */
  readonly path: string;
}

/** One request as undici takes it, less its handler. */
interface Call {
  readonly method: 'GET' | 'POST';
  readonly baseUrl: string;
  readonly path: string;
  /** Names and values in turn: undici takes an object apart into this. */
  readonly headers: string[];
  readonly body: string | Uint8Array | Passing | null;
}

/** A stream's body beyond this is let go of once it is sent, in bytes. */
const KEPT_BYTES = 65_536;

const MIB = 1024 * 1024;
/** W3C Trace Context, version 00's form. Anything else is not passed on. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The way out: one keep-alive pool an origin, opened with its first request.
 * Only the headers named here leave the house; redirects and encoded answers are failures, never followed or unpacked.
 */
export function createUpstream(options: UpstreamOptions): Upstream {
  const { maxBodyBytes = 8 * MIB, maxEventChars = MIB, connectTimeoutMs = 5_000, userAgent } = options;
  const pools = new Map<string, Way>();
  const places = new Map<string, Place>();
  const scratch = new Scratch();
  const unread = { chars: 0 };
  let isClosed = false;

  const placeOf = (baseUrl: string): Place => {
    const known = places.get(baseUrl);
    if (known !== undefined) return known;
    const url = new URL(baseUrl);
    const pool = pools.get(url.origin) ?? openPool(url.origin, connectTimeoutMs);
    pools.set(url.origin, pool);
    const place = { pool, path: url.pathname.replace(/\/+$/, '') };
    places.set(baseUrl, place);
    return place;
  };

  const run = (call: Call, terms: Terms): Promise<Reply> => {
    if (isClosed) return Promise.resolve({ kind: 'failed', failure: 'connect', sent: false });
    const { pool, path } = placeOf(call.baseUrl);
    return new Promise((resolve) => {
      const exchange = new Exchange(terms, resolve);
      if (!exchange.begin()) return;
      pool.dispatch({ method: call.method, path: path + call.path, headers: call.headers, body: call.body, headersTimeout: 0, bodyTimeout: 0 }, exchange);
    });
  };

  return {
    get unread() {
      return unread.chars;
    },
    send: (attempt, signal) => run(
      { method: 'POST', baseUrl: attempt.baseUrl, path: '/chat/completions', ...chatCall(attempt, userAgent) },
      { timeoutMs: attempt.timeoutMs, idleMs: attempt.idleMs, maxBodyBytes, maxEventChars, streams: true, signal, scratch, unread },
    ),
    listModels: async ({ baseUrl, apiKey, timeoutMs }) => {
      const reply = await run(
        { method: 'GET', baseUrl, path: '/models', headers: [...commonHeaders(apiKey, userAgent), 'accept', 'application/json'], body: null },
        { timeoutMs, idleMs: timeoutMs, maxBodyBytes, maxEventChars, streams: false, signal: undefined, scratch, unread },
      );
      if (reply.kind === 'stream') throw new Error('a list of models was taken for a stream');
      return reply;
    },
    close: async () => {
      isClosed = true;
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
      places.clear();
    },
  };
}

/** A body that passes by has no length of its own: it is told, for not every provider takes chunks. */
function chatCall(attempt: Attempt, userAgent: string): Pick<Call, 'headers' | 'body'> {
  const headers = chatHeaders(attempt, userAgent);
  const { body, stream } = attempt;
  if (!stream || typeof body === 'string' || body.length <= KEPT_BYTES) return { headers, body };
  headers.push('content-length', String(body.length));
  return { headers, body: new Passing(body) };
}

function commonHeaders(apiKey: string, userAgent: string): string[] {
  return ['authorization', `Bearer ${apiKey}`, 'user-agent', userAgent, 'accept-encoding', 'identity'];
}

function chatHeaders(attempt: Attempt, userAgent: string): string[] {
  const { traceparent } = attempt;
  const headers = commonHeaders(attempt.apiKey, userAgent);
  headers.push('content-type', 'application/json', 'accept', attempt.stream ? 'text/event-stream, application/json' : 'application/json');
  if (traceparent !== undefined && TRACEPARENT.test(traceparent)) headers.push('traceparent', traceparent);
  return headers;
}
