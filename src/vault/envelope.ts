import * as crypto from 'node:crypto';
import { VaultError } from './error.ts';
import type { MasterKey } from './master.ts';
import type { Binding } from './types.ts';

/*
 *   0x01 │ kid (4) │ nonce (12) │ ciphertext │ tag (16)
 */
const FORMAT = 1;
const KID_BYTES = 4;
const NONCE_BYTES = 12;
/** Node takes tags as short as 4 bytes unless told: both sides are told. */
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + KID_BYTES + NONCE_BYTES;
const CIPHER = 'aes-256-gcm';

/** A key of one installation, derived from its master key. */
export interface DataKey {
  readonly bytes: Uint8Array;
  readonly kid: Uint8Array;
}

/** HKDF-SHA256 of the master key, salted with the installation's id: two databases with one master key share no data key. */
export function dataKeyOf(master: MasterKey, installId: string): DataKey {
  return { bytes: new Uint8Array(crypto.hkdfSync('sha256', master.bytes, installId, 'findtoken/seal/v1', 32)), kid: master.kid };
}

/** An envelope that opens only under the same binding; 33 bytes longer than the secret's UTF-8. */
export function sealEnvelope(key: DataKey, secret: string, binding: Binding): Uint8Array {
  const nonce = crypto.randomBytes(NONCE_BYTES);
  const cipher = crypto.createCipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(binding, key.kid));
  const ciphertext = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return Buffer.concat([Uint8Array.of(FORMAT), key.kid, nonce, ciphertext, cipher.getAuthTag()]);
}

/**
 * The secret of an envelope, by that of the keys whose kid it names.
 * @throws VaultError `wrong_key` where none of them sealed it, `damaged` where it was altered, cut or moved to another row.
 */
export function openEnvelope(keys: readonly DataKey[], sealed: Uint8Array, binding: Binding): string {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== FORMAT) throw damaged(binding);
  const kid = bytes.subarray(1, 1 + KID_BYTES);
  const key = keys.find((one) => kid.equals(one.kid));
  if (key === undefined) {
    throw new VaultError('wrong_key', `${rowName(binding)} was sealed with another master key (${kid.toString('hex')}…). Put that key back in its place, or remove the row and register the secret again.`);
  }
  const decipher = crypto.createDecipheriv(CIPHER, key.bytes, bytes.subarray(1 + KID_BYTES, HEAD_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(boundTo(binding, kid));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES, bytes.length - TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    throw damaged(binding);
  }
}

/** Every part behind its length, so that no two bindings give the same bytes. */
function boundTo(binding: Binding, kid: Uint8Array): Buffer {
  const parts = [Uint8Array.of(FORMAT), ...[binding.table, binding.rowId, binding.accountId, binding.provider].map((text) => Buffer.from(text, 'utf8')), kid];
  return Buffer.concat(parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  }));
}

function damaged(binding: Binding): VaultError {
  return new VaultError('damaged', `${rowName(binding)} does not open: it was altered, or belongs to another row. Remove it and register the secret again, or restore a backup.`);
}

function rowName(binding: Binding): string {
  return binding.table === 'provider' ? `The operator's key for ${binding.provider}` : `The BYOK key ${binding.rowId}`;
}
