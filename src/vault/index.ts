/** Sealing secrets, minting and hashing keys, the master key and its place. */
export type { Binding, Keyring, Notes, OpenVault, Rotation, Vault } from './types.ts';
export { VaultError } from './error.ts';
export type { VaultErrorReason } from './error.ts';
export { keychainTrouble } from './keychain.ts';
export { beginSha256, fingerprint, hashKey, mask, mintId, mintKey, readApiKey } from './keys.ts';
export type { MintedKey, Sha256 } from './keys.ts';
export { noteOf } from './choose.ts';
export { openVault } from './open.ts';
export { Secret } from './secret.ts';
