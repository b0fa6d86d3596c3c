/** What nearly every text is made of; the classes below take a millisecond to be compiled. */
const PLAIN = /^[\x20-\x7e]*$/;
/** Controls, DEL, line separators, halves of characters, and format characters: marks that reorder, join or hide the text around them. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Two columns on a terminal: East Asian wide and fullwidth forms, and pictographs. */
const WIDE = /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /^\p{M}$/u;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Text that others wrote, safe to print: what could move the cursor, change colours or turn the direction of reading is
 * shown as an escape. Every table and every message goes through here. `printable('a\x1b[31m')` is `a\x1b[31m` in letters.
 */
export function printable(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(UNPRINTABLE, (mark) => NAMED[mark] ?? escapeOf(mark));
}

/** The same for a text of several lines, which stay lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/**
 * JSON whose strings hold no character that a terminal would act on: each is written as its `\u` escape, so that any reader of
 * JSON gets back what was meant.
 * @param space as of JSON.stringify
 */
export function jsonText(document: unknown, space?: number): string {
  return JSON.stringify(document, null, space).replace(UNPRINTABLE, (mark) => (mark === '\n' ? mark : [...Array(mark.length).keys()].map((at) => `\\u${mark.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')));
}

/** Columns that a text takes on a terminal: `displayWidth('价格')` is 4. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const mark of text) width += COMBINING.test(mark) ? 0 : WIDE.test(mark) ? 2 : 1;
  return width;
}

/** The text, cut to `width` columns with `…` as its last where it is longer. `width` is at least 1. */
export function fitted(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const mark of text) {
    const markWidth = displayWidth(mark);
    if (used + markWidth > width - 1) break;
    cut += mark;
    used += markWidth;
  }
  return `${cut}…`;
}

function escapeOf(mark: string): string {
  const code = mark.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
