import type { SseEvent } from './types.ts';

const EVENT_CHARS_MAX = 8 * 1024 * 1024;
const BYTE_ORDER_MARK = 0xfeff;
const LINE_FEED = 0x0a;

export interface ScannerOptions {
  /** UTF-16 units that one event may hold, its unfinished line included; 8 Mi by default. */
  readonly maxEventChars?: number;
  /** The text does not begin the stream, and a byte order mark in front of it is text; false by default. */
  readonly isLater?: boolean;
}

/**
 * Splits a stream of decoded text into server-sent events, however the text is cut.
 * Takes LF, CRLF and CR, also mixed; a byte order mark; comments, which are no events; data over several lines; `data:` without its space.
 * Source: WHATWG HTML, server-sent events, with one leniency: an event that the end of input cuts off before its blank line still counts.
 * `new EventScanner().push('data: a\n\n')` is `[{ data: 'a', name: '' }]`.
 */
export class EventScanner {
  readonly #maxEventChars: number;
  /** The line under way. Only appended to while it grows: looking into it at each push would cost the square of its length. */
  #line = '';
  #data: string | undefined;
  #name = '';
  #afterCarriageReturn = false;
  #begun: boolean;

  constructor(options: ScannerOptions = {}) {
    this.#maxEventChars = options.maxEventChars ?? EVENT_CHARS_MAX;
    this.#begun = options.isLater ?? false;
  }

  /** Nothing of an event is under way, nor of a line end. */
  get isIdle(): boolean {
    return this.#line === '' && this.#data === undefined && this.#name === '' && !this.#afterCarriageReturn;
  }

  /**
   * The events that this piece of text completes, in order.
   * @throws RangeError when one event grows over the cap: the provider's fault, `too_large` upstream. The scanner is of no use afterwards.
   */
  push(text: string): readonly SseEvent[] {
    if (text === '') return [];
    let from = 0;
    if (!this.#begun) {
      this.#begun = true;
      if (text.charCodeAt(0) === BYTE_ORDER_MARK) from = 1;
    }
    if (this.#afterCarriageReturn) {
      this.#afterCarriageReturn = false;
      if (text.startsWith('\n', from)) from += 1;
    }
    const events: SseEvent[] = [];
    let lineFeed = text.indexOf('\n', from);
    let carriageReturn = text.indexOf('\r', from);
    if (carriageReturn === -1) {
      from = this.#pushPlain(text, from, events);
      lineFeed = text.indexOf('\n', from);
    }
    while (lineFeed !== -1 || carriageReturn !== -1) {
      const atReturn = carriageReturn !== -1 && (lineFeed === -1 || carriageReturn < lineFeed);
      const end = atReturn ? carriageReturn : lineFeed;
      this.#takeLine(this.#line + text.slice(from, end), events);
      this.#line = '';
      from = end + 1;
      if (atReturn && from === text.length) this.#afterCarriageReturn = true;
      else if (atReturn && lineFeed === from) from += 1;
      if (lineFeed !== -1 && lineFeed < from) lineFeed = text.indexOf('\n', from);
      if (carriageReturn !== -1 && carriageReturn < from) carriageReturn = text.indexOf('\r', from);
    }
    if (from < text.length) this.#line += text.slice(from);
    this.#refuseOver(this.#line.length);
    return events;
  }

  /** Events of one `data: ` line each, as nearly all are, without looking at their fields one by one; returns where something else begins. */
  #pushPlain(text: string, start: number, events: SseEvent[]): number {
    let from = start;
    if (this.#line !== '' || this.#data !== undefined || this.#name !== '') return from;
    while (text.startsWith('data: ', from)) {
      const end = text.indexOf('\n', from);
      if (end === -1 || text.charCodeAt(end + 1) !== LINE_FEED) break;
      this.#refuseOver(end - from);
      events.push({ data: text.slice(from + 6, end), name: '' });
      from = end + 2;
    }
    return from;
  }

  /** The event that the end of input cut off before its blank line, if there is one. */
  end(): readonly SseEvent[] {
    const events: SseEvent[] = [];
    if (this.#line !== '') this.#takeLine(this.#line, events);
    this.#line = '';
    this.#takeLine('', events);
    return events;
  }

  #takeLine(line: string, events: SseEvent[]): void {
    if (line === '') {
      if (this.#data !== undefined) events.push({ data: this.#data, name: this.#name });
      this.#data = undefined;
      this.#name = '';
      return;
    }
    this.#refuseOver(line.length);
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.startsWith(' ', colon + 1) ? colon + 2 : colon + 1);
    if (field === 'data') this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    else if (field === 'event') this.#name = value;
  }

  #refuseOver(lineChars: number): void {
    const chars = lineChars + (this.#data?.length ?? 0);
    if (chars > this.#maxEventChars) throw new RangeError(`an event of more than ${this.#maxEventChars} characters`);
  }
}
