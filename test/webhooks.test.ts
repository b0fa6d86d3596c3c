import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { landMessage } from '../src/accounts/index.ts';
import { openLedger, type Ledger } from '../src/ledger/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { readWebhook } from '../src/payments/index.ts';
import { pause } from './support/provider.ts';
import { openShop, type Shop } from './support/shop.ts';

const DYING = fileURLToPath(new URL('./support/dying-till.ts', import.meta.url));
const usd = (text: string) => parseUsd(text);

/** The balance, what the recharge says, and that the books add up. */
async function stands(t: Test, shop: Shop, expected: { readonly balance: string; readonly frozen?: boolean; readonly status?: string; readonly id?: string }, why: string): Promise<void> {
  const { balance, frozen } = await shop.account();
  t.equal(balance, usd(expected.balance), `${why}: the balance is ${expected.balance}`);
  t.equal(frozen, expected.frozen ?? false, `${why}: ${expected.frozen === true ? 'frozen' : 'not frozen'}`);
  if (expected.id !== undefined) t.equal((await shop.recharge(expected.id)).status, expected.status, `${why}: the recharge is ${expected.status}`);
  t.same(await shop.audit(), [], `${why}: the audit finds nothing`);
}

t.test('W1: one event, delivered a hundred times at once, credits once', async (t) => {
  const shop = await openShop(t, { books: 'daemon' });
  const { id, session } = await shop.open(20);
  const { completed } = shop.stripe.pay(session);
  const statuses = await Promise.all(Array.from({ length: 100 }, () => shop.deliver(completed)));
  t.ok(statuses.every((status) => status === 200), 'each is acknowledged');
  await stands(t, shop, { balance: '18.90', id, status: 'paid' }, '$20 at 5.5 %');
  const { rows } = await shop.house.ledger.listTransfers({ limit: 100 });
  t.same(new Map(rows.map(({ kind, amount }) => [kind, amount])), new Map([['recharge', usd('18.90')], ['recharge_fee', usd('1.10')]]), 'a credit and a fee');
  t.equal(rows.length, 2, 'one of each');
});

t.test('W2: a payment that several events tell of credits once', async (t) => {
  const shop = await openShop(t);
  const { id, session } = await shop.open();
  const { completed, succeeded } = shop.stripe.pay(session);
  const late = shop.stripe.event('checkout.session.async_payment_succeeded', completed.data.object);
  t.same(await Promise.all([succeeded, late, completed, late].map((event) => shop.deliver(event))), [200, 200, 200, 200]);
  await stands(t, shop, { balance: '9.45', id, status: 'paid' }, 'completed, async_payment_succeeded and payment_intent.succeeded');
});

t.test('events that are not believed change nothing', async (t) => {
  const shop = await openShop(t);
  const { id, session } = await shop.open();
  const { completed } = shop.stripe.pay(session);
  const { body, headers } = shop.stripe.sign(completed);
  const send = async (how: { readonly body?: string; readonly signature?: string | undefined }) => {
    const { 'stripe-signature': signed, ...rest } = headers;
    const signature = 'signature' in how ? how.signature : signed;
    const response = await fetch(`${shop.house.url}/webhooks/stripe`, { method: 'POST', body: how.body ?? body, headers: signature === undefined ? rest : { ...rest, 'stripe-signature': signature } });
    const said = await response.text();
    t.notMatch(said, /canary/, 'no secret is told');
    return response.status;
  };
  const signedAt = (atMs: number) => ({ signature: shop.stripe.sign(completed, { atMs }).headers['stripe-signature'] });
  const signature = headers['stripe-signature'] ?? '';
  const [time = '', v1 = ''] = signature.split(',');

  await t.test('W3: a bad signature', async (t) => {
    t.equal(await send({ signature: undefined }), 400, 'none');
    t.equal(await send({ signature: '' }), 400, 'an empty one');
    t.equal(await send({ signature: 'nonsense' }), 400, 'no form of one');
    t.equal(await send({ signature: `${time},v1=${'0'.repeat(64)}` }), 400, 'another one');
    t.equal(await send({ signature: `${time},${v1.replace('v1', 'v0')}` }), 400, 'one of another scheme');
    t.equal(await shop.deliver(completed, { secret: 'whsec_of_somebody_else' }), 400, 'one by another secret');
    t.equal(await send({ body: body.replace('"amount_total": 1000', '"amount_total": 9000') }), 400, 'a body that was changed');
    t.equal(await send({ body: '' }), 400, 'no body');
  });
  await t.test('W5: the age of a signature is bounded', async (t) => {
    t.equal(await send(signedAt(Date.now() - 310_000)), 400, '310 s');
    t.equal(await send(signedAt(Date.now() - 86_400_000)), 400, 'a day');
  });
  await t.test('W6: a signature from the future is refused', async (t) => {
    t.equal(await send(signedAt(Date.now() + 310_000)), 400, '310 s ahead');
    t.equal(await send(signedAt(Date.now() + 10 * 365 * 86_400_000)), 400, 'ten years ahead');
    t.equal(await send({ signature: `t=1,${signature}` }), 400, 'two times, of which one is signed');
  });
  await t.test('W7: a body that was parsed and written anew', async (t) => {
    t.equal(await send({ body: JSON.stringify(JSON.parse(body)) }), 400);
  });
  await stands(t, shop, { balance: '0', id, status: 'pending' }, 'none of them was believed');

  await t.test('W8: two signatures while a secret is rolled: one of them is enough', async (t) => {
    t.equal(await send({ signature: `${time},v1=${'0'.repeat(64)},${v1}` }), 200);
  });
  await stands(t, shop, { balance: '9.45', id, status: 'paid' }, 'the true one was');
});

t.test('W5, W6: 299 s either way is accepted, 301 s is not', async (t) => {
  const nowMs = Date.UTC(2026, 10, 23, 12);
  const shop = await openShop(t, { clock: { nowMs: () => nowMs } });
  const event = shop.stripe.event('customer.created', { id: 'cus_1', object: 'customer' });
  for (const [seconds, status] of [[-299, 200], [-300, 200], [-301, 400], [0, 200], [299, 200], [300, 200], [301, 400]] as const) {
    t.equal(await shop.deliver(event, { atMs: nowMs + seconds * 1_000 }), status, `${seconds} s`);
  }
});

for (const [secret, why] of [['', 'an empty secret'], ['  \n', 'a blank secret']] as const) {
  t.test(`W4: ${why} closes the webhook`, async (t) => {
    const shop = await openShop(t, { yaml: { stripe: { webhook_secret: secret } } });
    const { session, id } = await shop.open();
    const { completed } = shop.stripe.pay(session);
    t.equal(await shop.deliver(completed), 503, 'Stripe tries again');
    t.equal(await shop.deliver(completed, { secret: ' ' }), 503, 'also with an event that a blank secret signed');
    await stands(t, shop, { balance: '0', id, status: 'pending' }, 'nothing was believed');
  });
}

t.test('W9: a checkout that is complete and unpaid gives nothing yet', async (t) => {
  const shop = await openShop(t);
  const slow = await shop.open();
  t.equal(await shop.deliver(shop.stripe.payLater(slow.session)), 200);
  await stands(t, shop, { balance: '0', id: slow.id, status: 'pending' }, 'the money is on its way');
  t.equal(await shop.deliver(shop.stripe.settleLater(slow.session, 'succeeded')), 200);
  await stands(t, shop, { balance: '9.45', id: slow.id, status: 'paid' }, 'it came');
  const failing = await shop.open();
  await shop.deliver(shop.stripe.payLater(failing.session));
  t.equal(await shop.deliver(shop.stripe.settleLater(failing.session, 'failed')), 200);
  await stands(t, shop, { balance: '9.45', id: failing.id, status: 'expired' }, 'it did not');
});

t.test('W10: a refund that comes before its payment is kept, and counts when that lands', async (t) => {
  const shop = await openShop(t);
  const { id, session } = await shop.open();
  const { completed, paymentIntent } = shop.stripe.pay(session);
  const early = shop.stripe.refundInDashboard(paymentIntent, 100);
  t.equal(await shop.deliver(shop.stripe.refundInDashboard(paymentIntent, 300)), 200);
  t.equal(await shop.deliver(early), 200, 'a smaller total, late');
  await stands(t, shop, { balance: '0', id, status: 'pending' }, 'kept');
  t.equal(await shop.deliver(completed), 200);
  await stands(t, shop, { balance: '5.45', id, status: 'partially_refunded' }, '9.45 less 4.00');
});

t.test('W11: partial refunds out of order: the largest total counts', async (t) => {
  const shop = await openShop(t);
  const { id, paymentIntent } = await shop.paid();
  const first = shop.stripe.refundInDashboard(paymentIntent, 100);
  const second = shop.stripe.refundInDashboard(paymentIntent, 300);
  await shop.deliver(second);
  await stands(t, shop, { balance: '5.45', id, status: 'partially_refunded' }, 'the second, of 4.00 in all');
  await shop.deliver(first);
  await shop.deliver(second);
  await stands(t, shop, { balance: '5.45', id, status: 'partially_refunded' }, 'the first came late, the second twice');
  await shop.deliver(shop.stripe.refundInDashboard(paymentIntent, 600));
  await stands(t, shop, { balance: '0', id, status: 'refunded' }, 'all of it: 9.45 out of the credits, 0.55 out of the fee');
  t.match(await shop.recharge(id), { refunded: usd('10'), refundedCredits: usd('9.45') });
});

t.test('W12: a refund of more than the balance is a debt and freezes; paying it thaws', async (t) => {
  const shop = await openShop(t);
  const { id, paymentIntent } = await shop.paid();
  await shop.house.ledger.grant({ accountId: shop.house.accountId, amount: -usd('9'), reference: 'spent', note: 'spent', nowMs: Date.now() });
  await shop.deliver(shop.stripe.refundInDashboard(paymentIntent, 1000));
  await stands(t, shop, { balance: '-9', frozen: true, id, status: 'refunded' }, '9.45 taken back, 0.45 were there');
  t.equal((await shop.house.get('/v1/models')).status, 403, 'a frozen account is not served');
  const seen = await shop.house.get('/v1/user/balance');
  t.match(await seen.json(), { balance: -9, available: -9 }, 'but sees its debt');
  const small = await shop.open(); // over HTTP, frozen as it is
  await shop.deliver(shop.stripe.pay(small.session).completed);
  await stands(t, shop, { balance: '0.45', id: small.id, status: 'paid' }, 'a recharge pays the debt');
  t.equal((await shop.house.get('/v1/models')).status, 200, 'and it is served again');
});

t.test('W13: a dispute freezes; won gives back, lost keeps; each message may come twice', async (t) => {
  const shop = await openShop(t);
  const { id, paymentIntent } = await shop.paid();
  await shop.paid(20);
  const opened = () => shop.stripe.dispute(paymentIntent, { id: 'dp_1', status: 'needs_response', event: 'created' });
  const won = () => shop.stripe.dispute(paymentIntent, { id: 'dp_1', status: 'won', event: 'closed' });
  const first = opened();
  for (const event of [first, first, opened(), shop.stripe.dispute(paymentIntent, { id: 'dp_1', status: 'needs_response', event: 'funds_withdrawn' })]) t.equal(await shop.deliver(event), 200);
  await stands(t, shop, { balance: '18.90', frozen: true, id, status: 'disputed' }, 'opened: frozen although there is a balance');
  const refused = await shop.house.get('/v1/models');
  t.equal(refused.status, 403);
  t.match(await refused.json(), { error: { code: 'account_inactive', message: /frozen: a payment of it is disputed\. It is served again when the dispute is closed; a recharge does not/ } }, 'it owes nothing, and is not told to pay');
  await shop.house.ledger.grant({ accountId: shop.house.accountId, amount: usd('1'), reference: 'g', note: 'gift', nowMs: Date.now() });
  await stands(t, shop, { balance: '19.90', frozen: true, id, status: 'disputed' }, 'credits do not thaw while it is open');
  await pause(2);
  const beforeMs = Date.now();
  for (const event of [won(), won(), opened()]) t.equal(await shop.deliver(event), 200);
  t.ok(Number((await shop.house.ledger.findAccount(shop.house.accountId))?.activityMs) >= beforeMs, 'what comes back counts as activity: its year begins anew');
  await stands(t, shop, { balance: '29.35', id, status: 'paid' }, 'won, and the opening told once more');

  const lost = () => shop.stripe.dispute(paymentIntent, { id: 'dp_2', status: 'lost', event: 'closed' });
  await shop.deliver(lost());
  await stands(t, shop, { balance: '19.90', id, status: 'disputed' }, 'lost, before its opening was told; out of debt, so not frozen');
  await shop.deliver(shop.stripe.dispute(paymentIntent, { id: 'dp_2', status: 'needs_response', event: 'created' }));
  await shop.deliver(lost());
  await stands(t, shop, { balance: '19.90', id, status: 'disputed' }, 'told again, late');

  const inquiry = shop.stripe.dispute(paymentIntent, { id: 'dp_3', status: 'warning_needs_response', event: 'created' });
  t.equal(await shop.deliver(inquiry), 200);
  await stands(t, shop, { balance: '19.90', id, status: 'disputed' }, 'an inquiry takes nothing');
});

t.test('W13: a dispute before its payment, and one that exceeds the balance', async (t) => {
  const shop = await openShop(t);
  const { id, session } = await shop.open();
  const { completed, paymentIntent } = shop.stripe.pay(session);
  await shop.deliver(shop.stripe.dispute(paymentIntent, { status: 'needs_response', event: 'created' }));
  await shop.deliver(completed);
  await stands(t, shop, { balance: '0', frozen: true, id, status: 'disputed' }, 'credited and taken back');
  await shop.deliver(shop.stripe.dispute(paymentIntent, { status: 'lost', event: 'closed' }));
  await stands(t, shop, { balance: '0', id, status: 'disputed' }, 'lost, nothing owed');
  const { paymentIntent: second } = await shop.paid();
  await shop.house.ledger.grant({ accountId: shop.house.accountId, amount: -usd('9.45'), reference: 'spent', note: 'spent', nowMs: Date.now() });
  await shop.deliver(shop.stripe.dispute(second, { status: 'lost', event: 'closed' }));
  await stands(t, shop, { balance: '-9.45', frozen: true }, 'lost after it was spent: a debt, frozen');
});

t.test('W14: an event of the other mode is refused', async (t) => {
  for (const [secretKey, livemode, status] of [['sk_live_canary', false, 400], ['sk_test_canary', true, 400], ['rk_live_canary', true, 200], ['sk_test_canary', false, 200]] as const) {
    const shop = await openShop(t, { secretKey });
    const { session } = await shop.open();
    const { completed } = shop.stripe.pay(session);
    t.equal(await shop.deliver({ ...completed, livemode }), status, `${secretKey}, livemode ${livemode}`);
    await stands(t, shop, { balance: status === 200 ? '9.45' : '0' }, 'and the books know');
  }
});

t.test('W15: what was paid must be what was asked, in every part', async (t) => {
  const shop = await openShop(t);
  const { id, session } = await shop.open();
  const other = await shop.open();
  const { completed } = shop.stripe.pay(session);
  const object = { ...completed.data.object };
  const changes: readonly (readonly [string, object])[] = [
    ['less', { amount_total: 999 }],
    ['more', { amount_total: 1001 }],
    ['a hundredth', { amount_total: 10 }],
    ['another currency', { currency: 'eur' }],
    ['a fraction', { amount_total: 1000.5 }],
    ['a text', { amount_total: '1000' }],
    ['nothing', { amount_total: null }],
    ['no payment', { payment_intent: null }],
    ['another checkout', { id: 'cs_test_other' }],
    ['the reference of another recharge', { client_reference_id: other.id }],
    ['another recharge altogether', { client_reference_id: other.id, metadata: { recharge: other.id } }],
    ['a recharge of nobody', { client_reference_id: `rch_${'0'.repeat(26)}`, metadata: { recharge: `rch_${'0'.repeat(26)}` } }],
    ['no reference', { client_reference_id: null }],
    ['no metadata', { metadata: null }],
    ['a setup', { mode: 'setup' }],
    ['paid by nobody', { payment_status: 'no_payment_required' }],
  ];
  for (const [why, change] of changes) {
    t.equal(await shop.deliver(shop.stripe.event('checkout.session.completed', { ...object, ...change })), 200, `${why} is acknowledged`);
  }
  await stands(t, shop, { balance: '0', id, status: 'pending' }, 'none of them credits');
  t.ok(shop.house.logged.some((line) => line.startsWith('payment_mismatch') && line.includes(id)), 'the operator is told');
  t.equal(await shop.deliver(completed), 200);
  await stands(t, shop, { balance: '9.45', id, status: 'paid' }, 'the true one does');
  const twin = await shop.open();
  await shop.deliver(shop.stripe.event('checkout.session.completed', { ...object, id: twin.session, client_reference_id: twin.id, metadata: { recharge: twin.id } }));
  await stands(t, shop, { balance: '9.45', id: twin.id, status: 'pending' }, 'one payment pays one recharge');
});

t.test('W16: killed in the handler, then Stripe\'s retry: exactly one credit', async (t) => {
  const { stripe } = await openShop(t);
  const id = `rch_${'1'.repeat(26)}`;
  const session = 'cs_test_16';
  const event = stripe.event('checkout.session.completed', {
    id: session, object: 'checkout.session', mode: 'payment', payment_status: 'paid', payment_intent: 'pi_16', amount_total: 1000, currency: 'usd', client_reference_id: id, metadata: { recharge: id },
  });
  const { body, headers } = stripe.sign(event);
  const signature = headers['stripe-signature'] ?? '';
  const folder = t.testdir({});
  await Promise.all((['before', 'during', 'after'] as const).map(async (die) => {
    const path = `${folder}/${die}.db`;
    const books = async (work: (ledger: Ledger) => Promise<unknown>) => {
      const ledger = await openLedger({ path, as: 'cli' });
      await work(ledger);
      await ledger.close();
    };
    const nowMs = Date.now();
    await books(async (ledger) => {
      await ledger.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs });
      await ledger.startRecharge({ id, accountId: 'acct_ann', amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs });
      await ledger.attachCheckout({ id, session, checkoutUrl: 'https://checkout.stripe.com/c/pay/cs_test_16' });
    });
    const wish = JSON.stringify({ path, body, signature, secret: stripe.webhookSecret, die });
    const ended = await new Promise((resolve) => spawn(process.execPath, [...process.execArgv, DYING, wish], { stdio: ['ignore', 'ignore', 'inherit'] }).on('exit', (code, signal) => resolve(signal ?? code)));
    t.equal(ended, 'SIGKILL', `killed ${die} the write`);
    await books(async (ledger) => {
      for (const what of ['the retry', 'one more']) {
        const { message, eventId } = await readWebhook({ body: Buffer.from(body), signature, secret: stripe.webhookSecret, isLive: false, nowMs });
        const landing = await landMessage({ ledger, nowMs: () => nowMs }, message, eventId);
        if (die !== 'during') t.equal(landing.kind, die === 'before' && what === 'the retry' ? 'done' : 'known', `killed ${die}: ${what}`);
      }
      t.equal((await ledger.findAccount('acct_ann'))?.balance, usd('9.45'), `killed ${die}: one credit`);
      t.same((await ledger.audit()).findings, []);
    });
  }));
});

t.test('the door of the webhook', async (t) => {
  const shop = await openShop(t);
  const url = `${shop.house.url}/webhooks/stripe`;
  t.equal((await fetch(url)).status, 405, 'GET');
  const { headers: signed } = shop.stripe.sign(shop.stripe.event('invoice.paid', {}));
  t.equal((await fetch(url, { method: 'POST', headers: signed, body: 'x'.repeat(1_048_577) })).status, 413, 'more than an event ever is');
  t.equal(await shop.deliver(shop.stripe.event('invoice.paid', { id: 'in_1' })), 200, 'an event that we need not know');
  const strange = shop.stripe.sign({ ...shop.stripe.event('invoice.paid', {}), id: '' });
  t.equal((await fetch(url, { method: 'POST', ...strange })).status, 400, 'an event without a name');
  const house = await openShop(t, { sandbox: true, yaml: { stripe: { secret_key: '' } } });
  t.equal(await house.deliver(house.stripe.event('invoice.paid', {})), 503, 'without a secret key nothing is believed, though there is a webhook secret');
});
