import { usdNumber } from '../../money/index.ts';
import { readAmount } from '../amount.ts';
import { isAsked, readSecretFrom } from '../ask.ts';
import type { SecretWish } from '../ask.ts';
import type { Call, Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';
import { dollars } from '../format.ts';
import { handOver } from '../hand-over.ts';
import { printable } from '../printable.ts';
import { SECRET_OPTIONS } from '../secrets.ts';
import type { PlainWish, Setup, SetupStep, SetupWish } from '../setup/run.ts';
import { onStage, type StageState } from '../stage.ts';
import { renderRecord } from '../table.ts';

const DEFAULTS = { host: '127.0.0.1', port: 8787, credits: '10', keyName: 'first key' } as const;

export const INIT: Verb = {
  usage: 'init',
  about: 'make what is missing of findtoken.yaml, master key, database, first account and key; asks nothing, and leaves what is there as it is',
  brief: 'make settings, database, an account and a key',
  options: [
    { flags: '--email <email>', about: 'of the first account (default me@localhost)' },
    { flags: '--credits <amount>', about: `first credits of a new account, in US dollars (default ${DEFAULTS.credits})` },
    { flags: '--key-name <name>', about: `name of the first key (default "${DEFAULTS.keyName}")` },
    { flags: '--key-file <file>', about: 'keep the key in this file (0600) instead of printing it' },
    { flags: '--host <address>', about: `server.host (default ${DEFAULTS.host})` },
    { flags: '--port <number>', about: `server.port (default ${DEFAULTS.port})` },
    { flags: '--provider <name>', about: 'keep a key of yours for this provider, encrypted; asks for it unless told where it comes from' },
    ...SECRET_OPTIONS,
    { flags: '--sandbox', about: 'answer models without a provider key offline (default: where no provider has a key)' },
    { flags: '--no-sandbox', about: 'refuse them instead' },
    { flags: '--user', about: "write findtoken.yaml into your configuration folder, where it is found from everywhere" },
  ],
  examples: ['findtoken init', 'findtoken init --user --email ann@example.com --provider deepseek --from-env DEEPSEEK_API_KEY'],
  run: init,
};

async function init(call: Call): Promise<void> {
  const { context } = call;
  const { checkWish, setUp } = await import('../setup/run.ts');
  // A wrong word is told before there is a screen, and before anything is made.
  const [plain, source] = readWish(call);
  await checkWish(context, plain);
  const sent = source === undefined || isAsked(context, source) ? undefined : await readSecretFrom(context, source);
  const first: StageState = { title: 'findtoken: first run', facts: [], steps: STEPS.map((name) => ({ name, state: 'waiting' })) };
  const { setup, wish, isTold } = await onStage(call.context, first, async (stage, context) => {
    const apiKey = sent ?? (source === undefined ? undefined : await readSecretFrom(context, source, stage?.ask));
    const wish: SetupWish = { ...plain, provider: plain.provider === undefined || apiKey === undefined ? undefined : { id: plain.provider, apiKey } };
    const setup = await setUp(context, wish, (step) => stage?.step(step, { state: 'running' }));
    for (const [name, note] of linesOf(setup, wish, stage !== undefined)) stage?.step(name, { state: 'done', note });
    return { setup, wish, isTold: stage !== undefined };
  });
  if (context.json) return context.show(documentOf(setup, wish), () => '');
  // In one write: who reads but the first lines of it has the key as well.
  const lines = [...(isTold ? [] : [renderRecord(linesOf(setup, wish, false), context.terminal)]), ...nextLines(setup, wish)].join('\n');
  const print = () => context.terminal.print(lines);
  if (setup.key === undefined || wish.keyFile !== undefined) return print();
  await handOver(context, { accountId: setup.account.id, keyId: setup.key.id }, 'printed', print);
}

/** What is told of, in this order. */
const STEPS: readonly SetupStep[] = ['settings', 'database', 'master key', 'account', 'providers', 'key'];

/** The wish but for the provider's key, and where that comes from. */
function readWish({ context, given }: Call): readonly [PlainWish, SecretWish | undefined] {
  const provider = given.text('provider');
  const [fromStdin, fromEnv] = [given.flag('from-stdin'), given.text('from-env')];
  if (provider === undefined && (fromStdin || fromEnv !== undefined)) throw wrongUsage('--from-stdin and --from-env bring the key of --provider NAME; name it.');
  const keyFile = given.text('key-file');
  const plain: PlainWish = {
    email: given.text('email'),
    host: given.text('host') ?? DEFAULTS.host,
    port: given.whole('port', { least: 1, most: 65_535 }) ?? DEFAULTS.port,
    sandbox: given.flag('sandbox') ? true : given.isOff('sandbox') ? false : undefined,
    credits: readAmount(given.text('credits') ?? DEFAULTS.credits, '--credits', 'zero'),
    keyName: given.text('key-name') ?? DEFAULTS.keyName,
    // A secret never stands in JSON but in that of `keys create`.
    makesKey: !context.json || keyFile !== undefined,
    keyFile,
    inUserFolder: given.flag('user'),
    provider,
  };
  return [plain, provider === undefined ? undefined : { fromStdin, fromEnv, what: `API key of ${provider}` }];
}

/** A screen cuts lines, and a key that is cut is lost: there it stands below, in the commands to copy. */
function linesOf(setup: Setup, wish: SetupWish, onScreen: boolean): readonly (readonly [SetupStep, string])[] {
  const { settings, account, vault, providers } = setup;
  return [
    ['settings', `${setup.file} (${setup.fileMade ? 'written' : 'was there, unchanged'})`],
    ['database', settings.database.path],
    ['master key', `in the ${vault.source}; back it up apart from the database`],
    ['account', `${account.email}, ${dollars(account.balance)} (${setup.accountMade ? 'new' : 'was there'})`],
    ['providers', `${providers.length === 0 ? 'none has a key' : providers.join(', ')}${settings.sandbox ? '; models without a key are answered offline' : ''}`],
    ['key', setup.key === undefined ? 'there is one already; `findtoken keys create --name NAME` makes another' : wish.keyFile === undefined ? (onScreen ? 'made; it stands below, this once' : `${setup.key.key}  (shown this once)`) : `in ${wish.keyFile}`],
  ];
}

function nextLines(setup: Setup, wish: SetupWish): readonly string[] {
  const { server, sandbox } = setup.settings;
  const key = setup.key === undefined ? '$FINDTOKEN_API_KEY' : wish.keyFile === undefined ? setup.key.key : `$(cat ${wish.keyFile})`;
  const silent = setup.providers.length === 0 && !sandbox;
  return [
    '',
    ...(silent ? ['No provider has a key and the sandbox is off: first `findtoken providers set-key deepseek`.', ''] : []),
    'Start the gateway:',
    '',
    '  findtoken serve',
    '',
    'and in another terminal:',
    '',
    ...curlLines({ url: server.publicUrl, key, model: setup.model }).map(printable),
  ];
}

function curlLines({ url, key, model }: { readonly url: string; readonly key: string; readonly model: string }): readonly string[] {
  return [
    `  curl ${url}/v1/chat/completions \\`,
    `    -H "Authorization: Bearer ${key}" \\`,
    '    -H "Content-Type: application/json" \\',
    `    -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'`,
  ];
}

function documentOf(setup: Setup, wish: SetupWish): unknown {
  const { settings, account, vault, key } = setup;
  return {
    object: 'init',
    config_file: setup.file,
    config_written: setup.fileMade,
    database: settings.database.path,
    master_key: { source: vault.source, fingerprint: vault.fingerprint },
    account: { id: account.id, email: account.email, created: setup.accountMade, balance: usdNumber(account.balance) },
    key: key === undefined ? null : { id: key.id, name: key.name, file: wish.keyFile ?? null },
    providers: setup.providers,
    sandbox: settings.sandbox,
    url: settings.server.publicUrl,
    model: setup.model,
  };
}
