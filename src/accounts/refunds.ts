import { Fault } from '../faults.ts';
import type { Account, Recharge } from '../ledger/index.ts';
import { formatUsd } from '../money/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { floorToCents } from '../payments/index.ts';
import { isOwn, landMessage } from './recharges.ts';
import type { RechargeParts } from './recharges.ts';

const DAY_MS = 86_400_000;
const PAGE = 100;

export interface RefundPlan {
  readonly recharge: Recharge;
  readonly account: Account;
  /** What goes back to the payer: out of the credits first, dollar for dollar, then out of the fee. */
  readonly amount: UsdE8;
}

/**
 * What of a recharge can be refunded: its unused credits, in whole cents, within `billing.refund_days` of the payment.
 * Unused is what it gave and no refund took, at most what is available now: other credits count as spent first. The recharge
 * fee is kept, unless `billing.refund_fee` is `unspent` and nothing of the recharge was spent: then the whole payment goes back.
 * A recharge of $10 (9.45 + 0.55) of which 2.00 were spent refunds $7.45.
 * @throws Fault not_found; invalid_request where it was never paid, is disputed, too old, or nothing of it is left.
 */
export async function planRefund(parts: Pick<RechargeParts, 'ledger' | 'nowMs' | 'settings'>, id: string): Promise<RefundPlan> {
  const recharge = await parts.ledger.findRecharge(id);
  if (recharge === undefined) throw new Fault('not_found', { fill: { detail: `There is no recharge ${JSON.stringify(id)}; \`findtoken recharges list\` shows all.` } });
  const account = await parts.ledger.findAccount(recharge.accountId);
  if (account === undefined) throw new Error(`recharge ${id} has no account`);
  const refusal = (detail: string) => new Fault('invalid_request', { fill: { detail } });
  if (recharge.paidMs === undefined || recharge.status === 'disputed') throw refusal(`The recharge ${id} is ${recharge.status}; only a paid one can be refunded.`);
  const { refundDays, refundFee } = parts.settings.billing;
  if (parts.nowMs() - recharge.paidMs > refundDays * DAY_MS) throw refusal(`The recharge ${id} was paid more than ${refundDays} days ago (billing.refund_days). It can still be refunded in the payment service's dashboard.`);
  const left = recharge.credits - recharge.refundedCredits;
  const available = account.balance - account.held;
  const isUntouched = refundFee === 'unspent' && recharge.refunded === 0n && left === recharge.credits && available >= left;
  const amount = isUntouched ? recharge.amount : floorToCents(left < available ? left : available);
  if (amount <= 0n) throw refusal(`Nothing of the recharge ${id} is unused: $${formatUsd(left)} of it are not refunded, $${formatUsd(available)} are available.`);
  return { recharge, account, amount };
}

/**
 * Asks how much has been paid back of every payment since a time, for who has no webhook to be told by. Newest first.
 * @returns the recharges that changed
 * @throws Fault payments_unavailable (503) where the payment service does not answer.
 */
export async function syncRefunds(parts: Omit<RechargeParts, 'settings'>, filter: { readonly accountId?: string; readonly sinceMs: number }): Promise<readonly Recharge[]> {
  const { sinceMs, ...whose } = filter;
  const changed: Recharge[] = [];
  let after: string | undefined;
  do {
    const page = await parts.ledger.listRecharges(whose, { limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const recharge of page.rows) {
      if (recharge.createdMs < sinceMs) return changed;
      // `refunded` tells that no credits are left; of the fee some may be paid back later.
      if (recharge.paymentIntent === '' || recharge.refunded === recharge.amount || !isOwn(parts.payments, recharge)) continue;
      const landing = await landMessage(parts, await parts.payments.pollRefunds(recharge.paymentIntent));
      if (landing.kind === 'done') changed.push(landing.recharge);
    }
    after = page.next;
  } while (after !== undefined);
  return changed;
}

/**
 * Refunds what `planRefund` says, through the payment service, then in the books. What was refunded elsewhere meanwhile is
 * brought into the books first, so that a run that broke off between the two, run again, never refunds twice.
 * @throws Fault as `planRefund` does; payments_unavailable (503) where the payment service does not answer.
 */
export async function refundRecharge(parts: RechargeParts, id: string): Promise<RefundPlan> {
  const { recharge: known } = await planRefund(parts, id);
  if (!isOwn(parts.payments, known)) {
    throw new Fault('invalid_request', { fill: { detail: `The recharge ${id} was paid ${parts.payments.kind === 'sandbox' ? 'through Stripe: set stripe.secret_key' : 'in the sandbox, with play money'}.` } });
  }
  await landMessage(parts, await parts.payments.pollRefunds(known.paymentIntent));
  const plan = await planRefund(parts, id);
  const { recharge, amount } = plan;
  const refunded = recharge.refunded + amount;
  await parts.payments.refund({ paymentIntent: recharge.paymentIntent, amount, key: `findtoken-${id}-${refunded}` });
  const landing = await landMessage(parts, { kind: 'refunded', paymentIntent: recharge.paymentIntent, refunded, currency: recharge.currency });
  const account = await parts.ledger.findAccount(recharge.accountId);
  return { recharge: 'recharge' in landing ? landing.recharge : recharge, account: account ?? plan.account, amount };
}
