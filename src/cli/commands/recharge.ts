import { setTimeout as wait } from 'node:timers/promises';
import type { RechargeView } from '../../accounts/index.ts';
import type { Recharge } from '../../ledger/index.ts';
import { parseUsd, usdNumber } from '../../money/index.ts';
import type { UsdE8 } from '../../money/index.ts';
import type { Payments } from '../../payments/index.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { EXIT, Refusal, wrongUsage } from '../failure.ts';
import { dollars } from '../format.ts';
import { openPaymentsOf } from '../payments.ts';
import { renderRecord } from '../table.ts';
import type { Terminal } from '../terminal.ts';

/** How often the payment is asked for while somebody waits. */
const ASK_EVERY_MS = 2_000;
const FRAME_MS = 100;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Opens a checkout, and waits for its payment. */
export const RECHARGE: Verb = {
  usage: 'recharge <amount>',
  about: 'pay credits into an account: opens a checkout, prints its address, waits for the payment',
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
    await tellAddress(context, view, email);
    const ended = await waitForPayment(context, books, payments, started);
    if (ended.status === 'expired') throw new Refusal('the checkout has expired; nothing was paid. Start again with `findtoken recharge AMOUNT`.', EXIT.failed);
    const balance = (await books.ledger.findAccount(accountId))?.balance ?? 0n;
    context.show({ ...rechargeView(ended), balance: usdNumber(balance) }, () =>
      renderRecord([['status', ended.status], ['received', dollars(ended.credits)], ['balance', dollars(balance)]], context.terminal));
  });
}

/** With `--json` stdout bears the one document at the end, so the address goes to stderr. */
async function tellAddress(context: Context, view: RechargeView, email: string): Promise<void> {
  const { terminal } = context;
  const address = view.checkout_url ?? '';
  if (context.json) terminal.note(address);
  else terminal.print(preview(view, email, context));
  if (terminal.stderr.isTTY && !context.json) {
    const { qrPicture } = await import('../qr.ts');
    terminal.note(`\n${qrPicture(address)}\n`);
  }
  terminal.note('Waiting for the payment. Ctrl-C leaves; the payment is noticed without you, or by `findtoken recharges sync`.');
}

function preview(view: RechargeView, email: string, context: Context): string {
  const sum = (amount: number) => dollars(parseUsd(amount));
  return renderRecord(
    [['account', email], ['recharge', view.id], ['pay', sum(view.amount)], ['fee', sum(view.fee)], ['credits', sum(view.credits)], ['address', view.checkout_url ?? '']],
    context.terminal,
  );
}

/** Looks into the books, where a webhook may have landed it, and asks the payment service. */
async function waitForPayment(context: Context, books: Books, payments: Payments, started: Recharge): Promise<Recharge> {
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
        if (!(error instanceof Fault) || error.code !== 'overloaded') throw error;
        if (!isTold) context.terminal.note(`${error.message} Asking on.`);
        isTold = true;
      }
    }
    if (current.status !== 'pending') return current;
    await spin(context.terminal, ASK_EVERY_MS);
  }
}

/** Waits, and on a terminal shows that it does. */
async function spin({ stderr }: Terminal, ms: number): Promise<void> {
  if (!stderr.isTTY) return wait(ms);
  for (let frame = 0; frame * FRAME_MS < ms; frame += 1) {
    stderr.write(`\r${FRAMES[frame % FRAMES.length] ?? ''} `);
    await wait(FRAME_MS);
  }
  stderr.write('\r  \r');
}

function readAmount(written: string): UsdE8 {
  try {
    return parseUsd(written);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrongUsage(`the amount is in US dollars, such as 20 or 25.50, not ${JSON.stringify(written)}.`);
  }
}
