import type { ByokView, KeyCheck, KeyProbe } from '../../accounts/index.ts';
import { confirm, isAsked, readSecretFrom } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import { Refusal } from '../failure.ts';
import { timeText } from '../format.ts';
import { neededProvider } from '../needed.ts';
import { openVaultOf, SECRET_OPTIONS } from '../secrets.ts';
import { onStage, type StageState, type Step } from '../stage.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { packageVersion } from '../version.ts';

const COLUMNS: readonly Column<ByokView>[] = [
  { title: 'id', text: ({ id }) => id, whole: true },
  { title: 'provider', text: ({ provider }) => provider },
  { title: 'name', text: ({ name }) => name },
  { title: 'key', text: ({ key }) => key, dropAt: 1 },
  { title: 'region', text: ({ region }) => region ?? '', dropAt: 3 },
  { title: 'created', text: ({ created }) => timeText(created), dropAt: 2 },
];

export const BYOK: Noun = {
  name: 'byok',
  about: "an account's own keys at the providers",
  verbs: [
    {
      usage: 'register <provider>',
      about: 'keep a key for a provider, encrypted; asks for it unless told where it comes from',
      options: [
        { flags: '--name <name>', about: 'by which you will know the key', required: true },
        { flags: '--region <region>', about: "one of the provider's regions; a key of another region looks like a bad key" },
        { flags: '--no-test', about: 'do not ask the provider whether the key is good' },
        ...SECRET_OPTIONS,
      ],
      examples: ['findtoken byok register deepseek --name work', 'findtoken byok register deepseek --name ci --from-env DEEPSEEK_API_KEY'],
      run: register,
    },
    { usage: 'list', about: 'list the keys, masked, newest first', examples: ['findtoken byok list'], run: list },
    { usage: 'remove <id>', about: 'forget a key', examples: ['findtoken byok remove byok_06f8k2m1q0 --yes'], run: remove },
    { usage: 'test <id>', about: 'ask the provider whether a key is good', examples: ['findtoken byok test byok_06f8k2m1q0'], run: test },
  ],
};

async function register(call: Call): Promise<void> {
  const { context, given } = call;
  const provider = argument(call, 0);
  const region = given.text('region');
  const settings = await context.settings();
  const { baseUrlOf, checkKey, readName, readSecret, registerByok, resolveAccount } = await import('../../accounts/index.ts');
  // A wrong word is told before a secret is asked for, and before there is a screen.
  const found = await neededProvider(settings.catalog, provider);
  const { name } = found;
  baseUrlOf(found, region);
  await context.read((books) => resolveAccount(books, context.account));
  const source = { fromStdin: given.flag('from-stdin'), fromEnv: given.text('from-env'), what: `API key of ${name}` };
  const keyName = readName(given.needed('name'));
  const sent = isAsked(context, source) ? undefined : readSecret(await readSecretFrom(context, source), found);
  const view = await onStage(context, firstOf(name, keyName, given.flag('test')), async (stage, quiet) => {
    const apiKey = sent ?? readSecret(await readSecretFrom(quiet, source, stage?.ask), found);
    if (given.flag('test')) {
      stage?.step(TESTING, { state: 'running' });
      const check = await withProbe((probe) => checkKey({ catalog: settings.catalog, probe }, { provider, region, apiKey }));
      stage?.step(TESTING, { state: VERDICTS[check.verdict], note: check.detail });
      if (check.verdict === 'refused') throw new Refusal(`${check.detail} Nothing was stored; register it anyway with --no-test.`);
      if (check.verdict === 'unknown' && stage === undefined) quiet.terminal.note(`${check.detail} The key is stored untested.`);
    }
    stage?.step(KEEPING, { state: 'running' });
    const kept = await quiet.write(async (books) => {
      const { id: accountId } = await resolveAccount(books, quiet.account);
      const vault = await openVaultOf(quiet, books);
      return registerByok({ ...books, vault, catalog: settings.catalog }, { accountId, provider, apiKey, name: keyName, region });
    });
    stage?.step(KEEPING, { state: 'done', note: kept.key });
    return kept;
  });
  context.show(view, () => renderTable([view], COLUMNS, context.terminal));
}

const TESTING = 'ask the provider whether it is good';
const KEEPING = 'keep it, encrypted';
const VERDICTS: Readonly<Record<KeyCheck['verdict'], Step['state']>> = { good: 'done', unknown: 'warned', refused: 'failed' };

function firstOf(provider: string, name: string, isTested: boolean): StageState {
  const steps = isTested ? [TESTING, KEEPING] : [KEEPING];
  return { title: 'Register a key', facts: [['provider', provider], ['name', name]], steps: steps.map((step) => ({ name: step, state: 'waiting' })) };
}

async function list({ context }: Call): Promise<void> {
  const { listByok, listView, resolveAccount } = await import('../../accounts/index.ts');
  const keys = await context.read(async (books) => listByok(books, (await resolveAccount(books, context.account)).id));
  if (keys.length === 0) context.terminal.note('No keys yet; keep one with `findtoken byok register PROVIDER --name NAME`.');
  context.show(listView(keys, undefined), () => renderTable(keys, COLUMNS, context.terminal));
}

async function remove(call: Call): Promise<void> {
  const { context } = call;
  const id = argument(call, 0);
  const { deletedView, listByok, removeByok, resolveAccount } = await import('../../accounts/index.ts');
  await context.write(async (books) => {
    const { id: accountId } = await resolveAccount(books, context.account);
    const key = (await listByok(books, accountId)).find((one) => one.id === id);
    if (key !== undefined) await confirm(context, `Forget the ${key.provider} key ${JSON.stringify(key.name)} (${id})?`);
    await removeByok(books, { accountId, id });
  });
  if (context.json) context.show(deletedView('byok_key', id), () => '');
  else context.terminal.note(`Removed ${id}.`);
}

async function test(call: Call): Promise<void> {
  const { context } = call;
  const { resolveAccount, testByok } = await import('../../accounts/index.ts');
  const check = await context.write(async (books) => {
    const { id: accountId } = await resolveAccount(books, context.account);
    const vault = await openVaultOf(context, books);
    return withProbe((probe) => testByok({ ...books, vault, catalog: books.settings.catalog, probe }, { accountId, id: argument(call, 0) }));
  });
  showChecks(call, [check], check);
}

/**
 * Prints what providers said of keys; a key that is not good makes the command fail.
 * @param document with `--json`: one check where one key was named, else a list, however long
 */
export function showChecks({ context }: Call, checks: readonly KeyCheck[], document: unknown): void {
  const columns: readonly Column<KeyCheck>[] = [
    { title: 'provider', text: ({ provider }) => provider },
    { title: 'verdict', text: ({ verdict }) => verdict },
    { title: 'detail', text: ({ detail }) => detail },
  ];
  context.show(document, () => renderTable(checks, columns, context.terminal));
  if (checks.some(({ verdict }) => verdict !== 'good')) process.exitCode = 1;
}

/** The way out to the providers, open for one question. Without it no command loads an HTTP client. */
export async function withProbe<T>(ask: (probe: KeyProbe) => Promise<T>): Promise<T> {
  const { createUpstream } = await import('../../upstream/index.ts');
  const upstream = createUpstream({ userAgent: `findtoken/${packageVersion()}` });
  try {
    return await ask((target) => upstream.listModels(target));
  } finally {
    await upstream.close();
  }
}
