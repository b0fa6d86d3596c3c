import type { Vault } from '../vault/index.ts';
import type { Books, Context } from './context.ts';

/** Opens the vault of these books; its notices go to stderr. @throws VaultError where the master key is missing or wrong. */
export async function openVaultOf(context: Context, { ledger, settings }: Books): Promise<Vault> {
  const { openVault } = await import('../vault/index.ts');
  const { sealedRowsExist } = await import('../accounts/index.ts');
  const vault = await openVault({
    source: settings.secrets.masterKey,
    env: context.env,
    home: context.home,
    xdgConfigHome: context.env['XDG_CONFIG_HOME'],
    databasePath: settings.database.path,
    notes: { get: (name) => ledger.note(name), set: (name, value) => ledger.setNote(name, value), once: (name, value) => ledger.noteOnce(name, value) },
    sealedRowsExist: () => sealedRowsExist(ledger),
  });
  for (const notice of vault.notices) context.terminal.note(notice);
  return vault;
}

/** The options by which a secret comes in, the same for every command that takes one. */
export const SECRET_OPTIONS = [
  { flags: '--from-stdin', about: 'read the key from standard input' },
  { flags: '--from-env <name>', about: 'read the key from this environment variable' },
] as const;
