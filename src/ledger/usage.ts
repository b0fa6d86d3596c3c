import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import type { MinuteBooks } from './minutes.ts';
import { big, int, rowsOf, text, type Row } from './rows.ts';
import type { Ledger, UsageGrouping, UsageTotals } from './types.ts';

export type UsageBooks = Sync<Pick<Ledger, 'usageTotals' | 'usageTables'>>;

const MINUTE_MS = 60_000;
const MINUTES_A_DAY = 1_440;

const GROUP: Record<UsageGrouping, string> = {
  model: 'u.model',
  key: 'u.key_id',
  account: 'a.id',
  provider: 'u.provider',
  mode: 'u.mode',
  day: `date(u.day * 86400, 'unixepoch')`,
};

const SUMS = ['requests', 'errors', 'prompt_tokens', 'cached_tokens', 'completion_tokens', 'cost', 'provider_cost', 'fee', 'shortfall']
  .map((name) => `sum(u.${name}) AS ${name}`).join(', ');

/**
 * Totals from the rollups, by the minute in which requests ended: whole days from the days' table, the rest from the
 * minutes'. A minute that the span only touches counts whole, and so does a day whose minutes were removed. Days come oldest first, every other group dearest first.
 */
export function createUsageBooks(db: Connection, { minutesFrom }: Pick<MinuteBooks, 'minutesFrom'>): UsageBooks {
  const usageTotals: UsageBooks['usageTotals'] = (by, { accountId, fromMs, toMs }) => {
    const query = `SELECT ${GROUP[by]} AS grouped, ${SUMS} FROM (
        SELECT bucket AS day, * FROM rollup_days WHERE bucket >= @firstDay AND bucket < @endDay
        UNION ALL SELECT bucket / ${MINUTES_A_DAY}, * FROM rollup_minutes WHERE bucket >= @firstMinute AND bucket < @untilMinute
        UNION ALL SELECT bucket / ${MINUTES_A_DAY}, * FROM rollup_minutes WHERE bucket >= @againMinute AND bucket < @endMinute
      ) u JOIN accounts a ON a.no = u.account ${accountId === undefined ? '' : 'WHERE a.id = @accountId'}
      GROUP BY 1 ORDER BY ${by === 'day' ? '1' : 'sum(u.cost) DESC, sum(u.requests) DESC, 1'}`;
    const bounds = spans(fromMs, toMs, minutesFrom() / (MINUTES_A_DAY * MINUTE_MS));
    const parameters = accountId === undefined ? bounds : { ...bounds, accountId };
    return rowsOf(db.prepare(query).all(parameters)).map(totalsIn);
  };
  return { usageTotals, usageTables: (groupings, span) => groupings.map((by) => usageTotals(by, span)) };
}

/** Cuts a span into the minutes before its first whole day, its whole days, and the minutes after them; before `minutesFromDay` each day is whole. */
function spans(fromMs: number, toMs: number, minutesFromDay: number): Record<string, bigint> {
  const firstMinute = Math.floor(fromMs / MINUTE_MS);
  const endMinute = Math.max(firstMinute, Math.ceil(toMs / MINUTE_MS));
  const [from, end] = [firstMinute / MINUTES_A_DAY, endMinute / MINUTES_A_DAY];
  const isEmpty = endMinute === firstMinute;
  const firstDay = !isEmpty && from < minutesFromDay ? Math.floor(from) : Math.ceil(from);
  const endDay = Math.max(firstDay, !isEmpty && end < minutesFromDay ? Math.ceil(end) : Math.floor(end));
  const untilMinute = Math.min(endMinute, firstDay * MINUTES_A_DAY);
  // Past `endMinute` where the span has no whole day and ends before the first: then there is nothing after it.
  const againMinute = endDay * MINUTES_A_DAY;
  const bounds = { firstMinute, untilMinute, firstDay, endDay, againMinute, endMinute };
  return Object.fromEntries(Object.entries(bounds).map(([name, value]) => [name, BigInt(value)]));
}

function totalsIn(row: Row): UsageTotals {
  return {
    group: text(row, 'grouped'),
    requests: int(row, 'requests'),
    errors: int(row, 'errors'),
    promptTokens: int(row, 'prompt_tokens'),
    cachedTokens: int(row, 'cached_tokens'),
    completionTokens: int(row, 'completion_tokens'),
    cost: big(row, 'cost'),
    providerCost: big(row, 'provider_cost'),
    fee: big(row, 'fee'),
    shortfall: big(row, 'shortfall'),
  };
}
