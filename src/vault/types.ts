import type { MasterKeySource } from '../settings/index.ts';

/** What an envelope is bound to: it opens in this row, for this account and provider, and nowhere else. */
export interface Binding {
  readonly table: 'byok' | 'provider';
  /** The row's id; of an operator's key, the provider's. */
  readonly rowId: string;
  /** Empty for an operator's key. */
  readonly accountId: string;
  readonly provider: string;
}

/** Seals and opens secrets with one master key. */
export interface Vault {
  /**
   * An envelope of the secret, 33 bytes longer than its UTF-8; a new one each time.
   */
  seal(secret: string, binding: Binding): Uint8Array;
  /**
   * The secret of an envelope.
   * @throws VaultError where it was sealed with another master key, for another row, or was altered.
   */
  unseal(sealed: Uint8Array, binding: Binding): string;
  /**
   * The note by which the database expects what this vault seals; undefined where it expects another key by now. Another command may
   * change the master key between the sealing and the saving of a row: who saves one does it only while this note stands.
   */
  inForce(): Promise<{ readonly name: string; readonly value: string | undefined } | undefined>;
  /** Where the master key is, for people: "the keychain", "the file ~/.config/findtoken/master.key". */
  readonly source: string;
  /** Tells master keys apart without showing them: 16 hex digits. */
  readonly fingerprint: string;
  /** What the operator should know about the choice of the master key's place; mostly empty. */
  readonly notices: readonly string[];
  /**
   * Begins a change of the master key: makes a new one and puts it beside the old one. See `Rotation` for the rest.
   * @throws VaultError where the place cannot be written, or is an environment variable that holds no second key.
   */
  rotate(): Promise<Rotation>;
}

/**
 * A change of the master key under way. The caller reseals every row from the old vault to the new one and sets `notes` in the
 * same transaction, then calls `commit`. A crash before that transaction leaves the old key in force, one after it the new key.
 */
export interface Rotation {
  readonly vault: Vault;
  /** To be set in the transaction that writes the resealed rows. */
  readonly notes: Readonly<Record<string, string>>;
  /**
   * Makes the new key the first of its place. The old one stays behind it, for backups made before and for other databases that
   * use this place, unless `forgetOld`.
   * @throws VaultError where the recorded fingerprint is not yet the new one: the rows are not resealed.
   */
  commit(options?: { readonly forgetOld: boolean }): Promise<void>;
}

/** The part of keytar that is used, for tests to stand in for it. */
export interface Keyring {
  getPassword(service: string, account: string): Promise<string | null>;
  setPassword(service: string, account: string, password: string): Promise<void>;
}

/** Small facts kept in the database: the ledger's notes. */
export interface Notes {
  get(name: string): Promise<string | undefined>;
  set(name: string, value: string): Promise<void>;
  /** Sets it where there is none yet, and returns what stands: of two processes at the same moment, both get the first one's. */
  once(name: string, value: string): Promise<string>;
}

export interface OpenVault {
  readonly source: MasterKeySource;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home directory, absolute. */
  readonly home: string;
  /** `$XDG_CONFIG_HOME`; `~/.config` without it. */
  readonly xdgConfigHome?: string | undefined;
  readonly databasePath: string;
  readonly notes: Notes;
  /** While there are any, no new master key is ever made. */
  readonly sealedRowsExist: () => Promise<boolean>;
  /** In place of the system's keychain, for tests. */
  readonly keyring?: Keyring;
}
