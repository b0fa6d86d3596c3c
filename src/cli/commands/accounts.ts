import type { AccountView } from '../../accounts/index.ts';
import type { Account } from '../../ledger/index.ts';
import { parseUsd } from '../../money/index.ts';
import { confirm } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { wrongUsage } from '../failure.ts';
import { dollars, timeText } from '../format.ts';
import { renderRecord, renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const COLUMNS: readonly Column<AccountView>[] = [
  { title: 'email', text: ({ email }) => email },
  { title: 'status', text: statusText },
  { title: 'balance', text: ({ balance }) => dollars(parseUsd(balance)), right: true },
  { title: 'available', text: ({ available }) => dollars(parseUsd(available)), right: true, dropAt: 2 },
  { title: 'created', text: ({ created }) => timeText(created), dropAt: 3 },
  { title: 'id', text: ({ id }) => id, dropAt: 1 },
];

export const ACCOUNTS: Noun = {
  name: 'accounts',
  about: 'who may call, and with which credits',
  verbs: [
    {
      usage: 'create <email>',
      about: 'open an account',
      options: [{ flags: '--pending', about: 'it serves nothing until it is activated; its owner is sent the link' }],
      examples: ['findtoken accounts create ann@example.com'],
      run: create,
    },
    { usage: 'list', about: 'list all accounts, oldest first', examples: ['findtoken accounts list --json'], run: list },
    { usage: 'show [email]', about: 'show one account', examples: ['findtoken accounts show ann@example.com'], run: show },
    {
      usage: 'activate [email]',
      about: 'let an account call, whether it was pending or deactivated',
      examples: ['findtoken accounts activate ann@example.com'],
      run: (call) => changed(call, async ({ activateAccount, resolveAccount }, books) => activateAccount(books, (await resolveAccount(books, named(call))).id)),
    },
    {
      usage: 'deactivate [email]',
      about: 'refuse an account from its next request on; credits and keys stay',
      examples: ['findtoken accounts deactivate ann@example.com --yes'],
      run: (call) =>
        changed(call, async ({ deactivateAccount, resolveAccount }, books) => {
          const account = await resolveAccount(books, named(call));
          await confirm(call.context, `Deactivate ${account.email}? Its requests are refused from now on.`);
          return deactivateAccount(books, account.id);
        }),
    },
    {
      usage: 'set [email]',
      about: 'override a limit for one account',
      options: [{ flags: '--requests-per-minute <n>', about: 'in place of limits.requests_per_minute; "default" takes the override away', required: true }],
      examples: ['findtoken accounts set ann@example.com --requests-per-minute 1200'],
      run: set,
    },
  ],
};

type Door = typeof import('../../accounts/index.ts');

async function changed({ context }: Call, work: (door: Door, books: Books) => Promise<Account>, opened: 'write' | 'make' = 'write'): Promise<void> {
  const door = await import('../../accounts/index.ts');
  const view = door.accountView(await context[opened]((books) => work(door, books)));
  await showAccount(context, view);
}

async function create(call: Call): Promise<void> {
  const email = argument(call, 0);
  if (call.given.flag('pending')) return createPending(call.context, email);
  await changed(call, ({ createAccount }, books) => createAccount(books, { email, pending: false }), 'make');
  call.context.terminal.note('Next: `findtoken credits grant AMOUNT --note TEXT` and `findtoken keys create --name NAME`.');
}

/** The link is a secret of the account's owner: it is shown only where no SMTP server would bring it. */
async function createPending(context: Context, email: string): Promise<void> {
  const { accountView, createPendingAccount } = await import('../../accounts/index.ts');
  const { account, link, settings } = await context.make(async (books) => (
    { settings: books.settings, ...(await createPendingAccount({ ...books, publicUrl: await linkBase(books) }, { email })) }));
  const view = accountView(account);
  if (settings.email.smtp !== '') {
    await showAccount(context, view);
    context.terminal.note('Its activation mail is queued; the daemon sends it. `findtoken mail list` shows how it stands.');
    return;
  }
  // A document goes into logs and pipelines: it never bears what opens something.
  await showAccount(context, context.json ? view : { ...view, activation_link: link });
  const where = context.json ? 'that `findtoken mail list --text` shows' : 'above';
  context.terminal.note(`No email.smtp is set: give ${email} the link ${where}. It works once, within 24 hours, while the daemon runs.`);
}

/** As the daemon's own mails have it: what is written as public_url, else where the running daemon listens, whatever port it was told. */
async function linkBase({ ledger, settings, nowMs }: Books): Promise<string> {
  const isWritten = settings.origins?.some(({ path, origin }) => path === 'server.public_url' && origin !== 'default') === true;
  if (isWritten) return settings.server.publicUrl;
  const { readNews } = await import('../daemon-news.ts');
  return (await readNews(ledger, nowMs()))?.state.url ?? settings.server.publicUrl;
}

async function list({ context }: Call): Promise<void> {
  const { accountView, listView } = await import('../../accounts/index.ts');
  const accounts = (await context.read(({ ledger }) => ledger.listAccounts())).map(accountView);
  if (accounts.length === 0) context.terminal.note('No accounts yet; make one with `findtoken accounts create EMAIL`.');
  context.show(listView(accounts, undefined), () => renderTable(accounts, COLUMNS, context.terminal));
}

async function show(call: Call): Promise<void> {
  const { accountView, resolveAccount } = await import('../../accounts/index.ts');
  await showAccount(call.context, accountView(await call.context.read((books) => resolveAccount(books, named(call)))));
}

async function set(call: Call): Promise<void> {
  const word = call.given.text('requests-per-minute');
  const limit = word === 'default' ? undefined : call.given.whole('requests-per-minute', { least: 1, most: 1_000_000 });
  await changed(call, async ({ resolveAccount, setAccountLimit }, books) => setAccountLimit(books, (await resolveAccount(books, named(call))).id, limit));
}

/** The argument names the account, or `--account` does; both only where they agree. */
function named(call: Call): string | undefined {
  const [email] = call.args;
  const { account } = call.context;
  if (email !== undefined && account !== undefined && email !== account) throw wrongUsage('the argument and --account name two accounts; give one.');
  return email ?? account;
}

async function showAccount(context: Context, account: AccountView & { readonly activation_link?: string }): Promise<void> {
  const usual = (await context.settings()).limits.requestsPerMinute;
  context.show(account, () =>
    renderRecord(
      [
        ['id', account.id],
        ['email', account.email],
        ['status', statusText(account)],
        ['balance', dollars(parseUsd(account.balance))],
        ['held', dollars(parseUsd(account.held))],
        ['available', dollars(parseUsd(account.available))],
        ['requests per minute', account.requests_per_minute === null ? `${usual} (default)` : String(account.requests_per_minute)],
        ['created', timeText(account.created)],
        ['last activity', timeText(account.last_activity)],
        ...(account.activation_link === undefined ? [] : [['activation link', account.activation_link] as const]),
      ],
      context.terminal,
    ),
  );
}

function statusText({ status, frozen }: AccountView): string {
  return frozen ? `${status}, frozen` : status;
}
