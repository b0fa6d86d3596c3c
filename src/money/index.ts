/** Integer dollars: amounts, prices, rates, and the three sums made of them. */
export type { Charge, PicoUsd, Ppm, Price, Tokens, UsdE8 } from './units.ts';
export { GRANT_MAX, USD } from './units.ts';
export { byokFee, ceilingFor, charge, feeOn } from './charge.ts';
export { formatUsd, formatUsdExact, parsePrice, parseRate, parseUsd, usdNumber } from './text.ts';
