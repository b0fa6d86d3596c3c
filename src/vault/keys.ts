import * as crypto from 'node:crypto';

const KEY = /^sk-ft_[0-9a-f]{64}$/;
const BEARER = /^bearer[ \t]+/i;
/** Crockford's base 32 in lower case: its letters sort as their values do. */
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';
/** Every two letters in a row, by their value: an id is written in half the pieces. */
const PAIRS: readonly string[] = Array.from({ length: 1_024 }, (_, value) => BASE32.charAt(value >> 5) + BASE32.charAt(value & 31));
const TIME_PAIRS = 5;
/** 40 random bits. Twice that is an id's chance. */
const HALF_PAIRS = 4;
/** Below it, four shown characters would be too much of a secret. */
const MASKABLE_LENGTH = 12;

export interface MintedKey {
  /** Shown once. */
  readonly key: string;
  /** SHA-256 of the key, all that is stored of it. */
  readonly hash: Uint8Array;
  readonly last4: string;
}

/** A new API key: `sk-ft_` and 64 lower-case hex characters from 32 random bytes, 70 characters in all. Source: CONTRACT section 1. */
export function mintKey(): MintedKey {
  const key = `sk-ft_${crypto.randomBytes(32).toString('hex')}`;
  return { key, hash: hashKey(key), last4: key.slice(-4) };
}

/**
 * The API key of an `Authorization: Bearer …` or `x-api-key: …` header; undefined where it is none of ours by its form, so that
 * nothing malformed reaches the database. The scheme's case does not matter, the key's does.
 */
export function readApiKey(header: string | undefined): string | undefined {
  const key = header?.trim().replace(BEARER, '');
  return key !== undefined && KEY.test(key) ? key : undefined;
}

/** SHA-256 of a key, 32 bytes. A slow hash would add nothing to 256 random bits, and the one-shot form costs half of `createHash`. */
export function hashKey(key: string): Uint8Array {
  return crypto.hash('sha256', key, 'buffer');
}

/**
 * SHA-256 of several texts or bytes in a row, 32 bytes. Each part's length goes before it, so that no two rows of parts that differ
 * come to the same bytes.
 */
export function fingerprint(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = crypto.createHash('sha256');
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest();
}

/** SHA-256 over texts (as UTF-8) and bytes that come one after the other. */
export interface Sha256 {
  update(part: string | Uint8Array): Sha256;
  /** 32 bytes; what was begun is spent afterwards. */
  digest(): Uint8Array;
}

/** Begins a SHA-256, for what is not there in one piece. Of `abc` it is `ba7816bf…f20015ad`. */
export function beginSha256(): Sha256 {
  return crypto.createHash('sha256');
}

/**
 * A new id: the prefix, 10 characters of time, 16 of chance (80 bits), all lower-case base 32. Ids of a later millisecond sort later.
 * `mintId('req', 0)` begins with `req_0000000000`.
 * @throws RangeError on a time that is no whole number of milliseconds from 0 to 2^50: a bug of the caller.
 */
export function mintId(prefix: string, nowMs: number): string {
  if (!Number.isInteger(nowMs) || nowMs < 0 || nowMs >= 2 ** 50) throw new RangeError(`not a time in milliseconds: ${nowMs}`);
  // The system's random bytes, of which this draws a stock at once: asking for 16 bytes each time costs ten times as much.
  const chance = crypto.randomUUID();
  const first = Number.parseInt(chance.slice(0, 8) + chance.slice(11, 13), 16);
  const second = Number.parseInt(chance.slice(24, 34), 16);
  return `${prefix}_${base32(nowMs, TIME_PAIRS)}${base32(first, HALF_PAIRS)}${base32(second, HALF_PAIRS)}`;
}

function base32(value: number, pairs: number): string {
  let written = '';
  for (let at = 0, rest = value; at < pairs; at += 1, rest = Math.floor(rest / 1_024)) written = `${PAIRS[rest % 1_024] ?? ''}${written}`;
  return written;
}

/** A secret as lists show it: `sk-…1234`, or `…1234` for keys of another form; a short secret shows nothing at all (`…`). */
export function mask(secret: string): string {
  if (secret.length < MASKABLE_LENGTH) return '…';
  return `${secret.startsWith('sk-') ? 'sk-' : ''}…${secret.slice(-4)}`;
}
