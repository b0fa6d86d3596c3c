import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { Fault } from '../faults.ts';
import type { WrittenField } from '../wire/index.ts';
import type { Arriving } from './load.ts';
import { stopping, STOPPING } from './send.ts';
import { survey, writtenFields } from './survey.ts';
import type { Call } from './types.ts';

const BYTE_ORDER_MARK = 0xfeff;
const JSON_MEDIA = 'application/json';
/** What a body may come to on the heap while its call runs: its text, parsed, copied and written anew; its objects, twice. */
export const HEAP_A_BYTE = 4;
const HEAP_A_VALUE = 256;

/** The value of a JSON body, as `readWritten` reads it. @throws as that does. */
export async function readJson(call: ArrivingCall, limits: BodyLimits, room: BodyRoom): Promise<unknown> {
  return (await readWritten(call, limits, room)).value;
}

/**
 * Reads a JSON body: media type, size, UTF-8, depth, number of values, then the parse, in this order, so that nothing costly happens to a body
 * that is refused anyway.
 * @returns its value, and how the fields of its outermost object were written
 * @param room what bodies may take: `arriving` counts the bytes, `weigh` is told before the parse how much of the heap they may come to
 * @param already the body, where it was read before with `readJsonBytes`
 *
 * @throws Fault 415 (not JSON, or compressed), 413 (over the limit), 400 (`invalid_json`: empty, not UTF-8, too deep, broken; `invalid_request`: too many values), 503 (no room, or the daemon stops).
 */
export async function readWritten(call: ArrivingCall, limits: BodyLimits, room: BodyRoom, already?: Buffer): Promise<{ readonly value: unknown; readonly written: ReadonlyMap<string, WrittenField> }> {
  const bytes = already ?? (await readJsonBytes(call, limits, room.arriving));
  if (bytes.length === 0) throw new Fault('invalid_json', { fill: { detail: ': it is empty' } });
  const text = decodeUtf8(bytes);
  const { depth, values, fields } = survey(bytes, limits);
  if (depth > limits.jsonDepth) throw new Fault('invalid_json', { fill: { detail: `: it is nested deeper than ${limits.jsonDepth} levels` } });
  if (values > limits.jsonValues) {
    throw new Fault('invalid_request', { fill: { detail: `The request body holds more than ${limits.jsonValues} JSON values (its commas and opening brackets are counted). Send fewer, such as a list as one text, or raise limits.json_values.` } });
  }
  room.weigh(bytes.length * HEAP_A_BYTE + values * HEAP_A_VALUE);
  return { value: parsed(text), written: writtenFields(bytes, fields) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only the place is told: the parser's own message quotes the body, which may hold a key.
    const place = /at position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    throw new Fault('invalid_json', { fill: { detail: place === undefined ? '' : ` (at character ${place})` } });
  }
}

/** What one body may be. */
export interface BodyLimits {
  readonly bodyBytes: number;
  readonly jsonDepth: number;
  readonly jsonValues: number;
}

/** What the bodies of all calls may take, as `Load` keeps it. */
export interface BodyRoom {
  readonly arriving: Pick<Arriving, 'take' | 'give'>;
  readonly weigh: (heapBytes: number) => void;
}

/** A request that is arriving, and what tells that nobody waits for it any more. */
export type ArrivingCall = Pick<Call, 'req' | 'signal'>;

/** A body that says it is JSON, unparsed. @throws Fault 415, 413, 503 */
export function readJsonBytes(call: ArrivingCall, limits: Pick<BodyLimits, 'bodyBytes'>, arriving: BodyRoom['arriving']): Promise<Buffer> {
  refuseOtherMedia(call.req);
  return readBytes(call, limits.bodyBytes, arriving);
}

/**
 * Reads a body whole, at most `limit` bytes, which count as arriving until it is whole or refused.
 * @throws Fault 413, 503 (no room, or the daemon stops); the rest of the body stays unread.
 */
export function readBytes({ req, signal }: ArrivingCall, limit: number, arriving: BodyRoom['arriving']): Promise<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > limit) throw tooLarge(limit);
  let parts: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    // The request outlives its body, for as long as a stream runs: nothing of it may hold the bytes.
    const leave = () => {
      arriving.give(size);
      parts = [];
      req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      signal.removeEventListener('abort', onAbort);
    };
    const refuse = (cause: Error) => {
      req.pause();
      leave();
      reject(cause);
    };
    const onData = (part: Buffer) => {
      const refusal = size + part.length > limit ? tooLarge(limit) : arriving.take(part.length);
      if (refusal !== undefined) return refuse(refusal);
      size += part.length;
      parts.push(part);
    };
    const onEnd = () => {
      const whole = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, size);
      leave();
      resolve(whole);
    };
    const onGone = () => {
      leave();
      reject(new ClientGone());
    };
    // A client that says nothing more would hold up a daemon that stops.
    const onAbort = () => refuse(signal.reason === STOPPING ? stopping() : new ClientGone());
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort);
    req.on('data', onData);
    req.on('end', onEnd);
    req.on('error', onGone);
    req.on('close', onGone);
  });
}

/** The client left before its request was whole: nobody is there to be answered. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone');
    this.name = 'ClientGone';
  }
}

function refuseOtherMedia(req: IncomingMessage): void {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Fault('unsupported_media_type', { fill: { detail: `Content-Encoding ${printable(encoding)} is not accepted; send the body as it is.` } });
  }
  const given = req.headers['content-type'] ?? '';
  const media = given === JSON_MEDIA ? given : given.split(';', 1)[0]?.trim().toLowerCase();
  if (media !== JSON_MEDIA) {
    throw new Fault('unsupported_media_type', { fill: { detail: 'Send the body as JSON, with the header Content-Type: application/json.' } });
  }
}

function decodeUtf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Fault('invalid_json', { fill: { detail: ': it is not UTF-8' } });
  const text = bytes.toString('utf8');
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

function tooLarge(limit: number): Fault {
  return new Fault('request_too_large', { fill: { limit } });
}

/** A header's value as an error may repeat it: printable ASCII, short. */
export function printable(value: string): string {
  return JSON.stringify(value.slice(0, 80).replace(/[^\x20-\x7e]/g, '?'));
}
