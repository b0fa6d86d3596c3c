import type { TransferView } from '../../accounts/index.ts';
import type { Call, Noun } from '../command.ts';
import { shortTime, timeText } from '../format.ts';
import { AFTER, afterOf, noteMore } from '../paging.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const LIMIT = { usual: 20, most: 10_000 };

/** A transfer as its document, and who its sides are to people. */
interface Row {
  readonly view: TransferView;
  readonly from: string;
  readonly to: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'time', text: ({ view }) => timeText(view.created), brief: { text: ({ view }) => shortTime(view.created), least: 15 } },
  { title: 'kind', text: ({ view }) => view.kind },
  { title: 'amount', text: ({ view }) => view.amount_exact, right: true },
  { title: 'from', text: ({ from }) => from, dropAt: 1, yieldsTo: 22 },
  { title: 'to', text: ({ to }) => to, dropAt: 1, yieldsTo: 22 },
  { title: 'note', text: ({ view }) => view.note, dropAt: 2, yieldsTo: 24 },
  { title: 'reference', text: ({ view }) => view.reference, dropAt: 3 },
];

/** What the books say besides the requests, which `logs` and `export` show. */
export const TRANSFERS: Noun = {
  name: 'transfers',
  about: 'money that moved other than by requests',
  verbs: [
    {
      usage: 'list',
      about: 'grants with their notes, recharges, refunds, disputes and expired credits, newest first; of all accounts unless --account names one',
      brief: 'grants, recharges, refunds, disputes, expired credits',
      options: [{ flags: '--limit <n>', about: `at most this many (default ${LIMIT.usual})` }, AFTER],
      examples: ['findtoken transfers list', 'findtoken transfers list --account ann@example.com --json'],
      run: list,
    },
  ],
};

async function list({ context, given }: Call): Promise<void> {
  const limit = given.whole('limit', { least: 1, most: LIMIT.most }) ?? LIMIT.usual;
  const { listView, resolveAccount, transferView } = await import('../../accounts/index.ts');
  const { page, accounts } = await context.read(async (books) => {
    const whose = context.account === undefined ? {} : { accountId: (await resolveAccount(books, context.account)).id };
    return { page: await books.ledger.listMovements({ ...whose, limit, ...afterOf(given) }), accounts: await books.ledger.listAccounts() };
  });
  const emails = new Map(accounts.map(({ id, email }) => [id, email]));
  const views = page.rows.map(transferView);
  if (views.length === 0) context.terminal.note('No transfers.');
  context.show(listView(views, page.next), () => {
    const rows = views.map((view): Row => ({ view, from: emails.get(view.debit) ?? view.debit, to: emails.get(view.credit) ?? view.credit }));
    return renderTable(rows, COLUMNS, context.terminal);
  });
  noteMore(context, page.next);
}
