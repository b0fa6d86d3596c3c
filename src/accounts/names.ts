import { Fault } from '../faults.ts';

const NAME_MAX = 100;
/** Control characters, line separators, and marks that turn the direction of the text after them; to stand in a class of a pattern. */
export const UNPRINTABLES = String.raw`\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069`;
const UNPRINTABLE = new RegExp(`[${UNPRINTABLES}]`, 'u');

/** A name as it may be written, for the flag `u`: the blanks around it do not count. */
export const NAME_PATTERN = String.raw`^\s*[^\s${UNPRINTABLES}](?:[^${UNPRINTABLES}]{0,${NAME_MAX - 2}}[^\s${UNPRINTABLES}])?\s*$`;
const NAME = new RegExp(NAME_PATTERN, 'u');

/** True where a text holds characters that could move the cursor or reorder what a terminal shows. */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text);
}

/**
 * Reads a name that a person gave to a key: trimmed, 1 to 100 characters (code points), nothing unprintable.
 * @throws Fault invalid_request with `param` `name`. `readName(' laptop ')` is "laptop".
 */
export function readName(written: string): string {
  if (!NAME.test(written)) {
    throw new Fault('invalid_request', { fill: { detail: `A name has 1 to ${NAME_MAX} characters and no control characters.` }, param: 'name' });
  }
  return written.trim();
}
