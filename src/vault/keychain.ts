import { openEmbeddedAddon } from '../embedded/index.ts';
import { VaultError } from './error.ts';
import type { MasterKey } from './master.ts';
import { formatMasterKeys, parseMasterKeys } from './master.ts';
import type { Place } from './place.ts';
import type { Keyring } from './types.ts';

const SERVICE = 'findtoken';
/** A Secret Service that owns its name and never answers would hold us for 50 s. */
const ANSWER_MS = 3_000;

/** The keychain cannot be used. `why` alone is for a notice, the message carries the mend. */
export class KeychainError extends VaultError {
  readonly why: string;

  constructor(why: string) {
    super('keychain_unreachable', `The keychain holds the master key and cannot be used: ${why}. Unlock it and run findtoken in the session of the user who made the key, or put the same key into a file and set secrets.master_key to file:/path.`);
    this.name = 'KeychainError';
    this.why = why;
  }
}

/**
 * The system's keychain: one entry for each installation, so that a change of one database's key leaves another's alone.
 * Its errors bear no codes: whatever is thrown, and silence for 3 s, means that it cannot be used. After such a silence a
 * thread of the process stays stuck in the system's library for up to 50 s, and an exit of any kind but a signal waits for it.
 */
export function keychainPlace(installId: string, stand: Keyring | undefined): Place {
  const account = `master-key:${installId}`;
  const read = async (): Promise<readonly MasterKey[]> => {
    const text = await ask(stand, '', (keyring) => keyring.getPassword(SERVICE, account));
    return parseMasterKeys(text ?? '', 'keychain');
  };
  const replace = async (keys: readonly MasterKey[]): Promise<void> => {
    const text = formatMasterKeys(keys);
    await ask(stand, text, (keyring) => keyring.setPassword(SERVICE, account, text));
    const kept = await read();
    if (kept[0]?.fingerprint !== keys[0]?.fingerprint) throw new KeychainError('it did not keep what was put there');
  };
  const create = async (key: MasterKey): Promise<readonly MasterKey[]> => {
    await replace([key]);
    return [key];
  };
  return { note: 'keychain', label: 'keychain', writable: true, read, create, replace };
}

/** Why the system's keychain cannot be used; undefined where it can. Reads an entry that is not there, and writes nothing. */
export async function keychainTrouble(): Promise<string | undefined> {
  try {
    await ask(undefined, '', (keyring) => keyring.getPassword(SERVICE, 'nothing'));
    return undefined;
  } catch (error) {
    if (error instanceof KeychainError) return error.why;
    throw error;
  }
}

/** Asks the keychain one thing, within the time. `secret` is struck from what an error says. */
async function ask<T>(stand: Keyring | undefined, secret: string, question: (keyring: Keyring) => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new KeychainError(`it did not answer within ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
  });
  try {
    const keyring = stand ?? (await loadKeytar());
    return await Promise.race([question(keyring), silence]);
  } catch (error) {
    throw error instanceof VaultError ? error : new KeychainError(whyOf(error, secret));
  } finally {
    clearTimeout(timer);
  }
}

/** keytar is an optional dependency: its library may be missing or not fit this system. */
async function loadKeytar(): Promise<Keyring> {
  const loaded: unknown = openEmbeddedAddon('keytar.node')?.exports ?? (await import('keytar'));
  const keyring = asKeyring(loaded) ?? asKeyring(Object(loaded).default);
  if (keyring === undefined) throw new KeychainError('the package keytar has another shape than expected');
  return keyring;
}

function asKeyring(value: unknown): Keyring | undefined {
  return isKeyring(value) ? value : undefined;
}

function isKeyring(value: unknown): value is Keyring {
  return typeof value === 'object' && value !== null && 'getPassword' in value && typeof value.getPassword === 'function'
    && 'setPassword' in value && typeof value.setPassword === 'function';
}

function whyOf(error: unknown, secret: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return 'the package keytar is not installed';
  if (code === 'ERR_DLOPEN_FAILED') return 'the library of keytar does not load on this system (on Linux it needs libsecret)';
  const text = error instanceof Error ? error.message : 'it failed';
  const line = (secret === '' ? text : text.replaceAll(secret, '…')).split('\n')[0] ?? '';
  return line.slice(0, 200).replace(/[\s.]+$/, '') || 'it failed';
}
