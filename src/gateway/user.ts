import { balanceOf, createKey, keyView, listKeys, listView, requestView, revokeKey } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner, RequestFilter } from '../ledger/index.ts';
import { readJson } from './body.ts';
import type { Answer, Call, Running } from './types.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

/** `GET /v1/user/balance`. */
export async function showBalance(running: Running, _call: Call, owner: KeyOwner): Promise<Answer> {
  return ok(owner, await balanceOf(partsOf(running), owner.accountId, running.settings.billing));
}

/** `GET /v1/user/billing-logs`: one row a request, newest first; filters `from`, `to`, `model`, `key_id`, `mode`, `status`. */
export async function showBillingLogs(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const page = await running.ledger.listRequests(readFilter(call, owner.accountId), readPage(call));
  return ok(owner, listView(page.rows.map(requestView), page.next));
}

/** `GET /v1/user/keys`: the account's API keys, masked, newest first. */
export async function showKeys(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const keys = await listKeys(partsOf(running), owner.accountId);
  const { limit, after } = readPage(call);
  const start = after === undefined ? 0 : keys.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw badQuery('after', 'the `next` of the page before');
  const rows = keys.slice(start, start + limit);
  return ok(owner, listView(rows.map(keyView), start + limit < keys.length ? rows.at(-1)?.id : undefined));
}

/** `POST /v1/user/keys` `{name}`: a new API key; the only answer that ever shows one. */
export async function makeKey(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const body = await readJson(call.req, running.settings.limits);
  const name = typeof body === 'object' && body !== null && 'name' in body ? body.name : undefined;
  if (typeof name !== 'string') throw new Fault('invalid_request', { fill: { detail: 'Send {"name": "…"}: a name by which you will know the key.' }, param: 'name' });
  const made = await createKey(partsOf(running), { accountId: owner.accountId, name });
  return { ...ok(owner, { object: 'api_key', ...made }), status: 201 };
}

/** `DELETE /v1/user/keys/{id}`: revokes a key of the account; it is refused at the very next request. */
export async function dropKey(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const id = lastPart(call);
  await revokeKey(partsOf(running), { accountId: owner.accountId, keyId: id });
  return ok(owner, { object: 'api_key', id, deleted: true });
}

/** An answer of 200 that costs nothing. */
export function ok(owner: KeyOwner, body: object): Answer {
  return { status: 200, body, billing: { mode: 'standard', cost: 0n, balance: owner.balance } };
}

/** The last part of the path, decoded: ids and model names may hold an escaped slash. */
export function lastPart(call: Call): string {
  const raw = call.path.slice(call.path.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(raw);
  } catch (error) {
    throw new Fault('not_found', { fill: { detail: `The path ends in a broken escape (${error instanceof Error ? error.name : 'unreadable'}).` } });
  }
}

/** `?limit=` (1 to 100, default 20) and `?after=`. @throws Fault `invalid_request` (400). */
export function readPage(call: Call): { readonly limit: number; readonly after?: string } {
  const limit = call.query.has('limit') ? Number(call.query.get('limit')) : PAGE_DEFAULT;
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) throw badQuery('limit', `a whole number from 1 to ${PAGE_MAX}`);
  const after = call.query.get('after');
  return after === null || after === '' ? { limit } : { limit, after };
}

function readFilter(call: Call, accountId: string): RequestFilter {
  const { query } = call;
  const mode = query.get('mode');
  if (mode !== null && mode !== 'standard' && mode !== 'byok') throw badQuery('mode', '"standard" or "byok"');
  const fromMs = readTime(query.get('from'), 'from');
  const toMs = readTime(query.get('to'), 'to');
  const model = query.get('model');
  const keyId = query.get('key_id');
  const status = query.get('status');
  return {
    accountId,
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
    ...(model === null ? {} : { model }),
    ...(keyId === null ? {} : { keyId }),
    ...(status === null ? {} : { status }),
    ...(mode === null ? {} : { mode }),
  };
}

/** Unix seconds, or a date such as 2026-11-23 or 2026-11-23T10:00:00Z. */
function readTime(text: string | null, name: string): number | undefined {
  if (text === null || text === '') return undefined;
  const timeMs = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isFinite(timeMs)) throw badQuery(name, 'Unix seconds, or a date such as 2026-11-23');
  return timeMs;
}

function partsOf(running: Running): { readonly ledger: Running['ledger']; readonly nowMs: () => number } {
  return { ledger: running.ledger, nowMs: () => running.clock.nowMs() };
}

function badQuery(name: string, expected: string): Fault {
  return new Fault('invalid_request', { fill: { detail: `The query parameter ${name} is ${expected}.` }, param: name });
}
