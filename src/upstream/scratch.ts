/** As much as one read of a socket brings. */
const BYTES = 65_536;

/** Joins pieces for a moment: a buffer of its own for each read of a stream would cost more than all else that is done with it. */
export class Scratch {
  #buffer: Buffer | undefined;

  /** The pieces in one, good until the next call. */
  join(pieces: readonly Buffer[]): Buffer {
    this.#buffer ??= Buffer.allocUnsafeSlow(BYTES);
    let bytes = 0;
    for (const piece of pieces) {
      if (bytes + piece.length > BYTES) return Buffer.concat(pieces);
      this.#buffer.set(piece, bytes);
      bytes += piece.length;
    }
    return this.#buffer.subarray(0, bytes);
  }
}
