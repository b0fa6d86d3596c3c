import { isPeak, offPeak, priceAt, ratesFor } from '../money/index.ts';
import type { Price, PriceList } from '../money/index.ts';
import { WEEK } from './days.ts';
import type { Model } from './types.ts';

type Kind = 'input' | 'cached_input' | 'output';

/**
 * The kinds of token that cost the operator more than customers pay for them, before the usage fee, in short prompts or in long
 * ones, outside the provider's peak hours; empty without a known cost. deepseek-chat, sold at 0.14/0.0028/0.28 and bought at
 * 0.15/0.003/0.6, gives all three.
 */
export function soldBelowCost({ price, cost }: Pick<Model, 'price' | 'cost'>): readonly Kind[] {
  if (cost === undefined) return [];
  const bought = offPeak(cost);
  return belowCost(timesOf(price, cost).filter((atMs) => !isPeak(cost, atMs)).map((atMs) => [priceAt(price, atMs), bought]));
}

/** The same in the provider's peak hours. Sold at 0.15 around the clock and bought at 0.15, in peak hours at 0.3, gives `input` here alone. */
export function soldBelowPeakCost({ price, cost }: Pick<Model, 'price' | 'cost'>): readonly Kind[] {
  if (cost?.peak === undefined) return [];
  const { price: bought } = cost.peak;
  return belowCost(timesOf(price, cost).filter((atMs) => isPeak(cost, atMs)).map((atMs) => [priceAt(price, atMs), bought]));
}

/** Of these models, those that are sold below their cost, and those that are in the provider's peak hours alone. */
export function losing(models: readonly Model[]): { readonly always: readonly Model[]; readonly atPeak: readonly Model[] } {
  const always = models.filter((model) => soldBelowCost(model).length > 0);
  return { always, atPeak: models.filter((model) => !always.includes(model) && soldBelowPeakCost(model).length > 0) };
}

function belowCost(pairs: readonly (readonly [sold: Price, bought: Price])[]): readonly Kind[] {
  const rates = pairs.flatMap(([sold, bought]) => {
    const lengths = [0, sold.longPrompt?.above, bought.longPrompt?.above].flatMap((above) => (above === undefined ? [] : [above, above + 1]));
    return lengths.map((length) => [ratesFor(sold, length), ratesFor(bought, length)] as const);
  });
  return KINDS.flatMap(([kind, name]) => (rates.some(([sold, bought]) => sold[kind] < bought[kind]) ? [name] : []));
}

/** Times of a week, in milliseconds, between which no price of these changes. Days that are excepted are rare, and nobody loses money on them alone. */
function timesOf(...lists: readonly PriceList[]): readonly number[] {
  const minutes = new Set([0, ...lists.flatMap(({ peak }) => peak?.hours ?? []).flatMap(({ from, until }) => [from, until])]);
  return WEEK.flatMap((_, day) => [...minutes].map((minute) => (day * 1_440 + minute) * 60_000));
}

/** The kinds of token, by their names here and in the file. */
const KINDS = [['input', 'input'], ['cachedInput', 'cached_input'], ['output', 'output']] as const;
