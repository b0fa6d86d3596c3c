/** Integer dollars: amounts, prices, rates, and the three sums made of them. */
export type { Charge, Hours, LongPromptRates, Peak, PicoUsd, Ppm, Price, PriceList, Rates, ScheduledPrice, Tokens, UsdE8 } from './units.ts';
export { GRANT_MAX, USD } from './units.ts';
export { byokFee, ceilingFor, charge, dearestRates, feeOn, ratesFor } from './charge.ts';
export { isPeak, offPeak, priceAt } from './peak.ts';
export { formatUsd, formatUsdExact, parsePrice, parseRate, parseUsd, usdNumber } from './text.ts';
