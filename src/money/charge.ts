import type { Charge, Ppm, Price, Rates, Tokens, UsdE8 } from './units.ts';

const MILLION = 1_000_000n;
/** Steps of 1e-12 dollars in one step of 1e-8. */
const PICO_PER_E8 = 10_000n;
/** A provider that counts more tokens than this in one answer is not counting tokens. */
const TOKENS_MAX = 100_000_000;

/**
 * What the tokens of a request cost whose prompt has this many, cached ones included. Providers that take more for long prompts
 * take it for the whole request. With 2 dollars above 262,144 tokens beside 0.5, a prompt of 262,144 costs 0.5, one of 262,145 costs 2.
 */
export function ratesFor(price: Price, promptTokens: number): Rates {
  const { longPrompt } = price;
  return longPrompt === undefined || promptTokens <= longPrompt.above ? price : longPrompt;
}

/** What no request with at most this long a prompt exceeds, token by token; a cached token may be the dearer one. */
export function dearestRates(price: Price, promptBound: number): Rates {
  const long = ratesFor(price, promptBound);
  const input = dearer(dearer(price.input, price.cachedInput), dearer(long.input, long.cachedInput));
  return { input, cachedInput: input, output: dearer(price.output, long.output) };
}

/**
 * What one answered Standard request costs its account: provider cost × (1 + usage fee).
 *
 * Both sides are summed in 1e-12 dollars before the one division, so a request is rounded once, half up, to 1e-8.
 * The provider's part is rounded the same way and the fee is the rest, so the parts always add up.
 * Source: CONTRACT section 1. One million prompt tokens at $0.14/M and 5.5 % are 14_770_000n ($0.1477).
 *
 * @throws RangeError on a count that is negative, fractional or absurd, or more cached tokens than prompt tokens:
 *   the reader of usage let it through, which is a bug and not the caller's fault.
 */
export function charge(tokens: Tokens, price: Price, usageFee: Ppm): Charge {
  const pico = costPico(tokens, price);
  const total = divideHalfUp(pico * (MILLION + usageFee), MILLION * PICO_PER_E8);
  const provider = divideHalfUp(pico, PICO_PER_E8);
  return { total, provider, fee: total - provider };
}

/**
 * What one BYOK request beyond the free ones costs: provider cost × BYOK fee, all of it fee, for the provider bills its
 * own account holder. Rounded once, half up. A provider cost of $0.001 at 5 % is 5_000n.
 * @throws RangeError as `charge` does.
 */
export function byokFee(tokens: Tokens, price: Price, rate: Ppm): Charge {
  const total = divideHalfUp(costPico(tokens, price) * rate, MILLION * PICO_PER_E8);
  return { total, provider: 0n, fee: total };
}

/**
 * The most that a request may cost at one model's price, rounded up, whether cached or not: `prompt` and `completion` are bounds.
 * `rate` is what is put on top of (Standard: 1 000 000 + usage fee) or taken of (BYOK: the fee) the provider's cost, in ppm.
 * 1,000 prompt and 500 completion tokens of deepseek-chat at 5.5 % hold 29_540n.
 * @throws RangeError as `charge` does.
 */
export function ceilingFor(tokens: { readonly prompt: number; readonly completion: number }, price: Price, rate: Ppm): UsdE8 {
  const { input, output } = dearestRates(price, tokens.prompt);
  const pico = wholeTokens(tokens.prompt) * input + wholeTokens(tokens.completion) * output;
  return divideUp(pico * rate, MILLION * PICO_PER_E8);
}

/**
 * Splits a payment into the fee that is kept and the credits that are given.
 * Credits are rounded down to 1e-8, so that the two always add up to the payment. $10 at 5.5 % gives 945_000_000n credits.
 * @throws RangeError on a negative amount or a rate outside 0 to 100 %.
 */
export function feeOn(amount: UsdE8, rate: Ppm): { readonly fee: UsdE8; readonly credits: UsdE8 } {
  if (amount < 0n) throw new RangeError(`a payment cannot be negative: ${amount}`);
  if (rate < 0n || rate > MILLION) throw new RangeError(`a fee lies between 0 and 100 %: ${rate} ppm`);
  const credits = (amount * (MILLION - rate)) / MILLION;
  return { fee: amount - credits, credits };
}

function costPico(tokens: Tokens, price: Price): bigint {
  const prompt = wholeTokens(tokens.prompt);
  const cached = wholeTokens(tokens.cached);
  if (cached > prompt) throw new RangeError(`${cached} cached tokens in a prompt of ${prompt}`);
  const { input, cachedInput, output } = ratesFor(price, tokens.prompt);
  return (prompt - cached) * input + cached * cachedInput + wholeTokens(tokens.completion) * output;
}

function wholeTokens(count: number): bigint {
  if (!Number.isInteger(count) || count < 0 || count > TOKENS_MAX) throw new RangeError(`not a token count: ${count}`);
  return BigInt(count);
}

/** Both arguments are ≥ 0 here; half a step goes up. */
function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  return (2n * dividend + divisor) / (2n * divisor);
}

function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function dearer(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
