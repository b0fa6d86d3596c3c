import type { UsdE8 } from '../money/index.ts';

const E8_PER_CENT = 1_000_000n;
/** The payment service's largest amount: 99,999,999 cents. */
const CENTS_MAX = 99_999_999n;

/** The most that one payment can be: $999,999.99. */
export const PAYMENT_MAX: UsdE8 = CENTS_MAX * E8_PER_CENT;

/**
 * An amount as the payment service takes it: whole cents. 1_000_000_000n ($10) is 1000.
 * @throws RangeError on a fraction of a cent, or outside $0.01 to $999,999.99: nothing is ever rounded on its way to a payment.
 */
export function toCents(amount: UsdE8): number {
  const cents = amount / E8_PER_CENT;
  if (cents * E8_PER_CENT !== amount) throw new RangeError(`${amount} (1e-8 USD) is not a whole number of cents`);
  if (cents < 1n || cents > CENTS_MAX) throw new RangeError(`a payment lies between $0.01 and $999,999.99, not ${cents} cents`);
  return Number(cents);
}

/** The largest whole number of cents within an amount: 945_999_999n is 945_000_000n. */
export function floorToCents(amount: UsdE8): UsdE8 {
  return amount - (amount % E8_PER_CENT);
}

/** An amount of cents as the payment service writes it, in 1e-8 USD; undefined where it is no amount. 1000 is 1_000_000_000n. */
export function fromCents(cents: unknown): UsdE8 | undefined {
  return typeof cents === 'number' && Number.isSafeInteger(cents) && cents >= 0 ? BigInt(cents) * E8_PER_CENT : undefined;
}
