import { landMessage } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { Recharge } from '../ledger/index.ts';
import { formatUsd } from '../money/index.ts';
import { isSandboxId, sandboxPayment } from '../payments/index.ts';
import { page } from './page.ts';
import { assertRehearsal } from './play.ts';
import { lastPart } from './user.ts';
import type { Answer, Call, Running } from './types.ts';

/** `GET /sandbox/checkout/{id}`: the page on which a recharge of the sandbox is "paid". Nothing happens before its button. */
export async function showSandboxCheckout(running: Running, call: Call): Promise<Answer> {
  const recharge = await sandboxRecharge(running, call);
  const sums = `<table>
<tr><td>you would pay</td><td>$${formatUsd(recharge.amount)}</td></tr>
<tr><td>recharge fee</td><td>$${formatUsd(recharge.fee)}</td></tr>
<tr><td>credits</td><td>$${formatUsd(recharge.credits)}</td></tr>
</table>`;
  if (recharge.status !== 'pending') return page('Sandbox checkout', [{ html: sums }, `This recharge is ${recharge.status.replace('_', ' ')}.`]);
  // The button's origin is what tells it from another site's, and a browser that sends no referrer hides it.
  return page('Sandbox checkout', ['A rehearsal: no money moves.', { html: sums }, { html: '<form method="post"><button>Pay</button></form>' }], { referrer: 'same-origin' });
}

/** `POST /sandbox/checkout/{id}`: lands the recharge the way a paid event of Stripe's does. Twice is once. */
export async function paySandboxCheckout(running: Running, call: Call): Promise<Answer> {
  const { id, accountId, session, amount, currency, status, paymentIntent } = await sandboxRecharge(running, call);
  await assertRehearsal(running, accountId);
  if (status === 'expired') return page('Expired', ['This checkout has expired. Start a new recharge.'], { status: 410 });
  const parts = { ledger: running.ledger, nowMs: () => running.clock.nowMs() };
  if (paymentIntent === '') await landMessage(parts, { kind: 'paid', rechargeId: id, session, paymentIntent: sandboxPayment(id), amount, currency });
  return page('Paid', ['The credits are in the account. You can close this page.']);
}

/** `GET /paid`: where the payment page leads to by default. The credits come by the payment service's own word, not by this visit. */
export async function showPaid(): Promise<Answer> {
  return page('Thank you', ['The credits are added as soon as the payment is confirmed. You can close this page.']);
}

/** `GET /unpaid`: where a payer goes who turned back. */
export async function showUnpaid(): Promise<Answer> {
  return page('Nothing was paid', ['The payment was left. Nothing was charged; you can close this page.']);
}

/** @throws Fault `not_found` (404) for what is not a checkout of this sandbox, and for everything where payments are real. */
async function sandboxRecharge(running: Running, call: Call): Promise<Recharge> {
  const isOpen = running.settings.sandbox && running.payments?.kind === 'sandbox';
  const recharge = isOpen ? await running.ledger.findRecharge(lastPart(call)) : undefined;
  if (recharge === undefined || !isSandboxId(recharge.session)) throw new Fault('not_found', { fill: { detail: 'There is no such checkout.' } });
  return recharge;
}
