import type { ByokKey, Ledger } from '../ledger/index.ts';
import type { Vault } from '../vault/index.ts';

/**
 * Changes the master key: a new one is made, every sealed row is sealed with it in one transaction, and it becomes the first of its
 * place. A crash leaves the old key or the new one in force, never a mixture.
 * @returns how many rows were sealed anew, and the new key's fingerprint
 * @throws VaultError where the place cannot be changed, or a row does not open
 */
export async function rotateMasterKey(
  parts: { readonly ledger: Pick<Ledger, 'resealAll'>; readonly vault: Vault },
  wish: { /** The old key is not kept behind the new one. */ readonly forgetOld: boolean },
): Promise<{ readonly resealed: number; readonly fingerprint: string }> {
  const { ledger, vault } = parts;
  const rotation = await vault.rotate();
  const resealed = await ledger.resealAll({
    byok: (key) => rotation.vault.seal(vault.unseal(key.sealed, byokBinding(key)), byokBinding(key)),
    provider: ({ provider, sealed }) => rotation.vault.seal(vault.unseal(sealed, providerBinding(provider)), providerBinding(provider)),
    notes: rotation.notes,
  });
  await rotation.commit({ forgetOld: wish.forgetOld });
  return { resealed, fingerprint: rotation.vault.fingerprint };
}

/** How many provider keys are stored sealed, the operator's and the accounts'. */
export async function countSealed({ ledger }: { readonly ledger: Pick<Ledger, 'listAccounts' | 'listByokKeys' | 'listProviderKeys'> }): Promise<number> {
  let count = (await ledger.listProviderKeys()).length;
  for (const { id } of await ledger.listAccounts()) count += (await ledger.listByokKeys(id)).length;
  return count;
}

/** Removes every stored provider key, for when the master key that sealed them is gone for good: nothing opens them any more. */
export async function forgetSealed({ ledger }: { readonly ledger: Pick<Ledger, 'listAccounts' | 'listByokKeys' | 'listProviderKeys' | 'removeByokKey' | 'removeProviderKey'> }): Promise<void> {
  for (const { provider } of await ledger.listProviderKeys()) await ledger.removeProviderKey(provider);
  for (const { id: accountId } of await ledger.listAccounts()) {
    for (const { id } of await ledger.listByokKeys(accountId)) await ledger.removeByokKey(accountId, id);
  }
}

function byokBinding({ id, accountId, provider }: ByokKey): { readonly table: 'byok'; readonly rowId: string; readonly accountId: string; readonly provider: string } {
  return { table: 'byok', rowId: id, accountId, provider };
}

function providerBinding(provider: string): { readonly table: 'provider'; readonly rowId: string; readonly accountId: string; readonly provider: string } {
  return { table: 'provider', rowId: provider, accountId: '', provider };
}
