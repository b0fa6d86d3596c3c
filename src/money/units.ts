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

/** What a model costs, per token of each kind. A prompt's cached tokens cost `cachedInput` instead of `input`. */
export interface Price {
  readonly input: PicoUsd;
  readonly cachedInput: PicoUsd;
  readonly output: PicoUsd;
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
