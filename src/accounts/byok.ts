import type { Catalog } from '../catalog/index.ts';
import { Fault } from '../faults.ts';
import type { ByokKey } from '../ledger/index.ts';
import type { Upstream } from '../upstream/index.ts';
import { mintId } from '../vault/index.ts';
import type { Vault } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import { readName } from './names.ts';
import { baseUrlOf, keyChanged, lastFour, readProvider, readSecret } from './provider-secrets.ts';
import { byokView } from './views.ts';
import type { ByokView } from './views.ts';

/** What registering and testing a provider's key needs beside the books. */
export interface ByokParts extends AccountParts {
  readonly vault: Pick<Vault, 'seal' | 'unseal' | 'inForce'>;
  readonly catalog: Pick<Catalog, 'providers'>;
}

export interface Registration {
  readonly accountId: string;
  readonly provider: string;
  /** In the clear; sealed before it is stored, and never shown again. */
  readonly apiKey: string;
  readonly name: string;
  /** One of the provider's regions; undefined: its own base URL. */
  readonly region: string | undefined;
}

/** Asks a provider for its models: the one question that costs nothing. `Upstream.listModels` is one. */
export type KeyProbe = Upstream['listModels'];

/**
 * What the provider said to a key. `good`: it listed its models (which says nothing of the money on it) ·
 * `refused`: bad key, or a key of another region · `unknown`: no answer, or none that tells.
 */
export interface KeyCheck {
  readonly object: 'key_check';
  readonly provider: string;
  readonly verdict: 'good' | 'refused' | 'unknown';
  /** The provider's HTTP status, 0 where none came. */
  readonly status: number;
  /** One sentence for people, with the mend. */
  readonly detail: string;
}

const CHECK_TIMEOUT_MS = 10_000;

/**
 * Keeps an account's own key for a provider, sealed to its row.
 * @returns the masked record
 * @throws Fault invalid_request on an unknown provider or region, an unusable name, a key that cannot be one, or
 *   where the account has as many keys as it may; overloaded where the master key was changed meanwhile.
 */
export async function registerByok(parts: ByokParts, wanted: Registration): Promise<ByokView> {
  const provider = readProvider(parts.catalog, wanted.provider);
  baseUrlOf(provider, wanted.region);
  const name = readName(wanted.name);
  const secret = readSecret(wanted.apiKey, provider);
  const nowMs = parts.nowMs();
  const id = mintId('byok', nowMs);
  const { accountId, region } = wanted;
  const sealed = parts.vault.seal(secret, { table: 'byok', rowId: id, accountId, provider: provider.id });
  const key: ByokKey = { id, accountId, provider: provider.id, region, name, last4: lastFour(secret), sealed, createdMs: nowMs };
  const noted = await parts.vault.inForce();
  const saved = noted === undefined ? 'changed' : await parts.ledger.saveByokKey(key, noted);
  if (saved === 'changed') throw keyChanged();
  if (saved !== 'saved') {
    throw new Fault('invalid_request', { fill: { detail: `This account has ${saved.most} BYOK keys, the most it may have. Remove one that is no longer used first: DELETE /v1/user/byok/keys/{id}, or \`findtoken byok remove ID\`.` } });
  }
  return byokView(key);
}

/** The account's registered keys, masked, newest first. */
export async function listByok(parts: Pick<AccountParts, 'ledger'>, accountId: string): Promise<readonly ByokView[]> {
  return (await parts.ledger.listByokKeys(accountId)).map(byokView);
}

/** Forgets a registered key. @throws Fault not_found where the account has no such key. */
export async function removeByok(parts: Pick<AccountParts, 'ledger'>, key: { readonly accountId: string; readonly id: string }): Promise<void> {
  if (!(await parts.ledger.removeByokKey(key.accountId, key.id))) throw noSuchKey(key.id);
}

/**
 * Asks the provider whether a registered key is good.
 * @throws Fault not_found where the account has no such key; what the provider says is a value.
 */
export async function testByok(parts: ByokParts & { readonly probe: KeyProbe }, wanted: { readonly accountId: string; readonly id: string }): Promise<KeyCheck> {
  const key = (await parts.ledger.listByokKeys(wanted.accountId)).find(({ id }) => id === wanted.id);
  if (key === undefined) throw noSuchKey(wanted.id);
  const { id, accountId, provider, region } = key;
  const apiKey = parts.vault.unseal(key.sealed, { table: 'byok', rowId: id, accountId, provider });
  return checkKey(parts, { provider, region, apiKey });
}

/**
 * Asks a provider whether a key is good, before or without storing it.
 * @throws Fault invalid_request on an unknown provider or region.
 */
export async function checkKey(
  parts: { readonly catalog: Pick<Catalog, 'providers'>; readonly probe: KeyProbe },
  wanted: { readonly provider: string; readonly region: string | undefined; readonly apiKey: string },
): Promise<KeyCheck> {
  const provider = readProvider(parts.catalog, wanted.provider);
  const baseUrl = baseUrlOf(provider, wanted.region);
  const reply = await parts.probe({ provider: provider.id, baseUrl, apiKey: wanted.apiKey, timeoutMs: CHECK_TIMEOUT_MS });
  const check = { object: 'key_check', provider: provider.id } as const;
  if (reply.kind === 'failed') {
    return { ...check, verdict: 'unknown', status: 0, detail: `${provider.name} could not be reached (${reply.failure}); check the network, then try again.` };
  }
  const { status } = reply;
  if (status >= 200 && status < 300) return { ...check, verdict: 'good', status, detail: `${provider.name} accepts the key.` };
  if (status === 401 || status === 403) {
    const regions = Object.keys(provider.regions);
    const hint = regions.length === 0 ? '' : ` A key of another region looks like a bad one; regions are ${regions.join(', ')}.`;
    return { ...check, verdict: 'refused', status, detail: `${provider.name} refuses the key (${status}).${hint}` };
  }
  return { ...check, verdict: 'unknown', status, detail: `${provider.name} answered ${status}, which says nothing of the key; try again later.` };
}

function noSuchKey(id: string): Fault {
  return new Fault('not_found', { fill: { detail: `There is no BYOK key ${JSON.stringify(id)} in this account; \`findtoken byok list\` shows them.` } });
}
