import type { OutgoingHttpHeaders } from 'node:http';
import type { Candidate } from '../routing/index.ts';
import { formatUsd, type UsdE8 } from '../money/index.ts';
import type { Envelope } from '../faults.ts';
import type { Outgoing } from '../wire/index.ts';
import { commonHeaders, drained, setHeaders, writeFirst } from './send.ts';
import type { Call, Clock, Timing } from './types.ts';

const NO_HEADERS: Readonly<Record<string, string>> = {};

/**
 * The client's end of a stream. The head goes out with the first words, or with the first comment when a provider is silent for
 * long: from then on a failure can only be told in-band.
 *
 * ```
 * closed ──write──▶ open ──finish──▶ ended      silence: ": keep-alive"
 *    └────silence────▲ └────fail─────▶ ended     no [DONE] after a failure, so that SDKs raise it
 * ```
 */
export class StreamMouth {
  readonly #call: Call;
  readonly #timing: Timing;
  /** Until the head is out. */
  #headers: Readonly<Record<string, string>>;
  readonly #silence: NodeJS.Timeout;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #servingHeaders: Readonly<Record<string, string>> = NO_HEADERS;
  #firstByteMs: number | undefined;

  /** @param headers what is known before any provider is asked: mode, balance before the call, rate limits */
  constructor(call: Call, timing: Timing, headers: Readonly<Record<string, string>>, clock: Pick<Clock, 'monotonicMs'>) {
    this.#call = call;
    this.#timing = timing;
    this.#headers = headers;
    this.#clock = clock;
    this.#silence = setTimeout(() => this.#breakSilence(), timing.keepAliveMs);
  }

  /** The head is out. */
  get isOpen(): boolean {
    return this.#call.res.headersSent;
  }

  /** Monotonic time of the first words. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  /** Says who is asked now; the head names whoever it is when it goes out. */
  serving(candidate: Candidate, attempt: number): void {
    this.#servingHeaders = servingHeaders(candidate, attempt);
  }

  /** Sends events in one write. False when the client is gone or has stopped reading; a promise only where that is not known at once. */
  write(events: readonly Outgoing[]): boolean | Promise<boolean> {
    if (events.length === 0) return !this.#call.signal.aborted;
    this.#firstByteMs ??= this.#clock.monotonicMs();
    const flows = this.#send(frame(events));
    this.#silence.refresh();
    return flows ? !this.#call.signal.aborted : drained(this.#call.res, this.#timing.writeStallMs, this.#call.signal);
  }

  /** Sends the last events, the cost as a comment, `[DONE]` and the trailers. Called only after the settlement is durable. */
  finish(events: readonly string[], cost: UsdE8, balance: UsdE8 | undefined): void {
    clearTimeout(this.#silence);
    const { res } = this.#call;
    if (res.destroyed) return;
    const shown = formatUsd(cost);
    this.#send(`${frame(events)}: x-findtoken-cost ${shown}\n\ndata: [DONE]\n\n`);
    res.addTrailers({ 'X-FindToken-Cost': shown, ...(balance === undefined ? {} : { 'X-FindToken-Balance': formatUsd(balance) }) });
    res.end();
  }

  /** Tells a failure in-band and ends the stream without `[DONE]`. */
  fail(envelope: Envelope, balance: UsdE8 | undefined): void {
    clearTimeout(this.#silence);
    const { res } = this.#call;
    if (res.destroyed) return;
    res.write(frame([JSON.stringify(envelope)]), 'latin1');
    res.addTrailers({ 'X-FindToken-Cost': '0.00', ...(balance === undefined ? {} : { 'X-FindToken-Balance': formatUsd(balance) }) });
    res.end();
  }

  /** Stops the clock of silence; for a call that ends without a word here. */
  close(): void {
    clearTimeout(this.#silence);
  }

  /** Sends bytes, behind the head if they are the first. False when the socket is full. */
  #send(bytes: string): boolean {
    const { res } = this.#call;
    if (this.isOpen) return res.write(bytes, 'latin1');
    const headers: OutgoingHttpHeaders = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
    setHeaders(headers, commonHeaders(this.#call));
    setHeaders(headers, this.#headers);
    setHeaders(headers, this.#servingHeaders);
    // HTTP/1.0 has no chunks, so nothing can trail them. A balance that the head does not tell is not told at the end either.
    if (this.#call.req.httpVersion !== '1.0') headers['trailer'] = headers['x-findtoken-balance'] === undefined ? 'X-FindToken-Cost' : 'X-FindToken-Cost, X-FindToken-Balance';
    this.#headers = NO_HEADERS;
    this.#servingHeaders = NO_HEADERS;
    return writeFirst(res, 200, headers, bytes);
  }

  #breakSilence(): void {
    const { res } = this.#call;
    if (res.destroyed || res.writableEnded) return;
    if (!res.writableNeedDrain) this.#send(': keep-alive\n\n');
    this.#silence.refresh();
  }
}

/** Which model served, through whom, at which attempt. */
export function servingHeaders(candidate: Candidate, attempts: number): Record<string, string> {
  return {
    'x-findtoken-provider': candidate.provider,
    'x-findtoken-model': candidate.model.id,
    'x-findtoken-attempts': String(attempts),
  };
}

/** Events as bytes, one character a byte: what passed through untouched need not be encoded, and the rest is mostly ASCII. */
function frame(events: readonly Outgoing[]): string {
  let bytes = '';
  for (const event of events) bytes += typeof event === 'string' ? `data: ${utf8(event)}\n\n` : event.bytes;
  return bytes;
}

/** A text in UTF-8, one character a byte. */
export function utf8(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}
