import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Stripe } from 'stripe';
import type { Test } from 'tap';

/** The parts of Stripe's objects that anybody here reads or writes, each with the package's own type. */
type Session = Pick<Stripe.Checkout.Session,
  'id' | 'object' | 'mode' | 'status' | 'payment_status' | 'client_reference_id' | 'metadata' | 'amount_total' | 'currency' | 'livemode' | 'success_url' | 'cancel_url' | 'url' | 'expires_at'>
  & { payment_intent: string | null };
type Payment = Pick<Stripe.PaymentIntent, 'id' | 'object' | 'amount' | 'currency' | 'status' | 'metadata' | 'livemode'> & { latest_charge: string | null };
type Charge = Pick<Stripe.Charge, 'id' | 'object' | 'amount' | 'amount_refunded' | 'refunded' | 'currency' | 'metadata' | 'livemode'> & { payment_intent: string };
type Refund = Pick<Stripe.Refund, 'id' | 'object' | 'amount' | 'currency' | 'status'> & { payment_intent: string; charge: string };
type Dispute = Pick<Stripe.Dispute, 'id' | 'object' | 'amount' | 'currency' | 'status' | 'livemode'> & { payment_intent: string; charge: string };
type EventType = Extract<Stripe.Event['type'], string>;

/** An event as it is sent. */
export interface SentEvent {
  readonly id: string;
  readonly object: 'event';
  readonly type: EventType;
  readonly created: number;
  readonly livemode: boolean;
  readonly api_version: string;
  readonly data: { readonly object: object };
}

export interface SignOptions {
  readonly secret?: string;
  readonly atMs?: number;
}

/** Stripe as far as findtoken speaks with it: a real HTTP server on loopback, and its hand on the other side of the counter. */
export interface FakeStripe {
  readonly url: string;
  readonly secretKey: string;
  readonly webhookSecret: string;
  /** Every request so far: method, path, decoded body, idempotency key. */
  readonly requests: readonly { readonly method: string; readonly path: string; readonly form: Readonly<Record<string, string>>; readonly key: string | undefined }[];
  readonly refunds: readonly Refund[];
  /** The next requests get this status and error type instead of an answer. */
  fail(status: number, times?: number): void;
  /** The next request gets this body and 200. */
  garble(body: string): void;

  /** The payer pays on the page. The events that follow are returned, for the test to deliver or lose. */
  pay(session: string): { readonly completed: SentEvent; readonly succeeded: SentEvent; readonly paymentIntent: string };
  /** The payer chose a slow way to pay: the session is complete, and unpaid. */
  payLater(session: string): SentEvent;
  /** How that ended. */
  settleLater(session: string, end: 'succeeded' | 'failed'): SentEvent;
  expire(session: string): SentEvent;
  /** A refund made in the dashboard; `cents` more than before. */
  refundInDashboard(paymentIntent: string, cents: number): SentEvent;
  dispute(paymentIntent: string, change: { readonly id?: string; readonly status: Stripe.Dispute['status']; readonly event: 'created' | 'closed' | 'funds_withdrawn'; readonly cents?: number }): SentEvent;
  event(type: EventType, object: object, over?: Partial<SentEvent>): SentEvent;
  session(id: string): Session;

  /** The request that carries an event: exact bytes, and their signature. */
  sign(event: SentEvent, options?: SignOptions): { readonly body: string; readonly headers: Record<string, string> };
  /** Sends an event to a daemon. */
  deliver(daemonUrl: string, event: SentEvent, options?: SignOptions): Promise<Response>;
}

/** Parameters that a session is made of here; another one is a mistake of ours, as Stripe would say. */
const SESSION_PARAMETERS = ['mode', 'client_reference_id', 'metadata', 'payment_intent_data', 'line_items', 'adaptive_pricing', 'success_url', 'cancel_url'];
const REFUND_PARAMETERS = ['payment_intent', 'amount', 'reason'];

class StripeRefusal extends Error {
  readonly status: number;
  readonly type: string;
  readonly code: string;

  constructor(status: number, type: string, code: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
    this.code = code;
  }
}

export async function openStripe(t: Test, options: { readonly secretKey?: string } = {}): Promise<FakeStripe> {
  const secretKey = options.secretKey ?? 'sk_test_canary4f0b';
  const webhookSecret = 'whsec_canary9a1c';
  const till = new Till(secretKey.includes('_live_'));
  const requests: FakeStripe['requests'][number][] = [];
  const replies = new Map<string, { readonly text: string; readonly status: number; readonly body: string }>();
  let failures: number[] = [];
  let garbled: string | undefined;
  const server = createServer((req, res) => {
    void readText(req).then((text) => {
      const path = req.url ?? '/';
      const key = headerOf(req, 'idempotency-key');
      requests.push({ method: req.method ?? '', path, form: Object.fromEntries(new URLSearchParams(text)), key });
      const reply = (status: number, body: string, replayed = false) => {
        res.writeHead(status, { 'content-type': 'application/json', 'request-id': `req_${requests.length}`, ...(replayed ? { 'idempotent-replayed': 'true' } : {}) });
        res.end(body);
      };
      if (garbled !== undefined) {
        const body = garbled;
        garbled = undefined;
        return reply(200, body);
      }
      const failure = failures.shift();
      if (failure !== undefined) return reply(failure, JSON.stringify({ error: { type: 'api_error', message: 'the fake was told to fail' } }));
      try {
        if (headerOf(req, 'authorization') !== `Bearer ${secretKey}`) throw new StripeRefusal(401, 'invalid_request_error', 'api_key_invalid', `Invalid API Key provided: ${secretKey}`);
        if (headerOf(req, 'stripe-version') !== Stripe.API_VERSION) throw new StripeRefusal(400, 'invalid_request_error', 'version', 'another version');
        const before = key === undefined ? undefined : replies.get(key);
        if (before !== undefined && before.text !== text) throw new StripeRefusal(400, 'idempotency_error', 'idempotency_key_in_use', 'Keys for idempotent requests can only be used with the same parameters.');
        if (before !== undefined) return reply(before.status, before.body, true);
        const body = JSON.stringify(till.answer(req.method ?? '', path, new URLSearchParams(text)));
        if (key !== undefined) replies.set(key, { text, status: 200, body });
        return reply(200, body);
      } catch (error) {
        if (!(error instanceof StripeRefusal)) throw error;
        return reply(error.status, JSON.stringify({ error: { type: error.type, code: error.code, message: error.message } }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const sign: FakeStripe['sign'] = (event, { secret = webhookSecret, atMs = Date.now() } = {}) => {
    const body = JSON.stringify(event, undefined, 2);
    const signature = Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: Math.floor(atMs / 1000) });
    return { body, headers: { 'content-type': 'application/json; charset=utf-8', 'stripe-signature': signature } };
  };
  return Object.assign(till, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secretKey,
    webhookSecret,
    requests,
    fail: (status: number, times = 1) => void (failures = Array.from({ length: times }, () => status)),
    garble: (body: string) => void (garbled = body),
    sign,
    deliver: (daemonUrl: string, event: SentEvent, how?: SignOptions) => fetch(`${daemonUrl}/webhooks/stripe`, { method: 'POST', ...sign(event, how) }),
  });
}

/** Sessions, payments, charges, refunds and disputes, and what each deed makes Stripe say. */
class Till {
  readonly refunds: Refund[] = [];
  readonly #live: boolean;
  readonly #sessions = new Map<string, Session>();
  readonly #payments = new Map<string, Payment>();
  readonly #charges = new Map<string, Charge>();
  #count = 0;

  constructor(live: boolean) {
    this.#live = live;
  }

  answer(method: string, path: string, form: URLSearchParams): object {
    const [bare = '', query = ''] = path.split('?');
    const expand = new URLSearchParams(query).getAll('expand[0]');
    const id = bare.split('/').at(-1) ?? '';
    if (method === 'POST' && bare === '/v1/checkout/sessions') return this.#open(form);
    if (method === 'POST' && bare === '/v1/refunds') return this.#refund(form);
    if (method === 'GET' && bare.startsWith('/v1/checkout/sessions/')) {
      const session = this.session(id);
      const payment = session.payment_intent === null ? null : this.#payment(session.payment_intent);
      return { ...session, payment_intent: expand.includes('payment_intent') ? payment : session.payment_intent };
    }
    if (method === 'GET' && bare.startsWith('/v1/payment_intents/')) {
      const payment = this.#payment(id);
      return { ...payment, latest_charge: expand.includes('latest_charge') && payment.latest_charge !== null ? this.#chargeOf(id) : payment.latest_charge };
    }
    throw new StripeRefusal(404, 'invalid_request_error', 'url_invalid', `Unrecognized request URL (${method}: ${bare}).`);
  }

  session(id: string): Session {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new StripeRefusal(404, 'invalid_request_error', 'resource_missing', `No such checkout.session: '${id}'`);
    return session;
  }

  pay(id: string) {
    const session = this.session(id);
    const payment = this.#take(session, 'succeeded');
    Object.assign(session, { status: 'complete', payment_status: 'paid', payment_intent: payment.id, url: null });
    return { completed: this.event('checkout.session.completed', { ...session }), succeeded: this.event('payment_intent.succeeded', { ...payment }), paymentIntent: payment.id };
  }

  payLater(id: string): SentEvent {
    const session = this.session(id);
    Object.assign(session, { status: 'complete', payment_intent: this.#take(session, 'processing').id, url: null });
    return this.event('checkout.session.completed', { ...session });
  }

  settleLater(id: string, end: 'succeeded' | 'failed'): SentEvent {
    const session = this.session(id);
    this.#payment(session.payment_intent ?? '').status = end === 'succeeded' ? 'succeeded' : 'requires_payment_method';
    if (end === 'succeeded') session.payment_status = 'paid';
    return this.event(`checkout.session.async_payment_${end}`, { ...session });
  }

  expire(id: string): SentEvent {
    const session = this.session(id);
    Object.assign(session, { status: 'expired', url: null });
    return this.event('checkout.session.expired', { ...session });
  }

  refundInDashboard(paymentIntent: string, cents: number): SentEvent {
    const charge = this.#chargeOf(paymentIntent);
    charge.amount_refunded += cents;
    charge.refunded = charge.amount_refunded === charge.amount;
    return this.event('charge.refunded', { ...charge });
  }

  dispute(paymentIntent: string, change: Parameters<FakeStripe['dispute']>[1]): SentEvent {
    const charge = this.#chargeOf(paymentIntent);
    const dispute: Dispute = {
      id: change.id ?? `dp_${paymentIntent}`, object: 'dispute', amount: change.cents ?? charge.amount, currency: charge.currency, status: change.status, livemode: this.#live,
      payment_intent: paymentIntent, charge: charge.id,
    };
    return this.event(`charge.dispute.${change.event}`, dispute);
  }

  event(type: EventType, object: object, over: Partial<SentEvent> = {}): SentEvent {
    return { id: this.#mint('evt'), object: 'event', type, created: Math.floor(Date.now() / 1000), livemode: this.#live, api_version: Stripe.API_VERSION, data: { object }, ...over };
  }

  #open(form: URLSearchParams): Session {
    refuseStrangers(form, SESSION_PARAMETERS);
    const cents = Number(needed(form, 'line_items[0][price_data][unit_amount]')) * Number(form.get('line_items[0][quantity]') ?? '1');
    if (!Number.isInteger(cents) || cents < 50) throw new StripeRefusal(400, 'invalid_request_error', 'amount_too_small', `The amount must be at least 50 cents, not ${cents}`);
    const successUrl = needed(form, 'success_url');
    if (!URL.canParse(successUrl)) throw new StripeRefusal(400, 'invalid_request_error', 'url_invalid', `Not a valid URL: ${successUrl}`);
    const id = this.#mint(this.#live ? 'cs_live' : 'cs_test');
    const session: Session = {
      id, object: 'checkout.session', mode: needed(form, 'mode') === 'payment' ? 'payment' : 'subscription', status: 'open', payment_status: 'unpaid',
      client_reference_id: form.get('client_reference_id'), metadata: metadataIn(form, 'metadata'),
      amount_total: cents, currency: needed(form, 'line_items[0][price_data][currency]'), livemode: this.#live,
      success_url: successUrl, cancel_url: form.get('cancel_url'), url: `https://checkout.stripe.com/c/pay/${id}`, payment_intent: null, expires_at: Math.floor(Date.now() / 1000) + 86_400,
    };
    this.#sessions.set(id, session);
    return session;
  }

  #refund(form: URLSearchParams): Refund {
    refuseStrangers(form, REFUND_PARAMETERS);
    const charge = this.#chargeOf(needed(form, 'payment_intent'));
    const amount = Number(form.get('amount') ?? charge.amount - charge.amount_refunded);
    if (amount > charge.amount - charge.amount_refunded) throw new StripeRefusal(400, 'invalid_request_error', 'charge_already_refunded', 'Refund amount is greater than unrefunded amount on charge');
    this.refundInDashboard(charge.payment_intent, amount);
    const refund: Refund = { id: this.#mint('re'), object: 'refund', amount, currency: charge.currency, status: 'succeeded', payment_intent: charge.payment_intent, charge: charge.id };
    this.refunds.push(refund);
    return refund;
  }

  #take(session: Session, status: 'succeeded' | 'processing'): Payment {
    const amount = session.amount_total ?? 0;
    const currency = session.currency ?? 'usd';
    const metadata = session.metadata ?? {};
    const chargeId = this.#mint('ch');
    const payment: Payment = { id: this.#mint('pi'), object: 'payment_intent', amount, currency, status, metadata, livemode: this.#live, latest_charge: chargeId };
    this.#payments.set(payment.id, payment);
    this.#charges.set(payment.id, { id: chargeId, object: 'charge', amount, amount_refunded: 0, refunded: false, currency, metadata, livemode: this.#live, payment_intent: payment.id });
    return payment;
  }

  #payment(id: string): Payment {
    const payment = this.#payments.get(id);
    if (payment === undefined) throw new StripeRefusal(404, 'invalid_request_error', 'resource_missing', `No such payment_intent: '${id}'`);
    return payment;
  }

  #chargeOf(paymentIntent: string): Charge {
    const charge = this.#charges.get(this.#payment(paymentIntent).id);
    if (charge === undefined) throw new Error(`no charge of ${paymentIntent}`);
    return charge;
  }

  #mint(prefix: string): string {
    this.#count += 1;
    return `${prefix}_fake${String(this.#count).padStart(6, '0')}`;
  }
}

function refuseStrangers(form: URLSearchParams, known: readonly string[]): void {
  for (const name of form.keys()) {
    const top = name.split('[')[0] ?? '';
    if (!known.includes(top)) throw new StripeRefusal(400, 'invalid_request_error', 'parameter_unknown', `Received unknown parameter: ${top}`);
  }
}

function needed(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (value === null || value === '') throw new StripeRefusal(400, 'invalid_request_error', 'parameter_missing', `Missing required param: ${name}.`);
  return value;
}

function metadataIn(form: URLSearchParams, name: string): Record<string, string> {
  const found = [...form].flatMap(([key, value]) => (key.startsWith(`${name}[`) ? [[key.slice(name.length + 1, -1), value] as const] : []));
  return Object.fromEntries(found);
}

function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return typeof value === 'string' ? value : undefined;
}

async function readText(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of req.setEncoding('utf8')) text += String(piece);
  return text;
}
