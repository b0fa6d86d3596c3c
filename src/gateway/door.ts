import type { IncomingMessage } from 'node:http';
import { Fault } from '../faults.ts';
import type { KeyOwner, Ledger } from '../ledger/index.ts';
import { hashKey, readApiKey } from '../vault/index.ts';
import { printable } from './body.ts';
import { inactive } from './holds.ts';
import type { Settings } from '../settings/index.ts';

/**
 * Who is calling: the owner of the Bearer key (or of `x-api-key`), read afresh, so that a revocation holds at the next request.
 * @throws Fault `invalid_api_key` (401), the same for a missing, malformed, unknown or revoked key.
 */
export async function authenticate(req: IncomingMessage, ledger: Ledger): Promise<KeyOwner> {
  const bare = req.headers['x-api-key'];
  const key = readApiKey(req.headers.authorization ?? (typeof bare === 'string' ? bare : undefined));
  const owner = key === undefined ? undefined : await ledger.findKey(hashKey(key));
  if (owner === undefined) throw new Fault('invalid_api_key');
  return owner;
}

/**
 * Lets an account in, or says why it is not served. `frozenToo`: one that is frozen may pass, to see it and to pay what it owes.
 * @throws Fault `account_inactive` (403)
 */
export function admitAccount(owner: KeyOwner, { frozenToo }: { readonly frozenToo?: true }): void {
  if (owner.status !== 'active' || (owner.frozen && frozenToo !== true)) throw inactive({ ...owner, available: owner.balance - owner.held });
}

/** The Host names a daemon answers to; undefined: any, for one that does not listen on loopback alone. */
export function knownHosts(settings: Settings): ReadonlySet<string> | undefined {
  const { host, publicUrl, hosts } = settings.server;
  if (!isLoopback(host)) return undefined;
  return new Set(['localhost', '127.0.0.1', '[::1]', host, new URL(publicUrl).hostname, ...hosts].map((name) => name.toLowerCase()));
}

/**
 * Refuses what a web page in the operator's own browser could send to a daemon on loopback: a foreign Host (DNS rebinding) or a
 * foreign Origin. Source: facts on threats, "local daemon".
 * @throws Fault 400 (no Host, or two), 421 (a Host that is not ours), 403 (an Origin that is not listed).
 */
export function checkHost(req: IncomingMessage, settings: Settings, hosts: ReadonlySet<string> | undefined): void {
  const hostHeaders = countOf(req.rawHeaders, 'host');
  if (hostHeaders > 1 || (hostHeaders === 0 && req.httpVersion === '1.1')) throw new Fault('invalid_request', { fill: { detail: 'Send one Host header.' } });
  if (!req.url?.startsWith('/')) throw new Fault('invalid_request', { fill: { detail: 'Send the path alone as the request target, such as /v1/models.' } });
  const host = req.headers.host ?? '';
  if (hosts !== undefined && hostHeaders === 1 && !hosts.has(host.replace(/:\d*$/, '').toLowerCase())) throw new Fault('misdirected_request', { fill: { host: printable(host) } });
  const { origin } = req.headers;
  if (origin === undefined || settings.server.corsOrigins.includes(origin)) return;
  if (origin === new URL(settings.server.publicUrl).origin) return;
  if (origin === 'null' && isActivationForm(req)) return;
  // A page of our own, under another of the names that were just checked.
  if (hosts !== undefined && origin === `http://${host}`) return;
  throw new Fault('origin_not_allowed', { fill: { origin: printable(origin) } });
}

/**
 * The form of the activation page. The page sends no referrer, and a browser that sends none hides the origin as well. Whoever
 * posts this form must know its token, and nothing else of the browser's counts there; what a browser calls cross-site is refused.
 */
function isActivationForm({ method, url, headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  return method === 'POST' && url?.split('?', 1)[0] === '/activate' && (site === undefined || site === 'same-origin');
}

/** What the page's own program may send, where its browser does not ask for more. */
const ALLOWED = 'authorization, content-type, idempotency-key, x-api-key, x-findtoken-mode, x-findtoken-routing';
const EXPOSED = ['x-request-id', 'x-findtoken-mode', 'x-findtoken-cost', 'x-findtoken-balance', 'x-findtoken-provider', 'x-findtoken-model', 'x-findtoken-attempts', 'retry-after', 'x-should-retry', 'x-ratelimit-limit-requests', 'x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests', 'idempotent-replayed'].join(', ');
/** SDKs send a dozen names of their own, other ones with each version. */
const ASKED_MAX = { names: 64, characters: 2_048 } as const;

/** The CORS headers for an origin that the operator listed; nothing for everybody else. */
export function corsHeaders(req: IncomingMessage, settings: Settings): Record<string, string> {
  const { origin } = req.headers;
  if (origin === undefined || !settings.server.corsOrigins.includes(origin)) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-headers': allowedHeaders(req.headers['access-control-request-headers']),
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-expose-headers': EXPOSED,
    vary: 'origin, access-control-request-headers',
  };
}

/** The names that a browser asks for, for they are read nowhere but by name; the usual ones where these are no names, or too many. */
function allowedHeaders(asked: string | undefined): string {
  if (asked === undefined || asked.length > ASKED_MAX.characters) return ALLOWED;
  const names = asked.split(',').map((name) => name.trim().toLowerCase());
  return names.length <= ASKED_MAX.names && names.every((name) => /^[a-z0-9][a-z0-9_-]{0,63}$/.test(name)) ? names.join(', ') : ALLOWED;
}

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function countOf(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const header = rawHeaders[at] ?? '';
    if (header.length === name.length && header.toLowerCase() === name) count += 1;
  }
  return count;
}
