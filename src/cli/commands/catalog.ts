import type { Provider } from '../../catalog/index.ts';
import { Fault } from '../../faults.ts';
import type { Settings } from '../../settings/index.ts';
import type { Call, Noun } from '../command.ts';
import { EXIT } from '../failure.ts';
import { neededProvider } from '../needed.ts';
import { lookIntoVaultOf } from '../secrets.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { withProbe } from './byok.ts';

const ANSWER_MS = 15_000;

/** One model of ours against the provider's list. */
interface Row {
  readonly model: string;
  readonly provider: string;
  readonly upstream: string;
  /** `unknown`: the provider gave no list. */
  readonly state: 'listed' | 'missing' | 'unknown';
  readonly detail: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'model', text: ({ model }) => model },
  { title: 'provider', text: ({ provider }) => provider },
  { title: 'upstream name', text: ({ upstream }) => upstream },
  { title: 'state', text: ({ state }) => state },
  { title: 'detail', text: ({ detail }) => detail, dropAt: 1 },
];

export const CATALOG: Noun = {
  name: 'catalog',
  about: 'the catalogue of models',
  verbs: [
    {
      usage: 'check [provider]',
      about: "compare each model's upstream name with the provider's own list; exit 1 where one is missing",
      examples: ['findtoken catalog check', 'findtoken catalog check deepseek --json'],
      run: check,
    },
  ],
};

async function check({ context, args }: Call): Promise<void> {
  const settings = await context.settings();
  const { listView, openProviderKeys } = await import('../../accounts/index.ts');
  const keys = await context.readOrNone(async (books) => {
    if (books === undefined || (await books.ledger.listProviderKeys()).length === 0) return settings.providerKeys;
    return new Map([...settings.providerKeys, ...(await openProviderKeys({ ledger: books.ledger, vault: await lookIntoVaultOf(context, books) }))]);
  });
  const [name] = args;
  const asked = name === undefined ? [...settings.catalog.providers.values()].filter(({ id }) => keys.has(id)) : [await neededProvider(settings.catalog, name)];
  if (asked.length === 0) throw new Fault('not_found', { fill: { detail: 'No provider has a key yet, and none shows its list without; set one with `findtoken providers set-key NAME`.' } });
  const rows = (await withProbe((probe) => Promise.all(asked.map(async (provider) => {
    const apiKey = keys.get(provider.id);
    if (apiKey === undefined) throw new Fault('not_found', { fill: { detail: `${provider.id} has no key yet; set one with \`findtoken providers set-key ${provider.id}\`.` } });
    const reply = await probe({ provider: provider.id, baseUrl: provider.baseUrl, apiKey, timeoutMs: ANSWER_MS });
    const list = reply.kind === 'whole' && reply.status === 200 ? readModelList(reply.text) : undefined;
    return rowsOf(provider, settings, list, reply.kind === 'failed' ? reply.failure : `answered ${reply.status}`);
  })))).flat();
  context.show(listView(rows.map((row) => ({ object: 'catalog_check', ...row })), undefined), () => renderTable(rows, COLUMNS, context.terminal));
  const missing = rows.filter(({ state }) => state === 'missing').length;
  if (missing > 0) context.terminal.note(`${missing} of our models ${missing === 1 ? 'is' : 'are'} not in the provider's list: set models.<id>.upstream in findtoken.yaml to its present name.`);
  if (rows.some(({ state }) => state !== 'listed')) process.exitCode = EXIT.failed;
}

function rowsOf(provider: Provider, { catalog }: Settings, list: ReadonlySet<string> | undefined, answer: string): readonly Row[] {
  const ours = [...catalog.models.values()].filter((model) => model.provider === provider.id && !model.sandbox);
  return ours.map(({ id, upstream }) => {
    const row = { model: id, provider: provider.id, upstream };
    if (list === undefined) return { ...row, state: 'unknown', detail: `the provider gave no list (${answer})` };
    if (list.has(upstream)) return { ...row, state: 'listed', detail: '' };
    const near = [...list].filter((name) => name.startsWith(upstream) || upstream.startsWith(name)).slice(0, 3);
    return { ...row, state: 'missing', detail: near.length === 0 ? `not among ${list.size} names` : `perhaps ${near.join(', ')}` };
  });
}

/** The names in a provider's answer to GET /models; undefined where it is no such list. */
function readModelList(text: string): ReadonlySet<string> | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof document !== 'object' || document === null || !('data' in document) || !Array.isArray(document.data)) return undefined;
  const entries: readonly unknown[] = document.data;
  return new Set(entries.flatMap((entry) => (typeof entry === 'object' && entry !== null && 'id' in entry && typeof entry.id === 'string' ? [entry.id] : [])));
}
