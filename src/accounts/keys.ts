import { Fault } from '../faults.ts';
import type { ApiKey } from '../ledger/index.ts';
import { mintId, mintKey } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import { readName } from './names.ts';

/** Names of the keys that the program makes for itself: one for a call of `chat`, one for a start of the sandbox. */
export const OWN_KEYS = { chat: 'findtoken chat', sandbox: 'sandbox' } as const;

/** A key just made. `key` is shown this once; the books keep its SHA-256 alone. */
export interface NewKey {
  readonly id: string;
  readonly name: string;
  readonly key: string;
}

/**
 * Makes an API key for an account.
 * @throws Fault invalid_request (`param` is `name`) on a name that is empty, longer than 100 characters or unprintable, or where the account has
 *   as many live keys as it may.
 */
export async function createKey(parts: AccountParts, wanted: { readonly accountId: string; readonly name: string }): Promise<NewKey> {
  const name = readName(wanted.name);
  const nowMs = parts.nowMs();
  const { key, hash, last4 } = mintKey();
  const id = mintId('key', nowMs);
  const made = await parts.ledger.createKey({ id, accountId: wanted.accountId, name, hash, last4, nowMs });
  if (made !== 'made') {
    throw new Fault('invalid_request', { fill: { detail: `This account has ${made.most} API keys, the most it may have. Revoke one that is no longer used first: DELETE /v1/user/keys/{id}, or \`findtoken keys revoke ID\`.` } });
  }
  return { id, name, key };
}

/** The account's keys, newest first, revoked ones too; all of them, or one page. */
export async function listKeys(parts: Pick<AccountParts, 'ledger'>, accountId: string, page?: { readonly limit: number; readonly after: string | undefined }): Promise<readonly ApiKey[]> {
  return parts.ledger.listKeys(accountId, page);
}

/** True for a key that the program made for itself and has ended: nobody looks for it in a list. */
export function isSpent({ name, revokedMs }: Pick<ApiKey, 'name' | 'revokedMs'>): boolean {
  return revokedMs !== undefined && Object.values(OWN_KEYS).some((own) => own === name);
}

/**
 * Ends a key: the next request with it is refused. Revoking twice keeps the first time.
 * @throws Fault not_found where the account has no such key.
 */
export async function revokeKey(parts: AccountParts, key: { readonly accountId: string; readonly keyId: string }): Promise<void> {
  if (await parts.ledger.revokeKey(key.accountId, key.keyId, parts.nowMs())) return;
  throw new Fault('not_found', { fill: { detail: `There is no API key ${JSON.stringify(key.keyId)} in this account; list its keys to see their ids.` } });
}
