import { Fault } from '../faults.ts';
import { fieldsOf, readEvent } from './messages.ts';
import type { PaymentMessage } from './types.ts';

/** How far the time of a signature may be from ours, on either side. The package itself accepts any time to come. */
const TOLERANCE_S = 300;
/** One signature of Stripe's scheme among those of the header. */
const SIGNED = /(?:^|,)\s*v1=[0-9a-f]{64}\s*(?:,|$)/i;

/** A request to the webhook, as it came. */
export interface WebhookRequest {
  /** The bytes that were signed; a body that was parsed and written anew has other ones. */
  readonly body: Uint8Array;
  /** The header `Stripe-Signature`. */
  readonly signature: string | undefined;
  /** `stripe.webhook_secret`. */
  readonly secret: string;
  /** Whether our secret key is of the live mode. */
  readonly isLive: boolean;
  readonly nowMs: number;
}

export interface WebhookEvent {
  readonly eventId: string;
  readonly type: string;
  readonly message: PaymentMessage;
}

/**
 * Refuses a request to the webhook that cannot be believed whatever its body is.
 * @throws Fault `payments_unavailable` (503) without a secret: nothing is believed then, and Stripe tries again; `invalid_request` (400)
 *   on a signature that is missing, has another form, or is more than 300 s old or ahead.
 */
export function expectWebhook({ secret, signature, nowMs }: Pick<WebhookRequest, 'secret' | 'signature' | 'nowMs'>): void {
  if (secret.trim() === '') throw new Fault('payments_unavailable', { fill: { detail: 'No webhook secret is set, so no event can be believed. Set stripe.webhook_secret (whsec_…).' }, retryAfterS: 60 });
  if (signature === undefined || !isTimely(signature, nowMs)) throw refused('The Stripe-Signature header is missing, or its time is more than 300 s from ours. Check the clock.');
  if (!SIGNED.test(signature)) throw refused('The Stripe-Signature header holds no v1 signature. Let Stripe send the event, or sign it with stripe.webhook_secret.');
}

/**
 * Reads an event of Stripe's after making sure that Stripe sent it, lately, and in our mode.
 * @throws Fault as `expectWebhook`; `invalid_request` (400) on a wrong signature, on an event of the other mode, or on no event at all.
 */
export async function readWebhook(request: WebhookRequest): Promise<WebhookEvent> {
  expectWebhook(request);
  const { signature = '', nowMs } = request;
  const secret = request.secret.trim();
  const { readSigned } = await import('./stripe.ts');
  const event = fieldsOf(readSigned(request.body, { signature, secret, toleranceS: TOLERANCE_S, nowMs }));
  const { id, type, livemode, data } = event;
  if (typeof id !== 'string' || id === '' || typeof type !== 'string') throw refused('The signature does not fit the body. Check stripe.webhook_secret, and that nothing between Stripe and here rewrites the body.');
  if (livemode !== request.isLive) {
    throw refused(`This is an event of Stripe's ${livemode === true ? 'live' : 'test'} mode, and the secret key is of the ${request.isLive ? 'live' : 'test'} mode.`);
  }
  return { eventId: id, type, message: readEvent(type, fieldsOf(data)['object']) };
}

/** Exactly one time, so that we judge the one that was signed; not too old, and not too far ahead. */
function isTimely(signature: string, nowMs: number): boolean {
  const times = signature.split(',').filter((part) => part.trim().startsWith('t='));
  const seconds = times.length === 1 ? /^t=(\d{1,12})$/.exec(times[0]?.trim() ?? '')?.[1] : undefined;
  if (seconds === undefined) return false;
  return Math.abs(nowMs / 1000 - Number(seconds)) <= TOLERANCE_S;
}

function refused(detail: string): Fault {
  return new Fault('invalid_request', { fill: { detail } });
}
