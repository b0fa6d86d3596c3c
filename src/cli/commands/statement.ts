import type { Movement, Standing } from '../../ledger/index.ts';
import { formatUsdExact } from '../../money/index.ts';
import type { UsdE8 } from '../../money/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';
import { readMonth } from '../format.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

/** What a kind of transfer changed, or where customers stood before and after all of them. */
interface Line {
  readonly name: string;
  readonly amount: string;
  readonly customers: string;
  readonly fees: string;
  readonly stripe: string;
}

const COLUMNS: readonly Column<Line>[] = [
  { title: 'kind', text: ({ name }) => name },
  { title: 'amount', text: ({ amount }) => amount, right: true, dropAt: 2 },
  { title: 'customers', text: ({ customers }) => customers, right: true },
  { title: 'fees', text: ({ fees }) => fees, right: true, dropAt: 1 },
  { title: 'stripe', text: ({ stripe }) => stripe, right: true },
];

/** How a month is closed: what came in, what it was spent on, and what customers are owed. */
export const STATEMENT: Verb = {
  usage: 'statement <month>',
  about: 'what moved in a month (2026-11, UTC) by kind, and what is owed to customers before and after it; of all accounts, to the last digit',
  brief: 'a month in sums: recharges, usage, fees, what is owed',
  examples: ['findtoken statement 2026-11', 'findtoken statement 2026-11 --json | jq .closing'],
  run: statement,
};

async function statement(call: Call): Promise<void> {
  const { context } = call;
  const month = argument(call, 0);
  const { fromMs, toMs } = readMonth(month);
  if (context.account !== undefined) throw wrongUsage('a statement is of all accounts; `findtoken transfers list` and `findtoken export` take --account.');
  const { opening, movements, closing } = await context.read(({ ledger }) => ledger.statement({ fromMs, toMs }));
  const total = movements.reduce((sum, one) => ({ customers: sum.customers + one.customers, fees: sum.fees + one.fees, stripe: sum.stripe + one.stripe }), { customers: 0n, fees: 0n, stripe: 0n });
  const document = {
    object: 'statement', month, currency: 'usd', opening: standingOf(opening), movements: movements.map((one) => ({ kind: one.kind, amount_exact: formatUsdExact(one.amount), ...sidesOf(one) })),
    total: sidesOf(total), closing: standingOf(closing),
  };
  context.show(document, () => renderTable([
    lineOf('opening', { customers: opening.owed - opening.debts }), ...movements.map((one) => lineOf(one.kind, one)), lineOf('total', total),
    lineOf('closing', { customers: closing.owed - closing.debts }), lineOf('owed', { customers: closing.owed }), lineOf('debts', { customers: -closing.debts }),
  ], COLUMNS, context.terminal));
}

function standingOf({ owed, debts }: Standing): Record<string, string> {
  return { owed_exact: formatUsdExact(owed), debts_exact: formatUsdExact(debts) };
}

function sidesOf({ customers, fees, stripe }: Pick<Movement, 'customers' | 'fees' | 'stripe'>): Record<string, string> {
  return { customers_exact: formatUsdExact(customers), fees_exact: formatUsdExact(fees), stripe_exact: formatUsdExact(stripe) };
}

function lineOf(name: string, sums: Partial<Pick<Movement, 'amount' | 'customers' | 'fees' | 'stripe'>>): Line {
  const text = (amount: UsdE8 | undefined): string => (amount === undefined ? '' : formatUsdExact(amount));
  return { name, amount: text(sums.amount), customers: text(sums.customers), fees: text(sums.fees), stripe: text(sums.stripe) };
}
