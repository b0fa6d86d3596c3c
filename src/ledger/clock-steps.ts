import type { Connection } from './connection.ts';
import { big, rowOf, whole } from './rows.ts';

/** A clock that is set back by more than this between two ends is noted; what is less is within the slack of whoever looks for a time. */
export const CLOCK_STEP_MS = 600_000;

/**
 * Requests are numbered as they end, and times are found by halving the numbers. Where the clock was set back, be it by a year that it had
 * been ahead, the order of times begins anew: each such place is noted, and between two of them halving holds.
 */
export const CLOCK_TABLES = `
CREATE TABLE clock_steps (
  seq INTEGER PRIMARY KEY                  -- the request that ended first by the clock that had been set back
) STRICT;
INSERT INTO clock_steps (seq)
  SELECT seq FROM (SELECT seq, ended_ms, lag(ended_ms) OVER (ORDER BY seq) AS before FROM requests) WHERE ended_ms < before - ${CLOCK_STEP_MS};
`;

/** Row numbers by the time of ending: some 25 look-ups at ten million rows for each stretch between two steps of the clock. */
export interface RowsByTime {
  /** No request with a lower number ended at or after this time. */
  from(ms: number): bigint;
  /** No request with this number or a higher one ended before this time. */
  end(ms: number): bigint;
}

/** One of two requests a year apart: `from` and `end` of a time between them are both the number of the second. */
export function createRowsByTime(db: Connection): RowsByTime {
  const last = db.prepare('SELECT coalesce(max(seq), 0) FROM requests').pluck();
  const row = db.prepare('SELECT seq, ended_ms FROM requests WHERE seq >= ? ORDER BY seq LIMIT 1');
  const steps = db.prepare('SELECT seq FROM clock_steps ORDER BY seq').pluck();

  /** The first number of a stretch whose request ended at or after a time; its end where there is none. */
  const firstIn = (from: bigint, end: bigint, time: bigint): bigint => {
    let least = from;
    let most = end;
    while (least < most) {
      const middle = (least + most) / 2n;
      const found = rowOf(row.get(middle));
      const isBefore = found !== undefined && big(found, 'seq') < end && big(found, 'ended_ms') < time;
      if (isBefore) least = big(found, 'seq') + 1n;
      else most = middle;
    }
    return least;
  };
  const stretches = (): readonly (readonly [from: bigint, end: bigint])[] => {
    const newest = last.get();
    const end = (typeof newest === 'bigint' ? newest : 0n) + 1n;
    const begins = [1n, ...steps.all().filter((seq): seq is bigint => typeof seq === 'bigint' && seq > 1n && seq < end)];
    return begins.map((from, at) => [from, begins[at + 1] ?? end]);
  };
  return {
    from(ms) {
      const time = whole(ms);
      const all = stretches();
      const found = all.map(([from, end]) => ({ seq: firstIn(from, end, time), end })).find(({ seq, end }) => seq < end);
      return found?.seq ?? all.at(-1)?.[1] ?? 1n;
    },
    end(ms) {
      const time = whole(ms);
      const found = stretches().map(([from, end]) => ({ seq: firstIn(from, end, time), from })).findLast(({ seq, from }) => seq > from);
      return found?.seq ?? 1n;
    },
  };
}
