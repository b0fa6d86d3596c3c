import { dayNumber } from './days.ts';
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
