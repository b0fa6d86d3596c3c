import type { Catalog } from '../catalog/index.ts';
import { Fault } from '../faults.ts';
import type { ByokKey, Ledger } from '../ledger/index.ts';
import { VaultError, type Vault } from '../vault/index.ts';

/**
 * The account's newest registered key for a provider, in the clear, and the base URL of its region. For the daemon to hand to
 * `upstream.send`; shown to nobody. Undefined where there is none, or where its region has left the configuration.
 * @throws Fault invalid_request where this row was altered: its owner can mend that. VaultError where the master key is missing
 *   or wrong: the operator's to mend.
 */
export async function openByok(
  parts: { readonly ledger: Pick<Ledger, 'listByokKeys'>; readonly vault: Pick<Vault, 'unseal'>; readonly catalog: Pick<Catalog, 'providers'> },
  wanted: { readonly accountId: string; readonly provider: string },
): Promise<{ readonly provider: string; readonly baseUrl: string; readonly apiKey: string } | undefined> {
  const keys = await parts.ledger.listByokKeys(wanted.accountId);
  const key = keys.find(({ provider }) => provider === wanted.provider);
  const provider = parts.catalog.providers.get(wanted.provider);
  if (key === undefined || provider === undefined) return undefined;
  const baseUrl = key.region === undefined ? provider.baseUrl : provider.regions[key.region];
  if (baseUrl === undefined) return undefined;
  return { provider: provider.id, baseUrl, apiKey: unsealed(parts.vault, key) };
}

function unsealed(vault: Pick<Vault, 'unseal'>, key: ByokKey): string {
  try {
    return vault.unseal(key.sealed, { table: 'byok', rowId: key.id, accountId: key.accountId, provider: key.provider });
  } catch (error) {
    if (!(error instanceof VaultError) || error.reason !== 'damaged') throw error;
    throw new Fault('invalid_request', { fill: { detail: error.message }, param: 'provider_key', shouldRetry: false });
  }
}
