import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import Database from 'better-sqlite3';
import { openLedger, type HoldRequest, type Ledger } from '../src/ledger/index.ts';
import { refusalOf } from '../src/ledger/connection.ts';
import { settlementOf } from './support/stories.ts';

const NOW_MS = Date.UTC(2026, 10, 23);

function holdOf(id: string, ceiling: bigint, accountId = 'acct_ann'): HoldRequest {
  return {
    id, accountId, keyId: 'key_1', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat',
    provider: 'deepseek', stream: false, ceiling, byok: undefined, nowMs: NOW_MS,
  };
}

async function fund(ledger: Ledger, amount: bigint, id = 'acct_ann'): Promise<void> {
  await ledger.createAccount({ id, email: `${id}@example.com`, status: 'active', nowMs: NOW_MS });
  await ledger.grant({ accountId: id, amount, reference: `start of ${id}`, note: '', nowMs: NOW_MS });
}

/** One daemon for the tests that need no start or end of it, each with an account of its own. */
const path = `${t.testdir()}/books.db`;
const daemon = await openLedger({ path, as: 'daemon' });
t.teardown(() => daemon.close());

t.test('a thousand parallel holds of 3,000 against 1,000,000: exactly 333 are admitted', async (t) => {
  await fund(daemon, 1_000_000n, 'acct_many');
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, n) => daemon.hold(holdOf(`req_many_${n}`, 3_000n, 'acct_many'))));
  t.equal(answers.filter(({ ok }) => ok).length, 333);
  t.equal((await daemon.findAccount('acct_many'))?.held, 999_000n);
  const refused = answers.find(({ ok }) => !ok);
  t.same(refused, { ok: false, reason: 'insufficient_credits', available: 1_000n });
  t.same((await daemon.audit()).findings, []);
});

t.test('a bad operation is refused alone; its neighbours in the batch are done', async (t) => {
  await fund(daemon, 1_000n, 'acct_batch');
  // The first write goes out by itself; the other five gather behind it and share a transaction.
  const answers = await Promise.allSettled([
    daemon.setNote('first', 'alone'),
    daemon.hold(holdOf('req_b1', 10n, 'acct_batch')),
    daemon.settle(settlementOf('req_b1', '5+1', NOW_MS)),
    daemon.settle(settlementOf('req_never_held', '1+1', NOW_MS)),
    daemon.hold({ ...holdOf('req_b2', 10n), accountId: 'acct_nobody' }),
    daemon.hold(holdOf('req_b3', 20n, 'acct_batch')),
  ]);
  t.same(answers.map(({ status }) => status), ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled']);
  t.match(answers[3], { reason: { message: /req_never_held was never held/ } });
  t.match(answers[4], { reason: { message: /no account acct_nobody/ } });
  t.match(await daemon.findAccount('acct_batch'), { balance: 994n, held: 20n });
  t.same((await daemon.audit()).findings, [], 'what was rolled back left nothing in the sums of the batch');
});

t.test('one request held, settled and asked for again within one batch is held and charged once', async (t) => {
  await fund(daemon, 1_000n, 'acct_once');
  const hold = holdOf('req_once', 10n, 'acct_once');
  const settlement = settlementOf('req_once', '5+1', NOW_MS);
  const answers = await Promise.all([
    daemon.hold(hold), daemon.hold(hold), daemon.settle(settlement), daemon.settle(settlement), daemon.hold(hold), daemon.release(settlement),
  ]);
  t.match(answers, [
    { ok: true, held: 10n }, { ok: true, held: 10n }, { first: true, cost: 6n, held: 0n }, { first: false, cost: 6n }, { ok: true, held: 0n }, { first: false, cost: 6n },
  ]);
  t.match(await daemon.findAccount('acct_once'), { balance: 994n, held: 0n });
  t.match(await daemon.findRequest('req_once'), { status: 'ok', cost: 6n });
  t.same((await daemon.audit()).findings, []);
});

t.test('a page whose filter matches next to nothing looks at a bounded number of rows and says where to go on', async (t) => {
  await fund(daemon, 1_000n, 'acct_pages');
  const end = async (n: number, status: string) => {
    const id = `req_pages_${n}`;
    await daemon.hold(holdOf(id, 0n, 'acct_pages'));
    await daemon.release({ ...settlementOf(id, '0+0', NOW_MS), status });
  };
  await end(0, 'providers_unavailable');
  let next = 1;
  const work = async () => {
    while (next <= 20_001) await end(next++, 'ok');
  };
  await Promise.all(Array.from({ length: 256 }, work));
  const rare = { accountId: 'acct_pages', status: 'providers_unavailable' };
  const first = await daemon.listRequests(rare, { limit: 20 });
  t.same(first.rows, [], 'nothing among the newest 20,000');
  t.ok(first.next !== undefined, 'but the end is not reached');
  const second = await daemon.listRequests(rare, { limit: 20, ...(first.next === undefined ? {} : { after: first.next }) });
  t.same(second.rows.map(({ id }) => id), ['req_pages_0']);
  t.equal(second.next, undefined);
  t.equal((await daemon.listRequests({ accountId: 'acct_pages', status: 'ok' }, { limit: 20 })).rows.length, 20, 'a page that fills is a page as ever');
});

t.test('one daemon a database; the lock ends with the ledger', async (t) => {
  await t.rejects(openLedger({ path, as: 'daemon' }), { name: 'LedgerError', code: 'ledger_locked', message: new RegExp(`${path}.*Stop it first`) });
  const own = `${t.testdir()}/own.db`;
  await (await openLedger({ path: own, as: 'daemon' })).close();
  await (await openLedger({ path: own, as: 'daemon' })).close();
});

t.test("the command line's revocation holds at the daemon's very next look", async (t) => {
  await fund(daemon, 500n, 'acct_keys');
  const cli = await openLedger({ path, as: 'cli' });
  t.teardown(() => cli.close());
  const hash = new Uint8Array(32).fill(7);
  await cli.createKey({ id: 'key_1', accountId: 'acct_keys', name: 'laptop', hash, last4: '1234', nowMs: NOW_MS });
  t.match(await daemon.findKey(hash), { keyId: 'key_1', accountId: 'acct_keys', status: 'active', balance: 500n });
  t.equal(await cli.revokeKey('acct_keys', 'key_1', NOW_MS), true);
  t.equal(await daemon.findKey(hash), undefined);

  await cli.setAccountStatus('acct_keys', 'deactivated', NOW_MS);
  t.match(await daemon.hold(holdOf('req_k1', 1n, 'acct_keys')), { ok: false, reason: 'account_inactive', status: 'deactivated' });
});

t.test('another process that keeps the write lock delays writes, never the event loop', async (t) => {
  await fund(daemon, 1_000n, 'acct_wait');
  const holder = new Database(path);
  holder.exec('BEGIN IMMEDIATE');
  const hash = new Uint8Array(32).fill(7);
  let answered = false;
  const held = daemon.hold(holdOf('req_w1', 1n, 'acct_wait')).finally(() => (answered = true));
  for (let looks = 0; looks < 50; looks += 1) {
    t.equal(await daemon.findKey(hash), undefined);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(answered, false, 'the hold waits for the lock, the looks did not');
  holder.exec('ROLLBACK');
  holder.close();
  t.match(await held, { ok: true });
});

t.test('writes that waited in vain for the lock are refused together, not one after the other', { timeout: 20_000 }, async (t) => {
  await fund(daemon, 1_000n, 'acct_locked');
  const holder = new Database(path);
  holder.exec('BEGIN IMMEDIATE');
  const holds = await Promise.allSettled(Array.from({ length: 16 }, (_, at) => daemon.hold(holdOf(`req_l${at}`, 1n, 'acct_locked'))));
  t.same(new Set(holds.map((one) => (one.status === 'rejected' ? one.reason.isBusy : 'held'))), new Set([true]));
  holder.exec('ROLLBACK');
  holder.close();
  t.match(await daemon.hold(holdOf('req_l16', 1n, 'acct_locked')), { ok: true, held: 1n }, 'and none of them was booked');
});

t.test('a busy daemon and the command line write side by side', async (t) => {
  await fund(daemon, 1_000_000n, 'acct_busy');
  const cli = await openLedger({ path, as: 'cli' });
  t.teardown(() => cli.close());
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    for (let n = 0; n < 100; n += 1) {
      await daemon.hold(holdOf(`req_${lane}_${n}`, 100n, 'acct_busy'));
      await daemon.settle(settlementOf(`req_${lane}_${n}`, '60+3', NOW_MS));
    }
  });
  for (let n = 0; n < 20; n += 1) {
    await cli.grant({ accountId: 'acct_busy', amount: 10n, reference: `g${n}`, note: '', nowMs: NOW_MS });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(lanes);
  t.match(await cli.findAccount('acct_busy'), { balance: 1_000_000n + 200n - 400n * 63n, held: 0n });
  t.same((await cli.audit()).findings, []);
});

t.test('closing makes durable what was asked before, and refuses what comes after', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const ledger = await openLedger({ path, as: 'daemon' });
  await fund(ledger, 1_000n);
  const asked = Array.from({ length: 50 }, (_, n) => ledger.hold(holdOf(`req_${n}`, 1n)));
  const closed = ledger.close();
  await t.rejects(ledger.hold(holdOf('req_late', 1n)), { code: 'ledger_closed' });
  await closed;
  t.ok((await Promise.all(asked)).every(({ ok }) => ok));
  await ledger.close();
  await t.rejects(ledger.listAccounts(), { code: 'ledger_closed' });
  const reader = await openLedger({ path, as: 'read' });
  t.equal((await reader.findAccount('acct_ann'))?.held, 50n);
  await reader.close();
});

t.test('a database that is moved away under the daemon stops the writing, loudly', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const ledger = await openLedger({ path, as: 'daemon' });
  await fund(ledger, 1_000n);
  renameSync(path, `${path}.moved`);
  const refused = await firstRefusal(() => ledger.setNote('still', 'here'));
  t.match(refused, { code: 'storage_unavailable', status: 503, message: /moved or deleted/ });
  t.match(await ledger.failed, { message: /books\.db was moved or deleted/ });
  await t.rejects(ledger.hold(holdOf('req_1', 1n)), { code: 'storage_unavailable' });
  await ledger.close();
});

t.test("the disk's faults are one refusal with a mend; a bug stays a bug", (t) => {
  for (const code of ['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_READONLY_DBMOVED', 'SQLITE_CORRUPT', 'SQLITE_BUSY']) {
    t.match(refusalOf(new Database.SqliteError('text', code)), { code: 'storage_unavailable', status: 503, message: new RegExp(`${code}.*${code === 'SQLITE_BUSY' ? 'Another process keeps them locked' : 'Free space or mend the disk'}`) });
  }
  const bug = new Database.SqliteError('CHECK failed', 'SQLITE_CONSTRAINT_CHECK');
  t.equal(refusalOf(bug), bug);
  t.end();
});

t.test('kill -9 with open holds: nothing that was answered is lost, and the next daemon recovers them', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL('./support/dying-daemon.ts', import.meta.url)), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let answered = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    answered = Number(line);
    if (answered >= 40) break;
  }
  child.kill('SIGKILL');
  await once(child, 'exit');

  const ledger = await openLedger({ path, as: 'daemon' });
  t.teardown(() => ledger.close());
  const before = await ledger.audit();
  t.same(before.findings, []);
  t.ok(before.openHolds >= answered, `${before.openHolds} open holds, ${answered} were answered`);
  const { released, settled } = await ledger.recover(NOW_MS);
  t.equal(released + settled, before.openHolds);
  t.ok(settled >= Math.floor(answered / 2), 'every second one had progressed by 7');
  const account = await ledger.findAccount('acct_ann');
  t.match(account, { held: 0n, balance: 1_000_000n - 7n * BigInt(settled) });
  t.same((await ledger.audit()).findings, []);
});

/** The path is looked at about once a second: a write within that second may still be taken. */
async function firstRefusal(write: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      await write();
    } catch (error) {
      return error;
    }
  }
}
