import { GRANT_MAX, parseUsd } from '../money/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { wrongUsage } from './failure.ts';

/**
 * An amount as it stands on a command line.
 * @param what begins the refusal: "the amount"
 * @param least "negative" where an amount below zero takes back
 * @throws Refusal (exit 2) on what is no amount, or one beyond a thousand million dollars
 */
export function readAmount(written: string, what: string, least: 'zero' | 'negative'): UsdE8 {
  const amount = parsed(written);
  if (amount === undefined || (least === 'zero' && amount < 0n)) throw wrongUsage(`${what} is in US dollars, such as 20 or 9.45, with at most 8 decimals, not ${JSON.stringify(written)}.`);
  if (amount <= GRANT_MAX && amount >= -GRANT_MAX) return amount;
  throw wrongUsage(`${what} is at most 1000000000 US dollars; give less, or in parts.`);
}

function parsed(written: string): UsdE8 | undefined {
  try {
    return parseUsd(written);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}
