import Database from 'better-sqlite3';
import t from 'tap';
import type { Test } from 'tap';
import { landMessage, planRefund, previewRecharge, readReturnUrl, refundRecharge, syncRecharges, syncRefunds } from '../src/accounts/index.ts';
import { Fault } from '../src/faults.ts';
import { openLedger } from '../src/ledger/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { openDesk } from './support/command-line.ts';
import { openHouse } from './support/house.ts';
import { startServe } from './support/process.ts';
import { openShop, type Shop } from './support/shop.ts';
import { endOf } from './support/stories.ts';

const usd = parseUsd;
const DAY_MS = 86_400_000;
const BILLING = { minimumRecharge: usd('10'), rechargeFee: 55_000n };

const partsOf = ({ house }: Shop, nowMs = () => Date.now()) => {
  if (house.payments === undefined) throw new Error('a house without payments');
  return { ledger: house.ledger, payments: house.payments, settings: house.settings, nowMs };
};

async function stands(t: Test, shop: Shop, balance: string, why: string): Promise<void> {
  t.equal((await shop.account()).balance, usd(balance), `${why}: ${balance}`);
  t.same(await shop.audit(), [], `${why}: the audit finds nothing`);
}

t.test('what a payment gives', async (t) => {
  const cases = [
    // pay, fee, credits, why
    ['10', '0.55', '9.45', "the service's own example"],
    ['20', '1.10', '18.90', 'twice of it'],
    ['25.50', '1.4025', '24.0975', 'cents'],
    ['10.01', '0.55055', '9.45945', 'nothing is rounded to cents'],
    ['999999.99', '54999.99945', '944999.99055', 'the most'],
  ] as const;
  for (const [amount, fee, credits, why] of cases) t.same(previewRecharge(usd(amount), BILLING), { amount: usd(amount), fee: usd(fee), credits: usd(credits) }, `$${amount}: ${why}`);
  for (const [amount, why] of [['9.99', 'below the minimum'], ['0', 'nothing'], ['-10', 'less than nothing'], ['10.001', 'a tenth of a cent'], ['1000000', 'more than one payment can be']] as const) {
    t.throws(() => previewRecharge(usd(amount), BILLING), { code: 'invalid_request', param: 'amount' }, why);
  }
});

t.test('where a payer may be sent afterwards', async (t) => {
  const allowed = { publicUrl: 'https://gate.example.com/llm', returnUrls: ['https://shop.example.com/account/', 'http://intranet:8080'] };
  const cases = [
    ['http://localhost/done', true, 'localhost'],
    ['http://localhost:3000/', true, 'at any port'],
    ['https://127.0.0.1:8443/x?y=1#z', true, 'by number'],
    ['http://[::1]/', true, 'IPv6'],
    ['https://gate.example.com/llm', true, 'the public URL itself'],
    ['https://gate.example.com/llm/done?a=b', true, 'below it'],
    ['https://GATE.example.com:443/llm/x', true, 'written otherwise'],
    ['https://shop.example.com/account/thanks', true, 'a return URL of the operator'],
    ['https://shop.example.com/account', true, 'without its last stroke'],
    ['http://intranet:8080/anything', true, 'a whole origin'],
    ['https://shop.example.com/account/x?session={CHECKOUT_SESSION_ID}', true, "Stripe's own hole stays"],
    ['https://gate.example.com/llmx', false, 'a neighbour by name'],
    ['https://gate.example.com/', false, 'above it'],
    ['https://gate.example.com/llm/../admin', false, 'out of it by dots'],
    ['https://gate.example.com/llm/%2e%2e/admin', false, 'by dots in disguise'],
    ['http://gate.example.com/llm', false, 'another scheme'],
    ['https://gate.example.com:8443/llm', false, 'another port'],
    ['https://evil.example.com/llm', false, 'another host'],
    ['https://gate.example.com.evil.com/llm', false, 'a host that begins like ours'],
    ['https://gate.example.com@evil.com/llm', false, 'a user that looks like our host'],
    ['https://user:pw@gate.example.com/llm', false, 'credentials'],
    ['http://localhost.evil.com/', false, 'not localhost'],
    ['http://127.0.0.1.evil.com/', false, 'not a number'],
    ['https:\\\\evil.com\\llm', false, 'strokes the other way'],
    ['//evil.com/llm', false, 'no scheme'],
    ['/llm', false, 'no host'],
    ['javascript:alert(1)//localhost', false, 'no address'],
    ['data:text/html,localhost', false, 'no address'],
    ['ftp://localhost/', false, 'no web'],
    ['', false, 'nothing'],
    [`http://localhost/${'x'.repeat(2_000)}`, false, 'too long'],
  ] as const;
  for (const [url, isAllowed, why] of cases) {
    if (isAllowed) t.ok(URL.canParse(readReturnUrl('success_url', url, allowed)), `${url}: ${why}`);
    else t.throws(() => readReturnUrl('cancel_url', url, allowed), { code: 'invalid_request', param: 'cancel_url' }, `${url.slice(0, 60)}: ${why}`);
  }
  t.equal(readReturnUrl('success_url', 'http://local\nhost/\tdone', allowed), 'http://localhost/done', 'what is handed on is what a browser reads');
});

t.test('over HTTP: opening, refusals, the list', async (t) => {
  const shop = await openShop(t);
  const opened = await shop.ask({ amount: 10, success_url: 'https://shop.example.com/account/ok', cancel_url: 'http://localhost:3000/no' });
  t.equal(opened.status, 201);
  t.equal(opened.headers.get('x-findtoken-cost'), '0.00');
  const view: unknown = await opened.json();
  t.match(view, { id: /^rch_[0-9a-z]{26}$/, object: 'recharge', status: 'pending', currency: 'usd', amount: 10, fee: 0.55, credits: 9.45, refunded: 0, paid: null, checkout_url: /^https:\/\/checkout\.stripe\.com\// });
  t.equal((await shop.ask({ amount: '25.50' })).status, 201, 'a text is an amount too, and the addresses may be left out');
  const refusals = [
    [{}, 'amount'], [{ amount: 9.99 }, 'amount'], [{ amount: '10.001' }, 'amount'], [{ amount: '1e3' }, 'amount'], [{ amount: null }, 'amount'], [{ amount: true }, 'amount'], [{ amount: -20 }, 'amount'],
    [{ amount: 10, success_url: 'https://evil.example.com/' }, 'success_url'], [{ amount: 10, cancel_url: 7 }, 'cancel_url'], [[10], null],
  ] as const;
  const asked = shop.stripe.requests.length;
  for (const [body, param] of refusals) {
    const response = await shop.ask(body);
    t.match({ status: response.status, body: await response.json() }, { status: 400, body: { error: { code: 'invalid_request', param } } }, JSON.stringify(body));
  }
  t.equal(shop.stripe.requests.length, asked, 'no refusal reached Stripe');
  t.equal((await shop.ask({ amount: 10 }, { authorization: 'Bearer sk-ft_wrong' })).status, 401);

  const list = async (query: string) => {
    const response = await shop.house.get(`/v1/user/recharges${query}`);
    const body: unknown = await response.json();
    return { status: response.status, body };
  };
  await shop.paid(20);
  t.match(await list(''), { status: 200, body: { object: 'list', data: [{ amount: 20, status: 'paid', credits: 18.9, checkout_url: null, paid: Number }, { amount: 25.5 }, { amount: 10 }], has_more: false, next: null } });
  t.match(await list('?status=pending&limit=1'), { body: { data: [{ amount: 25.5, status: 'pending' }], has_more: true, next: String } });
  t.equal((await list('?status=gone')).status, 400);
  t.equal((await list('?after=x')).status, 400);
  await shop.house.ledger.createAccount({ id: 'acct_bob', email: 'bob@example.com', status: 'active', nowMs: Date.now() });
  t.same((await shop.house.ledger.listRecharges({ accountId: 'acct_bob' }, { limit: 10 })).rows, [], "another account's are not shown");
  for (let count = 2; count < 20; count += 1) await shop.open();
  t.equal((await shop.ask({ amount: 10 })).status, 429, 'twenty checkouts open: the next one waits');
});

t.test('without payments, and without Stripe', async (t) => {
  const none = await openHouse(t, { books: 'cli' });
  const headers = { authorization: `Bearer ${none.key}`, 'content-type': 'application/json' };
  const refused = await fetch(`${none.url}/v1/user/credits`, { method: 'POST', headers, body: '{"amount":10}' });
  t.match({ status: refused.status, retry: refused.headers.get('x-should-retry') }, { status: 503, retry: 'false' }, 'nobody takes payments here');
  t.equal((await fetch(`${none.url}/sandbox/checkout/rch_1`)).status, 404, 'and there is no page that pays');

  let nowMs = Date.now();
  const shop = await openShop(t, { clock: { nowMs: () => nowMs } });
  shop.stripe.fail(500, 3);
  t.equal((await shop.ask({ amount: 10 })).status, 503, 'Stripe is down');
  const [left] = (await shop.house.ledger.listRecharges({}, { limit: 5 })).rows;
  t.match(left, { status: 'pending', session: '', checkoutUrl: '' }, 'the wish is in the books');
  t.match(await syncRecharges(partsOf(shop, () => nowMs), {}), { checked: 1, changed: [] }, 'it may still be under way');
  nowMs += 3_600_001;
  t.match(await syncRecharges(partsOf(shop, () => nowMs), {}), { changed: [{ status: 'expired' }] }, 'an hour later nobody can know its page');
  for (const body of ['[]', '"a text"']) {
    shop.stripe.garble(body);
    const nonsense = await shop.ask({ amount: 10 });
    t.match({ status: nonsense.status, body: await nonsense.json() }, { status: 503, body: { error: { code: 'payments_unavailable' } } }, `an answer of ${body} is no checkout`);
  }
  nowMs += 3_600_001;
  t.match(await syncRecharges(partsOf(shop, () => nowMs), {}), { changed: [{ status: 'expired' }, { status: 'expired' }] }, 'and what waited for one ends as well');
});

t.test('a lost webhook heals by asking', async (t) => {
  const shop = await openShop(t);
  const [paid, expired, open, slow] = [await shop.open(20), await shop.open(), await shop.open(), await shop.open()];
  shop.stripe.pay(paid.session);
  shop.stripe.expire(expired.session);
  shop.stripe.payLater(slow.session);
  const synced = await syncRecharges(partsOf(shop), {});
  t.equal(synced.checked, 4);
  t.same(new Map(synced.changed.map(({ id, status }) => [id, status])), new Map([[paid.id, 'paid'], [expired.id, 'expired']]));
  await stands(t, shop, '18.90', 'the paid one is credited');
  t.match(await syncRecharges(partsOf(shop), {}), { checked: 2, changed: [] }, 'only the open ones are asked about again');
  t.equal((await shop.recharge(open.id)).status, 'pending');
  await shop.house.ledger.startRecharge({ id: `rch_${'9'.repeat(26)}`, accountId: shop.house.accountId, amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs: Date.now() });
  await shop.house.ledger.attachCheckout({ id: `rch_${'9'.repeat(26)}`, session: 'cs_test_of_another_key', checkoutUrl: 'https://x' });
  shop.stripe.settleLater(slow.session, 'succeeded');
  t.match(await syncRecharges(partsOf(shop), {}), { unknown: [`rch_${'9'.repeat(26)}`], changed: [{ id: slow.id }] }, 'one that Stripe does not know stops no other');
  await stands(t, shop, '28.35', 'and the slow one came');
});

t.test('what a rehearsal with a test key left open is closed under a live one', async (t) => {
  const shop = await openShop(t, { secretKey: 'sk_live_canary4f0b' });
  const { ledger, accountId } = shop.house;
  const nowMs = Date.now();
  const left = async (id: string, session: string, hours: number): Promise<void> => {
    await ledger.startRecharge({ id, accountId, amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs: nowMs - hours * 3_600_000 });
    await ledger.attachCheckout({ id, session, checkoutUrl: 'https://x' });
  };
  await left('rch_old', 'cs_test_old', 25);
  await left('rch_young', 'cs_test_young', 23);
  await left('rch_another', 'cs_live_of_another_key', 1_000);
  t.match(await syncRecharges(partsOf(shop, () => nowMs), {}), { checked: 3, changed: [{ id: 'rch_old', status: 'expired' }], unknown: ['rch_another', 'rch_young'] }, 'real money is asked for as long as it takes');
});

t.test('the same event a hundred times at once, and by polling too: still 18.90', async (t) => {
  const shop = await openShop(t, { books: 'daemon' });
  const { session, id } = await shop.open(20);
  const { completed } = shop.stripe.pay(session);
  const work: Promise<unknown>[] = [];
  for (let count = 0; count < 100; count += 1) {
    work.push(shop.deliver(completed));
    if (count % 5 === 0) work.push(syncRecharges(partsOf(shop), {}));
    if (count % 10 === 0) work.push(shop.deliver({ ...completed, id: `${completed.id}_${count}` }));
  }
  await Promise.all(work);
  await stands(t, shop, '18.90', 'webhook and polling');
  t.equal((await shop.recharge(id)).status, 'paid');
});

t.test('refunds: with refund_fee: unspent the fee of an untouched recharge goes back too, and only of that', async (t) => {
  const shop = await openShop(t);
  const parts = partsOf(shop, () => Date.now());
  const giving = { ...parts, settings: { ...parts.settings, billing: { ...parts.settings.billing, refundFee: 'unspent' as const } } };
  const { id, session } = await shop.open();
  await shop.deliver(shop.stripe.pay(session).completed);
  t.match(await planRefund(parts, id), { amount: usd('9.45') }, 'kept, without the setting');
  await shop.house.ledger.grant({ accountId: shop.house.accountId, amount: -usd('1'), reference: 'a', note: 'spent', nowMs: Date.now() });
  t.match(await planRefund(giving, id), { amount: usd('8.45') }, 'something was spent');
  const { ledger, accountId } = shop.house;
  await ledger.hold({ id: 'req_1', accountId, keyId: '', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: usd('2'), byok: undefined, nowMs: Date.now() });
  t.match(await planRefund(giving, id), { amount: usd('6.45') }, 'and what a request under way may still cost is not paid back');
  await ledger.release(endOf('req_1', Date.now()));
  await shop.house.ledger.grant({ accountId: shop.house.accountId, amount: usd('1'), reference: 'b', note: 'back', nowMs: Date.now() });
  t.match(await refundRecharge(giving, id), { amount: usd('10'), recharge: { status: 'refunded', refunded: usd('10'), refundedCredits: usd('9.45') } });
  await stands(t, shop, '0.00', 'credits and fee are both gone');
  t.same((await shop.house.ledger.audit()).findings, []);
});

t.test('refunds: the unused part, once, within the days', async (t) => {
  let nowMs = Date.UTC(2026, 10, 23, 12);
  const shop = await openShop(t, { clock: { nowMs: () => nowMs } });
  const parts = partsOf(shop, () => nowMs);
  const refuses = async (id: string, pattern: RegExp, why: string, works = [planRefund, refundRecharge]) => {
    for (const work of works) {
      const error = await work(parts, id).then(() => undefined, (thrown: unknown) => thrown);
      t.ok(error instanceof Fault && pattern.test(error.message), why);
    }
  };
  const spend = (amount: string, reference: string) => shop.house.ledger.grant({ accountId: shop.house.accountId, amount: -usd(amount), reference, note: 'spent', nowMs });
  const openOne = async () => {
    const { id, session } = await shop.open();
    const { completed, paymentIntent } = shop.stripe.pay(session);
    const response = await shop.stripe.deliver(shop.house.url, completed, { atMs: nowMs });
    t.equal(response.status, 200);
    return { id, paymentIntent };
  };
  const first = await openOne();
  await spend('2.00000001', 'a');
  t.match(await planRefund(parts, first.id), { amount: usd('7.44') }, '9.45 less 2.00000001, in whole cents');
  t.equal(shop.stripe.refunds.length, 0, 'a plan pays nothing');
  t.match(await refundRecharge(parts, first.id), { amount: usd('7.44'), recharge: { status: 'partially_refunded', refunded: usd('7.44'), refundedCredits: usd('7.44') } });
  await stands(t, shop, '0.00999999', 'what is less than a cent stays');
  t.match(shop.stripe.refunds, [{ amount: 744, payment_intent: first.paymentIntent }]);
  await refuses(first.id, /unused/, 'nothing is left');
  await shop.stripe.deliver(shop.house.url, shop.stripe.event('charge.refunded', { id: 'ch', object: 'charge', payment_intent: first.paymentIntent, amount_refunded: 744, currency: 'usd' }), { atMs: nowMs });
  await stands(t, shop, '0.00999999', "Stripe's own word of it changes nothing");

  const second = await openOne();
  t.match(await refundRecharge(parts, second.id), { amount: usd('9.45'), recharge: { status: 'refunded' } }, 'all credits; the fee is kept');

  const third = await openOne();
  shop.stripe.refundInDashboard(third.paymentIntent, 500);
  t.match(await refundRecharge(parts, third.id), { amount: usd('4.45'), recharge: { refunded: usd('9.45') } }, 'what the dashboard refunded is asked for first');
  await stands(t, shop, '0.00999999', 'and counted once');

  const fourth = await openOne();
  await parts.payments.refund({ paymentIntent: fourth.paymentIntent, amount: usd('9.45'), key: 'a run that broke off before the books' });
  await refuses(fourth.id, /unused/, 'run again, it finds the refund and pays no second one', [refundRecharge]);
  await stands(t, shop, '0.00999999', 'and the books have it now');
  t.equal(shop.stripe.refunds.reduce((sum, { amount }) => sum + amount, 0), 744 + 945 + 445 + 945, 'in all');

  const old = await openOne();
  const { id: unpaid } = await shop.open();
  nowMs += 14 * DAY_MS;
  t.match(await planRefund(parts, old.id), { amount: usd('9.45') }, 'on the last day');
  nowMs += 1;
  await refuses(old.id, /14 days/, 'a moment later');
  await refuses(unpaid, /pending/, 'what was never paid');
  await refuses('rch_nobody', /no recharge/, 'what does not exist');
  const disputed = await openOne();
  await shop.stripe.deliver(shop.house.url, shop.stripe.dispute(disputed.paymentIntent, { status: 'needs_response', event: 'created' }), { atMs: nowMs });
  await refuses(disputed.id, /disputed/, 'what is disputed');
});

t.test('refunds of the dashboard are found without a webhook', async (t) => {
  const shop = await openShop(t);
  const { id, paymentIntent } = await shop.paid();
  shop.stripe.refundInDashboard(paymentIntent, 200);
  t.match(await syncRefunds(partsOf(shop), { sinceMs: Date.now() - DAY_MS }), [{ id, status: 'partially_refunded' }]);
  t.same(await syncRefunds(partsOf(shop), { sinceMs: Date.now() - DAY_MS }), [], 'once');
  await stands(t, shop, '7.45', '9.45 less 2.00');
  shop.stripe.refundInDashboard(paymentIntent, 745);
  t.match(await syncRefunds(partsOf(shop), { sinceMs: Date.now() - DAY_MS }), [{ status: 'refunded', refunded: usd('9.45') }]);
  shop.stripe.refundInDashboard(paymentIntent, 55);
  t.match(await syncRefunds(partsOf(shop), { sinceMs: Date.now() - DAY_MS }), [{ status: 'refunded', refunded: usd('10') }], 'the fee, given back later');
  t.same(await syncRefunds(partsOf(shop), { sinceMs: Date.now() - DAY_MS }), []);
});

t.test('recharges and refunds in a storm of requests: every cent is where it belongs', async (t) => {
  const shop = await openShop(t, { books: 'daemon', credit: '1' });
  const { ledger, accountId } = shop.house;
  const nowMs = Date.now();
  const price = { input: 140_000n, cachedInput: 2_800n, output: 280_000n, rate: 55_000n };
  const spendOne = async (id: string) => {
    const held = await ledger.hold({ id, accountId, keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: usd('0.001'), byok: undefined, nowMs });
    if (!held.ok) return 0n;
    // 1,000 prompt tokens at $0.14 a million and 5.5 %.
    const charge = { total: 14_770n, provider: 14_000n, fee: 770n };
    const end = { id, status: 'ok', model: '', provider: '', promptTokens: 1_000, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0, usageOrigin: 'reported', latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs, price } as const;
    return (await ledger.settle({ ...end, charge })).cost;
  };
  const payOne = async (count: number) => {
    const id = `rch_${String(count).padStart(26, '0')}`;
    const payment = { paymentIntent: `pi_${count}`, currency: 'usd', eventId: undefined, nowMs };
    await ledger.startRecharge({ id, accountId, amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs });
    await ledger.landRecharge({ ...payment, id, session: `cs_${count}`, amount: usd('10') });
    if (count % 2 === 0) await ledger.refundRecharge({ ...payment, refunded: usd('1') });
  };
  const work = Array.from({ length: 300 }, (_, count) => (count % 15 === 0 ? payOne(count).then(() => 0n) : spendOne(`req_${count}`)));
  const spent = (await Promise.all(work)).reduce((sum, cost) => sum + cost, 0n);
  t.equal(spent, 280n * 14_770n, 'every request was paid');
  t.equal((await shop.account()).balance, usd('1') + 20n * usd('9.45') - 10n * usd('1') - spent);
  t.same(await shop.audit(), []);
});

t.test('a debt is paid by whatever comes, and holds thaw as they end', async (t) => {
  const shop = await openShop(t);
  const { ledger, accountId } = shop.house;
  const { paymentIntent } = await shop.paid();
  const nowMs = Date.now();
  const hold = { id: 'req_1', accountId, keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: usd('9'), byok: undefined, nowMs } as const;
  t.match(await ledger.hold(hold), { ok: true });
  await shop.deliver(shop.stripe.refundInDashboard(paymentIntent, 500));
  t.match(await shop.account(), { balance: usd('4.45'), frozen: true }, '4.45 are there, 9 of them held: more than there is');
  t.match(await ledger.hold({ ...hold, id: 'req_2', ceiling: 0n }), { ok: false, reason: 'account_inactive', frozen: true, available: usd('-4.55') }, 'no new request');
  t.match(await (await shop.house.get('/v1/models')).json(), { error: { code: 'account_inactive', message: /Recharge to cover the debt/ } }, 'a debt, of what is held');
  await ledger.release({ id: 'req_1', status: 'x', model: '', provider: '', promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0, usageOrigin: 'unknown', latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs, price: undefined });
  t.match(await shop.account(), { balance: usd('4.45'), frozen: false }, 'the hold ended: nothing is owed');
  await stands(t, shop, '4.45', 'in the end');
});

t.test('two disputes of one payment come to the same in every order of messages', async (t) => {
  const orders = [
    ['d1 open', 'd1 won', 'd2 open', 'd2 lost'], ['d1 open', 'd2 open', 'd1 won', 'd2 lost'], ['d1 open', 'd2 lost', 'd1 won'], ['d2 open', 'd1 open', 'd2 lost', 'd1 won'],
    ['d2 lost', 'd1 won'], ['d1 won', 'd2 lost', 'd1 open'],
  ];
  for (const order of orders) {
    const ledger = await openLedger({ path: `${t.testdir()}/books.db`, as: 'cli' });
    await ledger.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs: 1 });
    await ledger.startRecharge({ id: 'rch_1', accountId: 'acct_1', amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs: 1 });
    await ledger.landRecharge({ id: 'rch_1', session: 's', paymentIntent: 'pi', amount: usd('10'), currency: 'usd', eventId: 'e', nowMs: 2 });
    for (const [at, words] of order.entries()) {
      const [disputeId = '', state = ''] = words.split(' ');
      await ledger.disputeRecharge({ disputeId, paymentIntent: 'pi', amount: usd('10'), currency: 'usd', state: state as 'open' | 'won' | 'lost', eventId: `e${at}`, nowMs: 3 + at });
    }
    t.match(await ledger.findAccount('acct_1'), { balance: 0n, frozen: false }, `${order.join(', ')}: the bank has the money, the customer no credits`);
    t.match(await ledger.findRecharge('rch_1'), { status: 'disputed' });
    t.same((await ledger.audit()).findings, []);
    await ledger.close();
  }
});

t.test('the audit sees one digit changed anywhere in a recharge', async (t) => {
  const shop = await openShop(t);
  const { id, paymentIntent } = await shop.paid();
  const second = await shop.paid();
  const third = await shop.paid();
  const open = await shop.open();
  await shop.deliver(shop.stripe.refundInDashboard(paymentIntent, 300));
  await shop.deliver(shop.stripe.dispute(second.paymentIntent, { status: 'needs_response', event: 'created' }));
  t.same(await shop.audit(), []);
  const unbound = 'PRAGMA ignore_check_constraints = ON; ';
  const changes: readonly (readonly [why: string, sql: string, rule?: string])[] = [
    ['what was paid', `${unbound}UPDATE recharges SET amount = amount + 1 WHERE id = '${third.id}'`, 'I9 amount'],
    ['what is to be paid', `${unbound}UPDATE recharges SET amount = amount - 1 WHERE id = '${open.id}'`, 'I9 amount'],
    ['paid, without a payment', `${unbound}UPDATE recharges SET status = 'paid', paid_ms = 1 WHERE id = '${open.id}'`, 'I9 status'],
    ['paid, with a payment and no transfers', `UPDATE recharges SET status = 'paid', payment_intent = 'pi_none', paid_ms = 1 WHERE id = '${open.id}'`, 'I9 recharge'],
    ['refunded, and nothing was', `UPDATE recharges SET status = 'refunded' WHERE id = '${third.id}'`, 'I9 status'],
    ['paid, and some of it was refunded', `UPDATE recharges SET status = 'paid' WHERE id = '${id}'`, 'I9 status'],
    ['all refunded, and some of it was', `UPDATE recharges SET status = 'refunded' WHERE id = '${id}'`, 'I9 status'],
    ['disputed, and nobody disputes', `UPDATE recharges SET status = 'disputed' WHERE id = '${third.id}'`, 'I9 status'],
    ['paid, and disputed', `UPDATE recharges SET status = 'paid' WHERE id = '${second.id}'`, 'I9 status'],
    ['open again, and it was paid', `${unbound}UPDATE recharges SET status = 'pending' WHERE id = '${third.id}'`, 'I9 status'],
    ['the credits', `UPDATE recharges SET credits = credits + 1, amount = amount + 1 WHERE id = '${id}'`],
    ['the fee', `UPDATE recharges SET fee = fee + 1, amount = amount + 1 WHERE id = '${id}'`],
    ['what was refunded', `UPDATE recharges SET refunded = refunded + 1, refunded_credits = refunded_credits + 1 WHERE id = '${id}'`],
    ['out of what it was refunded', `UPDATE recharges SET refunded_credits = refunded_credits - 1 WHERE id = '${id}'`],
    ['a payment that never was', `UPDATE recharges SET payment_intent = '', status = 'pending' WHERE id = '${id}'`],
    ['a recharge that is gone', `DELETE FROM recharges WHERE id = '${id}'`],
    ['a second credit', `INSERT INTO transfers (kind, debit, credit, amount, reference, note, at_ms) VALUES ('recharge', 3, 100, 1, '${id}x', '', 1)`],
    ['a refund of nothing', `INSERT INTO transfers (kind, debit, credit, amount, reference, note, at_ms) VALUES ('refund', 100, 3, 1, '${id} 9', '', 1)`],
    ['what a dispute took', `UPDATE payment_disputes SET taken = taken + 1`],
    ['a dispute that took too little', `UPDATE payment_disputes SET amount = amount + 1, taken = taken; UPDATE recharges SET amount = amount + 1, fee = fee + 1 WHERE id = '${second.id}'`],
    ['a dispute that is gone', `DELETE FROM payment_disputes`],
    ['an account thawed by hand', `UPDATE payment_disputes SET account = 0`],
  ];
  const books = new Database(shop.house.settings.database.path);
  const folder = t.testdir({});
  for (const [why, sql, rule] of changes) {
    const copy = `${folder}/${changes.findIndex(([other]) => other === why)}.db`;
    await books.backup(copy);
    const victim = new Database(copy);
    victim.exec(sql);
    victim.close();
    const ledger = await openLedger({ path: copy, as: 'cli' });
    const { findings } = await ledger.audit();
    if (rule === undefined) t.not(findings.length, 0, why);
    else t.same([...new Set(findings.map((finding) => finding.rule))], [rule], why);
    await ledger.close();
  }
  books.close();
});

t.test('the sandbox: a page that pays, through the same landing', async (t) => {
  const house = await openHouse(t, { credit: '0', sandbox: true });
  const headers = { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' };
  const opened: unknown = await (await fetch(`${house.url}/v1/user/credits`, { method: 'POST', headers, body: '{"amount":20}' })).json();
  const url = typeof opened === 'object' && opened !== null && 'checkout_url' in opened ? String(opened.checkout_url) : '';
  t.ok(url.startsWith(`${house.url}/sandbox/checkout/rch_`), url);
  const page = await fetch(url);
  t.match({ status: page.status, type: page.headers.get('content-type'), csp: page.headers.get('content-security-policy') }, { status: 200, type: /^text\/html/, csp: /default-src 'none'/ });
  t.match(await page.text(), /\$20\.00[^]*\$1\.10[^]*\$18\.90[^]*<button>Pay/);
  t.equal(await house.balance(), 0n, 'looking pays nothing');
  const pay = (origin: string) => fetch(url, { method: 'POST', headers: { origin } });
  t.equal((await pay('https://evil.example.com')).status, 403, 'nor does a button on another page');
  t.equal(await house.balance(), 0n);
  const paid = await Promise.all(Array.from({ length: 20 }, () => pay(house.url)));
  t.ok(paid.every(({ status }) => status === 200), 'twenty at once');
  t.equal(await house.balance(), usd('18.90'), 'pay once');
  t.match(await (await fetch(url)).text(), /This recharge is paid/);
  t.equal((await fetch(`${house.url}/sandbox/checkout/rch_unknown`)).status, 404);
  t.equal((await fetch(`${house.url}/paid`)).status, 200);
  const [recharge] = (await house.ledger.listRecharges({}, { limit: 1 })).rows;
  const parts = { ledger: house.ledger, settings: house.settings, nowMs: () => Date.now() };
  if (house.payments === undefined || recharge === undefined) throw new Error('nothing to refund');
  t.match(await refundRecharge({ ...parts, payments: house.payments }, recharge.id), { amount: usd('18.90'), recharge: { status: 'refunded' } }, 'and back again');
  t.equal(await house.balance(), 0n);
  t.same((await house.ledger.audit()).findings, []);

  const real = await openShop(t, { sandbox: true });
  const { id } = await real.open();
  t.equal((await fetch(`${real.house.url}/sandbox/checkout/${id}`, { method: 'POST' })).status, 404, 'where payments are real no page pays, though the sandbox is on');
  const play = { kind: 'paid', rechargeId: id, session: `sandbox_${id}`, paymentIntent: `sandbox_pay_${id}`, amount: usd('10'), currency: 'usd' } as const;
  t.match(await landMessage({ ledger: real.house.ledger, nowMs: () => Date.now() }, play), { kind: 'mismatch' }, 'and play money pays no real checkout');
});

t.test('end to end: the program, its sandbox, a browser\'s two requests', async (t) => {
  const desk = openDesk(t);
  const daemon = await startServe(desk.home, ['--sandbox', '--port', '0']);
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await desk.json('accounts', 'create', 'ann@example.com');
  const waiting = desk.start(['recharge', '20', '--account', 'ann@example.com']);
  let address = '';
  const seen: string[] = [];
  while (address === '') {
    const line = await Promise.race([waiting.line(), waiting.ended.then(({ err }) => Promise.reject(new Error(err)))]);
    seen.push(line);
    address = /^address\t(\S+)$/.exec(line)?.[1] ?? '';
  }
  t.same(seen.filter((line) => /^(pay|fee|credits)/.test(line)), ['pay\t$20.00', 'fee\t$1.10', 'credits\t$18.90'], 'the preview');
  t.equal((await fetch(address)).status, 200);
  t.equal((await fetch(address, { method: 'POST' })).status, 200);
  const { code, out, err } = await waiting.ended;
  t.equal(code, 0, 'the waiting command ends by itself', { diagnostic: code !== 0, err });
  t.match(out, /status\tpaid[^]*balance\t\$18\.90/);
  t.match(await desk.json('balance', '--account', 'ann@example.com'), { balance: 18.9 });
  const { data } = await desk.json('recharges', 'list', '--account', 'ann@example.com');
  t.match(data, [{ status: 'paid', amount: 20, fee: 1.1, credits: 18.9 }]);
  const id = Array.isArray(data) ? String(Object(data[0]).id) : '';
  t.match(await desk.json('recharges', 'refund', id, '--dry-run'), { object: 'refund', dry_run: true, amount: 18.9, balance: 18.9 });
  t.equal((await desk.run(['recharges', 'refund', id])).code, 2, 'nobody can be asked: --yes is needed');
  t.match(await desk.json('recharges', 'refund', id, '--yes'), { dry_run: false, amount: 18.9, balance: 0, recharge: { status: 'refunded' } });
  t.match(await desk.json('recharges', 'sync'), { object: 'sync', checked: 0 });
  t.equal((await desk.run(['recharge', '9', '--account', 'ann@example.com'])).code, 2, 'below the minimum');
  t.equal((await desk.run(['recharge', 'much', '--account', 'ann@example.com'])).code, 2, 'no amount');
  t.equal((await desk.run(['recharges', 'refund', 'rch_nobody', '--yes'])).code, 3, 'no such recharge');
  t.equal((await desk.run(['audit'])).code, 0);
  t.equal(await daemon.end('SIGTERM'), 0);
  t.match(await desk.run(['recharge', '20', '--account', 'ann@example.com']), { code: 1, err: /nobody takes payments yet/ }, 'without a daemon the sandbox takes nothing');
});
