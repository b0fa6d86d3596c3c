import type { KeyView } from '../../accounts/index.ts';
import { confirm } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import { timeText } from '../format.ts';
import { handOver } from '../hand-over.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const COLUMNS: readonly Column<KeyView>[] = [
  { title: 'id', text: ({ id }) => id, whole: true },
  { title: 'name', text: ({ name }) => name },
  { title: 'key', text: ({ key }) => key, dropAt: 1 },
  { title: 'state', text: ({ revoked }) => (revoked === null ? 'live' : 'revoked') },
  { title: 'created', text: ({ created }) => timeText(created), dropAt: 3 },
  { title: 'last used', text: ({ last_used }) => timeText(last_used), dropAt: 2 },
];

export const KEYS: Noun = {
  name: 'keys',
  about: 'API keys of an account',
  verbs: [
    {
      usage: 'create',
      about: 'make a key; it is printed alone on stdout, this once',
      options: [{ flags: '--name <name>', about: 'what it is for', required: true }],
      examples: ['findtoken keys create --name laptop', 'findtoken keys create --name ci > key.txt'],
      run: create,
    },
    {
      usage: 'list',
      about: 'list the keys, newest first',
      options: [{ flags: '--all', about: 'also the ended keys that findtoken made for itself, one for each `chat` and each start of the sandbox' }],
      examples: ['findtoken keys list'],
      run: list,
    },
    { usage: 'revoke <id>', about: 'end a key; its next request is refused', examples: ['findtoken keys revoke key_06f8k2m1q0 --yes'], run: revoke },
  ],
};

async function create({ context, given }: Call): Promise<void> {
  const { createKey, resolveAccount } = await import('../../accounts/index.ts');
  const { created, email } = await handOver(context, {
    make: () => context.write(async (books) => {
      const account = await resolveAccount(books, context.account);
      return { accountId: account.id, email: account.email, created: await createKey(books, { accountId: account.id, name: given.needed('name') }) };
    }),
    where: 'printed',
    put: (made) => context.show(made.created, () => made.created.key),
  });
  context.terminal.note(`Key ${JSON.stringify(created.name)} (${created.id}) of ${email}. It is shown this once: keep it now.`);
}

async function list({ context, given }: Call): Promise<void> {
  const { isSpent, keyView, listKeys, listView, resolveAccount } = await import('../../accounts/index.ts');
  const all = await context.read(async (books) => listKeys(books, (await resolveAccount(books, context.account)).id));
  const keys = all.filter((key) => given.flag('all') || !isSpent(key)).map(keyView);
  if (keys.length === 0) context.terminal.note('No keys yet; make one with `findtoken keys create --name NAME`.');
  context.show(listView(keys, undefined), () => renderTable(keys, COLUMNS, context.terminal));
}

async function revoke(call: Call): Promise<void> {
  const { context } = call;
  const keyId = argument(call, 0);
  const { deletedView, resolveAccount, revokeKey } = await import('../../accounts/index.ts');
  await context.write(async (books) => {
    const key = await books.ledger.keyById(keyId);
    // Who has to end a key that has leaked knows its id from the log, and need not look for whose it is.
    const accountId = context.account === undefined && key !== undefined ? key.accountId : (await resolveAccount(books, context.account)).id;
    if (key?.accountId === accountId) await confirm(context, `Revoke the key ${JSON.stringify(key.name)} (${keyId})? Its next request is refused.`);
    await revokeKey(books, { accountId, keyId });
  });
  if (context.json) context.show(deletedView('api_key', keyId), () => '');
  else context.terminal.note(`Revoked ${keyId}.`);
}
