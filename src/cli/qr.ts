import { renderUnicodeCompact } from 'uqr';

/** An address as a picture for a telephone's camera, two rows to a line of text. */
export function qrPicture(address: string): string {
  return renderUnicodeCompact(address, { border: 2 });
}
