import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import Database from 'better-sqlite3';
import { openLedger, type HoldRequest, type Ledger, type RequestEnd } from '../src/ledger/index.ts';
import { openConnection } from '../src/ledger/connection.ts';
import { MIGRATIONS } from '../src/ledger/schema.ts';
import { charge } from '../src/money/index.ts';
import { endOf, settlementOf } from './support/stories.ts';

const NOW_MS = Date.UTC(2026, 10, 23, 12);
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n, rate: 55_000n };

/** Fresh books in this thread with one account of 1,000,000; `sql` tampers with them from beside. */
async function openBooks(t: Test): Promise<{ readonly path: string; readonly ledger: Ledger; readonly sql: (text: string) => void }> {
  const path = `${t.testdir()}/books.db`;
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  await ledger.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.grant({ accountId: 'acct_ann', amount: 1_000_000n, reference: 'start', note: 'a gift', nowMs: NOW_MS });
  const sql = (text: string): void => {
    const db = new Database(path);
    db.exec(text);
    db.close();
  };
  return { path, ledger, sql };
}

function holdOf(id: string, more: Partial<HoldRequest> = {}): HoldRequest {
  return {
    id, accountId: 'acct_ann', keyId: 'key_1', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat:cheapest',
    provider: 'deepseek', stream: true, ceiling: 100n, byok: undefined, nowMs: NOW_MS, ...more,
  };
}

/** Holds and settles one request at a real price. */
async function serve(ledger: Ledger, id: string, more: Partial<HoldRequest> = {}, end: Partial<RequestEnd> = {}): Promise<void> {
  const request = holdOf(id, more);
  await ledger.hold(request);
  const tokens = { prompt: 12, cached: 4, completion: 7 };
  await ledger.settle({ ...endOf(id, request.nowMs), price: PRICE, ...end, charge: charge(tokens, PRICE, PRICE.rate) });
}

t.test('opening', async (t) => {
  t.test('the file is 0600 in a folder of 0700, and every connection is set to keep what it commits', async (t) => {
    const path = `${t.testdir()}/share/findtoken/books.db`;
    const ledger = await openLedger({ path, as: 'cli' });
    t.equal(statSync(path).mode & 0o777, 0o600);
    t.equal(statSync(`${t.testdirName}/share/findtoken`).mode & 0o777, 0o700);
    for (const readonly of [false, true]) {
      const db = openConnection({ path, readonly });
      const found = ['journal_mode', 'synchronous', 'foreign_keys', 'trusted_schema', 'mmap_size', 'wal_autocheckpoint', 'busy_timeout'];
      t.same(found.map((name) => String(db.pragma(name, { simple: true }))), ['wal', '2', '1', '0', '0', '4000', '5000']);
      db.close();
    }
    await ledger.close();
  });

  t.test('a file that others could read is closed to them', async (t) => {
    const path = `${t.testdir()}/books.db`;
    writeFileSync(path, '');
    chmodSync(path, 0o644);
    await (await openLedger({ path, as: 'cli' })).close();
    t.equal(statSync(path).mode & 0o777, 0o600);
  });

  t.test('what cannot be opened says why, and what to do', async (t) => {
    const folder = t.testdir({ 'text.db': 'not a database, and long enough to have a header of the size that one would have' });
    mkdirSync(`${folder}/folder.db`);
    const newer = new Database(`${folder}/newer.db`);
    newer.pragma(`user_version = ${MIGRATIONS.length + 4}`);
    newer.pragma('journal_mode = WAL');
    newer.close();
    const older = new Database(`${folder}/older.db`);
    older.pragma('journal_mode = WAL');
    older.close();
    const cases = [
      // file, form, code, message, why
      ['none.db', 'read', 'ledger_missing', /findtoken init/, 'a reader makes no database'],
      ['newer.db', 'cli', 'ledger_newer', new RegExp(`schema ${MIGRATIONS.length + 4}, .* knows ${MIGRATIONS.length}`), 'rows of a newer schema may mean something else'],
      ['newer.db', 'daemon', 'ledger_newer', /newer findtoken/, 'the daemon least of all'],
      ['newer.db', 'read', 'ledger_newer', /newer findtoken/, 'nor may a reader guess'],
      ['older.db', 'read', 'ledger_older', /Start the daemon once/, 'a reader cannot migrate'],
      ['text.db', 'cli', 'ledger_unfit', /SQLITE_NOTADB/, 'some other file'],
    ] as const;
    for (const [file, as, code, message, why] of cases) {
      await t.rejects(openLedger({ path: `${folder}/${file}`, as }), { name: 'LedgerError', code, message }, `${file} as ${as}: ${why}`);
    }
    t.notOk(existsSync(`${folder}/none.db`));
    // A refused daemon gives its lock back.
    await t.rejects(openLedger({ path: `${folder}/newer.db`, as: 'daemon' }), { code: 'ledger_newer' });
  });

  t.test('a reader reads, and writes nothing', async (t) => {
    const { path } = await openBooks(t);
    const reader = await openLedger({ path, as: 'read' });
    t.equal((await reader.findAccount('acct_ann'))?.balance, 1_000_000n);
    t.same((await reader.audit()).findings, []);
    await t.rejects(reader.hold(holdOf('req_1')), { code: 'ledger_read_only' });
    await t.rejects(reader.setNote('a', 'b'), { code: 'ledger_read_only' });
    await reader.close();
    await reader.close();
    await t.rejects(reader.listAccounts(), { code: 'ledger_closed' });
  });
});

t.test('accounts', async (t) => {
  const { ledger } = await openBooks(t);
  t.match(await ledger.createAccount({ id: 'acct_bob', email: ' Bob@Example.COM ', status: 'pending', nowMs: NOW_MS }), {
    id: 'acct_bob', email: 'bob@example.com', status: 'pending', frozen: false, balance: 0n, held: 0n, requestsPerMinute: undefined, createdMs: NOW_MS, activityMs: NOW_MS,
  });
  t.equal(await ledger.createAccount({ id: 'acct_bob2', email: 'BOB@example.com', status: 'active', nowMs: NOW_MS }), 'email_taken');
  await t.rejects(ledger.createAccount({ id: 'acct_bob', email: 'other@example.com', status: 'active', nowMs: NOW_MS }), /UNIQUE/);
  t.equal((await ledger.findAccount('BOB@Example.com'))?.id, 'acct_bob');
  t.equal((await ledger.findAccount('acct_bob'))?.id, 'acct_bob');
  t.equal(await ledger.findAccount('acct_nobody'), undefined);
  t.equal(await ledger.findAccount('fees'), undefined, 'a system account is nobody');
  t.same((await ledger.listAccounts()).map(({ id }) => id), ['acct_ann', 'acct_bob']);
  t.equal(await ledger.setAccountLimit('acct_bob', 30), true);
  t.equal((await ledger.findAccount('acct_bob'))?.requestsPerMinute, 30);
  t.equal(await ledger.setAccountLimit('acct_bob', undefined), true);
  t.equal((await ledger.findAccount('acct_bob'))?.requestsPerMinute, undefined);
  t.equal(await ledger.setAccountLimit('acct_nobody', 30), false);
  t.equal(await ledger.setAccountStatus('acct_bob', 'active', NOW_MS + 5), true);
  t.match(await ledger.findAccount('acct_bob'), { status: 'active', activityMs: NOW_MS + 5 });
  t.equal(await ledger.setAccountStatus('acct_nobody', 'active', NOW_MS), false);
});

t.test('a frozen account is not served; what it owes is paid by a credit, and then it is again', async (t) => {
  const { ledger, sql } = await openBooks(t);
  await ledger.hold(holdOf('req_1'));
  // What a dispute does: it takes more than there is, and says so.
  sql(`UPDATE wallets SET may_overdraw = 1, balance = balance - 1000500 WHERE name = 'acct_ann';
    UPDATE wallets SET balance = balance + 1000500 WHERE name = 'disputes';
    INSERT INTO transfers (kind, debit, credit, amount, reference, note, at_ms) VALUES ('dispute', 100, 6, 1000500, 'dp_1', '', 1);
    INSERT INTO payment_disputes (id, payment_intent, amount, currency, state, booked, taken, taken_credits, account)
      VALUES ('dp_1', 'pi_1', 1000500, 'usd', 'lost', 1, 1000500, 1000500, 100)`);
  t.match(await ledger.findAccount('acct_ann'), { frozen: true, balance: -500n });
  t.same(await ledger.hold(holdOf('req_2')), { ok: false, reason: 'account_inactive', status: 'active', frozen: true, available: -600n });
  t.same(await ledger.hold(holdOf('req_3', { mode: 'byok', byok: { month: '2026-11', free: 10 } })), { ok: false, reason: 'account_inactive', status: 'active', frozen: true, available: -600n });
  t.match(await ledger.settle(settlementOf('req_1', '20+5', NOW_MS)), { first: true, cost: 0n, shortfall: 25n, balance: -500n });
  t.same((await ledger.audit()).findings, [], 'a frozen debt is no difference');
  await ledger.grant({ accountId: 'acct_ann', amount: 400n, reference: 'part', note: '', nowMs: NOW_MS });
  t.match(await ledger.findAccount('acct_ann'), { frozen: true, balance: -100n });
  await ledger.grant({ accountId: 'acct_ann', amount: 200n, reference: 'rest', note: '', nowMs: NOW_MS });
  t.match(await ledger.findAccount('acct_ann'), { frozen: false, balance: 100n });
  t.match(await ledger.hold(holdOf('req_4', { ceiling: 10n })), { ok: true });
  sql(`UPDATE wallets SET may_overdraw = 1 WHERE name = 'acct_ann'`);
  t.match(await ledger.hold(holdOf('req_5', { ceiling: 10n })), { ok: false, reason: 'account_inactive', frozen: true }, 'frozen is frozen, with credits too');
});

t.test('API keys', async (t) => {
  const { ledger } = await openBooks(t);
  const hash = (n: number): Uint8Array => new Uint8Array(32).fill(n);
  await ledger.createKey({ id: 'key_1', accountId: 'acct_ann', name: 'laptop', hash: hash(1), last4: 'aaaa', nowMs: NOW_MS });
  await ledger.createKey({ id: 'key_2', accountId: 'acct_ann', name: 'server', hash: hash(2), last4: 'bbbb', nowMs: NOW_MS + 1 });
  await t.rejects(ledger.createKey({ id: 'key_3', accountId: 'acct_nobody', name: '', hash: hash(3), last4: '', nowMs: NOW_MS }), /no account acct_nobody/);
  await t.rejects(ledger.createKey({ id: 'key_3', accountId: 'acct_ann', name: '', hash: hash(1), last4: '', nowMs: NOW_MS }), /UNIQUE/);
  t.same(await ledger.findKey(hash(1)), {
    keyId: 'key_1', accountId: 'acct_ann', status: 'active', frozen: false, balance: 1_000_000n, held: 0n, requestsPerMinute: undefined, byokProviders: [], byokRegions: new Map(),
  });
  t.equal(await ledger.findKey(hash(9)), undefined);

  await ledger.hold(holdOf('req_1', { nowMs: NOW_MS + 70_000 }));
  await ledger.hold(holdOf('req_2', { nowMs: NOW_MS + 80_000 }));
  t.equal((await ledger.findAccount('acct_ann'))?.activityMs, NOW_MS + 70_000, 'activity is kept to the minute');
  t.equal(await ledger.revokeKey('acct_ann', 'key_2', NOW_MS + 5), true);
  t.equal(await ledger.revokeKey('acct_ann', 'key_2', NOW_MS + 9), true, 'revoking twice is no fault');
  t.equal(await ledger.revokeKey('acct_ann', 'key_9', NOW_MS), false);
  await ledger.createAccount({ id: 'acct_bob', email: 'bob@example.com', status: 'active', nowMs: NOW_MS });
  t.equal(await ledger.revokeKey('acct_bob', 'key_1', NOW_MS), false, "another account's key is not there");
  t.equal(await ledger.findKey(hash(2)), undefined);
  t.same(await ledger.listKeys('acct_ann'), [
    { id: 'key_2', accountId: 'acct_ann', name: 'server', last4: 'bbbb', createdMs: NOW_MS + 1, lastUsedMs: undefined, revokedMs: NOW_MS + 5 },
    { id: 'key_1', accountId: 'acct_ann', name: 'laptop', last4: 'aaaa', createdMs: NOW_MS, lastUsedMs: NOW_MS + 70_000, revokedMs: undefined },
  ]);
});

t.test('sealed keys are kept as they come, and sealed anew all together or not at all', async (t) => {
  const { ledger } = await openBooks(t);
  const byok = { accountId: 'acct_ann', region: undefined, name: 'mine', last4: '1234', createdMs: NOW_MS };
  await ledger.saveByokKey({ ...byok, id: 'byok_1', provider: 'zhipu', sealed: new Uint8Array([1, 2]) });
  await ledger.saveByokKey({ ...byok, id: 'byok_2', provider: 'qwen', region: 'intl', sealed: new Uint8Array([3]) });
  await ledger.saveByokKey({ ...byok, id: 'byok_3', provider: 'qwen', sealed: new Uint8Array([4]) });
  await ledger.saveProviderKey({ provider: 'deepseek', last4: '9999', sealed: new Uint8Array([5]), updatedMs: NOW_MS });
  await ledger.saveProviderKey({ provider: 'deepseek', last4: '8888', sealed: new Uint8Array([6]), updatedMs: NOW_MS + 1 });
  await t.rejects(ledger.saveByokKey({ ...byok, accountId: 'acct_nobody', id: 'byok_9', provider: 'qwen', sealed: new Uint8Array() }), /no account/);
  await t.rejects(ledger.saveByokKey({ ...byok, id: 'byok_9', provider: 'a,b', sealed: new Uint8Array() }), RangeError);
  t.same((await ledger.listByokKeys('acct_ann')).map(({ id, region, sealed }) => [id, region, [...sealed]]), [
    ['byok_3', undefined, [4]], ['byok_2', 'intl', [3]], ['byok_1', undefined, [1, 2]],
  ]);
  t.same(await ledger.listProviderKeys(), [{ provider: 'deepseek', last4: '8888', sealed: new Uint8Array([6]), updatedMs: NOW_MS + 1 }]);

  await ledger.createKey({ id: 'key_1', accountId: 'acct_ann', name: '', hash: new Uint8Array(32), last4: '', nowMs: NOW_MS });
  t.same([...((await ledger.findKey(new Uint8Array(32)))?.byokProviders ?? [])].sort(), ['qwen', 'zhipu']);
  const regions = async () => [...((await ledger.findKey(new Uint8Array(32)))?.byokRegions ?? [])];
  t.same(await regions(), [], 'the newest key of qwen is for its main address');
  await ledger.saveByokKey({ ...byok, id: 'byok_4', provider: 'qwen', region: 'Hong Kong, new', sealed: new Uint8Array([7]) });
  t.same(await regions(), [['qwen', 'Hong Kong, new']]);
  t.equal(await ledger.removeByokKey('acct_ann', 'byok_4'), true);

  const turned = (sealed: Uint8Array): Uint8Array => sealed.map((byte) => byte + 100);
  await t.rejects(ledger.resealAll({ byok: ({ sealed }) => turned(sealed), provider: () => { throw new Error('wrong master key'); }, notes: { master: 'new' } }), /wrong master key/);
  t.equal(await ledger.note('master'), undefined);
  t.same([...((await ledger.listByokKeys('acct_ann'))[0]?.sealed ?? [])], [4], 'nothing was written');

  // Somebody saves a key between the reading and the writing: all is read and sealed again.
  let meddled = false;
  const count = await ledger.resealAll({
    byok(key) {
      if (!meddled) void ledger.saveProviderKey({ provider: 'zhipu', last4: '0000', sealed: new Uint8Array([7]), updatedMs: NOW_MS });
      meddled = true;
      return turned(key.sealed);
    },
    provider: ({ sealed }) => turned(sealed),
    notes: { master: 'new' },
  });
  t.equal(count, 5);
  t.equal(await ledger.note('master'), 'new');
  t.same((await ledger.listByokKeys('acct_ann')).map(({ sealed }) => [...sealed]), [[104], [103], [101, 102]]);
  t.same((await ledger.listProviderKeys()).map(({ sealed }) => [...sealed]), [[106], [107]]);

  t.equal(await ledger.removeByokKey('acct_ann', 'byok_2'), true);
  t.equal(await ledger.removeByokKey('acct_ann', 'byok_2'), false);
  t.equal(await ledger.removeProviderKey('deepseek'), true);
  t.equal(await ledger.removeProviderKey('deepseek'), false);
});

t.test('a note that is set once: of many at the same moment, all get the first one\'s', async (t) => {
  const path = `${t.testdir()}/findtoken.db`;
  const ledgers = [await openLedger({ path, as: 'daemon' }), await openLedger({ path, as: 'cli' })];
  t.teardown(() => Promise.all(ledgers.map((ledger) => ledger.close())));
  const kept = await Promise.all(Array.from({ length: 20 }, async (_, at) => ledgers[at % 2]?.noteOnce('install_id', `no ${at}`)));
  t.equal(new Set(kept).size, 1);
  t.equal(await ledgers[1]?.note('install_id'), kept[0]);
});

t.test('notes, and what the daemon says of itself', async (t) => {
  const { ledger } = await openBooks(t);
  t.equal(await ledger.note('installation'), undefined);
  await ledger.setNote('installation', 'one');
  await ledger.setNote('installation', 'two');
  t.equal(await ledger.note('installation'), 'two');
  t.equal(await ledger.daemonState(), undefined);
  const state = { pid: 42, version: '0.1.0', url: 'http://127.0.0.1:8787', startedMs: NOW_MS, beatMs: NOW_MS, detail: '{}' };
  await ledger.publish(state);
  await ledger.publish({ ...state, beatMs: NOW_MS + 1_000 });
  t.same(await ledger.daemonState(), { ...state, beatMs: NOW_MS + 1_000 });
});

t.test('the history of requests', async (t) => {
  const { ledger } = await openBooks(t);
  const hour = 3_600_000;
  for (let n = 0; n < 7; n += 1) await serve(ledger, `req_${n}`, { nowMs: NOW_MS + n * hour, keyId: n % 2 === 0 ? 'key_even' : 'key_odd' });
  await ledger.hold(holdOf('req_open'));
  await ledger.hold(holdOf('req_failed', { nowMs: NOW_MS + 8 * hour, stream: false, mode: 'byok', byok: { month: '2026-11', free: 5 } }));
  await ledger.release({ ...endOf('req_failed', NOW_MS + 8 * hour), status: 'providers_unavailable', model: 'qwen-max', provider: 'qwen' });

  t.test('pages go newest first and meet without gap or overlap; an open request is not in them', async (t) => {
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await ledger.listRequests({}, { limit: 3, ...(after === undefined ? {} : { after }) });
      seen.push(...page.rows.map(({ id }) => id));
      after = page.next;
    } while (after !== undefined);
    t.same(seen, ['req_failed', 'req_6', 'req_5', 'req_4', 'req_3', 'req_2', 'req_1', 'req_0']);
    t.equal((await ledger.listRequests({}, { limit: 8 })).next, undefined, 'a full last page has no next one');
    await t.rejects(ledger.listRequests({}, { limit: 3, after: 'req_4' }), { code: 'invalid_request', param: 'after' });
  });

  t.test('each filter leaves what it says', async (t) => {
    const cases = [
      // filter, ids, why
      [{ fromMs: NOW_MS + 5 * hour }, ['req_failed', 'req_6', 'req_5'], 'from: inclusive'],
      [{ toMs: NOW_MS + 2 * hour }, ['req_1', 'req_0'], 'to: exclusive'],
      [{ fromMs: NOW_MS + 2 * hour, toMs: NOW_MS + 4 * hour }, ['req_3', 'req_2'], 'a span'],
      [{ fromMs: NOW_MS + 100 * hour }, [], 'nothing yet'],
      [{ keyId: 'key_odd' }, ['req_5', 'req_3', 'req_1'], 'a key'],
      [{ model: 'qwen-max' }, ['req_failed'], 'the model that served'],
      [{ mode: 'byok' }, ['req_failed'], 'a mode'],
      [{ status: 'providers_unavailable' }, ['req_failed'], 'a status'],
      [{ accountId: 'acct_ann', status: 'ok', keyId: 'key_even', toMs: NOW_MS + hour }, ['req_0'], 'all at once'],
      [{ accountId: 'acct_nobody' }, [], 'a stranger'],
    ] as const;
    for (const [filter, ids, why] of cases) {
      t.same((await ledger.listRequests(filter, { limit: 20 })).rows.map(({ id }) => id), ids, why);
    }
  });

  t.test('a row says all that was measured', async (t) => {
    const cost = charge({ prompt: 12, cached: 4, completion: 7 }, PRICE, PRICE.rate);
    t.same(await ledger.findRequest('req_3'), {
      id: 'req_3', createdMs: NOW_MS + 3 * hour, accountId: 'acct_ann', keyId: 'key_odd', model: 'deepseek-chat', requestedModel: 'deepseek-chat:cheapest',
      provider: 'deepseek', mode: 'standard', stream: true, status: 'ok', promptTokens: 12, cachedTokens: 4, completionTokens: 7, reasoningTokens: 0,
      usageOrigin: 'reported', cost: cost.total, providerCost: cost.provider, fee: cost.fee, shortfall: 0n, latencyMs: 250, firstByteMs: 40, attempts: 1,
    });
    t.match(await ledger.findRequest('req_failed'), { stream: false, mode: 'byok', status: 'providers_unavailable', model: 'qwen-max', provider: 'qwen', cost: 0n });
    t.match(await ledger.findRequest('req_open'), { status: 'open', stream: true, cost: 0n, firstByteMs: undefined });
    t.equal(await ledger.findRequest('req_nobody'), undefined);
  });

  t.test('a request that lasted for hours is found by the time at which it began', async (t) => {
    const began = NOW_MS + 7.5 * hour;
    await ledger.hold(holdOf('req_long', { nowMs: began }));
    await ledger.settle(settlementOf('req_long', '0+0', NOW_MS + 30 * hour));
    const found = await ledger.listRequests({ fromMs: began, toMs: began + 1 }, { limit: 5 });
    t.same(found.rows.map(({ id }) => id), ['req_long']);
  });

  t.test('a request during which the clock is set back is found, and once', async (t) => {
    await ledger.hold(holdOf('req_back', { nowMs: NOW_MS + 36 * hour }));
    await ledger.settle(settlementOf('req_back', '0+0', NOW_MS + 31 * hour));
    const between = NOW_MS + 34 * hour;
    const halves = await Promise.all([{ toMs: between }, { fromMs: between }].map((half) => ledger.listRequests(half, { limit: 100 })));
    t.equal(halves.flatMap(({ rows }) => rows).filter(({ id }) => id === 'req_back').length, 1);
    t.match(await ledger.findRequest('req_back'), { createdMs: NOW_MS + 31 * hour }, 'it did not begin after its end');
  });

  t.test('following goes by the order of ending, and misses nobody', async (t) => {
    const { rows, cursor } = await ledger.requestsSince(undefined, {}, 10);
    t.same(rows, [], 'without a cursor it begins now');
    await ledger.hold(holdOf('req_slow', { nowMs: NOW_MS + 39 * hour }));
    await serve(ledger, 'req_quick', { nowMs: NOW_MS + 39 * hour });
    const first = await ledger.requestsSince(cursor, {}, 10);
    t.same(first.rows.map(({ id }) => id), ['req_quick']);
    await ledger.settle(settlementOf('req_slow', '0+0', NOW_MS + 40 * hour));
    await serve(ledger, 'req_last', { nowMs: NOW_MS + 40 * hour, keyId: 'key_odd' });
    const second = await ledger.requestsSince(first.cursor, {}, 1);
    t.same(second.rows.map(({ id }) => id), ['req_slow'], 'it began before the cursor and ended after it');
    t.same((await ledger.requestsSince(second.cursor, {}, 1)).rows.map(({ id }) => id), ['req_last'], 'a full page goes on where it stopped');
    const filtered = await ledger.requestsSince(cursor, { keyId: 'key_odd' }, 10);
    t.same(filtered.rows.map(({ id }) => id), ['req_last']);
    t.same((await ledger.requestsSince(filtered.cursor, {}, 10)).rows, [], 'the cursor stands at the end, whatever the filter left out');
  });
});

t.test('usage totals come from the rollups', async (t) => {
  const { ledger } = await openBooks(t);
  await ledger.createAccount({ id: 'acct_bob', email: 'bob@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.grant({ accountId: 'acct_bob', amount: 1_000_000n, reference: 'bob', note: '', nowMs: NOW_MS });
  const at = (day: number, hour: number, minute = 0): number => Date.UTC(2026, 10, day, hour, minute);
  await serve(ledger, 'req_1', { nowMs: at(20, 23, 59) });
  await serve(ledger, 'req_2', { nowMs: at(21, 0, 0) });
  await serve(ledger, 'req_3', { nowMs: at(21, 12), accountId: 'acct_bob', keyId: 'key_bob' }, { model: 'qwen-max', provider: 'qwen' });
  await serve(ledger, 'req_4', { nowMs: at(22, 6, 30) }, { status: 'aborted' });
  await ledger.hold(holdOf('req_5', { nowMs: at(23, 1) }));
  await ledger.release({ ...endOf('req_5', at(23, 1)), status: 'provider_failed', promptTokens: 0, cachedTokens: 0, completionTokens: 0 });
  const one = charge({ prompt: 12, cached: 4, completion: 7 }, PRICE, PRICE.rate).total;

  const all = { fromMs: at(1, 0), toMs: at(30, 0) };
  const cases = [
    // grouping, span, groups as [group, requests, errors, cost], why
    ['day', all, [['2026-11-20', 1, 0, one], ['2026-11-21', 2, 0, 2n * one], ['2026-11-22', 1, 0, one], ['2026-11-23', 1, 1, 0n]], 'days, oldest first'],
    ['model', all, [['deepseek-chat', 4, 1, 3n * one], ['qwen-max', 1, 0, one]], 'models, dearest first, by the one that served'],
    ['provider', all, [['deepseek', 4, 1, 3n * one], ['qwen', 1, 0, one]], 'providers'],
    ['key', all, [['key_1', 4, 1, 3n * one], ['key_bob', 1, 0, one]], 'keys'],
    ['account', all, [['acct_ann', 4, 1, 3n * one], ['acct_bob', 1, 0, one]], 'accounts'],
    ['mode', all, [['standard', 5, 1, 4n * one]], 'modes'],
    ['day', { ...all, accountId: 'acct_bob' }, [['2026-11-21', 1, 0, one]], 'one account'],
    ['day', { fromMs: at(20, 23, 59), toMs: at(21, 12) }, [['2026-11-20', 1, 0, one], ['2026-11-21', 1, 0, one]], 'minutes on both sides of midnight, no whole day'],
    ['day', { fromMs: at(20, 23, 59), toMs: at(22, 6, 30) }, [['2026-11-20', 1, 0, one], ['2026-11-21', 2, 0, 2n * one]], 'minutes, a whole day, minutes; the end is exclusive'],
    ['day', { fromMs: at(21, 0), toMs: at(22, 0) }, [['2026-11-21', 2, 0, 2n * one]], 'exactly one day'],
    ['day', { fromMs: at(22, 6), toMs: at(22, 7) }, [['2026-11-22', 1, 0, one]], 'within one day'],
    ['day', { fromMs: at(22, 7), toMs: at(22, 6) }, [], 'a span that ends before it begins'],
  ] as const;
  for (const [by, span, expected, why] of cases) {
    const totals = await ledger.usageTotals(by, span);
    t.same(totals.map(({ group, requests, errors, cost }) => [group, requests, errors, cost]), expected, why);
  }
  t.match((await ledger.usageTotals('mode', all))[0], { promptTokens: 48, cachedTokens: 16, completionTokens: 28, shortfall: 0n });
});

t.test('transfers', async (t) => {
  const { ledger, sql } = await openBooks(t);
  await ledger.createAccount({ id: 'acct_bob', email: 'bob@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.hold(holdOf('req_1'));
  await ledger.settle(settlementOf('req_1', '20+5', NOW_MS + 1));
  await ledger.grant({ accountId: 'acct_bob', amount: 7n, reference: 'bob', note: '', nowMs: NOW_MS });
  await ledger.grant({ accountId: 'acct_ann', amount: -5n, reference: 'back', note: 'too much', nowMs: NOW_MS + 2 });
  const kinds = async (filter: Parameters<Ledger['listTransfers']>[0]): Promise<string[]> =>
    (await ledger.listTransfers(filter)).rows.map(({ kind, debit, credit, amount }) => `${kind} ${debit}>${credit} ${amount}`);
  t.same(await kinds({ accountId: 'acct_ann', limit: 10 }), [
    'grant_back acct_ann>grants 5', 'fee acct_ann>fees 5', 'usage acct_ann>provider_cost 20', 'grant grants>acct_ann 1000000',
  ], "both sides of an account, newest first, and nobody else's");
  t.same(await kinds({ accountId: 'grants', limit: 2 }), ['grant_back acct_ann>grants 5', 'grant grants>acct_bob 7'], 'a system account');
  t.same(await kinds({ accountId: 'acct_nobody', limit: 2 }), []);
  const page = await ledger.listTransfers({ accountId: 'acct_ann', limit: 3 });
  t.match(page.rows[0], { reference: 'back', note: 'too much', atMs: NOW_MS + 2 });
  t.same(await kinds({ accountId: 'acct_ann', limit: 3, ...(page.next === undefined ? {} : { after: page.next }) }), ['grant grants>acct_ann 1000000']);
  t.throws(() => sql('UPDATE transfers SET amount = 1'), /append-only/);
  t.throws(() => sql('DELETE FROM transfers'), /append-only/);
  t.throws(() => sql(`UPDATE requests SET cost = 0, provider_cost = 0, fee = 0`), /never changed/);
  t.throws(() => sql(`UPDATE wallets SET balance = -1 WHERE name = 'acct_ann'`), /CHECK/, 'the table itself refuses a debt');
  await t.rejects(ledger.grant({ accountId: 'acct_ann', amount: 0n, reference: 'nothing', note: '', nowMs: NOW_MS }), RangeError);
});

t.test('bugs of a caller are thrown, and change nothing', async (t) => {
  const { ledger } = await openBooks(t);
  await ledger.createAccount({ id: 'acct_bob', email: 'bob@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.hold(holdOf('req_1'));
  await t.rejects(ledger.hold(holdOf('req_1', { accountId: 'acct_bob' })), /another account/);
  await t.rejects(ledger.hold(holdOf('req_2', { ceiling: -1n })), RangeError);
  await t.rejects(ledger.hold(holdOf('req_2', { accountId: 'acct_nobody' })), /no account/);
  await t.rejects(ledger.settle(settlementOf('req_9', '1+1', NOW_MS)), /never held/);
  await t.rejects(ledger.release(endOf('req_9', NOW_MS)), /never held/);
  await t.rejects(ledger.settle({ ...settlementOf('req_1', '1+1', NOW_MS), charge: { total: 3n, provider: 1n, fee: 1n } }), RangeError);
  await t.rejects(ledger.settle({ ...settlementOf('req_1', '1+1', NOW_MS), charge: { total: 0n, provider: 1n, fee: -1n } }), RangeError);
  await t.rejects(ledger.progress('req_1', { ...settlementOf('req_1', '1+1', NOW_MS), charge: { total: 3n, provider: 1n, fee: 1n } }), RangeError, 'a crash would charge it');
  t.match(await ledger.findAccount('acct_ann'), { balance: 1_000_000n, held: 100n });
  t.same((await ledger.audit()).findings, []);
});

t.test('the audit finds what was tampered with', async (t) => {
  const unlocked = `DROP TRIGGER transfers_are_never_changed; DROP TRIGGER transfers_are_never_deleted; DROP TRIGGER requests_end_once; DROP TRIGGER chain_is_never_changed; DROP TRIGGER chain_is_never_deleted;`;
  const cases = [
    // what was done to the file, rules that notice, why
    [`UPDATE wallets SET balance = balance + 1 WHERE name = 'acct_ann'`, ['I1', 'I4'], 'a balance from nowhere'],
    [`UPDATE wallets SET balance = balance + 1 WHERE name = 'acct_ann'; UPDATE wallets SET balance = balance - 1 WHERE name = 'fees'`, ['I1', 'I1'], 'moved without a transfer'],
    [`UPDATE wallets SET held = held + 1 WHERE name = 'acct_ann'`, ['I2'], 'held by no request'],
    [`UPDATE transfers SET amount = amount + 1 WHERE kind = 'usage'`, ['I1', 'I1', 'I11', 'I6 usage'], 'a changed transfer'],
    [`DELETE FROM transfers WHERE kind = 'fee'`, ['I1', 'I1', 'I11', 'I6 fee'], 'a lost transfer'],
    [`UPDATE transfers SET reference = 'req_x' WHERE kind = 'fee'`, ['I11', 'I6 fee', 'I6 fee'], 'a transfer of no request'],
    [`UPDATE transfers SET note = 'a loan' WHERE kind = 'grant'`, ['I11'], 'what no sum notices'],
    [`UPDATE chain SET hash = zeroblob(32) WHERE upto = 1`, ['I11', 'I11'], 'a link that was made up: neither it nor the next one fits'],
    [`DELETE FROM chain WHERE upto = (SELECT max(upto) FROM chain)`, ['I11'], 'transfers behind the end of the chain'],
    [`PRAGMA ignore_check_constraints = ON; UPDATE requests SET state = 'settleD' WHERE id = 'req_1'`, ['I5'], 'an end that does not exist'],
    [`UPDATE requests SET completion_tokens = completion_tokens + 1000 WHERE id = 'req_1'`, ['charge', 'rollup_days', 'rollup_minutes'], 'tokens that were not billed'],
    [`UPDATE requests SET price_output = price_output * 1000 WHERE id = 'req_1'`, ['charge'], 'a price that was not applied'],
    [`UPDATE requests SET cached_tokens = 13 WHERE id = 'req_1'`, ['charge', 'rollup_days', 'rollup_minutes', 'tokens'], 'more cached than there was prompt'],
    [`UPDATE rollup_days SET cost = cost + 1`, ['rollup_days'], 'a total of nothing'],
    [`DELETE FROM rollup_minutes`, ['rollup_minutes'], 'totals that are gone'],
    [`UPDATE byok_counters SET requests = 7`, ['byok_counter'], 'a counter that was turned'],
    [`DELETE FROM byok_counters`, ['byok_counter'], 'a counter that was dropped'],
  ] as const;
  for (const [tampering, rules, why] of cases) {
    await t.test(why, async (t) => {
      const { ledger, sql } = await openBooks(t);
      await serve(ledger, 'req_1');
      await ledger.hold(holdOf('req_2', { mode: 'byok', byok: { month: '2026-11', free: 5 } }));
      t.same(await ledger.audit(), { accounts: 1, transfers: 3, requests: 2, openHolds: 1, findings: [] });
      sql(unlocked + tampering);
      const { findings } = await ledger.audit();
      t.same(findings.map(({ rule }) => rule).sort(), rules);
    });
  }
});
