/** Days of the week as findtoken.yaml names them, from Sunday, which is 0. */
export const WEEK = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/**
 * Days since the epoch of a calendar day; undefined for anything else, 2026-02-30 too. Proleptic Gregorian, counted in
 * whole numbers, for this floor has no clock and needs none.
 */
export function dayNumber(isoDay: string): number | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(isoDay);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  const length = lengths[month - 1];
  if (year === 0 || length === undefined || day < 1 || day > length) return undefined;
  const past = year - 1;
  const leapDays = Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400);
  const daysBefore = lengths.slice(0, month - 1).reduce((sum, days) => sum + days, 0);
  return past * 365 + leapDays + daysBefore + day - 719_163;
}
