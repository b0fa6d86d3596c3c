import * as crypto from 'node:crypto';
import type { Choice } from './choose.ts';
import { chooseMasterKey, noteOf, recordOf } from './choose.ts';
import type { DataKey } from './envelope.ts';
import { dataKeyOf, openEnvelope, sealEnvelope } from './envelope.ts';
import { VaultError } from './error.ts';
import type { MasterKey } from './master.ts';
import { mintMasterKey } from './master.ts';
import type { Notes, OpenVault, Rotation, Vault } from './types.ts';

/** A note of the database: which installation this is, the salt of its data keys. */
const INSTALL_NOTE = 'install_id';

/** What a vault and its successors share. */
interface Parts {
  readonly installId: string;
  readonly notes: Notes;
}

/**
 * Opens the vault: finds the master key, or makes and records the first one, as `chooseMasterKey` says.
 * It seals with the recorded key and opens what any key of the place sealed, so that nothing is lost half-way through a rotation.
 * A keychain is given 3 s to answer.
 * @throws VaultError with the mend, where there is no such key or its place cannot be used.
 */
export async function openVault(options: OpenVault): Promise<Vault> {
  const parts = { installId: await installId(options.notes), notes: options.notes };
  return vaultOf(parts, await chooseMasterKey(options, parts.installId));
}

function vaultOf(parts: Parts, choice: Choice): Vault {
  const { place, keys, current, notices } = choice;
  const sealing = dataKeyOf(current, parts.installId);
  const opening: readonly DataKey[] = [sealing, ...others(keys, current).map((key) => dataKeyOf(key, parts.installId))];
  return {
    source: place.label,
    fingerprint: current.fingerprint,
    notices,
    seal: (secret, binding) => sealEnvelope(sealing, secret, binding),
    unseal: (sealed, binding) => openEnvelope(opening, sealed, binding),
    inForce: () => inForce(parts, current),
    rotate: () => rotate(parts, choice),
  };
}

/**
 * Three steps, each of which may be the last before a crash:
 * the place holds old and new · the rows are resealed and the record names the new one, in one transaction · the new one stands first.
 */
async function rotate(parts: Parts, choice: Choice): Promise<Rotation> {
  const { place, current } = choice;
  if ((await inForce(parts, current)) === undefined) throw new VaultError('rotation', 'The master key was changed by another command meanwhile. Rotate again if it shall be changed once more; nothing was changed.');
  const there = await place.read();
  if (!there.some((key) => key.fingerprint === current.fingerprint)) {
    throw new VaultError('rotation', `The ${place.label} no longer holds the master key in force (fingerprint ${current.fingerprint}). Put it back before a change of key.`);
  }
  const retired = others(there, current);
  const next = place.writable ? mintMasterKey(there) : retired[0];
  if (next === undefined) {
    throw new VaultError('rotation', `findtoken cannot change the ${place.label}. Set it to the old key, a comma and a new key from \`openssl rand -base64 32\`, and rotate again; afterwards leave the old key out.`);
  }
  const kept = [current, ...others(retired, next)];
  if (place.writable) await place.replace([current, next, ...others(kept, current)]);
  return {
    vault: vaultOf(parts, { place, keys: [next, ...kept], current: next, notices: [] }),
    notes: recordOf(next, place),
    commit: async (options) => {
      if ((await noteOf(parts.notes)).fingerprint !== next.fingerprint) {
        throw new VaultError('rotation', 'The rows are not resealed with the new master key: the old one stays in force. Rotate again.');
      }
      if (place.writable) await place.replace(options?.forgetOld === true ? [next] : [next, ...kept]);
    },
  };
}

async function inForce({ notes }: Parts, { fingerprint }: MasterKey): ReturnType<Vault['inForce']> {
  const note = await noteOf(notes);
  return note.fingerprint === undefined || note.fingerprint === fingerprint ? { name: note.name, value: note.value } : undefined;
}

function others(keys: readonly MasterKey[], one: MasterKey): readonly MasterKey[] {
  return keys.filter((key) => key.fingerprint !== one.fingerprint);
}

async function installId(notes: Notes): Promise<string> {
  const known = await notes.get(INSTALL_NOTE);
  if (known !== undefined) return known;
  // Another process may open a vault at this moment: with two ids, one would seal what the other cannot open.
  return notes.once(INSTALL_NOTE, crypto.randomUUID());
}
