import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { big, bytes, rowOf, text, whole } from './rows.ts';
import type { Ledger } from './types.ts';

export type IdempotencyBooks = Sync<Pick<Ledger, 'claimIdempotency'>>;

/** Which request a client's `Idempotency-Key` stands for. Of key and body only hashes are kept. */
export const IDEMPOTENCY_TABLES = `
CREATE TABLE idempotency_keys (
  account INTEGER NOT NULL REFERENCES accounts (no),
  key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
  body_hash BLOB NOT NULL CHECK (length(body_hash) = 32),
  request_id TEXT NOT NULL CHECK (request_id <> ''),
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (account, key_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_ms);
`;

/** Each claim clears away at most this many that have run out, so that no claim pays for a whole day at once. */
const SWEPT_A_CLAIM = 8n;

/** Claims of idempotency keys: at most one request that cost something stands behind a key. */
export function createIdempotencyBooks(db: Connection): IdempotencyBooks {
  const sweep = db.prepare(`DELETE FROM idempotency_keys WHERE (account, key_hash) IN (SELECT account, key_hash FROM idempotency_keys
    WHERE created_ms <= @before ORDER BY created_ms LIMIT @most)`);
  // A request that was refused before its hold has no row, and one that was released cost nothing: both leave the key free.
  const find = db.prepare(`SELECT k.body_hash, k.request_id, CASE WHEN h.id IS NULL THEN coalesce(r.state, 'released') ELSE 'open' END AS state,
      CASE WHEN h.id IS NULL THEN coalesce(r.status, '') ELSE 'open' END AS status, coalesce(r.cost, 0) AS cost
    FROM idempotency_keys k LEFT JOIN holds h ON h.id = k.request_id LEFT JOIN requests r ON r.id = k.request_id
    WHERE k.account = (SELECT no FROM accounts WHERE id = @account) AND k.key_hash = @keyHash AND k.created_ms > @before`);
  const put = db.prepare(`INSERT INTO idempotency_keys (account, key_hash, body_hash, request_id, created_ms)
    VALUES ((SELECT no FROM accounts WHERE id = @account), @keyHash, @bodyHash, @requestId, @now)
    ON CONFLICT DO UPDATE SET body_hash = excluded.body_hash, request_id = excluded.request_id, created_ms = excluded.created_ms`);

  return {
    claimIdempotency({ accountId, keyHash, bodyHash, requestId, nowMs, keepMs }) {
      const before = whole(nowMs - keepMs);
      sweep.run({ before, most: SWEPT_A_CLAIM });
      const row = rowOf(find.get({ account: accountId, keyHash, before }));
      const state = row === undefined ? 'released' : text(row, 'state');
      if (row !== undefined && state !== 'released') {
        const isSameBody = Buffer.compare(bytes(row, 'body_hash'), bodyHash) === 0;
        return { kind: 'taken', isSameBody, requestId: text(row, 'request_id'), status: text(row, 'status'), cost: big(row, 'cost') };
      }
      put.run({ account: accountId, keyHash, bodyHash, requestId, now: whole(nowMs) });
      return { kind: 'claimed' };
    },
  };
}
