import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { NewKey } from '../../accounts/index.ts';
import { configHome, makeFolder, whyNot } from '../../disk.ts';
import type { Account } from '../../ledger/index.ts';
import type { UsdE8 } from '../../money/index.ts';
import type { Settings } from '../../settings/index.ts';
import type { Vault } from '../../vault/index.ts';
import type { Books, Context } from '../context.ts';
import { Refusal, wrongUsage } from '../failure.ts';
import { neededProvider } from '../needed.ts';
import { openVaultOf } from '../secrets.ts';
import { firstYaml, PROVIDER_VARIABLES } from './yaml.ts';

/** What a file of `--key-file` may hold: a key of before, or nothing. */
const A_KEY = /^(?:sk-ft_[0-9a-f]{64})?\s*$/;

/** What is wanted of a first run; every field has its default. */
export interface SetupWish {
  readonly email: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Undefined: on where no provider has a key. */
  readonly sandbox: boolean | undefined;
  /** Given to a new account, never to one that is there. */
  readonly credits: UsdE8;
  readonly keyName: string;
  /** Where a key is kept (0600) instead of being shown. */
  readonly keyFile: string | undefined;
  /** The file goes into the user's configuration folder, not into this one. */
  readonly inUserFolder: boolean;
  readonly provider: { readonly id: string; readonly apiKey: string } | undefined;
}

/** The same as the command line has it: the provider is named, and its key is still to come. */
export type PlainWish = Omit<SetupWish, 'provider'> & { readonly provider: string | undefined };

/** What a first run sees to. */
export type SetupStep = 'settings' | 'database' | 'master key' | 'account' | 'providers' | 'key';

/** What a first run left behind. */
export interface Setup {
  readonly file: string;
  readonly fileMade: boolean;
  readonly settings: Settings;
  readonly vault: Pick<Vault, 'source' | 'fingerprint'>;
  readonly account: Account;
  readonly accountMade: boolean;
  /** The account has a live key, and needs no first one. */
  readonly hasKey: boolean;
  readonly providers: readonly string[];
  /** A model that will be answered. */
  readonly model: string;
}

/**
 * Looks at the words of a wish before anything is made.
 * @throws Fault on a name, an address or a provider that is none, Refusal on a file that a key may not replace
 */
export async function checkWish(context: Context, { email, keyName, keyFile, provider, ...wish }: PlainWish): Promise<void> {
  const { readEmail, readName } = await import('../../accounts/index.ts');
  readName(keyName);
  if (keyFile !== undefined) checkKeyFile(keyFile);
  if (email !== undefined) readEmail(email);
  const { isThere } = settingsPlace(context, wish);
  const { catalog } = isThere ? await context.settings({}) : await builtIn(wish);
  if (provider === undefined) return;
  await neededProvider(catalog, provider);
}

/** The catalogue as a file that is yet to be written leaves it; no other file has a say in it. */
async function builtIn({ host, port }: Pick<PlainWish, 'host' | 'port'>): Promise<Settings> {
  const { loadSettings } = await import('../../settings/index.ts');
  return loadSettings({ env: {}, cwd: '/', home: '/', overrides: { host, port } });
}

/**
 * Makes whatever is missing of file, master key, database and account, and leaves what is there as it is. A key that is missing is
 * `firstKey`'s to make, for whoever makes it hands it over in one go.
 * @param begun hears which of them is being seen to
 */
export async function setUp(context: Context, wish: SetupWish, begun: (step: SetupStep) => void = () => undefined): Promise<Setup> {
  begun('settings');
  const place = settingsPlace(context, wish);
  const sandbox = wish.sandbox ?? (wish.provider === undefined && PROVIDER_VARIABLES.every((name) => (context.env[name] ?? '') === ''));
  const fileMade = place.isThere ? false : writeOnce(place.file, firstYaml({ ...wish, sandbox }));
  const { settings, made } = await makeBooks(context, wish, begun).catch((error: unknown) => {
    // Whoever mends what was wrong and comes again is served as the first time.
    if (fileMade) rmSync(place.file, { force: true });
    throw error;
  });
  const providers = [...new Set([...settings.providerKeys.keys(), ...made.stored])];
  const served = [...settings.catalog.models.values()].find(({ provider }) => providers.includes(provider));
  return { ...made, file: place.file, fileMade, settings, providers, model: served?.id ?? 'deepseek-chat' };
}

/** The first key of the account. Its text is in nobody's hands yet. */
export async function firstKey(context: Context, { account }: Pick<Setup, 'account'>, name: string): Promise<{ readonly accountId: string; readonly created: NewKey }> {
  const { createKey } = await import('../../accounts/index.ts');
  return { accountId: account.id, created: await context.write((books) => createKey(books, { accountId: account.id, name })) };
}

/** Writes a key where its owner wants it, for nobody else to read. @throws Error as the system has it */
export function writeKey(file: string, key: string): void {
  const path = resolve(file);
  if (isPlainFile(path)) chmodSync(path, 0o600);
  writeFileSync(path, `${key}\n`, { mode: 0o600 });
}

/** A key takes the place of an older key, and of nothing else: what stands in a file named by mistake would be gone. */
function checkKeyFile(file: string): void {
  const path = resolve(file);
  if (isPlainFile(path) && !A_KEY.test(readFileSync(path, 'utf8'))) throw wrongUsage(`${path} holds something else than a key; name another file with --key-file.`);
}

function isPlainFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** What may fail goes first: a run that ends half-way leaves no account with credits that nobody was told of. */
async function makeBooks(context: Context, wish: SetupWish, begun: (step: SetupStep) => void): Promise<{ readonly settings: Settings; readonly made: Pick<Setup, 'account' | 'accountMade' | 'hasKey' | 'vault'> & { readonly stored: readonly string[] } }> {
  const settings = await context.settings();
  begun('database');
  const made = await context.make(async (books) => {
    // A keychain may want its owner's word, or take its time.
    begun('master key');
    const vault = await openVaultOf(context, books);
    begun('providers');
    const stored = await storedProviders(books, vault, wish);
    begun('account');
    const first = await firstAccount(context, books, wish);
    const hasKey = (await books.ledger.listKeys(first.account.id)).some(({ revokedMs }) => revokedMs === undefined);
    return { ...first, vault, stored, hasKey };
  });
  return { settings, made };
}

/** The file that the daemon will find, in the order in which it looks. */
function settingsPlace(context: Context, wish: Pick<SetupWish, 'inUserFolder'>): { readonly file: string; readonly isThere: boolean } {
  const named = context.configFile ?? context.env['FINDTOKEN_CONFIG'] ?? '';
  if (named !== '') return placed(resolve(named.startsWith('~/') ? join(context.home, named.slice(2)) : named));
  const own = userFile(context);
  const here = resolve('findtoken.yaml');
  if (existsSync(here)) return placed(here);
  return existsSync(own) || wish.inUserFolder ? placed(own) : placed(here);
}

/** Where the settings of one user lie. */
export function userFile({ env, home }: Pick<Context, 'env' | 'home'>): string {
  return join(configHome(env['XDG_CONFIG_HOME'], home), 'findtoken', 'findtoken.yaml');
}

function placed(file: string): { readonly file: string; readonly isThere: boolean } {
  return { file, isThere: existsSync(file) };
}

function writeOnce(file: string, text: string): true {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    throw new Refusal(`${file} cannot be written: ${whyNot(file, error) ?? String(error)}; name another place with --config FILE.`);
  }
}

async function firstAccount(context: Context, books: Books, wish: SetupWish): Promise<Pick<Setup, 'account' | 'accountMade'>> {
  const { createAccount, grantCredits, resolveAccount, SANDBOX_EMAIL } = await import('../../accounts/index.ts');
  const { ledger } = books;
  const email = wish.email ?? context.account;
  const there = email === undefined ? (await ledger.listAccounts()).find(({ email: known }) => known !== SANDBOX_EMAIL) : await ledger.findAccount(email);
  const account = there ?? (await createAccount(books, { email: email ?? 'me@localhost', pending: false }));
  if (there === undefined && wish.credits > 0n) await grantCredits(books, { accountId: account.id, amount: wish.credits, note: 'first credits, given by init' });
  return { account: await resolveAccount(books, account.id), accountMade: there === undefined };
}

async function storedProviders(books: Books, vault: Vault, wish: SetupWish): Promise<readonly string[]> {
  if (wish.provider !== undefined) {
    const { setProviderKey } = await import('../../accounts/index.ts');
    await setProviderKey({ ...books, vault, catalog: books.settings.catalog }, { provider: wish.provider.id, apiKey: wish.provider.apiKey });
  }
  return (await books.ledger.listProviderKeys()).map(({ provider }) => provider);
}
