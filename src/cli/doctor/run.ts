import type { Provider } from '../../catalog/index.ts';
import type { Settings } from '../../settings/index.ts';
import { withProbe } from '../commands/byok.ts';
import type { Books, Context } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import { lookIntoVaultOf } from '../secrets.ts';
import { checkClock, checkDatabase, checkMasterKey, checkPrices } from './books.ts';
import { fail, guarded, ok, saidBy, warn } from './check.ts';
import type { Check } from './check.ts';
import { checkDisk, checkMail, checkNativeModules, checkPort, checkRuntime } from './machine.ts';
import { checkLinks, checkProvider, checkSkew, checkStripe } from './outside.ts';

/** What is asked of `doctor`. */
export interface Examination {
  /** Read every row of the database. */
  readonly deep: boolean;
  /** Ask nobody outside this machine. */
  readonly offline: boolean;
}

/** Looks at everything findtoken stands on, and changes nothing. In the order in which one would mend it. */
export async function examine(context: Context, wish: Examination): Promise<readonly Check[]> {
  // Settings that cannot be read are told of below, in their turn.
  const masterKey = await context.settings().then(({ secrets }) => secrets.masterKey.kind, () => undefined);
  const checks: Check[] = [checkRuntime(process.version, `${process.platform} ${process.arch}`), ...(await checkNativeModules(masterKey))];
  let settings: Settings;
  try {
    settings = await context.settings();
    checks.push(ok('configuration', settings.file ?? 'no findtoken.yaml; the defaults serve'), checkPrices(settings));
  } catch (error) {
    return [...checks, fail('configuration', saidBy(error), 'findtoken config check')];
  }
  checks.push(...(await guarded('database', () => checkDatabase(settings, wish))));
  const canRead = checks.every(({ name, state }) => !name.startsWith('database') || state !== 'fail') && checks.every(({ name, state }) => name !== 'database.schema' || state === 'ok');
  /** Books that cannot be read do not say where their daemon listens: during an upgrade it is the older one. */
  const isServedUnread = async ({ database }: Settings): Promise<boolean> => !canRead && (await import('../../ledger/index.ts')).isServed(database.path);
  const rest = async (books: Books | undefined): Promise<readonly Check[]> => [
    ...(books === undefined ? [] : await guarded('master_key', () => checkMasterKey(context, books))),
    ...(books === undefined ? [] : await guarded('clock.books', () => checkClock({ ledger: books.ledger, nowMs: books.nowMs() }))),
    ...(await guarded('port', async () => (await isServedUnread(settings)) ? [ok('port', 'a daemon runs on the database')] : checkPort(settings.server, books === undefined ? undefined : (await readNews(books.ledger, books.nowMs()))?.state.url))),
    ...(await guarded('disk', async () => [checkDisk(settings.database.path)])),
    ...(await guarded('providers', () => checkProviders(context, settings, canRead ? books : 'unread', wish))),
    ...checkStripe(settings),
    ...checkLinks(settings),
    ...(await guarded('smtp', () => checkMail(settings.email, wish))),
  ];
  return [...checks, ...(canRead ? await guarded('database', () => context.readOrNone(rest)) : await rest(undefined))];
}

/** Only providers for which there is a key are asked: a host that nobody uses is told nothing. */
async function checkProviders(context: Context, settings: Settings, books: Books | 'unread' | undefined, wish: Examination): Promise<readonly Check[]> {
  const keys = new Map(settings.providerKeys);
  const own = new Set<string>();
  if (typeof books === 'object') {
    const { openProviderKeys } = await import('../../accounts/index.ts');
    const isSealed = (await books.ledger.listProviderKeys()).length > 0;
    if (isSealed) for (const [id, key] of await openProviderKeys({ ledger: books.ledger, vault: await lookIntoVaultOf(context, books) })) keys.set(id, key);
    for (const { id } of await books.ledger.listAccounts()) for (const { provider } of await books.ledger.listByokKeys(id)) own.add(provider);
  }
  const used = [...settings.catalog.providers.values()].filter(({ id }) => keys.has(id) || own.has(id));
  if (used.length === 0 && books === 'unread') return [ok('providers', 'not asked: the keys that are stored cannot be read before the database can')];
  if (used.length === 0) {
    const sandbox = settings.sandbox ? ok('providers', 'none has a key; the sandbox answers') : warn('providers', 'none has a key', 'findtoken providers set-key deepseek, or findtoken serve --sandbox');
    return [sandbox];
  }
  const rehearsal = settings.sandbox && keys.size > 0 ? [warn('sandbox', `is on beside keys of ${[...keys.keys()].join(', ')}: models of other providers are answered offline, and billed`, 'set sandbox: false in findtoken.yaml, and start the daemon again')] : [];
  if (wish.offline) return [...rehearsal, ok('providers', `not asked: ${used.map(({ id }) => id).join(', ')}`)];
  const { checkKey } = await import('../../accounts/index.ts');
  const found = await withProbe((probe) => Promise.all(used.map((provider: Provider) => {
    const apiKey = keys.get(provider.id);
    const askKey = apiKey === undefined ? undefined : () => checkKey({ catalog: settings.catalog, probe }, { provider: provider.id, region: undefined, apiKey });
    return checkProvider(provider, { nowMs: () => Date.now(), askKey });
  })));
  return [...rehearsal, ...found.flatMap(({ checks }) => checks), checkSkew(found.flatMap(({ skewMs }) => (skewMs === undefined ? [] : [skewMs])))];
}
