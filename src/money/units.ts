/** US dollars in steps of 1e-8, the precision of the books. $1 is 100_000_000n. */
export type UsdE8 = bigint & { readonly unit?: 'usd-e8' };

/** A price in 1e-12 US dollars a token. $0.14 per million tokens is 140_000n. */
export type PicoUsd = bigint & { readonly unit?: 'usd-e12-a-token' };

/** A rate in parts per million. 5.5 % is 55_000n. */
export type Ppm = bigint & { readonly unit?: 'ppm' };

/** One US dollar. */
export const USD: UsdE8 = 100_000_000n;

/** Most that is granted at once, a thousand million dollars: far above any purse, and sums of many are far from what the books' integers hold. */
export const GRANT_MAX: UsdE8 = 1_000_000_000n * USD;

/** What one request's tokens cost, by their kind. A prompt's cached tokens cost `cachedInput` instead of `input`. */
export interface Rates {
  readonly input: PicoUsd;
  readonly cachedInput: PicoUsd;
  readonly output: PicoUsd;
}

/** What a model costs at one time: one set of rates, and with some providers another for requests whose prompt is long. */
export interface Price extends Rates {
  readonly longPrompt?: LongPromptRates | undefined;
  /** Never here: which of a list's prices holds is asked of `priceAt`, and what it says is a `Price`. */
  readonly peak?: undefined;
}

/** What a model costs around the clock: mostly one price, and with some providers another at certain hours. */
export type PriceList = Price | ScheduledPrice;

/** Its own rates are those outside the peak hours. */
export interface ScheduledPrice extends Rates {
  readonly longPrompt?: LongPromptRates | undefined;
  readonly peak: Peak;
}

/** Hours at which another price holds, in UTC. */
export interface Peak {
  /** In order, none touching the next, each within one day. */
  readonly hours: readonly Hours[];
  /** Days of the week, 0 for Sunday; the hours of all others are not peak. */
  readonly days: readonly number[];
  /** Days since the epoch on which no hour is peak, such as holidays. */
  readonly except: readonly number[];
  readonly price: Price;
}

/** Minutes of a day: `from` is the first, `until` the one after the last. 01:00-04:00 is 60 and 240. */
export interface Hours {
  readonly from: number;
  readonly until: number;
}

/** Rates of all tokens of a request whose prompt, cached tokens included, is longer than `above`. */
export interface LongPromptRates extends Rates {
  readonly above: number;
}

/** Tokens to be priced. `cached` is a part of `prompt`, never an addition to it. */
export interface Tokens {
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
}

/** One request's cost. `total` is what the account pays; `provider + fee === total`, always. */
export interface Charge {
  readonly total: UsdE8;
  readonly provider: UsdE8;
  readonly fee: UsdE8;
}
