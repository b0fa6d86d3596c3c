import type { Sync } from './books.ts';
import { createRowsByTime } from './clock-steps.ts';
import type { Connection } from './connection.ts';
import { cursorNo } from './pages.ts';
import { big, int, theRow, whole } from './rows.ts';
import type { Ledger } from './types.ts';

export type RetentionBooks = Sync<Pick<Ledger, 'removeRequests' | 'removedRequests'>>;

/**
 * What request rows said that are there no more, summed by account, day of their end and BYOK month: the audit goes on to compare
 * rollups, BYOK counters and transfers with it.
 */
export const RETENTION_TABLES = `
CREATE TABLE removed_requests (
  account INTEGER NOT NULL REFERENCES accounts (no),
  day INTEGER NOT NULL,                    -- days since 1970, UTC, of the moment they ended
  byok_month TEXT NOT NULL,                -- '' for Standard requests
  requests INTEGER NOT NULL,
  counted INTEGER NOT NULL,                -- of them, those that count in their BYOK month
  errors INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  provider_cost INTEGER NOT NULL,
  fee INTEGER NOT NULL,
  shortfall INTEGER NOT NULL,
  PRIMARY KEY (account, day, byok_month)
) STRICT, WITHOUT ROWID;
`;

const DAY_MS = 86_400_000;

/** The newest row stays, for the next one's number follows from it. */
const DUE = `seq > @after AND seq <= @last AND created_ms < @before AND ended_ms < @before AND +seq < (SELECT max(seq) FROM requests)`;

const NEWEST = 'SELECT coalesce(max(seq), 0) FROM requests';

/** Takes old request rows out of the books, a few at a time. Their transfers stay for ever, and so do the totals. */
export function createRetentionBooks(db: Connection): RetentionBooks {
  const newest = db.prepare(NEWEST).pluck();
  const rowsByTime = createRowsByTime(db);
  const look = db.prepare('SELECT count(*) AS rows, coalesce(max(seq), 0) AS last FROM (SELECT seq FROM requests WHERE seq > @after AND seq < @end ORDER BY seq LIMIT @most)');
  const sum = db.prepare(`INSERT INTO removed_requests
      SELECT account, ended_ms / 86400000, byok_month, count(*), sum(byok_month <> '' AND state <> 'released'), sum(status NOT IN ('ok', 'aborted')),
        sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost), sum(provider_cost), sum(fee), sum(shortfall)
      FROM requests WHERE ${DUE} GROUP BY 1, 2, 3
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, counted = counted + excluded.counted, errors = errors + excluded.errors,
      prompt_tokens = prompt_tokens + excluded.prompt_tokens, cached_tokens = cached_tokens + excluded.cached_tokens,
      completion_tokens = completion_tokens + excluded.completion_tokens, cost = cost + excluded.cost, provider_cost = provider_cost + excluded.provider_cost,
      fee = fee + excluded.fee, shortfall = shortfall + excluded.shortfall`);
  const remove = db.prepare(`DELETE FROM requests WHERE ${DUE}`);
  // CROSS: account after account, each of whose days are found by the index.
  const removed = db.prepare(`SELECT coalesce(sum(r.requests), 0) AS requests, coalesce(sum(r.cost), 0) AS cost FROM accounts a
    CROSS JOIN removed_requests r ON r.account = a.no AND r.day >= @first AND r.day < @end WHERE @account = '' OR a.id = @account`);

  return {
    removedRequests({ accountId = '', fromMs, toMs }) {
      const row = theRow(removed.get({ account: accountId, first: BigInt(Math.floor(fromMs / DAY_MS)), end: BigInt(Math.ceil(toMs / DAY_MS)) }));
      return { requests: int(row, 'requests'), cost: big(row, 'cost') };
    },
    removeRequests({ beforeMs, most, after }) {
      const last = newest.get();
      const first = rowsByTime.end(beforeMs);
      // The newest row stays, so that no number is given twice and every cursor goes on.
      const end = typeof last === 'bigint' && last < first ? last : first;
      const from = after === undefined ? 0n : cursorNo(after);
      const seen = theRow(look.get({ after: from, end, most: BigInt(most) }));
      const bounds = { after: from, last: big(seen, 'last'), before: whole(beforeMs) };
      sum.run(bounds);
      const { changes } = remove.run(bounds);
      return { removed: changes, next: int(seen, 'rows') < most ? undefined : String(bounds.last) };
    },
  };
}
