import type { PicoUsd, Ppm, UsdE8 } from './units.ts';

const DECIMAL = /^(-?)(\d{1,15})(?:\.(\d{1,15}))?$/;

/**
 * Reads an amount of dollars that a person or a file wrote, exactly: `10`, `"9.45"`, `0.00000001`.
 * A JavaScript number is read by its shortest decimal form, so 0.1 is ten cents.
 * @throws RangeError on anything that is not a plain decimal number with at most 8 decimals. "9.45" is 945_000_000n.
 */
export function parseUsd(written: string | number): UsdE8 {
  return parseDecimal(written, 8, 'an amount of US dollars');
}

/**
 * Reads a price in US dollars per million tokens as 1e-12 dollars a token. "0.0028" is 2_800n.
 * @throws RangeError on a negative price or more than 6 decimals: a price is refused, never rounded.
 */
export function parsePrice(written: string | number): PicoUsd {
  const price = parseDecimal(written, 6, 'a price in US dollars per million tokens');
  if (price < 0n) throw new RangeError(`a price cannot be negative: ${written}`);
  return price;
}

/**
 * Reads a percentage, with or without its sign, as parts per million: "5.5%", "5.5" and 5.5 are 55_000n.
 * @throws RangeError outside 0 to 100 %, or with more than 4 decimals.
 */
export function parseRate(written: string | number): Ppm {
  const text = typeof written === 'string' ? written.trim().replace(/\s*%$/, '') : written;
  const rate = parseDecimal(text, 4, 'a percentage');
  if (rate < 0n || rate > 1_000_000n) throw new RangeError(`a percentage between 0 and 100: ${written}`);
  return rate;
}

/**
 * Writes an amount for people and headers: half up (away from zero) to 6 decimals, trailing zeros trimmed, at least two kept.
 * 42_000n is "0.00042", 905_000_000n is "9.05", 14_770_000n is "0.1477".
 */
export function formatUsd(amount: UsdE8): string {
  const sign = amount < 0n ? '-' : '';
  const micro = ((amount < 0n ? -amount : amount) + 50n) / 100n;
  const decimals = (micro % 1_000_000n).toString().padStart(6, '0').replace(/0{1,4}$/, '');
  return `${micro === 0n ? '' : sign}${micro / 1_000_000n}.${decimals}`;
}

/** Writes an amount to the last digit of the books: 14_770_000n is "0.14770000". */
export function formatUsdExact(amount: UsdE8): string {
  const size = amount < 0n ? -amount : amount;
  return `${amount < 0n ? '-' : ''}${size / 100_000_000n}.${(size % 100_000_000n).toString().padStart(8, '0')}`;
}

/** An amount as the JSON of the HTTP API shows it: a number with at most 6 decimals. For showing, never for sums. */
export function usdNumber(amount: UsdE8): number {
  return Number(formatUsd(amount));
}

/** Scales a plain decimal to an integer; refuses digits it would have to drop. */
function parseDecimal(written: string | number, decimals: number, what: string): bigint {
  const text = typeof written === 'number' ? plain(written) : written.trim();
  const match = DECIMAL.exec(text);
  const fraction = (match?.[3] ?? '').replace(/0+$/, '');
  if (match === null || fraction.length > decimals) {
    throw new RangeError(`${what} is a plain number with at most ${decimals} decimals, not ${JSON.stringify(written)}`);
  }
  const size = BigInt(match[2] + fraction.padEnd(decimals, '0'));
  return match[1] === '-' ? -size : size;
}

/** 1e-7 is written 0.0000001, for the shortest form of a small number is not plain. */
function plain(value: number): string {
  const shortest = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(shortest);
  if (match === null) return shortest;
  return `${match[1]}0.${'0'.repeat(Number(match[4]) - 1)}${match[2]}${match[3] ?? ''}`;
}
