import { landMessage, listView, rechargeView, startRecharge } from '../accounts/index.ts';
import type { RechargeParts } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { expectWebhook, readWebhook } from '../payments/index.ts';
import { readBytes, readJson } from './body.ts';
import { CREDITS_FORM } from './forms.ts';
import { readPage, readQuery, RECHARGES_QUERY } from './query.ts';
import { ok } from './user.ts';
import type { Answer, Call, Running } from './types.ts';

/** Stripe's events are some kilobytes. */
const EVENT_BYTES = 1_048_576;

/**
 * `POST /v1/user/credits` `{amount, success_url?, cancel_url?}`: opens a checkout, to be paid at its `checkout_url`.
 * @throws Fault 400 (amount, URLs), 429, 503 (no payments here, or the payment service does not answer).
 */
export async function startCredits(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { amount, success_url: successUrl, cancel_url: cancelUrl } = CREDITS_FORM.read(await readJson(call, running.settings.limits, running.load));
  const parts = rechargeParts(running);
  const lease = await running.limits.enterWithoutHold(owner, call.id);
  try {
    const recharge = await startRecharge(parts, { accountId: owner.accountId, amount, successUrl, cancelUrl });
    return { ...ok(owner, rechargeView(recharge)), status: 201 };
  } finally {
    lease.leave();
  }
}

/** `GET /v1/user/recharges`: the account's recharges, newest first; filter `status`. */
export async function showRecharges(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const page = await running.ledger.listRecharges({ accountId: owner.accountId, ...readQuery(call, RECHARGES_QUERY) }, readPage(call));
  return ok(owner, listView(page.rows.map(rechargeView), page.next));
}

/**
 * `POST /webhooks/stripe`: an event of Stripe's, believed only with its signature. Answered when what it says is durable; what is
 * not for us, or does not fit our record, is acknowledged too, for sending it again would change nothing.
 * What cannot be believed anyhow is refused unread, for anybody may send here.
 * @throws Fault 400 (not believed), 413, 503 (no secret here, no memory, or the books cannot be written): Stripe tries again.
 */
export async function receiveEvent(running: Running, call: Call): Promise<Answer> {
  const { payments, settings, clock, log } = running;
  const signature = call.req.headers['stripe-signature'];
  const head = {
    signature: typeof signature === 'string' ? signature : undefined,
    secret: payments?.kind === 'stripe' ? settings.stripe.webhookSecret : '',
    nowMs: clock.nowMs(),
  };
  expectWebhook(head);
  const body = await readBytes(call, EVENT_BYTES, running.load.strangers);
  const { eventId, type, message } = await readWebhook({ ...head, body, isLive: payments?.isLive === true });
  const landing = await landMessage({ ledger: running.ledger, nowMs: () => clock.nowMs() }, message, eventId);
  if (landing.kind === 'mismatch') log.warn('payment_mismatch', { event: eventId, type, recharge: landing.recharge.id, mend: 'compare the payment in the dashboard with findtoken recharges list' });
  if (landing.kind === 'unknown') log.warn('payment_unknown', { event: eventId, type });
  return { status: 200, body: { received: true } };
}

/** @throws Fault `payments_unavailable` (503) where neither Stripe nor the sandbox is set up. */
export function rechargeParts(running: Running): RechargeParts {
  const { ledger, payments, settings, clock } = running;
  if (payments === undefined) {
    throw new Fault('payments_unavailable', { fill: { detail: 'Recharges are not open here: the operator has set no stripe.secret_key. Ask the operator for credits.' }, retryAfterS: 60, shouldRetry: false });
  }
  return { ledger, payments, settings, nowMs: () => clock.nowMs() };
}
