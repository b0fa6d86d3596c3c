import { isAscii, pointAt, sizeOf } from './utf8.ts';

/** Counting tokens without a tokenizer. */

/** What a piece of text amounts to. Two counters of characters, so that sums are rounded once. */
export interface TextMeasure {
  /** UTF-8 bytes; no tokenizer makes more tokens than bytes. */
  bytes: number;
  /** UTF-16 units that count 0.3 tokens. */
  latin: number;
  /** UTF-16 units that count 0.6 tokens. */
  cjk: number;
}

export function emptyMeasure(): TextMeasure {
  return { bytes: 0, latin: 0, cjk: 0 };
}

/**
 * What a text probably is in tokens: 0.3 a Latin character, 0.6 a CJK character, rounded up.
 * Source: DeepSeek's rule of thumb. A character beyond the 16-bit plane counts 0.6. "hello" is 2, "你好" is 2.
 */
export function estimateTokens(text: string): number {
  const measure = emptyMeasure();
  addText(measure, text);
  return tokensOf(measure);
}

/** Rounded up, in integers: 0.3 × 10 is 3 and not a hair more. */
export function tokensOf(measure: TextMeasure): number {
  return Math.ceil((3 * measure.latin + 6 * measure.cjk) / 10);
}

/** Adds a text to a measure in one walk over its characters. */
export function addText(measure: TextMeasure, text: string): void {
  let bytes = text.length;
  let cjk = 0;
  if (isAscii(text)) {
    measure.bytes += bytes;
    measure.latin += bytes;
    return;
  }
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800 || isPaired(text, at, unit)) {
      bytes += 1;
      continue;
    }
    bytes += 2;
    if (isCjk(unit)) cjk += 1;
  }
  measure.bytes += bytes;
  measure.cjk += cjk;
  measure.latin += text.length - cjk;
}

/** The same as `addText`, of a text that is still UTF-8, one character a byte. */
export function addUtf8(measure: TextMeasure, bytes: string): void {
  measure.bytes += bytes.length;
  if (isAscii(bytes)) {
    measure.latin += bytes.length;
    return;
  }
  for (let at = 0; at < bytes.length; ) {
    const point = pointAt(bytes, at);
    if (isCjk(point)) measure.cjk += 1;
    else measure.latin += point < 0x1_0000 ? 1 : 2;
    at += sizeOf(point);
  }
}

/** Four bytes for a pair of surrogates, two a unit; a lone one leaves as the three bytes of U+FFFD. */
function isPaired(text: string, at: number, unit: number): boolean {
  if (unit < 0xd800 || unit > 0xdfff) return false;
  if (unit < 0xdc00) return (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
  return at > 0 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}

/** Radicals, kana, ideographs; Hangul; compatibility ideographs; vertical and full-width forms. */
function isCjk(unit: number): boolean {
  return (
    (unit >= 0x2e80 && unit <= 0xa4cf) ||
    (unit >= 0xac00 && unit <= 0xd7af) ||
    (unit >= 0xf900 && unit <= 0xfaff) ||
    (unit >= 0xfe30 && unit <= 0xfe4f) ||
    (unit >= 0xff00 && unit <= 0xffef)
  );
}
