import { ratesFor } from '../money/index.ts';
import { nearestName } from './names.ts';
import type { Catalog, Model } from './types.ts';

/** The model of exactly this public id. Case and provider prefixes are not forgiven here: see `nearestModel`. */
export function findModel(catalog: Catalog, id: string): Model | undefined {
  return catalog.models.get(id);
}

/**
 * The public id that was probably meant, for the text of a 404: also without a provider's prefix and whatever the case.
 * `nearestModel(catalog, 'deepseek/DeepSeek-Chat')` is `'deepseek-chat'`; undefined where nothing is near.
 */
export function nearestModel(catalog: Catalog, id: string): string | undefined {
  const bare = id.slice(id.lastIndexOf('/') + 1);
  const names = [...catalog.models.keys()];
  return names.find((name) => name.toLowerCase() === bare.toLowerCase()) ?? nearestName(names, id) ?? nearestName(names, bare);
}

/** The models that may stand in for this one, in order of preference; none for an unknown or a lone model. */
export function equivalents(catalog: Catalog, id: string): readonly Model[] {
  const ids = catalog.equivalents.get(id) ?? [];
  return ids.flatMap((other) => catalog.models.get(other) ?? []);
}

/**
 * The kinds of token that cost the operator more than customers pay for them, before the usage fee, in short prompts or in long
 * ones; empty without a known cost. deepseek-chat, sold at 0.14/0.0028/0.28 and bought at 0.15/0.003/0.6, gives all three.
 */
export function soldBelowCost({ price, cost }: Pick<Model, 'price' | 'cost'>): readonly ('input' | 'cached_input' | 'output')[] {
  if (cost === undefined) return [];
  const lengths = [0, price.longPrompt?.above, cost.longPrompt?.above].flatMap((above) => (above === undefined ? [] : [above, above + 1]));
  const pairs = lengths.map((length) => [ratesFor(price, length), ratesFor(cost, length)] as const);
  return KINDS.flatMap(([kind, name]) => (pairs.some(([sold, bought]) => sold[kind] < bought[kind]) ? [name] : []));
}

/** The kinds of token, by their names here and in the file. */
const KINDS = [['input', 'input'], ['cachedInput', 'cached_input'], ['output', 'output']] as const;

/**
 * Whole days from the day a price was looked up to `todayIso` (`YYYY-MM-DD`, or an ISO time, of which the day counts).
 * 0 for a price without a date (an operator's own) and for days to come. '2026-11-23' on '2026-12-01' is 8.
 * @throws RangeError where `todayIso` is no date: a bug of the caller.
 */
export function priceAgeDays(model: Model, todayIso: string): number {
  const today = dayNumber(todayIso.slice(0, 10));
  if (today === undefined) throw new RangeError(`a day as YYYY-MM-DD, not ${JSON.stringify(todayIso)}`);
  const priced = dayNumber(model.priced);
  return priced === undefined ? 0 : Math.max(0, today - priced);
}

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
