import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { big, int, rowOf, rowsOf, theRow, whole, type Row } from './rows.ts';
import type { Ledger, MinuteTotals } from './types.ts';

export type MinuteBooks = Sync<Pick<Ledger, 'usageByMinute' | 'removeMinutes' | 'minutesFrom'>>;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const MINUTES_A_DAY = 1_440n;

/** The note that bears the day (since 1970, UTC) from which on the minutes' rollup is whole. Days before it stand in the days' rollup alone. */
const FROM_DAY = 'minutes_from_day';
/** The same in SQL; 0 where nothing was removed. */
export const MINUTES_FROM_DAY = `coalesce((SELECT CAST(value AS INTEGER) FROM notes WHERE name = '${FROM_DAY}'), 0)`;

/** Since minutes may be missing, so that a program that counts on all of them refuses the file. */
export const MINUTES_KEPT = `INSERT INTO notes (name, value) VALUES ('${FROM_DAY}', '0') ON CONFLICT (name) DO NOTHING;`;

/** What ended in each minute, from the minutes' rollup: the cost of a look does not depend on how many requests there were. */
export function createMinuteBooks(db: Connection, setNote: (name: string, value: string) => void): MinuteBooks {
  const read = db.prepare(`SELECT bucket, sum(requests) AS requests, sum(errors) AS errors, sum(prompt_tokens) AS prompt_tokens,
      sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens, sum(cost) AS cost
    FROM rollup_minutes WHERE bucket >= @first AND bucket < @end GROUP BY bucket ORDER BY bucket`);
  const fromDay = db.prepare(`SELECT ${MINUTES_FROM_DAY}`).pluck();
  const oldest = db.prepare('SELECT bucket / 1440 AS day FROM rollup_minutes ORDER BY bucket LIMIT 1');
  // Of each account that was served on that day, which are few beside all rows that there are.
  const kept = db.prepare(`SELECT 1 FROM (SELECT account, sum(requests) AS requests FROM rollup_days WHERE bucket = @day GROUP BY account) d
    WHERE d.requests <> coalesce((SELECT sum(r.requests) FROM removed_requests r WHERE r.account = d.account AND r.day = @day), 0) LIMIT 1`);
  const bounds = db.prepare(`SELECT (SELECT min(bucket) FROM rollup_minutes) AS first,
    coalesce((SELECT bucket FROM rollup_minutes WHERE bucket < @end ORDER BY bucket LIMIT 1 OFFSET @most), @end) AS next`);
  const remove = db.prepare('DELETE FROM rollup_minutes WHERE bucket < ?');

  /** Whether a day's minutes may go: it lies before `beforeMs` as a whole, and so do the rows of all requests that ended in it. */
  const isDue = (day: bigint, beforeMs: number): boolean => day < BigInt(Math.floor(beforeMs / DAY_MS)) && kept.get({ day }) === undefined;

  return {
    usageByMinute({ fromMs, toMs }) {
      const span = { first: BigInt(Math.floor(fromMs / MINUTE_MS)), end: BigInt(Math.ceil(toMs / MINUTE_MS)) };
      return rowsOf(read.all(span)).map(totalsIn);
    },
    minutesFrom: () => Number(fromDay.get()) * DAY_MS,
    removeMinutes({ beforeMs, most }) {
      const row = rowOf(oldest.get());
      if (row === undefined) return { removed: 0, isLast: true };
      const day = big(row, 'day');
      const isBegun = Number(day) < Number(fromDay.get());
      if (!isBegun && !isDue(day, beforeMs)) return { removed: 0, isLast: true };
      // Said before the first of them goes: from here on the day is told whole or not at all.
      if (!isBegun) setNote(FROM_DAY, String(day + 1n));
      const end = (day + 1n) * MINUTES_A_DAY;
      const found = theRow(bounds.get({ end, most: whole(most) }));
      const [first, next] = [big(found, 'first'), big(found, 'next')];
      // A minute goes whole, however many its rows are.
      return { removed: remove.run(next > first ? next : first + 1n).changes, isLast: false };
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
