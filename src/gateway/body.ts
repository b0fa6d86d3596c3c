import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { Fault } from '../faults.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BYTE_ORDER_MARK = 0xfeff;

/**
 * Reads a JSON body: media type, size, UTF-8, depth, then the parse, in this order, so that nothing costly happens to a body
 * that is refused anyway.
 * @param already the body, where it was read before with `readJsonBytes`
 *
 * @throws Fault 415 (not JSON, or compressed), 413 (over the limit), 400 (`invalid_json`: empty, not UTF-8, too deep, broken).
 */
export async function readJson(req: IncomingMessage, limits: { readonly bodyBytes: number; readonly jsonDepth: number }, already?: Buffer): Promise<unknown> {
  const bytes = already ?? (await readJsonBytes(req, limits));
  if (bytes.length === 0) throw new Fault('invalid_json', { fill: { detail: ': it is empty' } });
  const text = decodeUtf8(bytes);
  if (depthOf(bytes, limits.jsonDepth) > limits.jsonDepth) {
    throw new Fault('invalid_json', { fill: { detail: `: it is nested deeper than ${limits.jsonDepth} levels` } });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only the place is told: the parser's own message quotes the body, which may hold a key.
    const place = /at position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    throw new Fault('invalid_json', { fill: { detail: place === undefined ? '' : ` (at character ${place})` } });
  }
}

/** A body that says it is JSON, unparsed. @throws Fault 415, 413 */
export function readJsonBytes(req: IncomingMessage, limits: { readonly bodyBytes: number }): Promise<Buffer> {
  refuseOtherMedia(req);
  return readBytes(req, limits.bodyBytes);
}

/** Reads a body whole, at most `limit` bytes. @throws Fault 413; the rest of the body stays unread. */
export function readBytes(req: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > limit) throw tooLarge(limit);
  const parts: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    req.on('data', (part: Buffer) => {
      size += part.length;
      if (size > limit) {
        req.pause();
        reject(tooLarge(limit));
        return;
      }
      parts.push(part);
    });
    req.on('end', () => resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, size)));
    req.on('error', () => reject(new ClientGone()));
    req.on('close', () => {
      if (!req.complete) reject(new ClientGone());
    });
  });
}

/** The client left before its request was whole: nobody is there to be answered. */
export class ClientGone extends Error {
  constructor() {
    super('the client is gone');
    this.name = 'ClientGone';
  }
}

/**
 * The deepest nesting of objects and arrays, counted on the bytes without parsing; stops counting just past `enough`.
 * Ten megabytes of `[` would hold the parser for seconds. `{"a":[1]}` is 2 deep.
 */
export function depthOf(bytes: Uint8Array, enough: number): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (deepest > enough) return deepest;
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return deepest;
}

function refuseOtherMedia(req: IncomingMessage): void {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Fault('unsupported_media_type', { fill: { detail: `Content-Encoding ${printable(encoding)} is not accepted; send the body as it is.` } });
  }
  const media = (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (media !== 'application/json') {
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
