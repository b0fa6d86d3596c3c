import { fromCents } from './cents.ts';
import type { PaymentMessage } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

const RECHARGE_ID = /^rch_[0-9a-z]{20,40}$/;

/**
 * What an event of Stripe's means for the books. Events that are not ours, or that we need not know, are `nothing`.
 * `payment_intent.succeeded` is among these: the checkout's own events carry what our record is compared with.
 */
export function readEvent(type: string, object: unknown): PaymentMessage {
  switch (type) {
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded':
      return readPaid(object);
    case 'checkout.session.async_payment_failed':
    case 'checkout.session.expired':
      return readExpired(object);
    case 'charge.refunded':
      return readRefunds(object);
    case 'charge.dispute.created':
    case 'charge.dispute.funds_withdrawn':
    case 'charge.dispute.closed':
      return readDispute(object);
    default:
      return { kind: 'nothing', about: type };
  }
}

/** How a checkout session stands that we asked for, with its payment expanded. */
export function readSession(session: unknown): PaymentMessage {
  const { status, payment_status: paid, payment_intent: payment } = fieldsOf(session);
  if (paid === 'paid') return readPaid(session);
  const paymentStatus = fieldsOf(payment)['status'];
  // A slow payment that failed leaves its session complete and unpaid for ever.
  const isFailed = status === 'complete' && (paymentStatus === 'requires_payment_method' || paymentStatus === 'canceled');
  if (status === 'expired' || isFailed) return readExpired(session);
  return { kind: 'nothing', about: `a checkout that is ${String(status)} and ${String(paid)}` };
}

/** How much of a charge was paid back. */
export function readRefunds(charge: unknown): PaymentMessage {
  const { payment_intent: payment, amount_refunded: cents, currency } = fieldsOf(charge);
  const paymentIntent = idOf(payment);
  const refunded = fromCents(cents);
  if (paymentIntent === '' || refunded === undefined || typeof currency !== 'string') return { kind: 'nothing', about: 'a refund without a payment' };
  return { kind: 'refunded', paymentIntent, refunded, currency: currency.toLowerCase() };
}

/** Only `paid` counts: `unpaid` is a slow payment under way, and `no_payment_required` was paid by nobody. */
function readPaid(session: unknown): PaymentMessage {
  const { id, mode, payment_status: paid, payment_intent: payment, amount_total: cents, currency } = fieldsOf(session);
  const rechargeId = rechargeOf(session);
  const amount = fromCents(cents);
  if (rechargeId === undefined || typeof id !== 'string' || mode !== 'payment') return { kind: 'nothing', about: 'a checkout that is not ours' };
  if (paid !== 'paid') return { kind: 'nothing', about: `a checkout that is ${String(paid)}` };
  if (amount === undefined || typeof currency !== 'string') return { kind: 'nothing', about: 'a checkout without an amount' };
  return { kind: 'paid', rechargeId, session: id, paymentIntent: idOf(payment), amount, currency: currency.toLowerCase() };
}

function readExpired(session: unknown): PaymentMessage {
  const { id } = fieldsOf(session);
  const rechargeId = rechargeOf(session);
  if (rechargeId === undefined || typeof id !== 'string') return { kind: 'nothing', about: 'a checkout that is not ours' };
  return { kind: 'expired', rechargeId, session: id };
}

function readDispute(dispute: unknown): PaymentMessage {
  const { id, payment_intent: payment, amount: cents, currency, status } = fieldsOf(dispute);
  const paymentIntent = idOf(payment);
  const amount = fromCents(cents);
  if (typeof id !== 'string' || paymentIntent === '' || amount === undefined || typeof currency !== 'string') return { kind: 'nothing', about: 'a dispute without a payment' };
  // An inquiry takes no money; it becomes a dispute, with an event of its own, if it is not answered.
  if (typeof status !== 'string' || status.startsWith('warning_') || status === 'prevented') return { kind: 'nothing', about: `a dispute that is ${String(status)}` };
  const state = status === 'won' || status === 'lost' ? status : 'open';
  return { kind: 'disputed', disputeId: id, paymentIntent, amount, currency: currency.toLowerCase(), state };
}

/** Our id, said twice in every checkout of ours. */
function rechargeOf(session: unknown): string | undefined {
  const { client_reference_id: reference, metadata } = fieldsOf(session);
  if (typeof reference !== 'string' || !RECHARGE_ID.test(reference)) return undefined;
  return fieldsOf(metadata)['recharge'] === reference ? reference : undefined;
}

/** An object's id, where it stands alone or expanded. */
function idOf(reference: unknown): string {
  if (typeof reference === 'string') return reference;
  const { id } = fieldsOf(reference);
  return typeof id === 'string' ? id : '';
}

export function fieldsOf(raw: unknown): Fields {
  return isFields(raw) ? raw : {};
}

export function isFields(raw: unknown): raw is Fields {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
