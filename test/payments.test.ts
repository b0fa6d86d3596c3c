import t from 'tap';
import { Fault } from '../src/faults.ts';
import { parseUsd } from '../src/money/index.ts';
import { choosePayments, floorToCents, isSandboxId, openPayments, PAYMENT_MAX, sandboxPayment } from '../src/payments/index.ts';
import { openStripe } from './support/stripe.ts';

const RECHARGE = `rch_${'0'.repeat(26)}`;
const usd = parseUsd;
const wish = (amount: string, rechargeId = RECHARGE) => ({ rechargeId, amount: usd(amount), label: 'API credits: $9.45', successUrl: 'http://localhost/ok', cancelUrl: 'http://localhost/no' });

async function refusalOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(() => undefined, (thrown: unknown) => thrown);
  if (!(error instanceof Fault)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

t.test('a checkout says what we need to know it by, in whole cents', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  t.equal(stripe.requests.length, 0, 'opening asks nothing');
  const { session, url } = await payments.startCheckout(wish('10'));
  t.match(url, /^https:\/\/checkout\.stripe\.com\//);
  const [request] = stripe.requests;
  t.match(request, { method: 'POST', path: '/v1/checkout/sessions', key: `findtoken-${RECHARGE}` });
  t.same(request?.form, {
    mode: 'payment',
    client_reference_id: RECHARGE,
    'metadata[recharge]': RECHARGE,
    'payment_intent_data[metadata][recharge]': RECHARGE,
    'line_items[0][quantity]': '1',
    'line_items[0][price_data][currency]': 'usd',
    'line_items[0][price_data][unit_amount]': '1000',
    'line_items[0][price_data][product_data][name]': 'API credits: $9.45',
    'adaptive_pricing[enabled]': 'false',
    success_url: 'http://localhost/ok',
    cancel_url: 'http://localhost/no',
  });
  t.equal((await payments.startCheckout(wish('10'))).session, session, 'the same wish again is the same checkout');
  const other = await refusalOf(payments.startCheckout(wish('11')));
  t.equal(other.code, 'invalid_request', 'another amount under the same id is refused');
});

t.test('amounts cross exactly, or not at all', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  const crossing = [['0.50', '50'], ['10', '1000'], ['25.50', '2550'], ['999999.99', '99999999']] as const;
  for (const [index, [amount, cents]] of crossing.entries()) {
    const id = `rch_${String(index).padStart(26, '1')}`;
    const { session } = await payments.startCheckout(wish(amount, id));
    t.equal(stripe.requests.at(-1)?.form['line_items[0][price_data][unit_amount]'], cents, `$${amount} is ${cents} cents`);
    const { paymentIntent } = stripe.pay(session);
    t.same(await payments.pollCheckout(session), { kind: 'paid', rechargeId: id, session, paymentIntent, amount: usd(amount), currency: 'usd' }, 'and comes back as it went');
  }
  for (const [amount, why] of [['0.001', 'a tenth of a cent'], ['10.00000001', 'the books\' last digit'], ['0', 'nothing'], ['-1', 'less'], ['1000000', 'more than Stripe takes']] as const) {
    await t.rejects(payments.startCheckout(wish(amount)), RangeError, why);
  }
  t.equal(PAYMENT_MAX, usd('999999.99'));
  for (const [amount, floor] of [['9.459', '9.45'], ['9.45', '9.45'], ['0.00999999', '0'], ['0', '0']] as const) t.equal(floorToCents(usd(amount)), usd(floor), `${amount} holds ${floor} in whole cents`);
});

t.test('asking how a checkout stands', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  let count = 0;
  const open = async () => {
    count += 1;
    const rechargeId = `rch_${String(count).padStart(26, '0')}`;
    return { rechargeId, ...(await payments.startCheckout(wish('10', rechargeId))) };
  };
  const waiting = await open();
  t.match(await payments.pollCheckout(waiting.session), { kind: 'nothing', about: 'a checkout that is open and unpaid' });
  stripe.expire(waiting.session);
  t.same(await payments.pollCheckout(waiting.session), { kind: 'expired', rechargeId: waiting.rechargeId, session: waiting.session }, 'its time is over');
  const slow = await open();
  stripe.payLater(slow.session);
  t.match(await payments.pollCheckout(slow.session), { kind: 'nothing' }, 'paid in a slow way, which is under way');
  stripe.settleLater(slow.session, 'failed');
  t.match(await payments.pollCheckout(slow.session), { kind: 'expired', rechargeId: slow.rechargeId }, 'and failed, though the checkout stays complete for ever');
  const late = await open();
  stripe.payLater(late.session);
  stripe.settleLater(late.session, 'succeeded');
  t.match(await payments.pollCheckout(late.session), { kind: 'paid', amount: usd('10') }, 'or came');
  t.equal((await refusalOf(payments.pollCheckout('cs_test_unknown'))).code, 'invalid_request', 'a checkout that Stripe does not know');
});

t.test('a refund is paid once under its key, and Stripe tells the total', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  const { session } = await payments.startCheckout(wish('10'));
  const { paymentIntent } = stripe.pay(session);
  t.match(await payments.pollRefunds(paymentIntent), { kind: 'refunded', paymentIntent, refunded: 0n, currency: 'usd' });
  for (const _ of ['first', 'again']) await payments.refund({ paymentIntent, amount: usd('4'), key: 'one' });
  await payments.refund({ paymentIntent, amount: usd('1.50'), key: 'two' });
  t.match(await payments.pollRefunds(paymentIntent), { refunded: usd('5.50') });
  t.equal(stripe.refunds.length, 2);
  const tooMuch = await refusalOf(payments.refund({ paymentIntent, amount: usd('4.51'), key: 'three' }));
  t.match(tooMuch, { code: 'invalid_request', message: /charge_already_refunded/ }, 'no more than was paid');
});

t.test('when Stripe does not do its part', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  stripe.fail(500, 1);
  t.match(await payments.startCheckout(wish('10')), { session: /^cs_test_/ }, 'a failure that passes is not seen');
  stripe.fail(503, 3);
  const down = await refusalOf(payments.pollCheckout('cs_test_fake000001'));
  t.match({ code: down.code, status: down.status, retry: down.headers['retry-after'] }, { code: 'payments_unavailable', status: 503, retry: '5' }, 'one that stays is');
  const strangers = openPayments({ secretKey: 'sk_test_wrong_canary', apiBase: stripe.url });
  const refused = await refusalOf(strangers.startCheckout(wish('10')));
  t.match(refused, { code: 'payments_unavailable', message: /secret_key/ }, 'a wrong key is the operator\'s matter');
  t.notMatch(refused.message, /canary|sk_test/, 'and is not told, though Stripe\'s own words quote it');
  const gone = openPayments({ secretKey: 'sk_test_x', apiBase: 'http://127.0.0.1:1' });
  t.equal((await refusalOf(gone.pollCheckout('cs_test_1'))).status, 503, 'nobody there');
});

t.test('an answer that is nonsense is one that did not come', async (t) => {
  const stripe = await openStripe(t);
  const payments = openPayments({ secretKey: stripe.secretKey, apiBase: stripe.url });
  const { session } = await payments.startCheckout(wish('10'));
  const { paymentIntent } = stripe.pay(session);
  const calls = [
    ['a checkout', () => payments.startCheckout(wish('10', `rch_${'7'.repeat(26)}`))],
    ['how it stands', () => payments.pollCheckout(session)],
    ['what was paid back', () => payments.pollRefunds(paymentIntent)],
    ['a refund', () => payments.refund({ paymentIntent, amount: usd('1'), key: 'one' })],
  ] as const;
  const bodies = ['null', '7', '"pi_1"', 'true', '[]', '[{}]', '{}', '', '<html>', '{"id":7}', '{"id":""}', '{"error":7}', '{"error":{}}', '{"error":"x"}'];
  for (const body of bodies) for (const [what, call] of calls) {
    stripe.garble(body);
    t.match(await refusalOf(call()), { code: 'payments_unavailable', status: 503 }, `${what}: ${body}`);
  }
  for (const url of ['null', '7', '""', '"no address"']) {
    stripe.garble(`{"id":"cs_1","url":${url}}`);
    t.match(await refusalOf(payments.startCheckout(wish('10'))), { code: 'payments_unavailable', message: /no page to pay on/ }, `a page at ${url}`);
  }
  for (const [what, call] of calls) await t.resolves(async () => void (await call()), `${what}, once it answers again`);
});

t.test('which payments an installation has', async (t) => {
  const key = 'sk_test_x';
  const cases = [
    // secret key, sandbox's address, kind, why
    [key, undefined, 'stripe', 'a key is Stripe'],
    [key, 'http://127.0.0.1:8787', 'stripe', 'a key goes before the sandbox'],
    ['', 'http://127.0.0.1:8787', 'sandbox', 'no key, and the sandbox is on'],
    ['', 'http://localhost:8787', 'sandbox', 'by name'],
    ['', 'http://[::1]:8787', 'sandbox', 'IPv6'],
    ['', undefined, undefined, 'neither'],
    ['', 'https://gateway.example.com', undefined, 'play money is not handed to the network'],
    ['', 'http://0.0.0.0:8787', undefined, 'nor to every network there is'],
    ['', 'http://127.0.0.1.example.com', undefined, 'nor to a name that looks like ours'],
  ] as const;
  for (const [secretKey, url, kind, why] of cases) {
    t.equal(choosePayments({ secretKey, apiBase: 'https://api.stripe.com', sandboxUrl: url === undefined ? undefined : () => url })?.kind, kind, why);
  }
  const modes = [['sk_live_x', true], ['rk_live_x', true], ['sk_test_x', false], ['rk_test_x', false], ['something', false]] as const;
  for (const [secretKey, isLive] of modes) t.equal(openPayments({ secretKey, apiBase: 'https://api.stripe.com' }).isLive, isLive, secretKey);
});

t.test('the sandbox takes no money and asks nobody', async (t) => {
  const payments = choosePayments({ secretKey: '', apiBase: 'http://127.0.0.1:1', sandboxUrl: () => 'http://127.0.0.1:8787' });
  const checkout = await payments?.startCheckout(wish('10'));
  t.same(checkout, { session: `sandbox_${RECHARGE}`, url: `http://127.0.0.1:8787/sandbox/checkout/${RECHARGE}` });
  t.ok(isSandboxId(checkout?.session ?? '') && isSandboxId(sandboxPayment(RECHARGE)), 'its ids are known for its own');
  t.notOk(isSandboxId('cs_test_1'));
  t.match(await payments?.pollCheckout('sandbox_x'), { kind: 'nothing' });
});
