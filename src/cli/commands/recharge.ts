import { setTimeout as wait } from 'node:timers/promises';
import type { RechargeView } from '../../accounts/index.ts';
import type { Recharge } from '../../ledger/index.ts';
import { formatUsdExact, parseUsd, usdNumber } from '../../money/index.ts';
import type { UsdE8 } from '../../money/index.ts';
import type { Payments } from '../../payments/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { EXIT, Refusal, wrongUsage } from '../failure.ts';
import { dollars } from '../format.ts';
import { openPaymentsOf } from '../payments.ts';
import { onStage, type Stage, type StageState } from '../stage.ts';
import { renderRecord } from '../table.ts';

/** How often the payment is asked for while somebody waits. */
const ASK_EVERY_MS = 2_000;
/** How often the time left is told anew. */
const TELL_EVERY_MS = 1_000;
const WAITING = 'waiting for the payment';

/** Opens a checkout, and waits for its payment. */
export const RECHARGE: Verb = {
  usage: 'recharge <amount>',
  about: 'pay credits into an account: opens a checkout, prints its address, waits for the payment',
  brief: 'pay credits into an account',
  options: [{ flags: '--no-wait', about: 'end once the address is printed; the payment is noticed without you' }],
  examples: ['findtoken recharge 20', 'findtoken recharge 20 --no-wait --json'],
  run: recharge,
};

async function recharge(call: Call): Promise<void> {
  const { context, given } = call;
  const amount = readAmount(argument(call, 0));
  const { rechargeView, resolveAccount, startRecharge } = await import('../../accounts/index.ts');
  await context.write(async (books) => {
    const { id: accountId, email } = await resolveAccount(books, context.account);
    const payments = await openPaymentsOf(books);
    const started = await startRecharge({ ...books, payments }, { accountId, amount, successUrl: undefined, cancelUrl: undefined });
    const view = rechargeView(started);
    if (!given.flag('wait')) {
      context.show(view, () => preview(view, email, context));
      return;
    }
    const first: StageState = {
      title: 'Recharge',
      facts: factsOf(view, email),
      picture: context.terminal.draws && !context.json ? (await import('../qr.ts')).qrPicture(view.checkout_url ?? '') : undefined,
      steps: [{ name: WAITING, state: 'running' }],
      hint: LEAVING,
    };
    const { ended, balance } = await onStage(context, first, async (stage) => {
      if (stage === undefined) tellAddress(context, view, email);
      const ended = await waitForPayment({ context, books, payments, stage }, started);
      const balance = (await books.ledger.findAccount(accountId))?.balance ?? 0n;
      const isPaid = ended.status !== 'expired';
      stage?.show({ hint: undefined, picture: undefined });
      stage?.step(WAITING, { state: isPaid ? 'done' : 'failed', forMs: undefined, note: isPaid ? `${ended.status}: ${dollars(ended.credits)} received, the balance is ${dollars(balance)}` : 'the checkout has expired' });
      return { ended, balance };
    });
    if (ended.status === 'expired') throw new Refusal('the checkout has expired; nothing was paid. Start again with `findtoken recharge AMOUNT`.', EXIT.failed);
    context.show({ ...rechargeView(ended), balance: usdNumber(balance), balance_exact: formatUsdExact(balance) }, () =>
      renderRecord([['status', ended.status], ['received', dollars(ended.credits)], ['balance', dollars(balance)]], context.terminal));
  });
}

const LEAVING = 'Ctrl-C leaves; the payment is noticed without you, or by `findtoken recharges sync`.';

/** With `--json` stdout bears the one document at the end, so the address goes to stderr. */
function tellAddress(context: Context, view: RechargeView, email: string): void {
  const { terminal } = context;
  if (context.json) terminal.note(view.checkout_url ?? '');
  else terminal.print(preview(view, email, context));
  terminal.note(`Waiting for the payment. ${LEAVING}`);
}

function preview(view: RechargeView, email: string, context: Context): string {
  return renderRecord(factsOf(view, email), context.terminal);
}

function factsOf(view: RechargeView, email: string): readonly (readonly [string, string])[] {
  const sum = (amount: number) => dollars(parseUsd(amount));
  return [['account', email], ['recharge', view.id], ['pay', sum(view.amount)], ['fee', sum(view.fee)], ['credits', sum(view.credits)], ['address', view.checkout_url ?? '']];
}

interface Waiting {
  readonly context: Context;
  readonly books: Books;
  readonly payments: Payments;
  readonly stage: Stage | undefined;
}

/** Looks into the books, where a webhook may have landed it, and asks the payment service. */
async function waitForPayment({ context, books, payments, stage }: Waiting, started: Recharge): Promise<Recharge> {
  const { settleOne } = await import('../../accounts/index.ts');
  const { Fault } = await import('../../faults.ts');
  let isTold = false;
  const now = async (): Promise<Recharge> => (await books.ledger.findRecharge(started.id)) ?? started;
  for (;;) {
    let current = await now();
    if (current.status === 'pending') {
      try {
        await settleOne({ ...books, payments }, current);
        current = await now();
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'payments_unavailable') throw error;
        if (!isTold && stage === undefined) context.terminal.note(`${error.message} Asking on.`);
        stage?.step(WAITING, { note: `${error.message} Asking on.` });
        isTold = true;
      }
    }
    if (current.status !== 'pending') return current;
    await pauseTelling(stage, current, books.nowMs);
  }
}

/** Waits until it is time to ask again, and tells on the stage how long it has been. */
async function pauseTelling(stage: Stage | undefined, { createdMs }: Recharge, nowMs: () => number): Promise<void> {
  for (let waitedMs = 0; waitedMs < ASK_EVERY_MS; waitedMs += TELL_EVERY_MS) {
    stage?.step(WAITING, { forMs: Math.max(0, nowMs() - createdMs) });
    await wait(TELL_EVERY_MS);
  }
}

function readAmount(written: string): UsdE8 {
  try {
    return parseUsd(written);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrongUsage(`the amount is in US dollars, such as 20 or 25.50, not ${JSON.stringify(written)}.`);
  }
}
