import { landMessage } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { Recharge } from '../ledger/index.ts';
import { formatUsd } from '../money/index.ts';
import { isSandboxId, sandboxPayment } from '../payments/index.ts';
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
  if (recharge.status !== 'pending') return page('Sandbox checkout', `${sums}<p>This recharge is ${recharge.status.replace('_', ' ')}.</p>`);
  return page('Sandbox checkout', `<p>A rehearsal: no money moves.</p>${sums}<form method="post"><button>Pay</button></form>`);
}

/** `POST /sandbox/checkout/{id}`: lands the recharge the way a paid event of Stripe's does. Twice is once. */
export async function paySandboxCheckout(running: Running, call: Call): Promise<Answer> {
  const { id, session, amount, currency, status, paymentIntent } = await sandboxRecharge(running, call);
  if (status === 'expired') return page('Expired', '<p>This checkout has expired. Start a new recharge.</p>', 410);
  const parts = { ledger: running.ledger, nowMs: () => running.clock.nowMs() };
  if (paymentIntent === '') await landMessage(parts, { kind: 'paid', rechargeId: id, session, paymentIntent: sandboxPayment(id), amount, currency });
  return page('Paid', '<p>The credits are in the account. You can close this page.</p>');
}

/** `GET /paid`: where the payment page leads to by default. The credits come by the payment service's own word, not by this visit. */
export async function showPaid(): Promise<Answer> {
  return page('Thank you', '<p>The credits are added as soon as the payment is confirmed. You can close this page.</p>');
}

/** `GET /unpaid`: where a payer goes who turned back. */
export async function showUnpaid(): Promise<Answer> {
  return page('Nothing was paid', '<p>The payment was left. Nothing was charged; you can close this page.</p>');
}

/** @throws Fault `not_found` (404) for what is not a checkout of this sandbox, and for everything where payments are real. */
async function sandboxRecharge(running: Running, call: Call): Promise<Recharge> {
  const isOpen = running.settings.sandbox && running.payments?.kind === 'sandbox';
  const recharge = isOpen ? await running.ledger.findRecharge(lastPart(call)) : undefined;
  if (recharge === undefined || !isSandboxId(recharge.session)) throw new Fault('not_found', { fill: { detail: 'There is no such checkout.' } });
  return recharge;
}

/** A page without scripts, pictures or links to elsewhere. No text of a caller's is in it. */
function page(title: string, content: string, status = 200): Answer {
  const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title} · findtoken</title>
<style>body{font:16px system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem}td{padding:.2rem 1rem .2rem 0}button{font:inherit;padding:.5rem 2rem}</style></head>
<body><h1>${title}</h1>${content}</body></html>
`;
  return {
    status,
    body,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      // The button's origin is what tells it from another site's; without a referrer policy of this kind a browser may hide it.
      'referrer-policy': 'same-origin',
    },
  };
}
