import { sealedRowsExist } from '../accounts/index.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Settings } from '../settings/index.ts';
import { openVault, type Vault } from '../vault/index.ts';
import type { DaemonLog } from './log.ts';

export interface VaultParts {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/**
 * The vault, opened when it is first needed, so that a daemon without secrets makes no master key. Where sealed rows exist it is
 * opened now: a wrong master key must stop the start, not the first request.
 */
export async function vaultFor(options: VaultParts, ledger: Ledger, log: Pick<DaemonLog, 'warn'>): Promise<() => Promise<Vault>> {
  const { settings, env, home } = options;
  let opened: Promise<Vault> | undefined;
  const open = async () => {
    const vault = await openVault({
      source: settings.secrets.masterKey,
      env,
      home,
      xdgConfigHome: env['XDG_CONFIG_HOME'],
      databasePath: settings.database.path,
      notes: { get: (name) => ledger.note(name), set: (name, value) => ledger.setNote(name, value), once: (name, value) => ledger.noteOnce(name, value) },
      sealedRowsExist: () => sealedRowsExist(ledger),
    });
    for (const notice of vault.notices) log.warn('master_key', { notice });
    return vault;
  };
  let record: string | undefined;
  const lazily = async () => {
    // After a change of the master key the rows are sealed with one that this vault has never seen.
    const now = await ledger.note('master_key');
    if (opened === undefined || now !== record) {
      opened = open();
      await opened;
      record = await ledger.note('master_key');
    }
    return opened;
  };
  if (await sealedRowsExist(ledger)) await lazily();
  return lazily;
}
