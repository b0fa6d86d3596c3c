import { checkKey, listByok, listView, registerByok, removeByok } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { readJson } from './body.ts';
import { BYOK_FORM } from './forms.ts';
import { cutPage } from './query.ts';
import { lastPart, ok } from './user.ts';
import type { Answer, Call, Running } from './types.ts';

/**
 * `POST /v1/user/byok/register` `{provider, api_key, name, region?, verify?}`: keeps a provider key of the account, sealed.
 * The provider is asked first whether the key is good, unless `verify` is false. One that refuses it is believed; one that
 * cannot be reached is not waited for: the key is kept, and the answer's `check` says so.
 * @throws Fault 400 (form, provider, region, name), 401 `invalid_provider_key`.
 */
export async function registerKey(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { provider, api_key: apiKey, name = provider, region, verify = true } = BYOK_FORM.read(await readJson(call, running.settings.limits, running.load));
  const { catalog } = running.settings;
  const parts = { ledger: running.ledger, nowMs: () => running.clock.nowMs(), vault: await running.vault(), catalog };
  const probe = running.upstream.listModels.bind(running.upstream);
  const check = verify ? await checkKey({ catalog, probe }, { provider, region, apiKey }) : undefined;
  if (check?.verdict === 'refused') throw new Fault('invalid_provider_key', { fill: { provider }, param: 'api_key' });
  const record = await registerByok(parts, { accountId: owner.accountId, provider, apiKey, name, region });
  return { ...ok(owner, check === undefined ? record : { ...record, check: { verdict: check.verdict, detail: check.detail } }), status: 201 };
}

/** `GET /v1/user/byok/keys`: masked records, newest first. */
export async function showByokKeys(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { rows, next } = cutPage(call, await listByok(running, owner.accountId));
  return ok(owner, listView(rows, next));
}

/** `DELETE /v1/user/byok/keys/{id}`. */
export async function dropByokKey(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const id = lastPart(call);
  await removeByok({ ledger: running.ledger }, { accountId: owner.accountId, id });
  return ok(owner, { object: 'byok_key', id, deleted: true });
}
