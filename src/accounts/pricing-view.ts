import { offPeak, priceAt } from '../money/index.ts';
import type { Hours, PicoUsd, Price, PriceList, Rates } from '../money/index.ts';

interface Prices {
  readonly prompt: string;
  readonly completion: string;
  readonly input_cache_read: string;
}

/** When other prices hold: for prompts longer than this, at these hours, on these days. What does not stand there does not matter. */
interface Conditions {
  readonly min_prompt_tokens?: number;
  /** The clock of UTC as a number, 130 for 01:30; the end is not part of it, and 0 as the end is midnight. */
  readonly utc_start?: number;
  readonly utc_end?: number;
  readonly utc_days?: readonly string[];
}

/**
 * Prices as OpenRouter publishes them: decimal strings in US dollars per token, before the usage fee. Those at the top hold now, for
 * prompts of usual length; `overrides` stands only where others hold at other times or lengths, and where it speaks of times it tells
 * the whole week. Of several entries that apply the last one counts. Source: facts of the peers, 4.3.
 */
export interface PricingView extends Prices {
  readonly overrides?: readonly (Conditions & Prices)[];
}

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const MIDNIGHT = 1_440;
const DECIMALS = 12;

/** $0.14 per million tokens is "0.00000014" per token. Days that a schedule excepts are not told, for there are no words for them; the prices at the top know them. */
export function pricingView(list: PriceList, nowMs: number): PricingView {
  const overrides = list.peak === undefined ? longPromptOf(list, {}) : scheduleOf(list);
  return { ...pricesOf(priceAt(list, nowMs)), ...(overrides.length === 0 ? {} : { overrides }) };
}

function longPromptOf({ longPrompt }: Price, when: Conditions): readonly (Conditions & Prices)[] {
  return longPrompt === undefined ? [] : [{ ...when, min_prompt_tokens: longPrompt.above, ...pricesOf(longPrompt) }];
}

/** The whole week, each moment of it once. */
function scheduleOf(list: Extract<PriceList, { readonly peak: object }>): readonly (Conditions & Prices)[] {
  const { hours, days, price: dear } = list.peak;
  const usual = offPeak(list);
  const named = (wanted: boolean): Conditions => (days.length === DAYS.length ? {} : { utc_days: DAYS.filter((_, day) => days.includes(day) === wanted) });
  const told = (price: Price, when: Conditions) => [{ ...when, ...pricesOf(price) }, ...longPromptOf(price, when)];
  const edges = [...new Set([0, ...hours.flatMap(({ from, until }) => [from, until]), MIDNIGHT])];
  const ofPeakDays = edges.slice(1).flatMap((until, at) => {
    const from = edges[at] ?? 0;
    const isDear = hours.some((span) => span.from === from);
    return told(isDear ? dear : usual, { ...named(true), ...clock({ from, until }) });
  });
  return days.length === DAYS.length ? ofPeakDays : [...ofPeakDays, ...told(usual, named(false))];
}

function clock({ from, until }: Hours): Conditions {
  const hundreds = (minute: number): number => Math.floor(minute / 60) * 100 + (minute % 60);
  return from === 0 && until === MIDNIGHT ? {} : { utc_start: hundreds(from), utc_end: hundreds(until % MIDNIGHT) };
}

function pricesOf({ input, cachedInput, output }: Rates): Prices {
  return { prompt: perToken(input), completion: perToken(output), input_cache_read: perToken(cachedInput) };
}

/** 140_000n (1e-12 dollars) is "0.00000014"; nothing is rounded, for a price has at most 12 decimals a token. */
function perToken(price: PicoUsd): string {
  const digits = price.toString().padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  const whole = digits.slice(0, -DECIMALS);
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
