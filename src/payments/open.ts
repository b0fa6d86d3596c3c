import { Fault } from '../faults.ts';
import { toCents } from './cents.ts';
import { fieldsOf, readRefunds, readSession } from './messages.ts';
import type { CheckoutWish, Payments } from './types.ts';

export interface OpenPayments {
  /** `sk_…` or a restricted `rk_…`. */
  readonly secretKey: string;
  /** Where Stripe is reached. */
  readonly apiBase: string;
}

/** Opens the way to Stripe. Nothing is loaded before `ready` or the first call, and nothing sent before that. */
export function openPayments(options: OpenPayments): Payments {
  type Loaded = Awaited<ReturnType<typeof load>>;
  let loaded: Promise<Loaded> | undefined;
  const ready = () => (loaded ??= load(options));
  const call = async <T>(work: (stripe: Loaded['connection']) => Promise<T>): Promise<T> => {
    const { connection, faultOf } = await ready();
    try {
      return await work(connection);
    } catch (error) {
      throw refusalOf(faultOf(error)) ?? error;
    }
  };
  return {
    kind: 'stripe',
    isLive: /^[a-z]+_live_/.test(options.secretKey),
    ready: async () => void (await ready()),
    startCheckout: (wish) => call(async (stripe) => {
      const { id, url } = named(await stripe.checkout.sessions.create(sessionOf(wish), { idempotencyKey: `findtoken-${wish.rechargeId}` }));
      if (typeof url !== 'string' || !URL.canParse(url)) throw new Fault('payments_unavailable', { fill: { detail: 'The payment service opened no page to pay on. Try again.' } });
      return { session: id, url };
    }),
    pollCheckout: (session) => call(async (stripe) => readSession(named(await stripe.checkout.sessions.retrieve(session, { expand: ['payment_intent'] })))),
    pollRefunds: (paymentIntent) => call(async (stripe) => {
      const payment = named(await stripe.paymentIntents.retrieve(paymentIntent, { expand: ['latest_charge'] }));
      return readRefunds({ ...fieldsOf(payment['latest_charge']), payment_intent: payment.id });
    }),
    refund: ({ paymentIntent, amount, key }) => call(async (stripe) => {
      named(await stripe.refunds.create({ payment_intent: paymentIntent, amount: toCents(amount), reason: 'requested_by_customer' }, { idempotencyKey: key }));
    }),
  };
}

/** Whether a checkout was opened with a key of Stripe's test mode: a live key knows nothing of it, and never will. */
export function isTestId(session: string): boolean {
  return session.startsWith('cs_test_');
}

/**
 * An answer with its id, which all that Stripe makes or knows has; the package's types say so and check nothing.
 * @throws Fault payments_unavailable where something else answers in its place.
 */
function named(answer: unknown): Readonly<Record<string, unknown>> & { readonly id: string } {
  const fields = fieldsOf(answer);
  const { id } = fields;
  if (typeof id !== 'string' || id === '') throw unavailable('invalid_answer');
  return { ...fields, id };
}

async function load({ secretKey, apiBase }: OpenPayments) {
  const { connect, faultOf } = await import('./stripe.ts');
  return { connection: connect(secretKey, apiBase), faultOf };
}

/** Amounts are in dollars whatever the payer's country, so that what is paid equals our record to the cent. */
function sessionOf({ rechargeId, amount, label, successUrl, cancelUrl }: CheckoutWish) {
  const metadata = { recharge: rechargeId };
  return {
    mode: 'payment' as const,
    client_reference_id: rechargeId,
    metadata,
    payment_intent_data: { metadata },
    line_items: [{ quantity: 1, price_data: { currency: 'usd', unit_amount: toCents(amount), product_data: { name: label } } }],
    adaptive_pricing: { enabled: false },
    success_url: successUrl,
    cancel_url: cancelUrl,
  };
}

function refusalOf(fault: { readonly side: 'key' | 'request' | 'service'; readonly code: string } | undefined): Fault | undefined {
  switch (fault?.side) {
    case undefined:
      return undefined;
    case 'key':
      return new Fault('payments_unavailable', { fill: { detail: 'The payment service refuses the secret key. Check stripe.secret_key.' }, retryAfterS: 60, shouldRetry: false });
    case 'request':
      return new Fault('invalid_request', { fill: { detail: `The payment service refuses this (${fault.code}). Nothing was paid.` } });
    case 'service':
      return unavailable(fault.code);
  }
}

function unavailable(code: string): Fault {
  return new Fault('payments_unavailable', { fill: { detail: `The payment service does not answer as it should (${code}). Try again in a moment.` }, retryAfterS: 5 });
}
