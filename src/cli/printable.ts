/** C0 and C1 controls, DEL, line separators, marks that reorder or hide the text around them. */
const UNPRINTABLE = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;
/** Two columns on a terminal: East Asian wide and fullwidth forms, and pictographs. */
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /^\p{M}$/u;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Text that others wrote, safe to print: what could move the cursor, change colours or turn the direction of reading is
 * shown as an escape. Every table and every message goes through here. `printable('a\x1b[31m')` is `a\x1b[31m` in letters.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (mark) => NAMED[mark] ?? escapeOf(mark));
}

/** Columns that a text takes on a terminal: `displayWidth('价格')` is 4. */
export function displayWidth(text: string): number {
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
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
