import { VaultError } from './error.ts';
import type { MasterKey } from './master.ts';
import { parseMasterKeys } from './master.ts';

/** Where master keys are kept. The first key is the present one as long as no record names another. */
export interface Place {
  /** As the record in the database names it: `keychain`, `file:/path`, `env:NAME`. */
  readonly note: string;
  /** As people read it: `keychain`, `file ~/.config/findtoken/master.key`, `environment variable NAME`. */
  readonly label: string;
  /** False where only the operator can change what it holds. */
  readonly writable: boolean;
  /** The keys it holds; none where nothing is there yet. @throws VaultError where it cannot be asked, or holds something else. */
  read(): Promise<readonly MasterKey[]>;
  /** Puts a first key where none is, and gives what is there then: another process may have been quicker. */
  create(key: MasterKey): Promise<readonly MasterKey[]>;
  /** Puts these keys in the place of those that are there, all or nothing. */
  replace(keys: readonly MasterKey[]): Promise<void>;
}

/** A key that the operator hands over in the environment; findtoken can only read it. */
export function environmentPlace(name: string, env: Readonly<Record<string, string | undefined>>): Place {
  const label = `environment variable ${name}`;
  const fixed = (): never => {
    throw new VaultError('missing_key', `The ${label} holds no master key. Set it, as \`export ${name}="$(openssl rand -base64 32)"\`, and keep the value: without it nothing that is sealed can be read.`);
  };
  return {
    note: `env:${name}`,
    label,
    writable: false,
    read: async () => parseMasterKeys(env[name] ?? '', label),
    create: async () => fixed(),
    replace: async () => fixed(),
  };
}
