import type { NewKey } from '../../accounts/index.ts';
import { usdNumber } from '../../money/index.ts';
import { readAmount } from '../amount.ts';
import { isAsked, readSecretFrom } from '../ask.ts';
import type { SecretWish } from '../ask.ts';
import type { Call, Given, Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { wrongUsage } from '../failure.ts';
import { dollars, shellWord } from '../format.ts';
import { handOver } from '../hand-over.ts';
import { printable } from '../printable.ts';
import { SECRET_OPTIONS } from '../secrets.ts';
import type { PlainWish, Setup, SetupStep, SetupWish } from '../setup/run.ts';
import { onStage, type StageState } from '../stage.ts';
import { renderRecord } from '../table.ts';

const KEY_VARIABLE = 'FINDTOKEN_API_KEY';
const DEFAULTS = { host: '127.0.0.1', port: 8787, credits: '10', keyName: 'first key' } as const;

export const INIT: Verb = {
  usage: 'init',
  about: 'make what is missing of findtoken.yaml, master key, database, first account and key; asks nothing, and leaves what is there as it is',
  brief: 'make settings, database, an account and a key',
  options: [
    { flags: '--email <email>', about: 'of the first account (default me@localhost)' },
    { flags: '--credits <amount>', about: `first credits of a new account, in US dollars (default ${DEFAULTS.credits})` },
    { flags: '--key-name <name>', about: `name of the first key (default "${DEFAULTS.keyName}")` },
    { flags: '--key-file <file>', about: 'keep the key in this file (0600) instead of printing it; without it --json bears the key as key.key, this once' },
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
  const { context, given } = call;
  const { checkWish, firstKey, setUp, userFile, writeKey } = await import('../setup/run.ts');
  // A wrong word is told before there is a screen, and before anything is made.
  const [plain, source] = readWish(call);
  await checkWish(context, plain);
  const sent = source === undefined || isAsked(context, source) ? undefined : await readSecretFrom(context, source);
  const first: StageState = { title: 'findtoken: first run', facts: [], steps: STEPS.map((name) => ({ name, state: 'waiting' })) };
  const { setup, wish, isTold } = await onStage(context, first, async (stage, quiet) => {
    const apiKey = sent ?? (source === undefined ? undefined : await readSecretFrom(quiet, source, stage?.ask));
    const wish: SetupWish = { ...plain, provider: plain.provider === undefined || apiKey === undefined ? undefined : { id: plain.provider, apiKey } };
    const setup = await setUp(quiet, wish, (step) => stage?.step(step, { state: 'running' }));
    for (const [name, note] of linesOf(context, setup, wish, undefined)) stage?.step(name, { state: 'done', note });
    return { setup, wish, isTold: stage !== undefined };
  });
  for (const notice of withoutEffect(given, setup, userFile(context))) context.terminal.note(notice);
  const print = (key: NewKey | undefined): void => context.show(documentOf(setup, wish, key), () =>
    // In one write: who reads but the first lines of it has the key as well.
    [...(isTold ? [] : [renderRecord(linesOf(context, setup, wish, key), context.terminal)]), ...nextLines(context, setup, wish, key)].join('\n'));
  if (setup.hasKey) return print(undefined);
  const { keyFile } = wish;
  const make = () => firstKey(context, setup, wish.keyName);
  if (keyFile !== undefined) {
    const { created } = await handOver(context, { make, where: `written to ${keyFile}`, put: (made) => writeKey(keyFile, made.created.key) });
    return print(created);
  }
  const { created } = await handOver(context, { make, where: 'printed', put: (made) => print(made.created) });
  if (context.json) context.terminal.note(`Key ${JSON.stringify(created.name)} (${created.id}) of ${setup.account.email} stands in the document, this once: keep it now.`);
}

/** What is told of, in this order. */
const STEPS: readonly SetupStep[] = ['settings', 'database', 'master key', 'providers', 'account', 'key'];

/** The wish but for the provider's key, and where that comes from. */
function readWish({ given }: Call): readonly [PlainWish, SecretWish | undefined] {
  const provider = given.text('provider');
  const [fromStdin, fromEnv] = [given.flag('from-stdin'), given.text('from-env')];
  if (provider === undefined && (fromStdin || fromEnv !== undefined)) throw wrongUsage('--from-stdin and --from-env bring the key of --provider NAME; name it.');
  const plain: PlainWish = {
    email: given.text('email'),
    host: given.text('host') ?? DEFAULTS.host,
    port: given.whole('port', { least: 1, most: 65_535 }) ?? DEFAULTS.port,
    sandbox: given.flag('sandbox') ? true : given.isOff('sandbox') ? false : undefined,
    credits: readAmount(given.text('credits') ?? DEFAULTS.credits, '--credits', 'zero'),
    keyName: given.text('key-name') ?? DEFAULTS.keyName,
    keyFile: given.text('key-file'),
    inUserFolder: given.flag('user'),
    provider,
  };
  return [plain, provider === undefined ? undefined : { fromStdin, fromEnv, what: `API key of ${provider}` }];
}

/** What was asked for and did not come about, for what it is about was there already: who is told nothing takes it for done. */
function withoutEffect(given: Given, { file, fileMade, settings, account, accountMade, hasKey }: Setup, ownFile: string): readonly string[] {
  const [host, port] = [given.text('host'), given.text('port')];
  const sandbox = given.flag('sandbox') ? true : given.isOff('sandbox') ? false : undefined;
  const unset = fileMade ? [] : [
    ...(host === undefined || host === settings.server.host ? [] : [[`--host ${host}`, `server.host: ${host}`] as const]),
    ...(port === undefined || Number(port) === settings.server.port ? [] : [[`--port ${port}`, `server.port: ${Number(port)}`] as const]),
    ...(sandbox === undefined || sandbox === settings.sandbox ? [] : [[sandbox ? '--sandbox' : '--no-sandbox', `sandbox: ${sandbox}`] as const]),
  ];
  const ofKey = ['key-name', 'key-file'].filter((name) => given.text(name) !== undefined).map((name) => `--${name}`);
  return [
    ...unset.map(([flag, setting]) => `${flag} had no effect: ${file} was there and stays as it is. Set \`${setting}\` in it.`),
    ...(file === ownFile || !given.flag('user') ? [] : [`--user had no effect: ${file} is found first.`]),
    ...(accountMade || given.text('credits') === undefined ? [] : [`--credits had no effect: ${account.email} was there. \`findtoken credits grant AMOUNT --note TEXT\` gives more.`]),
    ...(!hasKey || ofKey.length === 0 ? [] : [`${ofKey.join(' and ')} had no effect: ${account.email} has a live key already, and none was made.`]),
  ];
}

/** @param key undefined on a screen, which cuts lines, and a key that is cut is lost: there it stands below, in the commands to copy */
function linesOf(context: Context, setup: Setup, wish: SetupWish, key: NewKey | undefined): readonly (readonly [SetupStep, string])[] {
  const { settings, account, vault, providers } = setup;
  return [
    ['settings', `${setup.file} (${setup.fileMade ? 'written' : 'was there, unchanged'})`],
    ['database', settings.database.path],
    ['master key', `in the ${vault.source}; back it up apart from the database`],
    ['providers', `${providers.length === 0 ? 'none has a key' : providers.join(', ')}${settings.sandbox ? '; models without a key are answered offline' : ''}`],
    ['account', `${account.email}, ${dollars(account.balance)} (${setup.accountMade ? 'new' : 'was there'})`],
    ['key', setup.hasKey ? `there is one already; \`${typed(context, 'keys create --name NAME')}\` makes another` : keyText(wish, key)],
  ];
}

function keyText({ keyFile }: SetupWish, key: NewKey | undefined): string {
  if (keyFile !== undefined) return `in ${keyFile}`;
  return key === undefined ? 'stands below, this once' : `${key.key}  (shown this once)`;
}

/** A command to be typed next: it must find the same settings as this one. */
function typed({ configFile }: Context, words: string): string {
  return `findtoken ${words}${configFile === undefined ? '' : ` --config ${shellWord(configFile)}`}`;
}

function nextLines(context: Context, setup: Setup, wish: SetupWish, made: NewKey | undefined): readonly string[] {
  const { server, sandbox } = setup.settings;
  const silent = setup.providers.length === 0 && !sandbox;
  const [before, key] = wordOfKey(context, setup, wish, made);
  return [
    '',
    ...(silent ? [`No provider has a key and the sandbox is off: first \`${typed(context, 'providers set-key deepseek')}\`.`, ''] : []),
    'Start the gateway:',
    '',
    `  ${typed(context, 'serve')}`,
    '',
    'and in another terminal:',
    '',
    ...before,
    ...curlLines({ url: server.publicUrl, key, model: setup.model }),
  ].map(printable);
}

/** The key as a shell reads it in the line to copy, and the line that goes before: the text of one that was there is known to nobody here. */
function wordOfKey(context: Context, { account }: Setup, { keyFile }: SetupWish, made: NewKey | undefined): readonly [before: readonly string[], key: string] {
  if (made !== undefined) return [[], keyFile === undefined ? made.key : `$(cat ${shellWord(keyFile)})`];
  const isSet = (context.env[KEY_VARIABLE] ?? '') !== '';
  const before = isSet ? [] : [`  export ${KEY_VARIABLE}=$(${typed(context, `keys create --name curl --account ${shellWord(account.email)}`)})`];
  return [before, `$${KEY_VARIABLE}`];
}

function curlLines({ url, key, model }: { readonly url: string; readonly key: string; readonly model: string }): readonly string[] {
  return [
    `  curl ${url}/v1/chat/completions \\`,
    `    -H "Authorization: Bearer ${key}" \\`,
    '    -H "Content-Type: application/json" \\',
    `    -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'`,
  ];
}

function documentOf(setup: Setup, wish: SetupWish, key: NewKey | undefined): unknown {
  const { settings, account, vault } = setup;
  return {
    object: 'init',
    config_file: setup.file,
    config_written: setup.fileMade,
    database: settings.database.path,
    master_key: { source: vault.source, fingerprint: vault.fingerprint },
    account: { id: account.id, email: account.email, created: setup.accountMade, balance: usdNumber(account.balance) },
    key: key === undefined ? null : { id: key.id, name: key.name, key: wish.keyFile === undefined ? key.key : null, file: wish.keyFile ?? null },
    providers: setup.providers,
    sandbox: settings.sandbox,
    url: settings.server.publicUrl,
    model: setup.model,
  };
}
