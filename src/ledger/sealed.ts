import type { Sync } from './books.ts';
import { BYOK_KEYS_MAX } from './bounds.ts';
import type { Connection } from './connection.ts';
import { BETWEEN_KEYS } from './keys.ts';
import type { NoteBooks } from './notes.ts';
import { bytes, int, rowsOf, text, unless, whole, type Row } from './rows.ts';
import type { ByokKey, Ledger, NoteRead, ProviderKey } from './types.ts';

/** One sealed row on its way from an old envelope to a new one. */
export interface Reseal {
  readonly id: string;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

export interface SealedBooks extends Sync<Pick<Ledger, 'saveByokKey' | 'listByokKeys' | 'removeByokKey' | 'saveProviderKey' | 'listProviderKeys' | 'removeProviderKey'>> {
  everyByokKey(): readonly ByokKey[];
  /** Writes all envelopes anew. False, and nothing written, where the rows are no longer the ones that were read. */
  replaceSealed(change: { readonly byok: readonly Reseal[]; readonly provider: readonly Reseal[]; readonly notes: Readonly<Record<string, string>> }): boolean;
}

/** Keys that only the vault can read: this room keeps their envelopes. */
export function createSealedBooks(db: Connection, { note, setNote }: Pick<NoteBooks, 'note' | 'setNote'>): SealedBooks {
  const save = db.prepare(`INSERT INTO byok_keys (id, account, provider, region, name, last4, sealed, created_ms)
    SELECT @id, no, @provider, @region, @name, @last4, @sealed, @created FROM accounts WHERE id = @account
    ON CONFLICT (id) DO UPDATE SET region = excluded.region, name = excluded.name, last4 = excluded.last4, sealed = excluded.sealed
      WHERE account = excluded.account AND provider = excluded.provider`);
  const others = db.prepare('SELECT count(*) FROM byok_keys k JOIN accounts a ON a.no = k.account WHERE a.id = @account AND k.id <> @id').pluck();
  const every = `SELECT k.id, a.id AS account_id, k.provider, k.region, k.name, k.last4, k.sealed, k.created_ms
    FROM byok_keys k JOIN accounts a ON a.no = k.account`;
  const all = db.prepare(`${every} ORDER BY k.no DESC`);
  const list = db.prepare(`${every} WHERE a.id = ? ORDER BY k.no DESC`);
  const remove = db.prepare('DELETE FROM byok_keys WHERE id = @id AND account = (SELECT no FROM accounts WHERE id = @account)');
  const saveProvider = db.prepare(`INSERT INTO provider_keys (provider, last4, sealed, updated_ms) VALUES (@provider, @last4, @sealed, @updated)
    ON CONFLICT (provider) DO UPDATE SET last4 = excluded.last4, sealed = excluded.sealed, updated_ms = excluded.updated_ms`);
  const listProviders = db.prepare('SELECT provider, last4, sealed, updated_ms FROM provider_keys ORDER BY provider');
  const removeProvider = db.prepare('DELETE FROM provider_keys WHERE provider = ?');
  const rows = db.prepare('SELECT (SELECT count(*) FROM byok_keys) + (SELECT count(*) FROM provider_keys)').pluck();
  const reseal = db.prepare('UPDATE byok_keys SET sealed = @to WHERE id = @id AND sealed = @from');
  const resealProvider = db.prepare('UPDATE provider_keys SET sealed = @to WHERE provider = @id AND sealed = @from');

  /** Looked at in the transaction that writes: what was sealed with a master key of before, nothing would open. */
  const stands = (noted: NoteRead | undefined): boolean => noted === undefined || note(noted.name) === noted.value;
  return {
    saveByokKey(key, noted) {
      if (!/^[^\s,\x1f]+$/.test(key.provider)) throw new RangeError(`not a provider's name: ${key.provider}`);
      if (key.region?.includes(BETWEEN_KEYS) === true) throw new RangeError('not a region\'s name');
      if (!stands(noted)) return 'changed';
      const { id, provider, name, last4, sealed } = key;
      if (Number(others.get({ account: key.accountId, id })) >= BYOK_KEYS_MAX) return { most: BYOK_KEYS_MAX };
      const { changes } = save.run({ id, provider, name, last4, sealed, account: key.accountId, region: key.region ?? '', created: whole(key.createdMs) });
      if (changes === 0) throw new Error(`no account ${key.accountId} for BYOK key ${id}, or the key is another's`);
      return 'saved';
    },
    listByokKeys: (accountId) => rowsOf(list.all(accountId)).map(byokKeyIn),
    everyByokKey: () => rowsOf(all.all()).map(byokKeyIn),
    removeByokKey: (account, id) => remove.run({ account, id }).changes === 1,
    saveProviderKey({ provider, last4, sealed, updatedMs }, noted) {
      if (!stands(noted)) return 'changed';
      saveProvider.run({ provider, last4, sealed, updated: whole(updatedMs) });
      return 'saved';
    },
    listProviderKeys: () => rowsOf(listProviders.all()).map(providerKeyIn),
    removeProviderKey: (provider) => removeProvider.run(provider).changes === 1,
    replaceSealed({ byok, provider, notes }) {
      if (rows.get() !== BigInt(byok.length + provider.length)) return false;
      // Looked at before the first is written, for a half-done change must not be left behind.
      if (!unchanged(byok, all, 'id') || !unchanged(provider, listProviders, 'provider')) return false;
      for (const row of byok) reseal.run(row);
      for (const row of provider) resealProvider.run(row);
      for (const [name, value] of Object.entries(notes)) setNote(name, value);
      return true;
    },
  };
}

function unchanged(changes: readonly Reseal[], statement: { all(): unknown[] }, id: 'id' | 'provider'): boolean {
  const now = new Map(rowsOf(statement.all()).map((row) => [text(row, id), bytes(row, 'sealed')]));
  return changes.every((change) => {
    const sealed = now.get(change.id);
    return sealed !== undefined && sealed.length === change.from.length && sealed.every((byte, at) => byte === change.from[at]);
  });
}

function byokKeyIn(row: Row): ByokKey {
  return {
    id: text(row, 'id'),
    accountId: text(row, 'account_id'),
    provider: text(row, 'provider'),
    region: unless(text(row, 'region'), ''),
    name: text(row, 'name'),
    last4: text(row, 'last4'),
    sealed: bytes(row, 'sealed'),
    createdMs: int(row, 'created_ms'),
  };
}

function providerKeyIn(row: Row): ProviderKey {
  return { provider: text(row, 'provider'), last4: text(row, 'last4'), sealed: bytes(row, 'sealed'), updatedMs: int(row, 'updated_ms') };
}
