import type { WrittenField } from '../wire/index.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
/** Bytes of a string that are walked one by one before the next quote is looked for: most strings end sooner. */
const WALKED = 256;

/** What is seen of a JSON text without parsing it. */
export interface Survey {
  /** The deepest nesting of objects and arrays. */
  readonly depth: number;
  /** How many values there may be, at most. */
  readonly values: number;
  /**
   * Where the fields of the outermost object stand, four numbers for each: its name begins (at the quote) and ends, its value ends, and
   * how many strings are in the value, names among them. Of a text that is no JSON this tells nothing.
   */
  readonly fields: readonly number[];
}

/**
 * Looks a JSON text over, byte by byte, and stops just past what is allowed of depth or values. Ten megabytes of `[` would hold the parser
 * for seconds, and a megabyte of `{},` is a hundred on the heap. `{"a":[1]}` is 2 deep and has 3 values; its field is at 1, 4, 8 without strings.
 */
export function survey(bytes: Buffer, allowed: { readonly jsonDepth: number; readonly jsonValues: number }): Survey {
  const { jsonDepth, jsonValues } = allowed;
  const fields: number[] = [];
  let depth = 0;
  let deepest = 0;
  let values = 1;
  let strings = 0;
  let stringsBefore = 0;
  /** The outermost value is an object, and the next string in it is a name. */
  let isNameDue = false;
  for (let at = 0; at < bytes.length && deepest <= jsonDepth && values <= jsonValues; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      const from = at;
      at = endOfString(bytes, at + 1);
      strings += 1;
      if (isNameDue && depth === 1) {
        fields.push(from, at + 1);
        stringsBefore = strings;
        isNameDue = false;
      }
      // A name and a value at most: what has more strings is no JSON, and megabytes of `""` are slow to walk.
      if (strings > 2 * jsonValues) values = jsonValues + 1;
    } else if (byte === COMMA) {
      values += 1;
      if (depth === 1 && fields.length % 4 === 2) {
        fields.push(at, strings - stringsBefore);
        isNameDue = true;
      }
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      values += 1;
      if (depth > deepest) deepest = depth;
      if (depth === 1 && fields.length === 0) isNameDue = byte === 0x7b;
    } else if (byte === 0x5d || byte === 0x7d) {
      if (depth === 1 && fields.length % 4 === 2) fields.push(at, strings - stringsBefore);
      depth -= 1;
    }
  }
  return { depth: deepest, values, fields };
}

/**
 * The fields that `survey` found, by name; of two with one name the last, as in parsing.
 * @param bytes a JSON text that was parsed
 */
export function writtenFields(bytes: Buffer, fields: Survey['fields']): ReadonlyMap<string, WrittenField> {
  const written = new Map<string, WrittenField>();
  for (let at = 0; at + 3 < fields.length; at += 4) {
    const [from, nameEnd, end, strings] = [fields[at] ?? 0, fields[at + 1] ?? 0, fields[at + 2] ?? 0, fields[at + 3] ?? 0];
    const name = bytes.toString('utf8', from + 1, nameEnd - 1);
    written.set(name.includes('\\') ? String(JSON.parse(bytes.toString('utf8', from, nameEnd))) : name, { text: bytes.subarray(from, end), strings });
  }
  return written;
}

/** Where the quote stands that ends the string whose text begins at `from`; the bytes' length where there is none. */
function endOfString(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length) {
    const until = Math.min(at + WALKED, bytes.length);
    while (at < until) {
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      at += byte === BACKSLASH ? 2 : 1;
    }
    // A prompt is one long string: past its beginning, bytes that are neither quote nor backslash are jumped over.
    at = beforeQuote(bytes, at);
  }
  return bytes.length;
}

/** Where the next quote stands, or the first of the backslashes right before it; `at` is no character that is escaped. */
function beforeQuote(bytes: Buffer, at: number): number {
  const quote = bytes.indexOf(QUOTE, at);
  if (quote === -1) return bytes.length;
  let first = quote;
  while (first > at && bytes[first - 1] === BACKSLASH) first -= 1;
  return first;
}
