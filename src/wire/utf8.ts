/** UTF-8 as a string with one character a byte, as bytes are compared and joined without being decoded. */

// oxlint-disable-next-line no-control-regex
const ASCII = /^[\u0000-\u007f]*$/;

/** Every character is a byte of its own, in UTF-8 as in memory: most text is, and need not be walked. */
export function isAscii(text: string): boolean {
  return ASCII.test(text);
}

/** The text of valid UTF-8. `fromUtf8('\u00e4\u00bd\u00a0')` is `'你'`. */
export function fromUtf8(bytes: string): string {
  if (isAscii(bytes)) return bytes;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const point = pointAt(bytes, at);
    text += String.fromCodePoint(point);
    at += sizeOf(point);
  }
  return text;
}

/** The code point whose bytes begin at `at`. */
export function pointAt(bytes: string, at: number): number {
  const lead = bytes.charCodeAt(at);
  if (lead < 0x80) return lead;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | rest(bytes, at + 1);
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | (rest(bytes, at + 1) << 6) | rest(bytes, at + 2);
  return ((lead & 0x07) << 18) | (rest(bytes, at + 1) << 12) | (rest(bytes, at + 2) << 6) | rest(bytes, at + 3);
}

/** How many bytes a code point takes. */
export function sizeOf(point: number): number {
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x1_0000 ? 3 : 4;
}

function rest(bytes: string, at: number): number {
  return bytes.charCodeAt(at) & 0x3f;
}
