import { Fault } from '../faults.ts';
import type { Landing, Recharge } from '../ledger/index.ts';
import { feeOn, formatUsd } from '../money/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { floorToCents, isSandboxId, isTestId, PAYMENT_MAX } from '../payments/index.ts';
import type { PaymentMessage, Payments } from '../payments/index.ts';
import type { Settings } from '../settings/index.ts';
import { mintId } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import { readReturnUrl } from './return-url.ts';

export interface RechargeParts extends AccountParts {
  readonly payments: Payments;
  readonly settings: Pick<Settings, 'billing' | 'server' | 'stripe'>;
}

export interface RechargePreview {
  /** What is paid. */
  readonly amount: UsdE8;
  readonly fee: UsdE8;
  /** What the account receives. */
  readonly credits: UsdE8;
}

/** Checkouts of one account that wait for their payment; more is no customer but a loop. */
const PENDING_MAX = 20;
const CURRENCY = 'usd';
/** A wish whose checkout was never attached was told to nobody: nobody can pay it. */
const UNATTACHED_MS = 3_600_000;
/** As long as Stripe keeps a checkout open; the sandbox's, and those of its test mode under a live key, are closed after it as well. */
const CHECKOUT_MS = 86_400_000;
const PAGE = 100;

/**
 * What paying an amount gives. $10 at 5.5 % costs a fee of 0.55 and gives 9.45.
 * @throws Fault invalid_request (`param` is `amount`) below `billing.minimum_recharge`, above $999,999.99, or on a fraction of a cent.
 */
export function previewRecharge(amount: UsdE8, billing: Pick<Settings['billing'], 'minimumRecharge' | 'rechargeFee'>): RechargePreview {
  const refusal = (detail: string) => new Fault('invalid_request', { fill: { detail }, param: 'amount' });
  if (amount < billing.minimumRecharge) throw refusal(`The least recharge is $${formatUsd(billing.minimumRecharge)}.`);
  if (amount > PAYMENT_MAX) throw refusal(`One recharge is at most $${formatUsd(PAYMENT_MAX)}.`);
  if (floorToCents(amount) !== amount) throw refusal('An amount is paid in whole cents, such as 10 or 25.50.');
  return { amount, ...feeOn(amount, billing.rechargeFee) };
}

/**
 * Opens a checkout for an account. The wish is in the books before the payment service hears of it, so that no payment comes
 * that we do not know.
 * @throws Fault as `previewRecharge` does; invalid_request on a return URL that is not allowed; not_found on an unknown account;
 *   rate_limit_exceeded (429) with 20 checkouts open; overloaded (503) where the payment service does not answer.
 */
export async function startRecharge(
  parts: RechargeParts,
  wish: { readonly accountId: string; readonly amount: UsdE8; readonly successUrl: string | undefined; readonly cancelUrl: string | undefined },
): Promise<Recharge> {
  const { ledger, payments, settings } = parts;
  const { publicUrl } = settings.server;
  const allowed = { publicUrl, returnUrls: settings.stripe.returnUrls };
  const preview = previewRecharge(wish.amount, settings.billing);
  const successUrl = readReturnUrl('success_url', wish.successUrl ?? new URL('/paid', publicUrl).href, allowed);
  const cancelUrl = readReturnUrl('cancel_url', wish.cancelUrl ?? new URL('/unpaid', publicUrl).href, allowed);
  const { accountId } = wish;
  const pending = await ledger.listRecharges({ accountId, status: 'pending' }, { limit: PENDING_MAX });
  if (pending.rows.length === PENDING_MAX) {
    throw new Fault('rate_limit_exceeded', { fill: { detail: `${PENDING_MAX} recharges of this account wait for their payment. Pay one of them, or wait until they expire.` }, retryAfterS: 60 });
  }
  const nowMs = parts.nowMs();
  const recharge = await ledger.startRecharge({ id: mintId('rch', nowMs), accountId, ...preview, currency: CURRENCY, nowMs });
  if (recharge === 'no_account') throw new Fault('not_found', { fill: { detail: `There is no account ${JSON.stringify(accountId)}.` } });
  const label = `API credits: $${formatUsd(preview.credits)}`;
  const { session, url } = await payments.startCheckout({ rechargeId: recharge.id, amount: preview.amount, label, successUrl, cancelUrl });
  return ledger.attachCheckout({ id: recharge.id, session, checkoutUrl: url });
}

/** Brings a message of the payment service into the books. The one way there, for webhook, polling, refund and sandbox alike. */
export async function landMessage(parts: AccountParts, message: PaymentMessage, eventId?: string): Promise<Landing | { readonly kind: 'nothing' }> {
  const { ledger } = parts;
  const nowMs = parts.nowMs();
  switch (message.kind) {
    case 'nothing':
      return { kind: 'nothing' };
    case 'paid': {
      const { rechargeId: id, session, paymentIntent, amount, currency } = message;
      return ledger.landRecharge({ id, session, paymentIntent, amount, currency, eventId, nowMs });
    }
    case 'expired':
      return ledger.expireRecharge({ id: message.rechargeId, session: message.session, eventId, nowMs });
    case 'refunded': {
      const { paymentIntent, refunded, currency } = message;
      return ledger.refundRecharge({ paymentIntent, refunded, currency, eventId, nowMs });
    }
    case 'disputed': {
      const { disputeId, paymentIntent, amount, currency, state } = message;
      return ledger.disputeRecharge({ disputeId, paymentIntent, amount, currency, state, eventId, nowMs });
    }
  }
}

export interface Synced {
  /** Pending ones that were asked about. */
  readonly checked: number;
  readonly changed: readonly Recharge[];
  /** The payment service does not know them: another key's, or another mode's. */
  readonly unknown: readonly string[];
}

/**
 * Settles pending recharges by asking the payment service, so that a lost webhook heals.
 * @throws Fault overloaded (503) where it does not answer.
 */
export async function syncRecharges(parts: Omit<RechargeParts, 'settings'>, filter: { readonly accountId?: string }): Promise<Synced> {
  const changed: Recharge[] = [];
  const unknown: string[] = [];
  let checked = 0;
  let after: string | undefined;
  do {
    const page = await parts.ledger.listRecharges({ ...filter, status: 'pending' }, { limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const recharge of page.rows) {
      checked += 1;
      const landing = await settleOne(parts, recharge);
      if (landing === 'unknown') unknown.push(recharge.id);
      else if (landing.kind === 'done') changed.push(landing.recharge);
    }
    after = page.next;
  } while (after !== undefined);
  return { checked, changed, unknown };
}

/** Asks about one pending recharge and lands the answer. */
export async function settleOne(parts: Omit<RechargeParts, 'settings'>, recharge: Recharge): Promise<Landing | { readonly kind: 'nothing' } | 'unknown'> {
  const { id, session } = recharge;
  const ageMs = parts.nowMs() - recharge.createdMs;
  const isPlay = isSandboxId(session) || (parts.payments.isLive && isTestId(session));
  const isOver = session === '' ? ageMs > UNATTACHED_MS : isPlay && ageMs > CHECKOUT_MS;
  if (isOver) return landMessage(parts, { kind: 'expired', rechargeId: id, session });
  if (session === '' || !isOwn(parts.payments, recharge)) return { kind: 'nothing' };
  try {
    return await landMessage(parts, await parts.payments.pollCheckout(session));
  } catch (error) {
    if (error instanceof Fault && error.code === 'invalid_request') return 'unknown';
    throw error;
  }
}

/** Whether a recharge was opened with these payments: the sandbox knows nothing of Stripe's, nor Stripe of the sandbox's. */
export function isOwn(payments: Pick<Payments, 'kind'>, recharge: Pick<Recharge, 'session'>): boolean {
  return isSandboxId(recharge.session) === (payments.kind === 'sandbox');
}
