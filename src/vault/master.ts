import * as crypto from 'node:crypto';
import { VaultError } from './error.ts';

const KEY_BYTES = 32;
const HEX = /^[0-9a-f]{64}$/i;
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/;
/** Retired keys kept beside the present one; more than a person rotates within the life of a backup. */
const KEYS_MAX = 8;

/** The key that everything sealed hangs on. */
export interface MasterKey {
  readonly bytes: Uint8Array;
  /** 16 hex digits, derived one way; may be shown. */
  readonly fingerprint: string;
  /** The fingerprint's first 4 bytes, as envelopes carry it. */
  readonly kid: Uint8Array;
}

/** A master key from 32 bytes. */
export function masterKeyFrom(bytes: Uint8Array): MasterKey {
  const print = Buffer.from(crypto.hkdfSync('sha256', bytes, '', 'findtoken/fingerprint/v1', 8));
  return { bytes, fingerprint: print.toString('hex'), kid: print.subarray(0, 4) };
}

/** A new master key from 32 random bytes whose kid is none of the given ones'. */
export function mintMasterKey(others: readonly MasterKey[] = []): MasterKey {
  for (;;) {
    const key = masterKeyFrom(crypto.randomBytes(KEY_BYTES));
    if (!others.some((other) => Buffer.compare(other.kid, key.kid) === 0)) return key;
  }
}

/**
 * Reads what a place holds: keys as base64 of 32 bytes or 64 hex digits, apart by commas or white space, `#` begins a comment line.
 * Empty text holds none.
 * @throws VaultError on anything else; its message names the place, never the text.
 */
export function parseMasterKeys(text: string, place: string): readonly MasterKey[] {
  const words = text.replace(/^\s*#.*$/gm, '').split(/[\s,]+/).filter((word) => word !== '');
  return words.map((word) => {
    if (HEX.test(word)) return masterKeyFrom(Buffer.from(word, 'hex'));
    if (BASE64.test(word)) return masterKeyFrom(Buffer.from(word, 'base64url'));
    throw new VaultError('malformed_key', `The master key in the ${place} is malformed: it must be 32 bytes as base64 or as 64 hex digits. \`openssl rand -base64 32\` makes one; to read what is sealed, put the old one back.`);
  });
}

/** The text of a place that holds these keys, the first in front; at most 8. */
export function formatMasterKeys(keys: readonly MasterKey[]): string {
  return keys.slice(0, KEYS_MAX).map((key) => Buffer.from(key.bytes).toString('base64')).join('\n');
}
