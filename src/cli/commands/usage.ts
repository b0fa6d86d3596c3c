import type { UsageView } from '../../accounts/index.ts';
import type { UsageGrouping, UsageTotals } from '../../ledger/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books } from '../context.ts';
import { wrongUsage } from '../failure.ts';
import { readSince } from '../format.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const GROUPINGS = ['model', 'key', 'day', 'mode', 'provider', 'account'] as const satisfies readonly UsageGrouping[];

const COLUMNS: readonly Column<UsageView>[] = [
  { title: 'group', text: ({ group }) => group },
  { title: 'requests', text: ({ requests }) => String(requests), right: true },
  { title: 'errors', text: ({ errors }) => String(errors), right: true, dropAt: 3 },
  { title: 'in', text: ({ prompt_tokens }) => String(prompt_tokens), right: true, dropAt: 1 },
  { title: 'cached', text: ({ cached_tokens }) => String(cached_tokens), right: true, dropAt: 4 },
  { title: 'out', text: ({ completion_tokens }) => String(completion_tokens), right: true, dropAt: 1 },
  { title: 'provider cost', text: ({ provider_cost }) => String(provider_cost), right: true, dropAt: 5 },
  { title: 'fee', text: ({ fee }) => String(fee), right: true, dropAt: 6 },
  { title: 'shortfall', text: ({ shortfall }) => String(shortfall), right: true, dropAt: 7 },
  { title: 'cost', text: ({ cost_exact }) => cost_exact, right: true },
];

export const USAGE: Verb = {
  usage: 'usage',
  about: 'requests, tokens and cost by group; of all accounts unless --account names one',
  options: [
    { flags: '--by <group>', about: `one or more of ${GROUPINGS.join(', ')}, separated by commas (default model)` },
    { flags: '--since <span>', about: 'a span such as 12h or 30d, or a day such as 2026-11-01 (default 30d)' },
  ],
  examples: ['findtoken usage --by model --since 7d', 'findtoken usage --by day,key --json'],
  run: usage,
};

async function usage({ context, given }: Call): Promise<void> {
  const groupings = readGroupings(given.text('by') ?? 'model');
  const { listView, usageView } = await import('../../accounts/index.ts');
  const views = await context.read(async (books) => {
    const toMs = books.nowMs();
    const span = { fromMs: readSince(given.text('since') ?? '30d', toMs), toMs, ...(await accountOf(books, context.account)) };
    const totals = await Promise.all(groupings.map(async (by) => named(books, by, await books.ledger.usageTotals(by, span))));
    return totals.flatMap((rows, index) => rows.map((row) => usageView(groupings[index] ?? 'model', row)));
  });
  if (views.length === 0) context.terminal.note('No requests in this span.');
  context.show(listView(views, undefined), () =>
    groupings
      .map((by) => renderTable(views.filter((view) => view.by === by), titled(by), context.terminal))
      .join('\n\n'),
  );
}

/** People know accounts by their address. */
async function named({ ledger }: Books, by: UsageGrouping, totals: readonly UsageTotals[]): Promise<readonly UsageTotals[]> {
  if (by !== 'account') return totals;
  const emails = new Map((await ledger.listAccounts()).map(({ id, email }) => [id, email]));
  return totals.map((row) => ({ ...row, group: emails.get(row.group) ?? row.group }));
}

async function accountOf(books: Books, account: string | undefined): Promise<{ readonly accountId?: string }> {
  if (account === undefined) return {};
  const { resolveAccount } = await import('../../accounts/index.ts');
  return { accountId: (await resolveAccount(books, account)).id };
}

function titled(by: UsageGrouping): readonly Column<UsageView>[] {
  return COLUMNS.map((column) => (column.title === 'group' ? { ...column, title: by } : column));
}

function readGroupings(written: string): readonly UsageGrouping[] {
  return written.split(',').map((word) => {
    const grouping = GROUPINGS.find((one) => one === word.trim());
    if (grouping === undefined) throw wrongUsage(`--by takes ${GROUPINGS.join(', ')}, not ${JSON.stringify(word)}.`);
    return grouping;
  });
}
