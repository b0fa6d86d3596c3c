import type { Json, JsonObject } from './types.ts';

/** Reading JSON of unknown shape. */

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Makes objects that inherit nothing, so that a field named `__proto__` or `constructor` is a field like any other. V8 keeps an
 * `Object.create(null)` as a hash table, slow to fill, to copy and to write; an instance of this is as quick as a literal.
 */
const Bare: new () => Record<string, Json> = (() => {
  class Made {
    [name: string]: Json;
  }
  Object.setPrototypeOf(Made.prototype, null);
  Reflect.deleteProperty(Made.prototype, 'constructor');
  return Made;
})();

/** A new object without fields, inherited ones included: `bareObject()['constructor']` is undefined. */
export function bareObject(): Record<string, Json> {
  return new Bare();
}

/** The fields of a JSON object, or none at all for anything else. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return isFields(value);
}

/** Whether two lists hold the very same values in the same order. */
export function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((entry, at) => entry === b[at]);
}

/** A string with something in it, else undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Deeper JSON is refused, from clients and from providers, before it costs a stack: V8 reads it at any depth, and breaks when it writes it. */
export const DEPTH_MAX = 128;

/**
 * Whether a value is nested deeper than `DEPTH_MAX`. Hardly any text has so many brackets, and one that has not need not be walked.
 * @param text the JSON text of the value
 */
export function isTooDeep(value: Json, text: string): boolean {
  return hasManyBrackets(text) && isDeeper(value, DEPTH_MAX);
}

/** More opening brackets than levels are allowed, those within strings included. */
function hasManyBrackets(text: string): boolean {
  // Each level is closed again.
  if (text.length <= 2 * DEPTH_MAX) return false;
  let left = DEPTH_MAX;
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      left -= 1;
      if (left < 0) return true;
    }
  }
  return false;
}

function isDeeper(value: Json, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const inner of Object.values(value)) if (isDeeper(inner, levels - 1)) return true;
  return false;
}

/** The value of a JSON text, or undefined where it is none. A byte order mark and blank lines before it are forgiven. */
export function parseJson(text: string): Json | undefined {
  try {
    const value: Json = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
