import type { Price, PriceList } from './units.ts';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
const WEEK_DAYS = 7;
/** The first of January 1970 was a Thursday. */
const EPOCH_WEEKDAY = 4;

/**
 * The price that holds at a time, in milliseconds since the epoch. A request is priced once, by when it came: its hold, its charge and
 * the order of `cheapest` are at one price, however long its answer takes. Days and hours are UTC's.
 *
 * Of a list with peak hours on weekdays, 01:00-04:00, a Monday's 00:59:59.999 is off-peak, its 01:00 peak, its 04:00 off-peak again.
 */
export function priceAt(list: PriceList, nowMs: number): Price {
  if (list.peak === undefined) return list;
  return isPeak(list, nowMs) ? list.peak.price : offPeak(list);
}

/** Whether a time lies in the list's peak hours. */
export function isPeak({ peak }: PriceList, nowMs: number): boolean {
  if (peak === undefined) return false;
  const { hours, days, except } = peak;
  const minute = Math.floor(nowMs / MINUTE_MS);
  const day = Math.floor(minute / DAY_MINUTES);
  const ofDay = minute - day * DAY_MINUTES;
  return hours.some(({ from, until }) => ofDay >= from && ofDay < until) && days.includes((day + EPOCH_WEEKDAY) % WEEK_DAYS) && !except.includes(day);
}

/** The price outside the peak hours, which for most models is the only one. */
export function offPeak(list: PriceList): Price {
  if (list.peak === undefined) return list;
  const { peak: _, ...price } = list;
  return price;
}
