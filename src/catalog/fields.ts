import { parsePrice } from '../money/index.ts';
import type { PicoUsd } from '../money/index.ts';
import { nearestName } from './names.ts';

export type Path = readonly (string | number)[];
export type Mapping = Readonly<Record<string, unknown>>;

/** What is wrong with catalogue data, where, and the mend. Whoever wrote the data is at fault. */
export class CatalogError extends Error {
  /** From the root of the data to the fault, such as `['models', 'x', 'price', 'input']`; the last steps may be missing there. */
  readonly path: Path;
  /** The fault without the path. */
  readonly text: string;
  /** The name at the end of the path is at fault, not what it holds. */
  readonly nameIsWrong: boolean;
  /** Other places that may be the cause, where the fault shows between several. */
  readonly suspects: readonly Path[];

  constructor(path: Path, text: string, nameIsWrong = false, suspects: readonly Path[] = []) {
    super(`${path.join('.')}: ${text}`);
    this.name = 'CatalogError';
    this.path = path;
    this.text = text;
    this.nameIsWrong = nameIsWrong;
    this.suspects = suspects;
  }
}

/** A mapping and nothing but the known names in it; without `known`, any names. Nothing at all is an empty mapping. */
export function readMapping(value: unknown, path: Path, known?: readonly string[]): Mapping {
  if (value === undefined || value === null) return {};
  if (!isMapping(value)) throw new CatalogError(path, `expected a mapping, found ${kindOf(value)}. Write names and values, indented below it.`);
  for (const name of Object.keys(value)) {
    if (known === undefined || known.includes(name)) continue;
    const near = nearestName(known, name);
    const mend = near === undefined ? `The names here are ${known.join(', ')}.` : `Did you mean ${near}?`;
    throw new CatalogError([...path, name], `unknown key. ${mend}`, true);
  }
  return value;
}

/** Reads every entry of a mapping of ids, in its order. */
export function readEach<T>(value: unknown, path: Path, read: (id: string, entry: unknown, path: Path) => T): Map<string, T> {
  return new Map(Object.entries(readMapping(value, path)).map(([id, entry]) => [id, read(id, entry, [...path, id])]));
}

/** Text without blanks at its ends; `fallback` where nothing is written, and without one it must be. */
export function readText(from: Mapping, name: string, path: Path, fallback?: string): string {
  const value = from[name];
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value === 'string' && value.trim() !== '') return value.trim();
  throw new CatalogError([...path, name], `expected a text, found ${kindOf(value)}. Write for example ${name}: ${TEXT_EXAMPLES[name] ?? 'some-name'}.`);
}

const TEXT_EXAMPLES: Readonly<Record<string, string>> = {
  provider: 'deepseek',
  base_url: 'https://api.example.com/v1',
  priced: '2026-11-23',
};

/** A list of texts without repetition. */
export function readTexts(value: unknown, path: Path, example: string): readonly string[] {
  if (!Array.isArray(value)) throw new CatalogError(path, `expected a list, found ${kindOf(value)}. Write for example ${example}.`);
  return value.map((item: unknown, index) => {
    if (typeof item !== 'string' || item === '') throw new CatalogError([...path, index], `expected a text, found ${kindOf(item)}. Write for example ${example}.`);
    if (value.indexOf(item) < index) throw new CatalogError([...path, index], 'this stands in the list twice. Leave the second one out.');
    return item;
  });
}

/** A whole number of tokens, at least 1; digits in a text are one too, for environment variables are texts. */
export function readTokens(from: Mapping, name: string, path: Path, fallback: number): number {
  const value = from[name];
  if (value === undefined) return fallback;
  const tokens = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : value;
  if (typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 1 && tokens <= 1_000_000_000) return tokens;
  throw new CatalogError([...path, name], `expected a whole number of tokens, at least 1. Write for example ${name}: ${fallback}.`);
}

export function readFlag(from: Mapping, name: string, path: Path): boolean {
  const value = from[name];
  if (value === undefined || value === false || value === 'false') return false;
  if (value === true || value === 'true') return true;
  throw new CatalogError([...path, name], `expected true or false, found ${kindOf(value)}. Write ${name}: true.`);
}

/** A price in US dollars per million tokens. Never guessed: what is missing is refused, and 0 means free only where it is written. */
export function readPrice(from: Mapping, name: string, path: Path): PicoUsd {
  const value = from[name];
  const here = [...path, name];
  if (value === undefined || value === null) {
    throw new CatalogError(here, `no price. Write US dollars per million tokens, for example ${name}: 0.14; 0 makes it free.`);
  }
  const refused = 'expected US dollars per million tokens, 0 or more, with at most 6 decimals';
  if (typeof value !== 'string' && typeof value !== 'number') throw new CatalogError(here, `${refused}. Write for example ${name}: 0.14.`);
  try {
    return parsePrice(value);
  } catch (refusal) {
    if (!(refusal instanceof RangeError)) throw refusal;
    throw new CatalogError(here, `${refused}. Write for example ${name}: 0.14.`);
  }
}

// Scheme, host (a name, an IPv4 or a bracketed IPv6 address), port, path. No room for credentials, query or fragment.
const BASE_URL = /^https?:\/\/(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::(\d{1,5}))?(?:\/[^\s?#\\]*)?$/i;

/** An http or https address below which `/chat/completions` lies; slashes at its end are trimmed. */
export function readBaseUrl(from: Mapping, name: string, path: Path): string {
  const url = readText(from, name, path);
  const here = [...path, name];
  const match = BASE_URL.exec(url);
  if (match === null || Number(match[1] ?? 0) > 65_535) {
    throw new CatalogError(here, 'expected an http or https address without user, password, query or fragment. Write for example https://api.example.com/v1.');
  }
  const trimmed = url.replace(/\/+$/, '');
  if (trimmed.endsWith('/chat/completions')) throw new CatalogError(here, 'a base address, not that of a call. Leave out /chat/completions.');
  return trimmed;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What was found, without its content, for that may be a secret in the wrong place. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'boolean' ? 'true or false' : 'a number';
}
