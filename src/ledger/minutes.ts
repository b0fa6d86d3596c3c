import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { big, int, rowsOf, type Row } from './rows.ts';
import type { Ledger, MinuteTotals } from './types.ts';

export type MinuteBooks = Sync<Pick<Ledger, 'usageByMinute'>>;

const MINUTE_MS = 60_000;

/** What ended in each minute, from the minutes' rollup: the cost of a look does not depend on how many requests there were. */
export function createMinuteBooks(db: Connection): MinuteBooks {
  const read = db.prepare(`SELECT bucket, sum(requests) AS requests, sum(errors) AS errors, sum(prompt_tokens) AS prompt_tokens,
      sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens, sum(cost) AS cost
    FROM rollup_minutes WHERE bucket >= @first AND bucket < @end GROUP BY bucket ORDER BY bucket`);
  return {
    usageByMinute({ fromMs, toMs }) {
      const span = { first: BigInt(Math.floor(fromMs / MINUTE_MS)), end: BigInt(Math.ceil(toMs / MINUTE_MS)) };
      return rowsOf(read.all(span)).map(totalsIn);
    },
  };
}

function totalsIn(row: Row): MinuteTotals {
  return {
    minuteMs: int(row, 'bucket') * MINUTE_MS,
    requests: int(row, 'requests'),
    errors: int(row, 'errors'),
    promptTokens: int(row, 'prompt_tokens'),
    cachedTokens: int(row, 'cached_tokens'),
    completionTokens: int(row, 'completion_tokens'),
    cost: big(row, 'cost'),
  };
}
