import fc from 'fast-check';
import t from 'tap';
import Database from 'better-sqlite3';
import { openLedger, type HoldRequest, type Ledger, type Settlement } from '../src/ledger/index.ts';
import { byokFee, charge } from '../src/money/index.ts';
import { endOf } from './support/stories.ts';

const START_MS = Date.UTC(2026, 10, 23, 23, 50);
const MONTH = '2026-11';
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };
const ACCOUNTS = 3;
const REQUESTS = 12;

/** What may happen to the books, in any order: also what ought not to, such as settling twice or a request never held. */
type Deed =
  | { readonly kind: 'hold'; readonly account: number; readonly request: number; readonly ceiling: number; readonly byok: boolean }
  | { readonly kind: 'settle' | 'progress'; readonly request: number; readonly prompt: number; readonly cached: number; readonly completion: number }
  | { readonly kind: 'release'; readonly request: number }
  | { readonly kind: 'grant'; readonly account: number; readonly amount: number; readonly reference: number }
  | { readonly kind: 'status'; readonly account: number; readonly active: boolean }
  | { readonly kind: 'crash' };

const account = fc.nat({ max: ACCOUNTS - 1 });
const request = fc.nat({ max: REQUESTS - 1 });
const usage = { request, prompt: fc.nat({ max: 4_000 }), cached: fc.nat({ max: 100 }), completion: fc.nat({ max: 4_000 }) };

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('hold' as const), account, request, ceiling: fc.nat({ max: 90_000 }), byok: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'progress' as const), ...usage }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), request }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('grant' as const), account, amount: fc.integer({ min: -60_000, max: 200_000 }).filter((n) => n !== 0), reference: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), account, active: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
);

t.test('whatever happens, in whatever order, the books balance and nobody spends what is not there', async (t) => {
  const folder = t.testdir();
  let books = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { minLength: 1, maxLength: 60 }), async (deeds) => {
      const path = `${folder}/${(books += 1)}.db`;
      const world: World = { ledger: await openLedger({ path, as: 'cli' }), path, nowMs: START_MS, modes: new Map() };
      try {
        for (let n = 0; n < ACCOUNTS; n += 1) {
          await world.ledger.createAccount({ id: `acct_${n}`, email: `${n}@example.com`, status: 'active', nowMs: START_MS });
        }
        for (const each of deeds) {
          world.nowMs += 37_000;
          await act(world, each);
          for (const { balance, held } of await world.ledger.listAccounts()) {
            if (held < 0n || balance - held < 0n) throw new Error(`balance ${balance}, held ${held}`);
          }
        }
        const { findings } = await world.ledger.audit();
        if (findings.length > 0) throw new Error(JSON.stringify(findings));
      } finally {
        await world.ledger.close();
      }
    }),
    { numRuns: 60 },
  );
  t.pass('60 lives of the books');
});

t.test('holds and settlements in parallel never take a small balance below zero, at any moment a second connection looks', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const ledger = await openLedger({ path, as: 'daemon' });
  const looker = new Database(path, { readonly: true });
  t.teardown(async () => {
    looker.close();
    await ledger.close();
  });
  const worst = looker.prepare('SELECT min(balance - held) AS spendable, min(held) AS held FROM wallets WHERE customer = 1');
  const look = (): void => {
    const { spendable, held } = Object(worst.get());
    if (spendable < 0 || held < 0) throw new Error(`spendable ${spendable}, held ${held}`);
  };
  let run = 0;
  const lane = fc.record({ ceiling: fc.nat({ max: 400 }), cost: fc.nat({ max: 700 }), ending: fc.constantFrom('settle', 'release', 'twice') });
  await fc.assert(
    fc.asyncProperty(fc.array(lane, { minLength: 2, maxLength: 40 }), fc.nat({ max: 1_500 }), async (lanes, balance) => {
      const accountId = `acct_${(run += 1)}`;
      await ledger.createAccount({ id: accountId, email: `${run}@example.com`, status: 'active', nowMs: START_MS });
      await ledger.grant({ accountId, amount: BigInt(balance + 1), reference: accountId, note: '', nowMs: START_MS });
      const costs = await Promise.all(lanes.map(async ({ ceiling, cost, ending }, n) => {
        const id = `${accountId}_${n}`;
        const held = await ledger.hold({ ...holdOf(id, BigInt(ceiling), START_MS), accountId });
        look();
        if (!held.ok) return 0n;
        const end = { ...endOf(id, START_MS), charge: { total: BigInt(cost), provider: BigInt(cost), fee: 0n } };
        const receipts = ending === 'release' ? [await ledger.release(end)] : await Promise.all(ending === 'twice' ? [ledger.settle(end), ledger.settle(end)] : [ledger.settle(end)]);
        look();
        return receipts.reduce((sum, receipt) => (receipt.first ? sum + receipt.cost : sum), 0n);
      }));
      const after = await ledger.findAccount(accountId);
      const spent = costs.reduce((sum, cost) => sum + cost, 0n);
      if (after?.balance !== BigInt(balance + 1) - spent || after.held !== 0n) throw new Error(`${balance + 1} less ${spent} left ${after?.balance}, held ${after?.held}`);
    }),
    { numRuns: 40 },
  );
  t.same((await ledger.audit()).findings, []);
});

interface World {
  ledger: Ledger;
  readonly path: string;
  nowMs: number;
  /** How each held request is charged. */
  readonly modes: Map<string, { readonly byok: boolean; readonly free: boolean }>;
}

async function act(world: World, deed: Deed): Promise<void> {
  const { ledger, modes, nowMs } = world;
  if (deed.kind === 'crash') {
    await ledger.close();
    world.ledger = await openLedger({ path: world.path, as: 'cli' });
    await world.ledger.recover(nowMs);
  } else if (deed.kind === 'status') {
    await ledger.setAccountStatus(`acct_${deed.account}`, deed.active ? 'active' : 'deactivated', nowMs);
  } else if (deed.kind === 'grant') {
    await ledger.grant({ accountId: `acct_${deed.account}`, amount: BigInt(deed.amount), reference: `g${deed.reference}`, note: '', nowMs });
  } else if (deed.kind === 'hold') {
    // A request's number stays with one account, as a minted id does.
    const id = `req_${deed.account}_${deed.request}`;
    const byok = modes.get(id)?.byok ?? deed.byok;
    const held = await ledger.hold({ ...holdOf(id, BigInt(deed.ceiling), nowMs), accountId: `acct_${deed.account}`, mode: byok ? 'byok' : 'standard', byok: byok ? { month: MONTH, free: 2 } : undefined });
    if (held.ok && !modes.has(id)) modes.set(id, { byok, free: held.free });
  } else {
    for (const [id, mode] of modes) {
      if (!id.endsWith(`_${deed.request}`)) continue;
      if (deed.kind === 'release') await ledger.release({ ...endOf(id, nowMs), status: 'provider_failed' });
      else if (deed.kind === 'settle') await ledger.settle(settlement(id, deed, mode, nowMs));
      else await ledger.progress(id, settlement(id, deed, mode, nowMs));
    }
  }
}

function settlement(id: string, deed: Extract<Deed, { kind: 'settle' | 'progress' }>, mode: { readonly byok: boolean; readonly free: boolean }, nowMs: number): Settlement {
  const tokens = { prompt: deed.prompt, cached: Math.min(deed.cached, deed.prompt), completion: deed.completion };
  const rate = mode.byok ? 50_000n : 55_000n;
  const cost = mode.free ? { total: 0n, provider: 0n, fee: 0n } : (mode.byok ? byokFee : charge)(tokens, PRICE, rate);
  return {
    ...endOf(id, nowMs), promptTokens: tokens.prompt, cachedTokens: tokens.cached, completionTokens: tokens.completion,
    price: { ...PRICE, rate }, charge: cost,
  };
}

function holdOf(id: string, ceiling: bigint, nowMs: number): HoldRequest {
  return {
    id, accountId: '', keyId: 'key_1', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat',
    provider: 'deepseek', stream: false, ceiling, byok: undefined, nowMs,
  };
}
