import { createAccount, createKey, grantCredits, OWN_KEYS, SANDBOX_EMAIL } from '../accounts/index.ts';
import type { Account, Ledger } from '../ledger/index.ts';
import { USD } from '../money/index.ts';
import type { Settings } from '../settings/index.ts';

const WELCOME_CREDIT = 10n * USD;
/** Below this a rehearsal soon ends in 402s, so it is topped up. */
const TOP_UP_BELOW = USD;

/** The sandbox's key, and whose it is. */
interface SandboxReady {
  readonly key: string;
  readonly email: string;
  /** No account but the sandbox's: commands mean it without being told. */
  readonly isOnly: boolean;
}

/**
 * Makes the sandbox ready to be tried: an account with play money and a fresh key, printed once.
 * The account is its own, so that no play money ever mixes with an operator's customers, and it is good only while the sandbox is on. Keys of earlier starts that nobody used
 * are revoked; used ones keep working.
 */
export async function prepareSandbox(parts: { readonly ledger: Ledger; readonly nowMs: () => number }): Promise<SandboxReady> {
  const { ledger, nowMs } = parts;
  const account: Account = (await ledger.findAccount(SANDBOX_EMAIL)) ?? (await createAccount(parts, { email: SANDBOX_EMAIL, pending: false }));
  if (account.balance - account.held < TOP_UP_BELOW) {
    await grantCredits(parts, { accountId: account.id, amount: WELCOME_CREDIT, note: 'play money of the sandbox' });
  }
  for (const { id, name, lastUsedMs, revokedMs } of await ledger.listKeys(account.id)) {
    if (name === OWN_KEYS.sandbox && lastUsedMs === undefined && revokedMs === undefined) await ledger.revokeKey(account.id, id, nowMs());
  }
  const { key } = await createKey(parts, { accountId: account.id, name: OWN_KEYS.sandbox });
  return { key, email: account.email, isOnly: (await ledger.listAccounts()).length === 1 };
}

/** What there is to say of a daemon that is up. */
export interface Up {
  readonly url: string;
  readonly version: string;
  readonly settings: Settings;
  readonly providers: readonly string[];
  readonly sandbox: SandboxReady | undefined;
  /** How the program is called here. */
  readonly program: string;
}

/** For programs; the sandbox's key stands in it, this once. */
export function welcomeDocument({ url, version, settings, providers, sandbox }: Up): unknown {
  return {
    object: 'daemon',
    version,
    url,
    base_url: `${url}/v1`,
    workers: settings.server.workers,
    database: settings.database.path,
    config_file: settings.file ?? null,
    providers,
    sandbox: sandbox !== undefined,
    account: sandbox?.email ?? null,
    key: sandbox?.key ?? null,
  };
}

/** For people. */
export function welcomeLines(about: Up): readonly string[] {
  const { settings, sandbox, program } = about;
  const lines = [
    `findtoken ${about.version} is listening on ${about.url}`,
    `  OpenAI base URL  ${about.url}/v1`,
    ...(settings.server.workers === 1 ? [] : [`  workers          ${settings.server.workers}`]),
    `  database         ${settings.database.path}`,
    `  configuration    ${settings.file ?? 'embedded defaults'}`,
    `  provider keys    ${about.providers.length === 0 ? 'none' : about.providers.join(', ')}`,
  ];
  if (sandbox === undefined) {
    if (about.providers.length > 0) return lines;
    return [...lines, '', `No provider has a key yet: set one with \`${program} providers set-key deepseek\`, or try \`${program} serve --sandbox\`.`];
  }
  const model = about.providers.includes('deepseek') ? 'sandbox-chat' : 'deepseek-chat';
  return [
    ...lines,
    `  sandbox          on: models without a provider key are answered here, offline, and billed to the account that calls`,
    `  API key          ${sandbox.key}`,
    `                   (of ${sandbox.email}, with play money, which is good while the sandbox is on)`,
    '',
    'Try it (the cost stands in the X-FindToken-* headers):',
    '',
    `  curl -i ${about.url}/v1/chat/completions \\`,
    `    -H "Authorization: Bearer ${sandbox.key}" \\`,
    '    -H "Content-Type: application/json" \\',
    `    -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'`,
    '',
    `Then see it in the books: \`${program} logs\` and \`${program} balance${sandbox.isOnly ? '' : ` --account ${sandbox.email}`}\`. Ctrl-C stops the daemon.`,
  ];
}
