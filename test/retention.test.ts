import { writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { openRetention } from '../src/daemon/retention.ts';
import { openLedger, type Ledger } from '../src/ledger/index.ts';
import { byokFee, charge, type Charge } from '../src/money/index.ts';
import { loadSettings } from '../src/settings/index.ts';
import { book, openDesk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { endOf } from './support/stories.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 10, 23, 12);
const KEEP_MS = 30 * DAY_MS;
const TOKENS = { prompt: 120, cached: 20, completion: 70 };
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };
const STANDARD = charge(TOKENS, PRICE, 55_000n);
const BYOK = byokFee(TOKENS, PRICE, 50_000n);
const NOTHING: Charge = { total: 0n, provider: 0n, fee: 0n };

interface Books {
  readonly path: string;
  readonly ledger: Ledger;
  /** Runs SQL from beside, and returns the rows of a query. */
  readonly sql: (text: string) => readonly unknown[];
}

async function openBooks(t: Test, as: 'cli' | 'daemon' = 'cli'): Promise<Books> {
  const path = `${t.testdir()}/books.db`;
  const ledger = await openLedger({ path, as });
  t.teardown(() => ledger.close());
  for (const name of ['ann', 'bob']) {
    await ledger.createAccount({ id: `acct_${name}`, email: `${name}@example.com`, status: 'active', nowMs: NOW_MS - 400 * DAY_MS });
    await ledger.grant({ accountId: `acct_${name}`, amount: 1_000_000_000n, reference: `start ${name}`, note: '', nowMs: NOW_MS - 400 * DAY_MS });
  }
  const sql = (text: string): readonly unknown[] => {
    const db = new Database(path);
    try {
      const statement = db.prepare(text);
      return statement.reader ? statement.all() : [statement.run()];
    } finally {
      db.close();
    }
  };
  return { path, ledger, sql };
}

interface Deed {
  readonly id: string;
  readonly daysAgo: number;
  readonly accountId?: string;
  readonly byokFree?: number;
  readonly end?: 'settled' | 'released' | 'short' | 'open' | 'ends today';
}

/** One request of each kind that the audit knows, as the gateway would write it. */
async function serve(ledger: Ledger, { id, daysAgo, accountId = 'acct_ann', byokFree, end = 'settled' }: Deed): Promise<void> {
  const nowMs = NOW_MS - daysAgo * DAY_MS;
  const month = new Date(nowMs).toISOString().slice(0, 7);
  const byok = byokFree === undefined ? undefined : { month, free: byokFree };
  const held = await ledger.hold({
    id, accountId, keyId: 'key_1', mode: byok === undefined ? 'standard' : 'byok', model: 'deepseek-chat', requestedModel: 'deepseek-chat', provider: 'deepseek', stream: false,
    ceiling: 100_000n, byok, nowMs,
  });
  if (!held.ok) throw new Error(held.reason);
  const endMs = end === 'ends today' ? NOW_MS : nowMs + 900;
  const ended = { ...endOf(id, endMs), promptTokens: TOKENS.prompt, cachedTokens: TOKENS.cached, completionTokens: TOKENS.completion };
  if (end === 'open') return;
  if (end === 'released') return void (await ledger.release({ ...ended, status: 'providers_unavailable' }));
  // More than the account has: the rest is the operator's shortfall.
  const dear = { total: 2_000_000_000n, provider: 2_000_000_000n, fee: 0n };
  if (end === 'short') return void (await ledger.settle({ ...ended, price: undefined, charge: dear }));
  const price = { ...PRICE, rate: byok === undefined ? 55_000n : 50_000n };
  await ledger.settle({ ...ended, price, charge: held.free ? NOTHING : byok === undefined ? STANDARD : BYOK });
}

/** Two accounts over a hundred days: 10 rows are older than 30 days and ended, 1 is an old hold, 1 was begun then and ends today, 3 are young. */
const DEEDS: readonly Deed[] = [
  { id: 'r01', daysAgo: 100 },
  { id: 'r02', daysAgo: 99.9, accountId: 'acct_bob', end: 'short' },
  { id: 'r03', daysAgo: 90, byokFree: 1 },
  { id: 'r04', daysAgo: 89.9, byokFree: 1 },
  { id: 'r05', daysAgo: 89.8, byokFree: 1, end: 'released' },
  { id: 'r06', daysAgo: 60, end: 'open' },
  { id: 'r07', daysAgo: 59, end: 'released' },
  { id: 'r08', daysAgo: 45, end: 'ends today' },
  { id: 'r09', daysAgo: 40 },
  { id: 'r10', daysAgo: 39 },
  { id: 'r11', daysAgo: 38.5, byokFree: 0 },
  { id: 'r12', daysAgo: 31 },
  { id: 'r13', daysAgo: 29 },
  { id: 'r14', daysAgo: 2, byokFree: 1 },
  { id: 'r15', daysAgo: 1 },
];
const STAY = ['r08', 'r13', 'r14', 'r15'];

async function serveAll(ledger: Ledger): Promise<void> {
  for (const deed of DEEDS) await serve(ledger, deed);
}

/** What must be the same whether rows are there or not. */
async function lasting({ ledger, sql }: Books): Promise<unknown> {
  const span = { fromMs: 0, toMs: NOW_MS + DAY_MS };
  return {
    wallets: sql('SELECT no, balance, held FROM wallets'),
    transfers: sql('SELECT * FROM transfers'),
    chain: await ledger.chainHead(),
    usage: [await ledger.usageTotals('model', span), await ledger.usageTotals('key', { ...span, accountId: 'acct_ann' }), await ledger.usageTotals('day', span)],
    byok: [await ledger.byokCount('acct_ann', '2026-08'), await ledger.byokCount('acct_ann', '2026-11')],
  };
}

/** Removes all that is due, `most` rows at a time, and says how many each step took. */
async function removeAll(ledger: Ledger, most: number): Promise<readonly number[]> {
  const steps: number[] = [];
  let after: string | undefined;
  do {
    const { removed, next } = await ledger.removeRequests({ beforeMs: NOW_MS - KEEP_MS, most, ...(after === undefined ? {} : { after }) });
    steps.push(removed);
    after = next;
  } while (after !== undefined);
  return steps;
}

t.test('old request rows go, and nothing else', async (t) => {
  for (const most of [1, 2, 100]) {
    const books = await openBooks(t);
    const { ledger, sql } = books;
    await serveAll(ledger);
    t.same((await ledger.audit()).findings, [], 'sound before');
    const before = await lasting(books);
    const steps = await removeAll(ledger, most);
    t.equal(steps.reduce((sum, step) => sum + step, 0), 10, 'the ten that are ended and older than 30 days');
    t.ok(steps.every((step) => step <= most), `at most ${most} in a transaction`);
    t.same(sql('SELECT id FROM requests ORDER BY seq'), STAY.map((id) => ({ id })), 'what ended later than that stays');
    t.same(sql('SELECT id FROM holds'), [{ id: 'r06' }], 'and a hold');
    t.same(await lasting(books), before, 'no balance, transfer, total or counter moves');
    const report = await ledger.audit();
    t.same(report.findings, [], 'sound after');
    t.match(report, { requests: 5, openHolds: 1 });
    t.same((await removeAll(ledger, most)).reduce((sum, step) => sum + step, 0), 0, 'a second time finds nothing');
    t.same((await ledger.recover(NOW_MS)).released, 0, 'the hold is this process\'s own');
    await ledger.release({ ...endOf('r06', NOW_MS), status: 'providers_unavailable' });
    await serve(ledger, { id: 'r16', daysAgo: 0 });
    t.same((await ledger.audit()).findings, [], 'and sound when the work goes on');
  }
});

/** Removes all minutes that are due, `most` rows at a time, and says how many each step took. */
async function removeMinutes(ledger: Ledger, most: number): Promise<readonly number[]> {
  const steps: number[] = [];
  for (;;) {
    const { removed, isLast } = await ledger.removeMinutes({ beforeMs: NOW_MS - KEEP_MS, most });
    if (isLast) return steps;
    steps.push(removed);
  }
}

t.test('the minutes of a day go when its rows are gone, and what the day came to stays', async (t) => {
  for (const most of [1, 100]) {
    const books = await openBooks(t);
    const { ledger, sql } = books;
    await serveAll(ledger);
    t.same(await removeMinutes(ledger, most), [], 'not while its rows are there');
    t.equal(await ledger.minutesFrom(), 0);
    await removeAll(ledger, most);
    const before = await lasting(books);
    const evening = { fromMs: Date.UTC(2026, 9, 23, 18), toMs: NOW_MS - 20 * DAY_MS };
    t.same((await ledger.usageTotals('day', evening)).map(({ requests }) => requests), [1], 'r13; r12 ended at noon of the first day');
    const steps = await removeMinutes(ledger, most);
    t.ok(steps.length >= (most === 1 ? 10 : 7) && steps.every((step) => step <= most), `a day or ${most} rows in a transaction: ${steps.join(' ')}`);
    t.same(sql('SELECT bucket FROM rollup_minutes').length, 4, 'of the four rows that stay');
    t.same(await lasting(books), before, 'no total moves');
    t.equal(await ledger.minutesFrom(), Date.UTC(2026, 9, 24), 'the day after the last that was removed');
    t.same((await ledger.audit()).findings, []);
    t.same((await ledger.usageTotals('day', evening)).map(({ group, requests }) => [group, requests]), [['2026-10-23', 1], ['2026-10-25', 1]], 'a day without minutes counts whole');
    const morning = { fromMs: NOW_MS - 40 * DAY_MS - 1, toMs: Date.UTC(2026, 9, 15, 1) };
    t.same((await ledger.usageTotals('day', morning)).map(({ group }) => group), ['2026-10-14', '2026-10-15'], 'at the end of a span too');
    t.same(await ledger.usageTotals('day', { fromMs: NOW_MS - 40 * DAY_MS, toMs: NOW_MS - 40 * DAY_MS }), [], 'and no span has nothing in it');
    t.same(await removeMinutes(ledger, most), [], 'a second time finds nothing');
    sql('DELETE FROM rollup_minutes WHERE bucket = (SELECT min(bucket) FROM rollup_minutes)');
    t.same((await ledger.audit()).findings.map(({ rule }) => rule), ['rollup_minutes'], 'a minute that is missing otherwise is told');
  }
});

t.test('the minutes of a day stay with a row of it', async (t) => {
  const { ledger, sql } = await openBooks(t);
  for (const id of ['r1', 'r2', 'r3']) await serve(ledger, { id, daysAgo: 300 });
  await removeAll(ledger, 100);
  t.same(await removeMinutes(ledger, 100), [], 'the newest row is never removed');
  t.equal(sql('SELECT bucket FROM rollup_minutes').length, 1);
  t.same((await ledger.audit()).findings, []);
  t.same(await removeMinutes((await openBooks(t)).ledger, 100), [], 'and empty books have nothing to give');
});

t.test('pages and followers go on over the gap', async (t) => {
  const { ledger } = await openBooks(t);
  await serveAll(ledger);
  const first = await ledger.listRequests({ accountId: 'acct_ann' }, { limit: 6 });
  t.same(first.rows.map(({ id }) => id), ['r15', 'r14', 'r13', 'r12', 'r11', 'r10']);
  const { cursor } = await ledger.requestsSince(undefined, {}, 10);
  await removeAll(ledger, 3);
  const second = await ledger.listRequests({ accountId: 'acct_ann' }, { limit: 6, after: first.next ?? '' });
  t.same([second.rows.map(({ id }) => id), second.next], [['r08'], undefined], 'the next page holds what is left');
  t.same((await ledger.listRequests({ fromMs: NOW_MS - 50 * DAY_MS }, { limit: 6 })).rows.map(({ id }) => id), ['r15', 'r14', 'r13', 'r08'], 'a time finds its first row');
  await serve(ledger, { id: 'r16', daysAgo: 0 });
  t.same((await ledger.requestsSince(cursor, {}, 10)).rows.map(({ id }) => id), ['r16'], 'whoever follows sees the next end, and only that');
  t.equal(await ledger.findRequest('r01'), undefined);
});

t.test('no number is given twice, even where every row is old', async (t) => {
  const { ledger, sql } = await openBooks(t);
  for (const id of ['r1', 'r2', 'r3']) await serve(ledger, { id, daysAgo: 300 });
  const { cursor } = await ledger.requestsSince(undefined, {}, 10);
  t.same(await removeAll(ledger, 100), [2], 'the newest row stays');
  await serve(ledger, { id: 'r4', daysAgo: 0 });
  t.same(sql('SELECT id, seq FROM requests'), [{ id: 'r3', seq: 3 }, { id: 'r4', seq: 4 }]);
  t.same((await ledger.requestsSince(cursor, {}, 10)).rows.map(({ id }) => id), ['r4']);
  t.same((await ledger.audit()).findings, []);
  t.same(await removeAll((await openBooks(t)).ledger, 100), [0], 'and empty books have nothing to give');
});

t.test('a clock that was wrong for a while hides no row from times, and keeps none from its removal', async (t) => {
  const cases = [['a year ahead for ten requests', 495, 365], ['a month behind for ten requests', 750, -30], ['never', 0, 0]] as const;
  for (const [what, wrongFrom, shift] of cases) {
    const { ledger, sql } = await openBooks(t);
    // Ten a day for a hundred days.
    for (let at = 0; at < 1_000; at += 1) {
      const isWrong = at >= wrongFrom && at < wrongFrom + 10;
      await serve(ledger, { id: `r${at}`, daysAgo: 100 - at / 10 - (isWrong ? shift : 0), end: 'released' });
    }
    t.equal(sql('SELECT seq FROM clock_steps').length, shift === 0 ? 0 : 1, `${what}: noted where it was set back`);
    const [october, november, december] = [Date.UTC(2026, 9, 1), Date.UTC(2026, 10, 1), Date.UTC(2026, 11, 1)];
    for (const span of [{ fromMs: october, toMs: november }, { fromMs: november, toMs: december }, { fromMs: NOW_MS - 40 * DAY_MS }, { fromMs: 0, toMs: NOW_MS - 45 * DAY_MS }]) {
      const expected = (await ledger.listRequests({}, { limit: 2_000 })).rows.filter(({ createdMs }) => createdMs >= span.fromMs && createdMs < (span.toMs ?? Infinity)).length;
      t.equal((await ledger.listRequests(span, { limit: 2_000 })).rows.length, expected, `${what}: ${expected} rows of a span`);
    }
    await removeAll(ledger, 100);
    t.same(sql(`SELECT count(*) AS rows FROM requests WHERE ended_ms < ${NOW_MS - KEEP_MS}`), [{ rows: 0 }], `${what}: what is old goes`);
    t.same((await ledger.audit()).findings, []);
  }
});

t.test('a repeat under an idempotency key is still charged once', async (t) => {
  const { ledger } = await openBooks(t);
  const [keyHash, bodyHash] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const claim = { accountId: 'acct_ann', keyHash, bodyHash, nowMs: NOW_MS - 20 * 3_600_000, keepMs: DAY_MS };
  t.match(await ledger.claimIdempotency({ ...claim, requestId: 'r1' }), { kind: 'claimed' });
  await serve(ledger, { id: 'r1', daysAgo: 20 / 24 });
  await serve(ledger, { id: 'r2', daysAgo: 0 });
  await ledger.removeRequests({ beforeMs: NOW_MS - 7 * DAY_MS, most: 100 });
  t.match(await ledger.claimIdempotency({ ...claim, requestId: 'r3', nowMs: NOW_MS }), { kind: 'taken', requestId: 'r1' }, 'the shortest keeping is longer than a key stands');
});

t.test('the audit tells what was taken away otherwise', async (t) => {
  const cases: readonly (readonly [sql: string, rules: readonly string[], what: string])[] = [
    [`DELETE FROM requests WHERE id = 'r13'`, ['I6 usage', 'I6 fee', 'rollup_minutes', 'rollup_days'], 'a row that nobody summed'],
    [`DELETE FROM removed_requests WHERE account = 101`, ['I6 usage', 'rollup_minutes', 'rollup_days'], 'the sums of an account'],
    [`UPDATE removed_requests SET cost = cost + 1, provider_cost = provider_cost + 1 WHERE account = 100 AND byok_month = '' AND day = (SELECT min(day) FROM removed_requests)`, ['I6 usage', 'rollup_minutes', 'rollup_days'], 'a cost among the sums'],
    [`UPDATE removed_requests SET counted = counted + 1 WHERE byok_month <> ''`, ['byok_counter'], 'a count of the month'],
    [`UPDATE removed_requests SET shortfall = shortfall - 1 WHERE shortfall > 0`, ['I6 shortfall', 'rollup_minutes', 'rollup_days'], 'what was short'],
    [`UPDATE rollup_days SET prompt_tokens = prompt_tokens + 1 WHERE bucket = (SELECT min(bucket) FROM rollup_days)`, ['rollup_days'], 'a total whose rows are gone'],
  ];
  for (const [text, rules, what] of cases) {
    const { ledger, sql } = await openBooks(t);
    await serveAll(ledger);
    await removeAll(ledger, 100);
    sql(text);
    const found = new Set((await ledger.audit()).findings.map(({ rule }) => rule));
    t.ok(rules.every((rule) => found.has(rule)), `${what}: ${[...found].join(', ')}`);
  }
});

t.test('the job', async (t) => {
  const filled = async (t: Test, rows: number) => {
    const books = await openBooks(t, 'daemon');
    await Promise.all(Array.from({ length: rows }, (_, at) => serve(books.ledger, { id: `r${String(at).padStart(5, '0')}`, daysAgo: 50 - at / 10_000 })));
    await serve(books.ledger, { id: 'young', daysAgo: 0 });
    return books;
  };

  t.test('removes in chunks, with a rest after each, while others write', async (t) => {
    const { ledger, sql } = await filled(t, 600);
    const chunks: number[] = [];
    const said: unknown[] = [];
    const watched = { ...ledger, removeRequests: async (wish: Parameters<Ledger['removeRequests']>[0]) => {
      const answer = await ledger.removeRequests(wish);
      chunks.push(answer.removed);
      return answer;
    } };
    let rests = 0;
    const rest = async () => {
      rests += 1;
      await serve(ledger, { id: `meanwhile${rests}`, daysAgo: 0 });
    };
    const retention = openRetention({ ledger: watched, keepRequestsMs: KEEP_MS, nowMs: () => NOW_MS, log: { info: (...line) => void said.push(line) }, rest });
    await retention.run();
    t.same(chunks, [256, 256, 88], 'no chunk holds the writing thread for long');
    t.equal(rests, 3, 'two of them among the rows, one after the minutes of their day');
    t.same(sql('SELECT id FROM requests ORDER BY seq'), [{ id: 'young' }, { id: 'meanwhile1' }, { id: 'meanwhile2' }, { id: 'meanwhile3' }]);
    t.equal(sql('SELECT bucket FROM rollup_minutes').length, 1);
    t.same((await ledger.audit()).findings, []);
    t.match(said, [['requests_removed', { rows: 600, ended_before: '2026-10-24T12:00:00.000Z' }]]);
    await retention.run();
    t.equal(said.length, 1, 'nothing due, nothing said');
  });

  t.test('stops after the chunk under way, and goes on at the next start', async (t) => {
    const { ledger, sql } = await filled(t, 600);
    const parts = { ledger, keepRequestsMs: KEEP_MS, nowMs: () => NOW_MS, log: { info: () => undefined } };
    const first = openRetention({ ...parts, rest: async () => void first.close() });
    await first.run();
    t.same(sql('SELECT count(*) AS rows FROM requests'), [{ rows: 345 }]);
    await first.run();
    t.same(sql('SELECT count(*) AS rows FROM requests'), [{ rows: 345 }], 'a stopped one does nothing more');
    const second = openRetention({ ...parts, rest: async () => undefined });
    await second.run();
    t.same(sql('SELECT count(*) AS rows FROM requests'), [{ rows: 1 }]);
    t.same((await ledger.audit()).findings, []);
  });

  t.test('does not believe a clock that is ahead before it has stayed so for a day', async (t) => {
    const { ledger, sql } = await filled(t, 3);
    let nowMs = NOW_MS;
    const said: unknown[] = [];
    const rows = () => sql('SELECT id FROM requests ORDER BY seq').length;
    const run = async (ms: number) => {
      nowMs = ms;
      await openRetention({ ledger, keepRequestsMs: 400 * DAY_MS, nowMs: () => nowMs, log: { info: (...line) => void said.push(line) }, rest: async () => undefined }).run();
    };
    await run(NOW_MS + 500 * DAY_MS);
    t.equal(rows(), 4, 'not at the first look, which knows the newest request');
    await run(NOW_MS + 1_000);
    await run(NOW_MS + 500 * DAY_MS);
    await run(NOW_MS + 500 * DAY_MS + 3_600_000);
    t.equal(rows(), 4, 'nor within the day');
    t.equal(said.filter((line) => Array.isArray(line) && line[0] === 'requests_removal_waits').length, 2, 'which is said once each time');
    await run(NOW_MS + 501 * DAY_MS);
    t.equal(rows(), 1, 'but then');
  });

  t.test('keeps everything where nothing else is said', async (t) => {
    const { ledger, sql } = await filled(t, 3);
    const { database } = loadSettings({ env: {}, cwd: '/', home: '/home/ann' });
    await openRetention({ ledger, keepRequestsMs: database.keepRequestsMs, nowMs: () => NOW_MS + 100_000 * DAY_MS, log: { info: () => undefined } }).run();
    t.same(sql('SELECT count(*) AS rows FROM requests'), [{ rows: 4 }]);
  });

  t.test('runs in a daemon, from its start', async (t) => {
    const { path, ledger, sql } = await openBooks(t);
    // The daemon has the machine's clock.
    const since = (days: number) => (NOW_MS - Date.now()) / DAY_MS + days;
    for (let at = 0; at < 300; at += 1) await serve(ledger, { id: `old${at}`, daysAgo: since(20 - at / 1_000) });
    await serve(ledger, { id: 'young', daysAgo: since(0.01) });
    writeFileSync(`${path}.yaml`, JSON.stringify({
      server: { port: 0 }, database: { path, anchors: `${path}.anchors`, keep_requests: '15d' }, secrets: { master_key: `file:${path}.keys/master.key` }, log: { format: 'json' },
    }));
    const daemon = await startServe(t.testdirName, ['--config', `${path}.yaml`]);
    while (!daemon.output().includes('requests_removed')) await new Promise((resolve) => setTimeout(resolve, 10));
    t.match(daemon.output(), /"rows":300,/);
    t.equal(await daemon.end('SIGTERM'), 0);
    t.same(sql('SELECT id FROM requests'), [{ id: 'young' }]);
    t.same((await ledger.audit()).findings, []);
  });

  t.test('a failure is the caller\'s to tell, and closing does not wait for ever', async (t) => {
    const fail = async () => Promise.reject(new Error('the disk is full'));
    const { ledger } = await openBooks(t);
    const broken = { ...ledger, removeRequests: fail };
    const retention = openRetention({ ledger: broken, keepRequestsMs: KEEP_MS, nowMs: () => NOW_MS, log: { info: () => undefined } });
    await t.rejects(retention.run(), { message: 'the disk is full' });
    await retention.close();
  });
});

t.test('an export whose rows are not all there any more says so', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('accounts', 'create', 'bob@example.com');
  await desk.json('credits', 'grant', '5', '--note', 'x', '--account', 'ann@example.com');
  const ledger = await desk.ledger();
  for (const [id, written] of [['req_1', '2026-09-30T23:59:59Z'], ['req_2', '2026-10-01T00:00:00Z'], ['req_3', '2026-10-20T00:00:00Z'], ['req_4', '2026-10-31T23:59:59Z']] as const) {
    await book(ledger, { id, accountId: String(accountId), keyId: 'key_1', prompt: 1_000_000, completion: 0, atMs: Date.parse(written) });
  }
  const whole = await desk.run(['export', '2026-10']);
  t.match(whole, { code: 0, err: '' });
  t.match(await desk.json('export', '2026-10'), { data: [{ id: 'req_4' }, { id: 'req_3' }, { id: 'req_2' }], removed: { requests: 0, cost_exact: '0.00000000' } });
  await ledger.removeRequests({ beforeMs: Date.parse('2026-10-25T00:00:00Z'), most: 100 });
  await ledger.close();
  const cut = await desk.run(['export', '2026-10']);
  t.match(cut, { code: 0, err: /not the whole month: of 2 requests that ended in it, \$0\.29540000 in all, the rows were removed.*\n$/ });
  t.equal(cut.out.trim().split('\n').length, 2, 'the titles and a row');
  t.match(await desk.json('export', '2026-10', '--account', 'ann@example.com'), { data: [{ id: 'req_4' }], removed: { requests: 2, cost_exact: '0.29540000' } });
  t.match(await desk.run(['export', '2026-10', '--account', 'bob@example.com']), { code: 0, err: '' }, 'of another account nothing is gone');
  t.match(await desk.json('export', '2026-09'), { data: [], removed: { requests: 1, cost_exact: '0.14770000' } });
});
