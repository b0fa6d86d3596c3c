/**
 * A long body on its way out, which is let go of as it leaves. undici keeps a request with its body until the answer has ended, and the
 * answer may be a stream of hours: so many open streams with long prompts would keep all of these in memory.
 */
export class Passing implements Iterable<Uint8Array> {
  #bytes: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Once: a body that has left cannot be sent again. */
  *[Symbol.iterator](): Generator<Uint8Array> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    if (bytes !== undefined) yield bytes;
  }
}
