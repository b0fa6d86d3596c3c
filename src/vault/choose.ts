import * as path from 'node:path';
import { configHome } from '../disk.ts';
import type { MasterKeySource } from '../settings/index.ts';
import { VaultError } from './error.ts';
import { filePlace, refuseBesideDatabase } from './keyfile.ts';
import { KeychainError, keychainPlace } from './keychain.ts';
import type { MasterKey } from './master.ts';
import { mintMasterKey } from './master.ts';
import type { Place } from './place.ts';
import { environmentPlace } from './place.ts';
import type { OpenVault } from './types.ts';

const DEFAULT_VARIABLE = 'FINDTOKEN_MASTER_KEY';
/** A note of the database: `<fingerprint> <place>`, one value, so that both change together or not at all. */
const NOTE = 'master_key';
const GONE_FOR_GOOD = 'If it is gone for good, `findtoken rotate-master-key --lost` forgets what it sealed and begins with a new one.';

/** The master key's place and what is in it. */
export interface Choice {
  readonly place: Place;
  /** All keys of the place, the one that seals among them. */
  readonly keys: readonly MasterKey[];
  readonly current: MasterKey;
  readonly notices: readonly string[];
}

/** What the database remembers of the choice. */
interface KeyRecord {
  readonly fingerprint: string;
  /** A place's note. */
  readonly place: string;
}

/**
 * Finds the master key, or makes the first one.
 *
 * A recorded choice stands: its place must hold the key with the recorded fingerprint. A configured place may differ from the
 * recorded one if the same key lies there (it was moved), or if nothing is sealed yet; both are told in a notice.
 * Without a record, `auto` takes FINDTOKEN_MASTER_KEY, else the keychain, else a key file.
 * Source: CONTRACT section 5.
 * @throws VaultError where the key cannot be had. A new one is never made while anything is sealed.
 */
export async function chooseMasterKey(options: OpenVault, installId: string): Promise<Choice> {
  const recorded = await readRecord(options.notes);
  const choice = recorded === undefined ? await first(options, installId) : await known(options, installId, recorded);
  if (recorded?.fingerprint === choice.current.fingerprint && recorded.place === choice.place.note) return choice;
  // Where rows are sealed and the record is lost, only opening them can show whether this is their key.
  if (recorded === undefined && (await options.sealedRowsExist())) return choice;
  await options.notes.set(NOTE, recordOf(choice.current, choice.place)[NOTE]);
  return choice;
}

/** The record of a choice, as a note to be set. */
export function recordOf(key: MasterKey, place: Place): { readonly [NOTE]: string } {
  return { [NOTE]: `${key.fingerprint} ${place.note}` };
}

/** The database's note of the master key in force, as it stands, and the fingerprint in it. */
export async function noteOf(notes: Pick<OpenVault['notes'], 'get'>): Promise<{ readonly name: string; readonly value: string | undefined; readonly fingerprint: string | undefined }> {
  const value = await notes.get(NOTE);
  return { name: NOTE, value, fingerprint: recordIn(value)?.fingerprint };
}

async function known(options: OpenVault, installId: string, recorded: KeyRecord): Promise<Choice> {
  const source = options.source.kind === 'auto' ? sourceOf(recorded.place) : options.source;
  const place = await placeFor(source, options, installId);
  const keys = await place.read();
  const current = keys.find((key) => key.fingerprint === recorded.fingerprint);
  if (current !== undefined) {
    const moved = place.note === recorded.place ? [] : [`The master key is now taken from the ${place.label}.`];
    return { place, keys, current, notices: moved };
  }
  if (await options.sealedRowsExist()) throw gone(place, keys, recorded);
  const choice = await takeOrMake(place, keys);
  return { ...choice, notices: [`The ${place.label} did not hold the recorded master key; nothing was sealed with it, and another one is used from now on.`] };
}

async function first(options: OpenVault, installId: string): Promise<Choice> {
  const sealed = await options.sealedRowsExist();
  if (options.source.kind !== 'auto') {
    const place = await placeFor(options.source, options, installId);
    const keys = await place.read();
    if (sealed && keys.length === 0) throw gone(place, keys, undefined);
    return takeOrMake(place, keys);
  }
  if ((options.env[DEFAULT_VARIABLE] ?? '').trim() !== '') {
    const place = environmentPlace(DEFAULT_VARIABLE, options.env);
    return takeOrMake(place, await place.read());
  }
  const keychain = keychainPlace(installId, options.keyring);
  try {
    const keys = await keychain.read();
    if (keys.length > 0 || !sealed) return await takeOrMake(keychain, keys);
  } catch (error) {
    if (!(error instanceof KeychainError)) throw error;
    const choice = await fromFile(options, sealed);
    return { ...choice, notices: [`The keychain cannot be used (${error.why}): the master key is kept in the ${choice.place.label}. Back it up apart from the database.`] };
  }
  return fromFile(options, sealed);
}

async function fromFile(options: OpenVault, sealed: boolean): Promise<Choice> {
  const file = path.join(configHome(options.xdgConfigHome, options.home), 'findtoken', 'master.key');
  const place = await placeFor({ kind: 'file', path: file }, options, '');
  const keys = await place.read();
  if (sealed && keys.length === 0) throw gone(place, keys, undefined);
  return takeOrMake(place, keys);
}

async function takeOrMake(place: Place, there: readonly MasterKey[]): Promise<Choice> {
  const keys = there.length > 0 ? there : await place.create(mintMasterKey());
  const current = keys[0];
  if (current === undefined) throw new VaultError('missing_key', `The ${place.label} did not keep the new master key. Name another place in secrets.master_key.`);
  return { place, keys, current, notices: [] };
}

async function placeFor(source: Exclude<MasterKeySource, { kind: 'auto' }>, options: OpenVault, installId: string): Promise<Place> {
  switch (source.kind) {
    case 'keychain': return keychainPlace(installId, options.keyring);
    case 'env': return environmentPlace(source.name, options.env);
    case 'file': {
      const file = path.resolve(source.path);
      await refuseBesideDatabase({ file, databasePath: options.databasePath, home: options.home });
      return filePlace(file, options.home);
    }
  }
}

function gone(place: Place, keys: readonly MasterKey[], recorded: KeyRecord | undefined): VaultError {
  const print = recorded === undefined ? '' : ` (fingerprint ${recorded.fingerprint}, last in ${recorded.place})`;
  if (keys.length === 0) return new VaultError('missing_key', `The ${place.label} holds no master key, and this database has secrets sealed with one${print}. Put the key back there, or set secrets.master_key to where it is; no new key is made. ${GONE_FOR_GOOD}`);
  const found = keys.map((key) => key.fingerprint).join(', ');
  return new VaultError('wrong_key', `The ${place.label} holds another master key (fingerprint ${found}) than the one that sealed this database's secrets${print}. Put that key back there, or set secrets.master_key to where it is. ${GONE_FOR_GOOD}`);
}

async function readRecord(notes: Pick<OpenVault['notes'], 'get'>): Promise<KeyRecord | undefined> {
  return recordIn(await notes.get(NOTE));
}

function recordIn(note: string | undefined): KeyRecord | undefined {
  if (note === undefined) return undefined;
  const match = /^([0-9a-f]{16}) (keychain|(?:file|env):.+)$/s.exec(note);
  if (match?.[1] === undefined || match[2] === undefined) throw new VaultError('bad_record', `The database's note of its master key is unreadable (${NOTE}). Restore a backup of the database.`);
  return { fingerprint: match[1], place: match[2] };
}

function sourceOf(placeNote: string): Exclude<MasterKeySource, { kind: 'auto' }> {
  if (placeNote.startsWith('file:')) return { kind: 'file', path: placeNote.slice('file:'.length) };
  if (placeNote.startsWith('env:')) return { kind: 'env', name: placeNote.slice('env:'.length) };
  return { kind: 'keychain' };
}
