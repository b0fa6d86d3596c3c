import type { Vault } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import type { ByokParts } from './byok.ts';
import { keyChanged, lastFour, readProvider, readSecret } from './provider-secrets.ts';
import { providerKeyView } from './views.ts';
import type { ProviderKeyView } from './views.ts';

/**
 * Keeps the operator's own key for a provider, sealed, in place of the one before; that one stays where this is refused.
 * @throws Fault invalid_request on an unknown provider or a key that cannot be one; overloaded where the master key was changed meanwhile.
 */
export async function setProviderKey(parts: ByokParts, wanted: { readonly provider: string; readonly apiKey: string }): Promise<ProviderKeyView> {
  const provider = readProvider(parts.catalog, wanted.provider);
  const secret = readSecret(wanted.apiKey, provider);
  const sealed = parts.vault.seal(secret, bindingOf(provider.id));
  const key = { provider: provider.id, last4: lastFour(secret), sealed, updatedMs: parts.nowMs() };
  const noted = await parts.vault.inForce();
  if (noted === undefined || (await parts.ledger.saveProviderKey(key, noted)) === 'changed') throw keyChanged();
  return providerKeyView(key);
}

/** The operator's stored keys, masked. Keys of the configuration file or environment are not among them. */
export async function listProviderKeys(parts: Pick<AccountParts, 'ledger'>): Promise<readonly ProviderKeyView[]> {
  return (await parts.ledger.listProviderKeys()).map(providerKeyView);
}

/** True while any key of anybody is stored sealed: then no new master key may be made. */
export async function sealedRowsExist(ledger: AccountParts['ledger']): Promise<boolean> {
  if ((await ledger.listProviderKeys()).length > 0) return true;
  for (const { id } of await ledger.listAccounts()) if ((await ledger.listByokKeys(id)).length > 0) return true;
  return false;
}

/**
 * Provider id → the operator's stored key in the clear, for the daemon to hand to `upstream.send`. Shown to nobody.
 * A row that does not open (altered, swapped) is told to `onUnreadable` and left out, for one bad row must not stop a daemon's other
 * providers; without `onUnreadable` it is thrown.
 * @throws VaultError
 */
export async function openProviderKeys(
  parts: Pick<AccountParts, 'ledger'> & { readonly vault: Pick<Vault, 'unseal'> },
  onUnreadable?: (provider: string, error: unknown) => void,
): Promise<ReadonlyMap<string, string>> {
  const opened = new Map<string, string>();
  for (const { provider, sealed } of await parts.ledger.listProviderKeys()) {
    try {
      opened.set(provider, parts.vault.unseal(sealed, bindingOf(provider)));
    } catch (error) {
      if (onUnreadable === undefined) throw error;
      onUnreadable(provider, error);
    }
  }
  return opened;
}

/** A sealed key opens only as the row it was sealed for; the operator's rows belong to no account. */
function bindingOf(provider: string): { readonly table: 'provider'; readonly rowId: string; readonly accountId: string; readonly provider: string } {
  return { table: 'provider', rowId: provider, accountId: '', provider };
}
