import type { Notes, OpenVault, Vault } from '../vault/index.ts';
import type { Books, Context } from './context.ts';

/** Opens the vault of these books; its notices go to stderr. @throws VaultError where the master key is missing or wrong. */
export async function openVaultOf(context: Context, books: Books): Promise<Vault> {
  const { ledger } = books;
  const { sealedRowsExist } = await import('../accounts/index.ts');
  const vault = await open(context, books, { set: (name, value) => ledger.setNote(name, value), once: (name, value) => ledger.noteOnce(name, value), sealedRowsExist: () => sealedRowsExist(ledger) });
  for (const notice of vault.notices) context.terminal.note(notice);
  return vault;
}

/**
 * As `openVaultOf`, for a command that only looks, and whose books may be open to be read alone: no key is made, and where the key
 * lies in another place than it did, that is neither noted nor told. Whoever writes next does both.
 */
export async function lookIntoVaultOf(context: Context, books: Books): Promise<Vault> {
  return open(context, books, { set: async () => undefined, once: async (_, value) => value, sealedRowsExist: async () => true });
}

/** As `openVaultOf`, but the master key is chosen as on the first day, whatever is noted of an earlier one: for when that is gone for good and nothing sealed with it is left. */
export async function openAnewVaultOf(context: Context, books: Books): Promise<Vault> {
  const { ledger } = books;
  const vault = await open(context, books, {
    get: async (name) => (name === 'master_key' ? undefined : ledger.note(name)),
    set: (name, value) => ledger.setNote(name, value),
    once: (name, value) => ledger.noteOnce(name, value),
    sealedRowsExist: async () => false,
  });
  for (const notice of vault.notices) context.terminal.note(notice);
  return vault;
}

type Writing = Pick<Notes, 'set' | 'once'> & Partial<Pick<Notes, 'get'>> & Pick<OpenVault, 'sealedRowsExist'>;

async function open(context: Context, { ledger, settings }: Books, { get, set, once, sealedRowsExist }: Writing): Promise<Vault> {
  const { openVault } = await import('../vault/index.ts');
  return openVault({
    source: settings.secrets.masterKey,
    env: context.env,
    home: context.home,
    xdgConfigHome: context.env['XDG_CONFIG_HOME'],
    databasePath: settings.database.path,
    notes: { get: get ?? ((name) => ledger.note(name)), set, once },
    sealedRowsExist,
  });
}

/** The options by which a secret comes in, the same for every command that takes one. */
export const SECRET_OPTIONS = [
  { flags: '--from-stdin', about: 'read the key from standard input' },
  { flags: '--from-env <name>', about: 'read the key from this environment variable' },
] as const;
