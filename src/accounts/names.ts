import { Fault } from '../faults.ts';

const NAME_MAX = 100;
/** Control characters, line separators, and marks that turn the direction of the text after them. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u;

/** True where a text holds characters that could move the cursor or reorder what a terminal shows. */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text);
}

/**
 * Reads a name that a person gave to a key: trimmed, 1 to 100 characters (code points), nothing unprintable.
 * @throws Fault invalid_request with `param` `name`. `readName(' laptop ')` is "laptop".
 */
export function readName(written: string): string {
  const name = written.trim();
  const length = [...name].length;
  if (length < 1 || length > NAME_MAX || hasUnprintable(name)) {
    throw new Fault('invalid_request', { fill: { detail: `A name has 1 to ${NAME_MAX} characters and no control characters.` }, param: 'name' });
  }
  return name;
}
