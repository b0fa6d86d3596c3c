import type { IncomingMessage } from 'node:http';
import { Fault } from '../faults.ts';
import type { StorageState } from '../ledger/index.ts';
import { forOperator, readHealthKey } from '../routing/index.ts';
import { isLoopback } from './door.ts';
import { providersHealth } from './health.ts';
import { Metrics } from './metrics.ts';
import type { Answer, Call, Running } from './types.ts';

const MIB = 1_048_576;

/** `GET /healthz`: the process lives. Asks nothing of anybody. */
export async function showHealth(running: Running): Promise<Answer> {
  return { status: 200, body: { status: 'ok', version: running.version } };
}

/**
 * `GET /readyz`: whether to send traffic here. 503 while draining, where the books cannot be read, and where their disk took no
 * write the last time or is so full that no new request is begun.
 * It lists the providers' health as well, but an outage of theirs fails nothing: routing goes round it, and taking this process
 * out of service would mend nothing.
 */
export async function showReadiness(running: Running): Promise<Answer> {
  const { catalog } = running.settings;
  const operators = await running.credentials.operatorProviders();
  const keyed = [...catalog.providers.keys()].some((id) => operators.has(id));
  const unkeyed = running.sandbox === undefined ? 'none: only BYOK requests can be served' : 'none: the sandbox answers in their place';
  const checks = [
    { name: 'accepting', ok: !running.isDraining(), detail: running.isDraining() ? 'draining' : 'yes' },
    { name: 'books', ok: true, detail: await running.ledger.note('schema').then(() => 'readable') },
    diskCheck(await running.ledger.storage()),
    // BYOK alone is a way of running, so a missing operator key is told but fails nothing.
    { name: 'operator keys', ok: true, detail: keyed ? 'present' : unkeyed },
  ];
  const isReady = checks.every((check) => check.ok);
  return {
    status: isReady ? 200 : 503,
    body: { status: isReady ? 'ready' : 'not ready', workers: running.workers(), checks, providers: providersHealth(catalog, running.health, operators, running.clock.nowMs()) },
    ...(isReady ? {} : { headers: { 'retry-after': '5' } }),
  };
}

/** `{ freeBytes: 1_048_576, isShort: true }` is `not ok`, "1 MiB are free: no new request is begun". */
function diskCheck({ freeBytes, isShort, trouble }: StorageState): { readonly name: string; readonly ok: boolean; readonly detail: string } {
  if (!isShort && trouble !== undefined) return { name: 'disk', ok: false, detail: `the last write was refused (${trouble})` };
  return { name: 'disk', ok: !isShort, detail: isShort ? `${Math.floor(freeBytes / MIB)} MiB are free: no new request is begun` : 'has room' };
}

/**
 * `GET /metrics`: Prometheus text, without a key. By default only this machine may read it, and no proxy may stand in between.
 * @throws Fault `not_found` (404) to everybody else.
 */
export async function showMetrics(running: Running, call: Call): Promise<Answer> {
  const { metrics: readers } = running.settings.server;
  if (readers === 'off' || (readers === 'loopback' && !isFromHere(call.req))) {
    throw new Fault('not_found', { fill: { detail: 'Metrics are not served to this address; the operator opens them with server.metrics.' } });
  }
  const health = forOperator([...running.health.entries].map(([key, { state }]) => ({ key, state }))).map(({ key, state }) => ({ provider: readHealthKey(key).provider, state }));
  // Looked at before anything else is awaited, and without this call itself.
  const measured = running.measure();
  const { journalBytes } = await running.ledger.storage();
  const record = await measured;
  const text = Metrics.text({ ...record, inFlight: record.inFlight - 1 }, { version: running.version, journalBytes, health });
  return { status: 200, body: text, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } };
}

/** What proxies add to a request that they pass on; each has its own choice of these. */
const PROXY_HEADERS = ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'forwarded', 'via'] as const;

/**
 * Whether this machine itself asks. A proxy's own address is a loopback one, and whoever it asks for is not: it shows by a header that
 * it adds, by the Host that its caller named, or by HTTP/1.0, which nginx speaks unless it is told otherwise, and then it adds nothing
 * and calls us by our own address.
 */
function isFromHere({ socket, headers, httpVersion }: IncomingMessage): boolean {
  return isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''))
    && httpVersion !== '1.0'
    && isLoopback((headers.host ?? '').replace(/:\d*$/, '').toLowerCase())
    && PROXY_HEADERS.every((name) => headers[name] === undefined);
}

/** `GET /`: a line for humans. */
export async function showWelcome(running: Running, call: Call): Promise<Answer> {
  return { status: 200, body: `findtoken ${running.version} is running. OpenAI base URL: ${running.settings.server.publicUrl}/v1, described at /openapi.json (request ${call.id})\n` };
}
