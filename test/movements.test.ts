// What whoever closes a month reads: the transfers that are not of requests, and what a month was in sums.
import t, { type Test } from 'tap';
import { openLedger, type Ledger } from '../src/ledger/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { book, openDesk } from './support/command-line.ts';

const usd = parseUsd;
const DAY_MS = 86_400_000;
const at = (text: string): number => Date.parse(text);
const month = (name: string) => ({ fromMs: at(`${name}-01T00:00:00Z`), toMs: at(`2026-${String(Number(name.slice(5)) + 1).padStart(2, '0')}-01T00:00:00Z`) });

async function openBooks(t: Test): Promise<Ledger> {
  const ledger = await openLedger({ path: `${t.testdir()}/books.db`, as: 'cli' });
  t.teardown(() => ledger.close());
  for (const name of ['ann', 'bob']) await ledger.createAccount({ id: `acct_${name}`, email: `${name}@example.com`, status: 'active', nowMs: at('2026-09-01T00:00:00Z') });
  return ledger;
}

async function pay(ledger: Ledger, id: string, accountId: string, nowMs: number): Promise<void> {
  await ledger.startRecharge({ id, accountId, amount: usd('10'), fee: usd('0.55'), credits: usd('9.45'), currency: 'usd', nowMs });
  await ledger.landRecharge({ id, session: `cs_${id}`, paymentIntent: `pi_${id}`, amount: usd('10'), currency: 'usd', eventId: undefined, nowMs });
}

/** Money of every kind over three months; ann ends with credits, bob with a debt. */
async function live(ledger: Ledger): Promise<void> {
  const ann = { accountId: 'acct_ann', keyId: 'key_1', prompt: 1_000_000, completion: 0 };
  await ledger.grant({ accountId: 'acct_ann', amount: usd('5.00000001'), reference: 'g1', note: 'welcome', nowMs: at('2026-09-30T23:59:59.999Z') });
  await pay(ledger, 'rch_1', 'acct_ann', at('2026-10-01T00:00:00Z'));
  await pay(ledger, 'rch_2', 'acct_bob', at('2026-10-02T00:00:00Z'));
  await book(ledger, { ...ann, id: 'req_1', atMs: at('2026-10-31T23:59:59.999Z') });
  await ledger.refundRecharge({ paymentIntent: 'pi_rch_1', refunded: usd('3'), currency: 'usd', eventId: undefined, nowMs: at('2026-10-31T23:59:59.999Z') });
  await book(ledger, { ...ann, id: 'req_2', atMs: at('2026-11-01T00:00:00Z') });
  await book(ledger, { ...ann, accountId: 'acct_bob', id: 'req_3', atMs: at('2026-11-02T00:00:00Z') });
  await ledger.disputeRecharge({ disputeId: 'dp_1', paymentIntent: 'pi_rch_2', amount: usd('10'), currency: 'usd', state: 'lost', eventId: undefined, nowMs: at('2026-11-03T00:00:00Z') });
  await ledger.disputeRecharge({ disputeId: 'dp_2', paymentIntent: 'pi_rch_1', amount: usd('1'), currency: 'usd', state: 'open', eventId: undefined, nowMs: at('2026-11-04T00:00:00Z') });
  await ledger.disputeRecharge({ disputeId: 'dp_2', paymentIntent: 'pi_rch_1', amount: usd('1'), currency: 'usd', state: 'won', eventId: undefined, nowMs: at('2026-11-05T00:00:00Z') });
  await ledger.grant({ accountId: 'acct_ann', amount: usd('-0.00000001'), reference: 'g2', note: 'a slip', nowMs: at('2026-11-06T00:00:00Z') });
}

t.test('a month in sums begins where the one before it ended', async (t) => {
  const ledger = await openBooks(t);
  await live(ledger);
  const tell = async (name: string): Promise<unknown> => {
    const { opening, movements, closing } = await ledger.statement(month(name));
    const changed = movements.reduce((sum, { customers }) => sum + customers, 0n);
    t.equal(opening.owed - opening.debts + changed, closing.owed - closing.debts, `${name} adds up`);
    return { opening, movements: movements.map(({ kind, amount, customers, fees, stripe }) => [kind, amount, customers, fees, stripe]), closing };
  };
  const september = { owed: 500_000_001n, debts: 0n };
  const october = { owed: 500_000_001n + 945_000_000n - 14_770_000n - 300_000_000n + 945_000_000n, debts: 0n };
  const november = { owed: 500_000_000n + 945_000_000n - 300_000_000n - 2n * 14_770_000n, debts: 14_770_000n };
  t.same(await tell('2026-09'), { opening: { owed: 0n, debts: 0n }, movements: [['grant', 500_000_001n, 500_000_001n, 0n, 0n]], closing: september });
  t.same(await tell('2026-10'), {
    opening: september,
    movements: [
      ['usage', 14_000_000n, -14_000_000n, 0n, 0n], ['fee', 770_000n, -770_000n, 770_000n, 0n],
      ['recharge', 1_890_000_000n, 1_890_000_000n, 0n, 1_890_000_000n], ['recharge_fee', 110_000_000n, 0n, 110_000_000n, 110_000_000n],
      ['refund', 300_000_000n, -300_000_000n, 0n, -300_000_000n],
    ],
    closing: october,
  });
  const inNovember = [
    ['usage', 28_000_000n, -28_000_000n, 0n, 0n], ['fee', 1_540_000n, -1_540_000n, 1_540_000n, 0n],
    ['grant_back', 1n, -1n, 0n, 0n],
    // Of bob's payment the fee as well, of ann's one dollar there and back.
    ['dispute', 1_100_000_000n, -1_045_000_000n, -55_000_000n, 0n], ['dispute_won', 100_000_000n, 100_000_000n, 0n, 0n],
  ];
  t.same(await tell('2026-11'), { opening: october, movements: inNovember, closing: november });
  const balances = (await ledger.listAccounts()).map(({ balance }) => balance);
  t.same(balances, [november.owed, -november.debts], 'what is owed is what the balances say');

  const first = await ledger.removeRequests({ beforeMs: at('2026-12-01T00:00:00Z'), most: 100 });
  t.equal(first.removed, 2);
  t.same(await tell('2026-11'), { opening: october, movements: inNovember, closing: november }, 'also when the rows of requests are gone');
  t.same((await ledger.audit()).findings, []);
});

t.test('transfers that are not of requests, by pages', async (t) => {
  const ledger = await openBooks(t);
  await live(ledger);
  const read = async (filter: { readonly accountId?: string }): Promise<readonly string[]> => {
    const rows: string[] = [];
    let after: string | undefined;
    do {
      const page = await ledger.listMovements({ ...filter, limit: 2, ...(after === undefined ? {} : { after }) });
      rows.push(...page.rows.map(({ kind, amount, note }) => `${kind} ${amount} ${note}`.trim()));
      after = page.next;
    } while (after !== undefined);
    return rows;
  };
  t.same(await read({}), [
    'grant_back 1 a slip', 'dispute_won 100000000', 'dispute 100000000', 'dispute 55000000', 'dispute 945000000', 'refund 300000000',
    'recharge_fee 55000000', 'recharge 945000000', 'recharge_fee 55000000', 'recharge 945000000', 'grant 500000001 welcome',
  ]);
  t.same(await read({ accountId: 'acct_bob' }), ['dispute 945000000', 'recharge 945000000']);
  t.same(await read({ accountId: 'acct_nobody' }), []);
  await t.rejects(ledger.listMovements({ limit: 1, after: 'x' }), { code: 'invalid_request', param: 'after' });
});

t.test('the commands with which a month is closed agree', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '5.12345651', '--note', 'for "tests", =1+1');
  const { id: keyId } = await desk.json('keys', 'create', '--name', 'laptop');
  const ledger = await desk.ledger();
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  for (const [id, prompt, atMs] of [['req_1', 11, today - 40 * DAY_MS], ['req_2', 13, today - 1], ['req_3', 17, today]] as const) {
    await book(ledger, { id, accountId: String(accountId), keyId: String(keyId), prompt, completion: 1, atMs });
  }
  await ledger.close();
  t.match(await desk.json('transfers', 'list'), { object: 'list', data: [{ kind: 'grant', amount_exact: '5.12345651', debit: 'grants', credit: accountId, note: 'for "tests", =1+1' }], has_more: false });
  t.match(await desk.run(['transfers', 'list']), { code: 0, out: /\tgrant\t5\.12345651\tgrants\tann@example\.com\tfor "tests", =1\+1\t/ });
  const name = new Date(today).toISOString().slice(0, 7);
  const { closing, movements } = await desk.json('statement', name);
  const { balance_exact: balance } = await desk.json('balance');
  t.same(closing, { owed_exact: balance, debts_exact: '0.00000000' });
  t.ok(Array.isArray(movements) && movements.length > 0);
  t.match(await desk.run(['statement', name]), { code: 0, out: new RegExp(`^closing\\t\\t${String(balance)}\\t\\t$`, 'm') });
  t.match(await desk.run(['statement', '2026-13']), { code: 2, err: /a month is written like/ });
  t.match(await desk.run(['statement', name, '--account', 'ann@example.com']), { code: 2, err: /of all accounts/ });

  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  const used = async (...span: string[]): Promise<unknown> => (await desk.json('usage', '--by', 'day', ...span))['data'];
  t.match(await used('--since', day(today - DAY_MS), '--until', day(today)), [{ group: day(today - DAY_MS), prompt_tokens: 13 }], 'what ended on its last day, and nothing after it');
  t.match(await used('--since', '45d', '--until', day(today)), [{ prompt_tokens: 11 }, { prompt_tokens: 13 }]);
  t.match(await used('--since', '1d', '--until', day(today - 39 * DAY_MS)), [{ prompt_tokens: 11 }], 'a span goes back from there');
  t.match(await desk.run(['usage', '--until', '2026-02-30']), { code: 2, err: /--until is a day/ });
});

t.test('what ran over midnight at the end of a month is exported with the month that it is charged in', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '5', '--note', 'x');
  const { id: keyId } = await desk.json('keys', 'create', '--name', 'laptop');
  const ledger = await desk.ledger();
  const runs: [id: string, from: string, until: string][] = [
    ['req_1', '2026-08-31T23:00:00Z', '2026-09-01T00:00:00Z'], ['req_2', '2026-09-30T23:59:59.998Z', '2026-09-30T23:59:59.999Z'],
    ['req_3', '2026-09-28T12:00:00Z', '2026-10-01T00:00:00Z'], ['req_4', '2026-09-30T23:59:59.999Z', '2026-10-01T00:00:00Z'],
    ['req_5', '2026-10-01T00:00:00Z', '2026-10-01T00:00:01Z'], ['req_6', '2026-10-31T23:59:59Z', '2026-11-01T02:00:00Z'],
  ];
  for (const [id, from, until] of runs) await book(ledger, { id, accountId: String(accountId), keyId: String(keyId), prompt: 1_000_000, completion: 1, atMs: at(from), endMs: at(until) });
  const months: [name: string, ids: readonly string[]][] = [['2026-08', []], ['2026-09', ['req_2', 'req_1']], ['2026-10', ['req_5', 'req_4', 'req_3']], ['2026-11', ['req_6']]];
  for (const [name, ids] of months) {
    const { data, removed } = await desk.json('export', name) as { data: { id: string; cost_exact: string }[]; removed: { requests: number } };
    t.same(data.map(({ id }) => id), ids, name);
    t.equal(removed.requests, 0);
    const { movements } = await desk.json('statement', name) as { movements: { kind: string; amount_exact: string }[] };
    const charged = movements.filter(({ kind }) => kind === 'usage' || kind === 'fee').reduce((sum, { amount_exact: amount }) => sum + usd(amount), 0n);
    t.equal(data.reduce((sum, { cost_exact: cost }) => sum + usd(cost), 0n), charged, `${name}: the export adds up to the statement`);
  }
  t.same((await ledger.listRequests({ fromMs: at('2026-09-30T00:00:00Z'), ended: month('2026-10'), toMs: at('2026-10-01T00:00:00Z') }, { limit: 9 })).rows.map(({ id }) => id), ['req_4'], 'begun and ended between');
  // Of a month that was removed in part, rows and removed are the whole.
  await ledger.removeRequests({ beforeMs: at('2026-10-01T00:00:00Z'), most: 100 });
  await ledger.close();
  t.match(await desk.json('export', '2026-09'), { data: [], removed: { requests: 2 } });
  t.match(await desk.json('export', '2026-10'), { data: [{ id: 'req_5' }, { id: 'req_4' }, { id: 'req_3' }], removed: { requests: 0 } });
});
