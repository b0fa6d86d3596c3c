import type { RechargeView } from '../../accounts/index.ts';
import type { Recharge, RechargeStatus } from '../../ledger/index.ts';
import { formatUsdExact, parseUsd, usdNumber } from '../../money/index.ts';
import { confirm } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Noun } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { dollars, timeText } from '../format.ts';
import { AFTER, afterOf, noteMore } from '../paging.ts';
import { openPaymentsOf, paymentsOfRecharge } from '../payments.ts';
import { renderRecord, renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const LIMIT = { usual: 20, most: 100 };
const STATUSES: readonly RechargeStatus[] = ['pending', 'paid', 'expired', 'refunded', 'partially_refunded', 'disputed'];
/** Refunds come at most this long after a payment: what card networks allow, with room. */
const REFUND_SPAN_MS = 180 * 86_400_000;

const sum = (amount: number): string => dollars(parseUsd(amount));

const COLUMNS: readonly Column<RechargeView>[] = [
  { title: 'id', text: ({ id }) => id, whole: true },
  { title: 'created', text: ({ created }) => timeText(created), dropAt: 1 },
  { title: 'status', text: ({ status }) => status },
  { title: 'amount', text: ({ amount }) => sum(amount), right: true },
  { title: 'fee', text: ({ fee }) => sum(fee), right: true, dropAt: 3 },
  { title: 'credits', text: ({ credits }) => sum(credits), right: true },
  { title: 'refunded', text: ({ refunded }) => sum(refunded), right: true, dropAt: 2 },
];

export const RECHARGES: Noun = {
  name: 'recharges',
  about: 'payments into credits, and back',
  verbs: [
    {
      usage: 'list',
      about: 'list recharges, newest first; of all accounts unless --account names one',
      options: [
        { flags: '--status <status>', about: 'only these', choices: STATUSES },
        { flags: '--limit <n>', about: `at most this many (default ${LIMIT.usual})` },
        AFTER,
      ],
      examples: ['findtoken recharges list --status pending'],
      run: list,
    },
    {
      usage: 'sync',
      about: 'ask the payment service about pending recharges now',
      options: [{ flags: '--refunds', about: 'ask about refunds of recharges of the last 180 days too; needed only without a webhook' }],
      examples: ['findtoken recharges sync', 'findtoken recharges sync --refunds'],
      run: sync,
    },
    {
      usage: 'refund <id>',
      about: 'pay back what is unused of a recharge',
      options: [{ flags: '--dry-run', about: 'say what would be paid back, and do nothing' }],
      examples: ['findtoken recharges refund rch_06f8k2m1q0 --dry-run', 'findtoken recharges refund rch_06f8k2m1q0 --yes'],
      run: refund,
    },
  ],
};

async function list({ context, given }: Call): Promise<void> {
  const { listView, rechargeView } = await import('../../accounts/index.ts');
  const status = STATUSES.find((one) => one === given.text('status'));
  const page = await context.read(async (books) => {
    const whose = await accountFilter(context, books);
    return books.ledger.listRecharges({ ...whose, ...(status === undefined ? {} : { status }) }, { limit: given.whole('limit', { least: 1, most: LIMIT.most }) ?? LIMIT.usual, ...afterOf(given) });
  });
  const views = page.rows.map(rechargeView);
  if (views.length === 0) context.terminal.note(status !== undefined ? 'No recharges match.' : 'No recharges; `findtoken recharge AMOUNT` opens one.');
  context.show(listView(views, page.next), () => renderTable(views, COLUMNS, context.terminal));
  noteMore(context, page.next);
}

async function sync({ context, given }: Call): Promise<void> {
  const { rechargeView, syncRecharges, syncRefunds } = await import('../../accounts/index.ts');
  const { checked, changed, unknown } = await context.write(async (books) => {
    const payments = await openPaymentsOf(books);
    const whose = await accountFilter(context, books);
    const settled = await syncRecharges({ ...books, payments }, whose);
    const refunded = given.flag('refunds') ? await syncRefunds({ ...books, payments }, { ...whose, sinceMs: books.nowMs() - REFUND_SPAN_MS }) : [];
    return { ...settled, changed: [...settled.changed, ...refunded] };
  });
  for (const id of unknown) context.terminal.note(`The payment service does not know ${id}: it was opened with another stripe.secret_key.`);
  const views = changed.map(rechargeView);
  context.terminal.note(`${checked} pending, ${views.length} changed.`);
  context.show({ object: 'sync', checked, changed: views, unknown }, () => renderTable(views, COLUMNS, context.terminal));
}

async function refund(call: Call): Promise<void> {
  const { context, given } = call;
  const id = argument(call, 0);
  const { planRefund, rechargeView, refundRecharge } = await import('../../accounts/index.ts');
  const isDry = given.flag('dry-run');
  const show = (plan: { readonly recharge: Recharge; readonly account: { readonly email: string; readonly balance: bigint }; readonly amount: bigint }): void => {
    const { recharge, account, amount } = plan;
    const fields = { object: 'refund', dry_run: isDry, amount: usdNumber(amount), balance: usdNumber(account.balance), balance_exact: formatUsdExact(account.balance), recharge: rechargeView(recharge) };
    context.show(fields, () => renderRecord(
      [['account', account.email], ['recharge', recharge.id], ['status', recharge.status], [isDry ? 'would refund' : 'refunded', dollars(amount)], ['balance', dollars(account.balance)]],
      context.terminal,
    ));
  };
  if (isDry) {
    show(await context.read((books) => planRefund(books, id)));
    return;
  }
  await context.write(async (books) => {
    const plan = await planRefund(books, id);
    const payments = await paymentsOfRecharge(books, plan.recharge);
    await confirm(context, `Pay ${dollars(plan.amount)} of ${id} back to ${plan.account.email}?`);
    show(await refundRecharge({ ...books, payments }, id));
  });
}

async function accountFilter(context: Context, books: Books): Promise<{ readonly accountId?: string }> {
  if (context.account === undefined) return {};
  const { resolveAccount } = await import('../../accounts/index.ts');
  return { accountId: (await resolveAccount(books, context.account)).id };
}
