import type { KeyCheck } from '../../accounts/index.ts';
import type { Provider } from '../../catalog/index.ts';
import { Fault } from '../../faults.ts';
import { confirm, readSecretFrom } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import type { DaemonNews } from '../daemon-news.ts';
import { neededProvider } from '../needed.ts';
import { openVaultOf, SECRET_OPTIONS } from '../secrets.ts';
import { renderRecord, renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { showChecks, withProbe } from './byok.ts';

/** A provider as the operator sees it. */
interface ProviderRow {
  readonly id: string;
  readonly object: 'provider';
  readonly name: string;
  readonly base_url: string;
  readonly regions: readonly string[];
  readonly models: number;
  /** The operator's key, masked; null where there is none. */
  readonly key: string | null;
  /** `stored` by `set-key`, which wins, or `config`: the file or the environment. */
  readonly key_origin: 'stored' | 'config' | null;
  /** `up`, `down`, `resting`, `trying`; null while no daemon runs or nothing is known. */
  readonly health: string | null;
  readonly health_reason: string | null;
}

const COLUMNS: readonly Column<ProviderRow>[] = [
  { title: 'provider', text: ({ id }) => id },
  { title: 'key', text: ({ key, key_origin }) => (key === null ? 'none' : `${key} (${key_origin})`) },
  { title: 'health', text: ({ health_reason }) => health_reason ?? 'unknown' },
  { title: 'models', text: ({ models }) => String(models), right: true, dropAt: 3 },
  { title: 'regions', text: ({ regions }) => regions.join(', '), dropAt: 2 },
  { title: 'base url', text: ({ base_url }) => base_url, dropAt: 1 },
];

export const PROVIDERS: Noun = {
  name: 'providers',
  about: "the providers and the operator's keys for them",
  verbs: [
    { usage: 'list', about: 'list the providers, their keys (masked) and their health', examples: ['findtoken providers list'], run: list },
    { usage: 'test [name]', about: "ask the providers whether the operator's keys are good", examples: ['findtoken providers test', 'findtoken providers test deepseek'], run: test },
    {
      usage: 'set-key <name>',
      about: "keep the operator's key for a provider, encrypted, in place of the one before",
      options: SECRET_OPTIONS,
      examples: ['findtoken providers set-key deepseek', 'findtoken providers set-key deepseek --from-env DEEPSEEK_API_KEY'],
      run: setKey,
    },
    { usage: 'remove-key <name>', about: "forget the operator's stored key for a provider", examples: ['findtoken providers remove-key deepseek --yes'], run: removeKey },
  ],
};

async function list({ context }: Call): Promise<void> {
  const rows = await context.readOrNone(async (books) => {
    const settings = books?.settings ?? (await context.settings());
    const stored = books === undefined ? [] : await books.ledger.listProviderKeys();
    const news = books === undefined ? undefined : await readNews(books.ledger, books.nowMs());
    const { listProviderKeys } = await import('../../accounts/index.ts');
    const shown = new Map((books === undefined || stored.length === 0 ? [] : await listProviderKeys(books)).map(({ provider, key }) => [provider, key]));
    const { forOperator } = await import('../../routing/index.ts');
    const health = forOperator(news?.health ?? []);
    return [...settings.catalog.providers.values()].map((provider) => rowOf(provider, { shown, settings, health }));
  });
  const { listView } = await import('../../accounts/index.ts');
  context.show(listView(rows, undefined), () => renderTable(rows, COLUMNS, context.terminal));
}

function rowOf(provider: Provider, known: { readonly shown: ReadonlyMap<string, string>; readonly settings: Books['settings']; readonly health: DaemonNews['health'] }): ProviderRow {
  const { shown, settings } = known;
  const stored = shown.get(provider.id);
  const configured = settings.providerKeys.get(provider.id);
  const health = known.health.filter(({ key }) => key.startsWith(`${provider.id}/`));
  const worst = health.find(({ state }) => state !== 'up') ?? health[0];
  return {
    id: provider.id,
    object: 'provider',
    name: provider.name,
    base_url: provider.baseUrl,
    regions: Object.keys(provider.regions),
    models: [...settings.catalog.models.values()].filter((model) => model.provider === provider.id).length,
    key: stored ?? (configured === undefined ? null : `…${configured.length < 12 ? '' : configured.slice(-4)}`),
    key_origin: stored !== undefined ? 'stored' : configured === undefined ? null : 'config',
    health: worst?.state ?? null,
    health_reason: worst?.reason ?? null,
  };
}

async function test(call: Call): Promise<void> {
  const { context } = call;
  const checks = await context.make(async (books) => {
    const keys = await operatorKeys(context, books);
    const { catalog } = books.settings;
    const [name] = call.args;
    const { checkKey } = await import('../../accounts/index.ts');
    const asked = name === undefined ? [...keys.keys()] : [(await neededProvider(catalog, name)).id];
    if (asked.length === 0) throw new Fault('not_found', { fill: { detail: 'No provider has a key yet; set one with `findtoken providers set-key NAME`.' } });
    return withProbe((probe) => Promise.all(asked.map(async (provider): Promise<KeyCheck> => {
      const apiKey = keys.get(provider);
      if (apiKey === undefined) throw new Fault('not_found', { fill: { detail: `${provider} has no key yet; set one with \`findtoken providers set-key ${provider}\`.` } });
      return checkKey({ catalog, probe }, { provider, region: undefined, apiKey });
    })));
  });
  const { listView } = await import('../../accounts/index.ts');
  showChecks(call, checks, call.args[0] === undefined ? listView(checks, undefined) : checks[0]);
}

/** The keys in force: stored ones win over those of the file or the environment, as in the daemon. */
async function operatorKeys(context: Context, books: Books): Promise<ReadonlyMap<string, string>> {
  if ((await books.ledger.listProviderKeys()).length === 0) return books.settings.providerKeys;
  const { openProviderKeys } = await import('../../accounts/index.ts');
  const vault = await openVaultOf(context, books);
  return new Map([...books.settings.providerKeys, ...(await openProviderKeys({ ledger: books.ledger, vault }))]);
}

async function setKey(call: Call): Promise<void> {
  const { context, given } = call;
  const name = argument(call, 0);
  const { catalog, sandbox } = await context.settings();
  const { readSecret, setProviderKey } = await import('../../accounts/index.ts');
  const provider = await neededProvider(catalog, name);
  const written = await readSecretFrom(context, { fromStdin: given.flag('from-stdin'), fromEnv: given.text('from-env'), what: `API key of ${provider.name}` });
  const apiKey = readSecret(written, provider);
  const view = await context.make(async (books) => setProviderKey({ ...books, vault: await openVaultOf(context, books), catalog }, { provider: provider.id, apiKey }));
  context.show(view, () => renderRecord([['provider', view.provider], ['key', view.key]], context.terminal));
  if (sandbox) context.terminal.note('The sandbox is on: models whose provider has no key are still answered offline, and billed. Set `sandbox: false` in findtoken.yaml when you are done rehearsing.');
}

/** Also of a provider that the settings no longer have: its key is still kept, and sealed. */
async function removeKey(call: Call): Promise<void> {
  const { context } = call;
  const name = argument(call, 0);
  const { deletedView, listProviderKeys } = await import('../../accounts/index.ts');
  const isConfigured = await context.write(async (books) => {
    const { catalog, providerKeys } = books.settings;
    const kept = (await listProviderKeys(books)).find(({ provider }) => provider === name);
    const { id } = kept === undefined ? await neededProvider(catalog, name) : { id: kept.provider };
    if (kept === undefined) throw new Fault('not_found', { fill: { detail: `No key of yours is stored for ${id}; \`findtoken providers list\` shows where each comes from.` } });
    await confirm(context, `Forget the stored key ${kept.key} for ${id}?`);
    await books.ledger.removeProviderKey(id);
    return providerKeys.has(id);
  });
  if (context.json) context.show(deletedView('provider_key', name), () => '');
  else context.terminal.note(`Removed the stored key for ${name}.`);
  if (isConfigured) context.terminal.note('One of the settings or the environment takes its place.');
}
