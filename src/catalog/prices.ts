import { offPeak } from '../money/index.ts';
import type { Hours, LongPromptRates, Peak, Price, PriceList, Rates } from '../money/index.ts';
import { dayNumber, WEEK } from './days.ts';
import { CatalogError, readMapping, readPrice, readTexts, readTokens } from './fields.ts';
import type { Mapping, Path } from './fields.ts';
import { nearestName } from './names.ts';

const RATE_FIELDS = ['input', 'cached_input', 'output'];
const LONG_PROMPT_FIELDS = ['above', ...RATE_FIELDS];
const PRICE_FIELDS = [...RATE_FIELDS, 'long_prompt', 'peak'];
const PEAK_FIELDS = ['hours', 'days', 'except', ...RATE_FIELDS, 'long_prompt'];

const EVERY_DAY = WEEK.map((_, day) => day);
const DAY_MINUTES = 1_440;
const HOURS = /^(\d{2}):(\d{2})-(\d{2}):(\d{2})$/;

/**
 * What a model costs: rates, others for long prompts, others at peak hours. Whoever wrote the data is at fault.
 * `{ input: 0.14, output: 0.28 }` is 140_000n and 280_000n, cached tokens at 140_000n.
 * @throws CatalogError for a price that is missing, or no price
 */
export function readPrices(value: unknown, path: Path): PriceList {
  if (value === undefined || value === null) {
    throw new CatalogError(path, 'a model without a price is refused. Write for example price: { input: 0.14, output: 0.28 }, US dollars per million tokens.');
  }
  const fields = readMapping(value, path, PRICE_FIELDS);
  const price = readPriceOf(fields, path);
  const peak = readPeak(fields['peak'], [...path, 'peak']);
  if (peak === undefined) return price;
  if (price.longPrompt !== undefined && peak.price.longPrompt === undefined) {
    throw new CatalogError([...path, 'peak', 'long_prompt'], `long prompts have a price of their own beside these hours: say what they cost within them. Write for example long_prompt: { above: ${price.longPrompt.above}, input: 2, output: 6 }.`);
  }
  return { ...price, peak };
}

/** At all hours and lengths. Free outside the peak hours alone is not free. */
export function isFree(list: PriceList): boolean {
  const prices = list.peak === undefined ? [list] : [offPeak(list), list.peak.price];
  return prices.flatMap((price) => [price, price.longPrompt ?? price]).every(({ input, cachedInput, output }) => input === 0n && cachedInput === 0n && output === 0n);
}

function readPriceOf(fields: Mapping, path: Path): Price {
  const longPrompt = readLongPrompt(fields['long_prompt'], [...path, 'long_prompt']);
  return { ...readRates(fields, path), ...(longPrompt === undefined ? {} : { longPrompt }) };
}

function readRates(fields: Mapping, path: Path): Rates {
  const input = readPrice(fields, 'input', path);
  const output = readPrice(fields, 'output', path);
  return { input, cachedInput: fields['cached_input'] === undefined ? input : readPrice(fields, 'cached_input', path), output };
}

/** Rates of their own for long prompts: some providers take them for the whole request. */
function readLongPrompt(value: unknown, path: Path): LongPromptRates | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = readMapping(value, path, LONG_PROMPT_FIELDS);
  if (fields['above'] === undefined) {
    throw new CatalogError([...path, 'above'], 'from which length of the prompt on do these prices hold? Write for example above: 262144, a number of tokens.');
  }
  return { above: readTokens(fields, 'above', path, 262_144), ...readRates(fields, path) };
}

/** Prices of their own at some hours, whole ones: what is not named there is not taken from the others. */
function readPeak(value: unknown, path: Path): Peak | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = readMapping(value, path, PEAK_FIELDS);
  return {
    hours: readHours(fields['hours'], [...path, 'hours']),
    days: fields['days'] === undefined ? EVERY_DAY : readDays(fields['days'], [...path, 'days']),
    except: fields['except'] === undefined ? [] : readExcept(fields['except'], [...path, 'except']),
    price: readPriceOf(fields, path),
  };
}

function readHours(value: unknown, path: Path): readonly Hours[] {
  const example = 'hours: [01:00-04:00, 06:00-10:00]';
  const spans = readTexts(value ?? [], path, example).map((text, at): Hours & { readonly at: number } => {
    const [, ...digits] = HOURS.exec(text) ?? [];
    const [fromHour = 99, fromMinute = 99, untilHour = 99, untilMinute = 99] = digits.map(Number);
    const [from, until] = [fromHour * 60 + fromMinute, untilHour * 60 + untilMinute];
    if (fromMinute > 59 || untilMinute > 59 || until > DAY_MINUTES) throw new CatalogError([...path, at], `expected hours of UTC, from 00:00 to 24:00. Write for example ${example}.`);
    if (from >= until) throw new CatalogError([...path, at], 'these hours end before they begin. What goes past midnight is two: 22:00-24:00 and 00:00-02:00.');
    return { from, until, at };
  });
  if (spans.length === 0) throw new CatalogError(path, `at which hours of UTC do these prices hold? Write for example ${example}.`);
  spans.sort((one, other) => one.from - other.from);
  return spans.map(({ from, until, at }, place) => {
    const next = spans[place + 1];
    if (next !== undefined && next.from <= until) throw new CatalogError([...path, Math.max(at, next.at)], 'these hours touch others of the list. Write them as one.');
    return { from, until };
  });
}

function readDays(value: unknown, path: Path): readonly number[] {
  const days = readTexts(value, path, 'days: [mon, tue, wed, thu, fri]').map((name, at) => {
    const day = WEEK.indexOf(name.toLowerCase() as (typeof WEEK)[number]);
    if (day !== -1) return day;
    const near = nearestName(WEEK, name);
    throw new CatalogError([...path, at], `no day has this name. ${near === undefined ? `There are ${WEEK.join(', ')}.` : `Did you mean ${near}?`}`);
  });
  if (days.length === 0) throw new CatalogError(path, 'peak hours on no day are none. Name days, or leave this out for every day.');
  return [...new Set(days)].sort((one, other) => one - other);
}

function readExcept(value: unknown, path: Path): readonly number[] {
  return readTexts(value, path, 'except: [2026-10-01]').map((text, at) => {
    const day = dayNumber(text);
    if (day !== undefined) return day;
    throw new CatalogError([...path, at], 'expected a day without peak hours. Write for example except: [2026-10-01].');
  });
}
