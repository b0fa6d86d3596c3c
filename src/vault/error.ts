export type VaultErrorReason =
  /** No master key where one is expected. */
  | 'missing_key'
  /** The place holds a master key, but not the one that sealed. */
  | 'wrong_key'
  | 'malformed_key'
  /** An envelope does not open: altered, cut, or moved to another row. */
  | 'damaged'
  | 'keychain_unreachable'
  /** The key file cannot be read or written. */
  | 'file_unusable'
  /** The key file can be read by others. */
  | 'file_too_open'
  /** The key file lies beside the database, so that one copy would hold both. */
  | 'bad_place'
  /** The database's note of its master key cannot be read. */
  | 'bad_record'
  /** A rotation cannot begin, or was committed too early. */
  | 'rotation';

/** A refusal of the vault. Its message says what is wrong and the mend, and never holds a secret. */
export class VaultError extends Error {
  readonly reason: VaultErrorReason;

  /** @param message one line for people, with the mend */
  constructor(reason: VaultErrorReason, message: string) {
    super(message);
    this.name = 'VaultError';
    this.reason = reason;
  }
}
