import { balanceOf, createKey, keyView, listKeys, listView, requestView, revokeKey } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { readJson } from './body.ts';
import { KEY_FORM } from './forms.ts';
import { badQuery, LOGS_QUERY, readPage, readQuery } from './query.ts';
import type { Answer, Call, Running } from './types.ts';

/** `GET /v1/user/balance`. */
export async function showBalance(running: Running, _call: Call, owner: KeyOwner): Promise<Answer> {
  return ok(owner, await balanceOf(partsOf(running), owner.accountId, running.settings.billing));
}

/** `GET /v1/user/billing-logs`: one row a request, newest first; filters `from`, `to`, `model`, `key_id`, `mode`, `status`. */
export async function showBillingLogs(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { from: fromMs, to: toMs, key_id: keyId, ...rest } = readQuery(call, LOGS_QUERY);
  const filter = { accountId: owner.accountId, ...rest, ...(fromMs === undefined ? {} : { fromMs }), ...(toMs === undefined ? {} : { toMs }), ...(keyId === undefined ? {} : { keyId }) };
  const page = await running.ledger.listRequests(filter, readPage(call));
  return ok(owner, listView(page.rows.map(requestView), page.next));
}

/** `GET /v1/user/keys`: the account's API keys, masked, newest first. */
export async function showKeys(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { limit, after } = readPage(call);
  if (after !== undefined && (await running.ledger.keyById(after))?.accountId !== owner.accountId) throw badQuery('after', 'the `next` of the page before');
  // One more than is shown tells whether there is more.
  const keys = await listKeys(running, owner.accountId, { limit: limit + 1, after });
  const rows = keys.slice(0, limit);
  return ok(owner, listView(rows.map(keyView), keys.length > limit ? rows.at(-1)?.id : undefined));
}

/** `POST /v1/user/keys` `{name}`: a new API key; the only answer that ever shows one. */
export async function makeKey(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { name } = KEY_FORM.read(await readJson(call, running.settings.limits, running.load));
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

/** The last part of the path, decoded. */
export function lastPart(call: Call): string {
  return decoded(call.path.slice(call.path.lastIndexOf('/') + 1));
}

/** A piece of the path without its escapes: a model's name may hold an escaped slash. */
export function decoded(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new Fault('not_found', { fill: { detail: 'The path holds a % that is no escape of UTF-8; write a plain % as %25.' } });
  }
}

function partsOf(running: Running): { readonly ledger: Running['ledger']; readonly nowMs: () => number } {
  return { ledger: running.ledger, nowMs: () => running.clock.nowMs() };
}
