import type { OpenVault, Vault } from './types.ts';
import { VaultError } from './error.ts';

/** Opens the vault. */
export async function openVault(_options: OpenVault): Promise<Vault> {
  throw new VaultError('missing_key', 'not built yet');
}
