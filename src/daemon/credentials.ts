import { openByok, openProviderKeys } from '../accounts/index.ts';
import type { Credential, Credentials, Log } from '../gateway/index.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Settings } from '../settings/index.ts';
import type { Vault } from '../vault/index.ts';

/** A key that was looked at so short a time ago is not looked at again in the same request. */
const LOOK_MS = 250;

/**
 * Finds provider keys: the operator's from the books (`providers set-key`), else from the configuration; an account's own from
 * the books. The books are read at every call, so that a key set by the command line counts at the next request; what was
 * unsealed is kept until the stored rows change.
 */
export function createCredentials(parts: { readonly settings: Settings; readonly ledger: Ledger; readonly vault: () => Promise<Vault>; readonly log: Pick<Log, 'error'> }): Credentials {
  const { settings, ledger } = parts;
  let stamp = '';
  let lookedMs = Number.NEGATIVE_INFINITY;
  let opened: ReadonlyMap<string, string> = new Map();
  let names: ReadonlySet<string> = new Set(settings.providerKeys.keys());
  /** Requests that one turn of the event loop brings share one look: it is no older than they are. */
  let look: Promise<ReadonlySet<string>> | undefined;
  const looked = (): Promise<ReadonlySet<string>> => {
    if (look === undefined) {
      look = read();
      setImmediate(() => (look = undefined));
    }
    return look;
  };
  const read = async (): Promise<ReadonlySet<string>> => {
    const rows = await ledger.listProviderKeys();
    lookedMs = performance.now();
    let newest = '';
    for (const { provider, updatedMs } of rows) newest += `${provider}@${updatedMs} `;
    if (newest !== stamp) {
      opened = rows.length === 0 ? new Map() : await openProviderKeys({ ledger, vault: await parts.vault() }, (provider, error) => parts.log.error(`operator_key_unreadable: findtoken providers set-key ${provider}`, error));
      stamp = newest;
      names = new Set([...settings.providerKeys.keys(), ...opened.keys()]);
    }
    return names;
  };
  const known = (provider: string): Credential | undefined => {
    const apiKey = opened.get(provider) ?? settings.providerKeys.get(provider);
    const baseUrl = settings.catalog.providers.get(provider)?.baseUrl;
    return apiKey === undefined || baseUrl === undefined ? undefined : { provider, baseUrl, apiKey };
  };
  return {
    operatorProviders: looked,
    // Every request asks for the providers before it asks for one's key: it needs no second look.
    operator: (provider) => (performance.now() - lookedMs < LOOK_MS ? known(provider) : looked().then(() => known(provider))),
    registered: async (accountId, provider) => openByok({ ledger, vault: await parts.vault(), catalog: settings.catalog }, { accountId, provider }),
  };
}
