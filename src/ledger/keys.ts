import { STATUSES } from './accounts.ts';
import type { Sync } from './books.ts';
import { KEYS_MAX, UNUSED_KEYS_KEPT } from './bounds.ts';
import type { Connection } from './connection.ts';
import { int, rowOf, rowsOf, text, unless, whole, type Row } from './rows.ts';
import type { ApiKey, KeyOwner, Ledger } from './types.ts';

export type KeyBooks = Sync<Pick<Ledger, 'createKey' | 'listKeys' | 'keyById' | 'revokeKey' | 'findKey'>>;

const KEY = `SELECT k.id, a.id AS account_id, k.name, k.last4, k.created_ms, k.last_used_ms, k.revoked_ms
  FROM accounts a JOIN api_keys k ON k.account = a.no`;
const NO_BYOK: Pick<KeyOwner, 'byokProviders' | 'byokRegions'> = { byokProviders: [], byokRegions: new Map() };
/** Between the keys that the door's one read lists: it is in no provider's or region's name. */
export const BETWEEN_KEYS = '\x1f';

/** An account that goes on making keys and revoking them has ever more rows: what is asked of them at each new one does not grow with them. */
export const KEY_INDEXES = `
CREATE INDEX api_keys_live ON api_keys (account) WHERE revoked_ms = 0;
CREATE INDEX api_keys_unused ON api_keys (account, no) WHERE revoked_ms > 0 AND last_used_ms = 0;
`;

/** Each new key clears away at most this many, so that none pays for all that were made before there was a bound. */
const CLEARED_A_KEY = 8;

/** API keys by the SHA-256 of them; the keys themselves are nowhere. */
export function createKeyBooks(db: Connection): KeyBooks {
  const add = db.prepare(`INSERT INTO api_keys (id, account, name, hash, last4, created_ms)
    SELECT @id, no, @name, @hash, @last4, @now FROM accounts WHERE id = @account`);
  const live = db.prepare('SELECT count(*) FROM api_keys WHERE account = (SELECT no FROM accounts WHERE id = ?) AND revoked_ms = 0').pluck();
  // Of a key that was never used nothing else in the books speaks.
  const clear = db.prepare(`DELETE FROM api_keys WHERE no IN (SELECT no FROM api_keys
    WHERE account = (SELECT no FROM accounts WHERE id = ?) AND revoked_ms > 0 AND last_used_ms = 0 ORDER BY no DESC LIMIT ${CLEARED_A_KEY} OFFSET ${UNUSED_KEYS_KEPT})`);
  const list = db.prepare(`${KEY} WHERE a.id = ? ORDER BY k.no DESC`);
  const listPage = db.prepare(`${KEY} WHERE a.id = @account AND (@after = '' OR k.no < (SELECT no FROM api_keys WHERE id = @after)) ORDER BY k.no DESC LIMIT @limit`);
  const one = db.prepare(`${KEY} WHERE k.id = ?`);
  const revoke = db.prepare(`UPDATE api_keys SET revoked_ms = CASE revoked_ms WHEN 0 THEN @now ELSE revoked_ms END
    WHERE id = @id AND account = (SELECT no FROM accounts WHERE id = @account)`);
  const find = db.prepare(`SELECT k.id AS key_id, a.id AS account_id, a.status, a.requests_per_minute, w.may_overdraw, w.balance, w.held,
      (SELECT coalesce(group_concat(provider || ' ' || region, char(31)), '')
        FROM (SELECT provider, region FROM byok_keys WHERE account = a.no ORDER BY provider, no)) AS byok
    FROM api_keys k JOIN accounts a ON a.no = k.account JOIN wallets w ON w.no = a.no
    WHERE k.hash = ? AND k.revoked_ms = 0`).raw();
  return {
    createKey({ id, accountId, name, hash, last4, nowMs }) {
      if (Number(live.get(accountId)) >= KEYS_MAX) return { most: KEYS_MAX };
      const { changes } = add.run({ id, account: accountId, name, hash, last4, now: whole(nowMs) });
      if (changes === 0) throw new Error(`no account ${accountId}`);
      clear.run(accountId);
      return 'made';
    },
    listKeys: (account, page) => rowsOf(page === undefined ? list.all(account) : listPage.all({ account, limit: page.limit, after: page.after ?? '' })).map(keyIn),
    keyById(keyId) {
      const row = rowOf(one.get(keyId));
      return row === undefined ? undefined : keyIn(row);
    },
    revokeKey: (account, id, nowMs) => revoke.run({ account, id, now: whole(nowMs) }).changes === 1,
    findKey(hash) {
      const found = find.get(hash);
      return Array.isArray(found) ? ownerIn(found) : undefined;
    },
  };
}

function keyIn(row: Row): ApiKey {
  return {
    id: text(row, 'id'),
    accountId: text(row, 'account_id'),
    name: text(row, 'name'),
    last4: text(row, 'last4'),
    createdMs: int(row, 'created_ms'),
    lastUsedMs: unless(int(row, 'last_used_ms'), 0),
    revokedMs: unless(int(row, 'revoked_ms'), 0),
  };
}

/** Read by place: SQLite would make each column's name anew for every row, and this row is read with every request. */
function ownerIn([keyId, accountId, status, limit, frozen, balance, held, byok]: readonly unknown[]): KeyOwner {
  const known = STATUSES.find((one) => one === status);
  if (
    typeof keyId !== 'string' || typeof accountId !== 'string' || known === undefined || (limit !== null && typeof limit !== 'bigint')
    || typeof frozen !== 'bigint' || typeof balance !== 'bigint' || typeof held !== 'bigint' || typeof byok !== 'string'
  ) throw new TypeError('the row of a key has another form');
  const { byokProviders, byokRegions } = byok === '' ? NO_BYOK : byokIn(byok);
  return {
    keyId,
    accountId,
    status: known,
    frozen: frozen !== 0n,
    balance,
    held,
    requestsPerMinute: limit === null ? undefined : Number(limit),
    byokProviders,
    byokRegions,
  };
}

/**
 * Of several keys for one provider each is listed, the newest last: the index has them in that order. A DISTINCT in SQL would
 * make a table for every request.
 */
function byokIn(listed: string): Pick<KeyOwner, 'byokProviders' | 'byokRegions'> {
  const regions = new Map<string, string>();
  for (const key of listed.split(BETWEEN_KEYS)) {
    const space = key.indexOf(' ');
    regions.set(key.slice(0, space), key.slice(space + 1));
  }
  return { byokProviders: [...regions.keys()], byokRegions: new Map([...regions].filter(([, region]) => region !== '')) };
}
