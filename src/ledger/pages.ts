import { Fault } from '../faults.ts';
import { big, type Row } from './rows.ts';
import type { Page } from './types.ts';

const LAST_ROW = (1n << 63n) - 1n;

/**
 * The row number that a cursor stands for; without one, a number above every row.
 * @throws Fault `invalid_request` on text that no page ever gave out: the caller's fault.
 */
export function cursorNo(cursor: string | undefined): bigint {
  if (cursor === undefined) return LAST_ROW;
  if (!/^\d{1,18}$/.test(cursor)) {
    throw new Fault('invalid_request', { fill: { detail: 'The cursor is not one that a list gave out. Use the "next" of the page before.' }, param: 'after' });
  }
  return BigInt(cursor);
}

/** A page out of up to `limit + 1` rows that bear `seq`: the one too many says that there is a next page. */
export function pageOf<T>(found: readonly Row[], limit: number, read: (row: Row) => T): Page<T> {
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  return { rows: rows.map(read), next: found.length > limit && last !== undefined ? String(big(last, 'seq')) : undefined };
}
