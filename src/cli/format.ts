import { formatUsd } from '../money/index.ts';
import type { PicoUsd, UsdE8 } from '../money/index.ts';
import { readMoment } from '../moments.ts';
import { wrongUsage } from './failure.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Unix seconds as people read them, in UTC: `2026-11-23 18:07:55Z`; nothing for null. */
export function timeText(seconds: number | null): string {
  return seconds === null ? '' : `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

/** The same without its year, where there is little room: `11-23 18:07:55Z`. */
export function shortTime(seconds: number): string {
  return timeText(seconds).slice('2026-'.length);
}

/** A number of things: `1 account`, `2 accounts`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

const SIZE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** How much room something takes, in KiB at least: 258_048 is `252 KiB`, 1_500_000_000 is `1.4 GiB`. */
export function sizeText(bytes: number): string {
  let size = bytes / 1024;
  let unit = 0;
  for (; size >= 1024 && unit < SIZE_UNITS.length - 1; unit += 1) size /= 1024;
  return `${unit > 0 && size < 10 ? size.toFixed(1) : Math.ceil(size)} ${SIZE_UNITS[unit]}`;
}

/** An amount with its sign of currency, to 6 decimals at most: `$9.45`, `-$0.50`. */
export function dollars(amount: UsdE8): string {
  return amount < 0n ? `-$${formatUsd(-amount)}` : `$${formatUsd(amount)}`;
}

/** A price in US dollars per million tokens, exactly: 140_000n (1e-12 a token) is `0.14`. */
export function perMillion(price: PicoUsd): string {
  return formatUsd(price * 100n);
}

/** A rate as people write it: 55_000n ppm is `5.5%`. */
export function percent(rate: bigint): string {
  const fraction = (rate % 10_000n).toString().padStart(4, '0').replace(/0+$/, '');
  return `${rate / 10_000n}${fraction === '' ? '' : `.${fraction}`}%`;
}

/** A word as a shell reads it back: `a.yaml` stands as it is, `my file` is `'my file'`. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** How long something takes, in its largest two units: `3h 12m`, `45s`. */
export function spanText(spanMs: number): string {
  const seconds = Math.max(0, Math.floor(spanMs / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return '0s';
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join(' ');
}

/**
 * The moment a `--since` means: a span back from now (`30d`, `12h`, `90m`, `2w`) or a day or time in UTC (`2026-11-01`).
 * @throws Refusal (exit 2) on anything else, or a moment to come.
 */
export function readSince(written: string, nowMs: number): number {
  const span = /^(\d{1,6})([smhdw])$/.exec(written);
  const unitMs = UNIT_MS[span?.[2] ?? ''];
  const atMs = span !== null && unitMs !== undefined ? nowMs - Number(span[1]) * unitMs : readMoment(written);
  if (atMs === undefined || atMs > nowMs || atMs < 0) {
    throw wrongUsage(`--since is a span such as 30d or 12h, or a day such as 2026-11-01, not ${JSON.stringify(written)}.`);
  }
  return atMs;
}

/**
 * A month of UTC: "2026-11" is from its 1st, 00:00, until before the 1st of December.
 * @throws Refusal (exit 2) on anything else
 */
export function readMonth(written: string): { readonly fromMs: number; readonly toMs: number } {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(written) ?? [];
  if (year === undefined || month === undefined) throw wrongUsage(`a month is written like 2026-11, not ${JSON.stringify(written)}.`);
  return { fromMs: Date.UTC(Number(year), Number(month) - 1), toMs: Date.UTC(Number(year), Number(month)) };
}
