import type { UsageView } from '../../accounts/index.ts';
import type { UsageGrouping, UsageTotals } from '../../ledger/index.ts';
import { readMoment } from '../../moments.ts';
import { formatUsdExact } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books } from '../context.ts';
import { wrongUsage } from '../failure.ts';
import { readSince } from '../format.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const DAY_MS = 86_400_000;
const GROUPINGS = ['model', 'key', 'day', 'mode', 'provider', 'account'] as const satisfies readonly UsageGrouping[];

/** A group as the document has it, and its exact amounts for the table, where they must add up. */
interface Row {
  readonly view: UsageView & { /** Of a key. */ readonly name?: string };
  readonly totals: UsageTotals;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'group', text: ({ view }) => view.group },
  { title: 'name', text: ({ view }) => view.name ?? view.group, yieldsTo: 30 },
  { title: 'requests', text: ({ view }) => String(view.requests), right: true },
  { title: 'errors', text: ({ view }) => String(view.errors), right: true, dropAt: 4 },
  { title: 'in', text: ({ view }) => String(view.prompt_tokens), right: true, dropAt: 1 },
  { title: 'cached', text: ({ view }) => String(view.cached_tokens), right: true, dropAt: 5 },
  { title: 'out', text: ({ view }) => String(view.completion_tokens), right: true, dropAt: 1 },
  { title: 'provider cost', text: ({ totals }) => formatUsdExact(totals.providerCost), right: true, dropAt: 6 },
  { title: 'fee', text: ({ totals }) => formatUsdExact(totals.fee), right: true, dropAt: 7 },
  { title: 'shortfall', text: ({ totals }) => formatUsdExact(totals.shortfall), right: true, dropAt: 8 },
  { title: 'cost', text: ({ totals }) => formatUsdExact(totals.cost), right: true },
];

export const USAGE: Verb = {
  usage: 'usage',
  about: 'requests, tokens and cost by group; of all accounts unless --account names one',
  brief: 'requests, tokens and cost by model, key, day and more',
  options: [
    { flags: '--by <group>', about: `one or more of ${GROUPINGS.join(', ')}, separated by commas (default model)` },
    { flags: '--since <span>', about: 'a span such as 12h or 30d, or a day such as 2026-11-01 (default 30d)' },
    { flags: '--until <day>', about: 'before this day or time (default now); a span of --since counts back from it' },
  ],
  examples: ['findtoken usage --by model --since 7d', 'findtoken usage --since 2026-10-01 --until 2026-11-01', 'findtoken usage --by day,key --json'],
  run: usage,
};

async function usage({ context, given }: Call): Promise<void> {
  const groupings = readGroupings(given.text('by') ?? 'model');
  const { listView, usageView } = await import('../../accounts/index.ts');
  const rows = await context.read(async (books) => {
    const toMs = readUntil(given.text('until')) ?? books.nowMs();
    const fromMs = readSince(given.text('since') ?? '30d', toMs);
    const minutesFromMs = await books.ledger.minutesFrom();
    const cut = [fromMs, toMs].filter((ms) => ms % DAY_MS !== 0 && ms < minutesFromMs).map((ms) => new Date(ms).toISOString().slice(0, 10));
    for (const day of new Set(cut)) context.terminal.note(`${day} counts whole: minutes are kept no longer than database.keep_requests says.`);
    const span = { fromMs, toMs, ...(await accountOf(books, context.account)) };
    const tables = await books.ledger.usageTables(groupings, span);
    const groups = await Promise.all(groupings.map(async (by, at) => {
      const nameOf = await namesOf(books, by);
      return (tables[at] ?? []).map((row): Row => ({ totals: row, view: named(usageView(by, row), nameOf(row.group)) }));
    }));
    return groups.flat();
  });
  if (rows.length === 0) context.terminal.note('No requests in this span.');
  context.show(listView(rows.map(({ view }) => view), undefined), () =>
    groupings
      .map((by) => renderTable(rows.filter(({ view }) => view.by === by), columnsOf(by), context.terminal))
      .filter((table) => table !== '')
      .join('\n\n'),
  );
}

/** People know accounts by their address, and keys by the name beside their id. */
async function namesOf({ ledger }: Books, by: UsageGrouping): Promise<(group: string) => string | undefined> {
  if (by !== 'account' && by !== 'key') return () => undefined;
  const accounts = await ledger.listAccounts();
  const keys = by === 'account' ? [] : await Promise.all(accounts.map(({ id }) => ledger.listKeys(id)));
  const names = new Map([...accounts.map(({ id, email }) => [id, email] as const), ...keys.flat().map(({ id, name }) => [id, name] as const)]);
  return (group) => names.get(group);
}

function named(view: UsageView, name: string | undefined): Row['view'] {
  if (name === undefined) return view;
  return view.by === 'account' ? { ...view, group: name } : { ...view, name };
}

async function accountOf(books: Books, account: string | undefined): Promise<{ readonly accountId?: string }> {
  if (account === undefined) return {};
  const { resolveAccount } = await import('../../accounts/index.ts');
  return { accountId: (await resolveAccount(books, account)).id };
}

/** Of a key its name says more than its id, which goes first where there is little room. */
function columnsOf(by: UsageGrouping): readonly Column<Row>[] {
  return COLUMNS.flatMap((column) => {
    if (column.title === 'group') return [{ ...column, title: by, ...(by === 'key' ? { dropAt: 3 } : {}) }];
    return column.title === 'name' && by !== 'key' ? [] : [column];
  });
}

/** @throws Refusal (exit 2) on anything but a day or a time */
function readUntil(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const atMs = readMoment(written);
  if (atMs === undefined || atMs < 0) throw wrongUsage(`--until is a day such as 2026-12-01, or a time of one, not ${JSON.stringify(written)}.`);
  return atMs;
}

function readGroupings(written: string): readonly UsageGrouping[] {
  const groupings = written.split(',').map((word) => {
    const grouping = GROUPINGS.find((one) => one === word.trim());
    if (grouping === undefined) throw wrongUsage(`--by takes ${GROUPINGS.join(', ')}, not ${JSON.stringify(word)}.`);
    return grouping;
  });
  // A group that stood there twice would be counted twice by whoever adds the rows up.
  return [...new Set(groupings)];
}
