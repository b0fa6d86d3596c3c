import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';

import { EventScanner } from '../wire/index.ts';
import type { EventBlock, SseEvent } from '../wire/index.ts';

const BEGIN = 'data: ';
const BLANK = '\n\n';
const LINE_FEED = 0x0a;

/**
 * Bytes in, events out. What one read of the socket brought is mostly whole events of one line each: that is passed on as one block,
 * not decoded and not taken apart. Everything else (comments, other line ends, an event that is cut, broken UTF-8) goes through the scanner.
 *
 * A block begins and the scanner is left only between two events: after LF LF there is neither a line nor an event under way,
 * whatever came before.
 */
export class Intake {
  readonly #maxEventChars: number;
  /** Made when the first bytes need it; most streams do without for long. */
  #scanner: EventScanner | undefined;
  #decoder: StringDecoder | undefined;
  #isScanning = false;
  #hadBlocks = false;

  constructor(maxEventChars: number) {
    this.#maxEventChars = maxEventChars;
  }

  /**
   * What these bytes complete, in order.
   * @throws RangeError when an event passes its cap.
   */
  push(bytes: Buffer): readonly (SseEvent | EventBlock)[] {
    const text = bytes.toString('latin1');
    const arrived: (SseEvent | EventBlock)[] = [];
    for (let at = 0; at < text.length; ) {
      const end = this.#isScanning ? at : blockEnd(text, at);
      if (end === at) {
        const next = text.indexOf(BLANK + BEGIN, at);
        const to = next === -1 ? text.length : next + BLANK.length;
        this.#scan(bytes.subarray(at, to), arrived);
        at = to;
      } else if (end - at > this.#maxEventChars || !isUtf8(bytes.subarray(at, end))) {
        this.#scan(bytes.subarray(at), arrived);
        at = text.length;
      } else {
        this.#hadBlocks = true;
        arrived.push(new Block(text.slice(at, end)));
        at = end;
      }
    }
    return arrived;
  }

  /**
   * The event that only lacks its blank line, if there is one.
   * @throws RangeError when it passes its cap.
   */
  end(): readonly SseEvent[] {
    if (this.#scanner === undefined) return [];
    const tail = this.#decoder?.end() ?? '';
    return [...this.#scanner.push(tail), ...this.#scanner.end()];
  }

  #scan(bytes: Buffer, arrived: (SseEvent | EventBlock)[]): void {
    this.#decoder ??= new StringDecoder('utf8');
    this.#scanner ??= new EventScanner({ maxEventChars: this.#maxEventChars, isLater: this.#hadBlocks });
    for (const event of this.#scanner.push(this.#decoder.write(bytes))) arrived.push(event);
    this.#isScanning = bytes.at(-1) !== LINE_FEED || !this.#scanner.isIdle;
  }
}

class Block implements EventBlock {
  readonly bytes: string;

  constructor(bytes: string) {
    this.bytes = bytes;
  }

  scan(from: number, to: number): readonly SseEvent[] {
    const text = Buffer.from(this.bytes.slice(from, to), 'latin1').toString('utf8');
    return new EventScanner({ isLater: true }).push(text);
  }
}

/** Where the last whole event ends, if one begins at `at` with plain data; else `at`. */
function blockEnd(text: string, at: number): number {
  if (!text.startsWith(BEGIN, at)) return at;
  const blank = text.lastIndexOf(BLANK);
  return blank < at ? at : blank + BLANK.length;
}
