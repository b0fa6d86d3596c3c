// Figures are shown rounded; beside each stands what it is to the last digit of the books.
import t from 'tap';
import { rechargeView } from '../src/accounts/index.ts';
import { feeOn, parseUsd } from '../src/money/index.ts';
import { book, openDesk } from './support/command-line.ts';

t.test('the parts of what is shown add up to the last digit', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '4.12345651', '--note', 'x');
  const ledger = await desk.ledger();
  await book(ledger, { id: 'req_1', accountId: String(accountId), keyId: 'key_1', prompt: 7, completion: 0, atMs: Date.now() });
  await ledger.close();
  // 7 tokens at 0.14 are 98 steps of 1e-8, with the fee 103.39.
  t.match((await desk.json('usage'))['data'], [{ cost: 0.000001, cost_exact: '0.00000103', provider_cost_exact: '0.00000098', fee_exact: '0.00000005', shortfall_exact: '0.00000000' }]);
  const exact = { balance: 4.123455, balance_exact: '4.12345548', held_exact: '0.00000000', available_exact: '4.12345548' };
  t.match(await desk.json('balance'), exact);
  t.match((await desk.json('accounts', 'list'))['data'], [exact]);
  const refused = await desk.run(['credits', 'grant', '--note', 'x', '--', '-5']);
  t.match(refused, { code: 1, err: /Only \$4\.12345548 are available/i });
  t.match(await desk.json('credits', 'grant', '--note', 'all of it', '--', '-4.12345548'), { amount_exact: '-4.12345548', balance: 0, balance_exact: '0.00000000' }, 'what is told can be taken');
});

t.test('the fee and the credits of a payment add up, whatever the rate', async (t) => {
  // 5.5123 % of 10.01 has eight decimals.
  const { fee, credits } = feeOn(parseUsd('10.01'), 55_123n);
  const recharge = { id: 'rch_1', accountId: 'acct_1', amount: parseUsd('10.01'), fee, credits, currency: 'usd', status: 'paid', session: 'cs', paymentIntent: 'pi', refunded: 0n, refundedCredits: 0n, checkoutUrl: '', createdMs: 0, paidMs: 0 } as const;
  t.match(rechargeView(recharge), { amount: 10.01, fee: 0.551781, fee_exact: '0.55178123', credits: 9.458219, credits_exact: '9.45821877' });
});
