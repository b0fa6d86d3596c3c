import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { keepAnchor } from '../src/daemon/anchor.ts';
import { JOURNAL_ALARM_BYTES, watchDisk } from '../src/daemon/disk-watch.ts';
import { takeDaemonLock, takeMigratingLock } from '../src/ledger/connection.ts';
import { openLedger, type Ledger } from '../src/ledger/index.ts';
import { MIGRATIONS } from '../src/ledger/schema.ts';
import { pause } from './support/provider.ts';

const NOW_MS = Date.UTC(2026, 10, 23);
const FIXTURES = new URL('./fixtures/schemas/', import.meta.url);

function holdOf(id: string): Parameters<Ledger['hold']>[0] {
  return { id, accountId: 'acct_ann', keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: true, ceiling: 100n, byok: undefined, nowMs: NOW_MS };
}

function settlementOf(id: string): Parameters<Ledger['settle']>[0] {
  return {
    id, status: 'ok', model: 'm', provider: 'p', promptTokens: 1, cachedTokens: 0, completionTokens: 1, reasoningTokens: 0, usageOrigin: 'reported',
    latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs: NOW_MS, price: undefined, charge: { total: 11n, provider: 10n, fee: 1n },
  };
}

async function furnish(ledger: Ledger): Promise<void> {
  await ledger.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.grant({ accountId: 'acct_ann', amount: 1_000_000n, reference: 'start', note: 'a gift', nowMs: NOW_MS });
}

async function serve(ledger: Ledger, id: string): Promise<void> {
  await ledger.hold(holdOf(id));
  await ledger.settle(settlementOf(id));
}

/** A small disk of its own; undefined where the system does not let us mount one. */
function smallDisk(t: Test, size: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch (error) {
    t.comment(`no small disk: ${error instanceof Error ? error.message : 'mount failed'}`);
    rmSync(folder, { recursive: true });
    return undefined;
  }
  t.teardown(() => {
    execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

t.test('a full disk: nothing new begins, what runs is settled, and service resumes by itself', async (t) => {
  const folder = smallDisk(t, '12m');
  if (folder === undefined) {
    t.pass('skipped: mounting a small disk needs root', { skip: true });
    return;
  }
  const path = join(folder, 'books.db');
  const ledger = await openLedger({ path, as: 'daemon', space: { reserveBytes: 2_000_000, ballastBytes: 2_000_000 } });
  t.teardown(() => ledger.close());
  await furnish(ledger);
  t.ok(existsSync(`${path}.ballast`), 'room is kept beside the database');
  const running = Array.from({ length: 60 }, (_, at) => `req_${at}`);
  for (const id of running) t.match(await ledger.hold(holdOf(id)), { ok: true });

  const filler = join(folder, 'somebody-else');
  execFileSync('sh', ['-c', `cat /dev/zero > '${filler}' 2>/dev/null || true`]);
  await pause(250);
  await t.rejects(ledger.hold(holdOf('req_new')), { code: 'storage_unavailable', status: 503, headers: { 'retry-after': '5' } }, 'S1: a new request is refused');
  t.match(await ledger.findAccount('acct_ann'), { held: 6_000n }, 'reading goes on');
  t.match(await ledger.storage(), { isShort: true }, 'and readiness can tell');
  for (const id of running) t.match(await ledger.settle(settlementOf(id)), { first: true, cost: 11n }, 'S2: every one that ran is settled');
  t.notOk(existsSync(`${path}.ballast`), 'in the room that was kept for it');
  await t.rejects(ledger.hold(holdOf('req_new')), { code: 'storage_unavailable' });

  rmSync(filler);
  await pause(250);
  t.match(await ledger.storage(), { isShort: false });
  t.match(await ledger.hold(holdOf('req_new')), { ok: true }, 'S3: with room again it goes on, without a restart');
  t.ok(existsSync(`${path}.ballast`), 'and room is kept anew');
  await ledger.settle(settlementOf('req_new'));
  t.same((await ledger.audit()).findings, []);
});

t.test('a disk that turns read-only is told, and forgotten when it is writable again', async (t) => {
  const folder = smallDisk(t, '64m');
  if (folder === undefined) {
    t.pass('skipped: mounting a small disk needs root', { skip: true });
    return;
  }
  const ledger = await openLedger({ path: join(folder, 'books.db'), as: 'daemon' });
  t.teardown(() => ledger.close());
  await furnish(ledger);
  t.match(await ledger.hold(holdOf('req_1')), { ok: true });
  await ledger.setNote('a', 'b');
  try {
    execFileSync('mount', ['-o', 'remount,ro', folder], { stdio: 'ignore' });
  } catch (error) {
    t.pass(`skipped: a file that is open for writing keeps its disk writable here (${error instanceof Error ? error.name : ''})`, { skip: true });
    return;
  }
  await t.rejects(ledger.hold(holdOf('req_2')), { code: 'storage_unavailable' }, 'S4: nothing is dispatched');
  execFileSync('mount', ['-o', 'remount,rw', folder]);
  t.match(await ledger.hold(holdOf('req_2')), { ok: true });
});

t.test('a database that is moved, deleted or parted from its journal under the daemon is noticed within a second, also where nobody asks', async (t) => {
  const cases = [
    ['books.db', (path: string) => renameSync(path, `${path}.away`), 'moved'],
    ['books.db', (path: string) => rmSync(path), 'deleted'],
    ['books.db', (path: string) => { copyFileSync(path, `${path}.copy`); renameSync(`${path}.copy`, path); }, 'replaced'],
    ['books.db-wal', (path: string) => rmSync(path), 'without its journal'],
  ] as const;
  for (const [name, harm, why] of cases) {
    const folder = t.testdir({});
    const ledger = await openLedger({ path: join(folder, 'books.db'), as: 'daemon' });
    await furnish(ledger);
    await pause(600);
    const startedMs = performance.now();
    harm(join(folder, name));
    const failed = await Promise.race([ledger.failed, pause(3_000)]);
    t.match(failed, { message: /moved or deleted/ }, why);
    t.ok(performance.now() - startedMs < 1_500, `${why}: after ${Math.round(performance.now() - startedMs)} ms`);
    await t.rejects(ledger.hold(holdOf('req_1')), { code: 'storage_unavailable' }, 'and nothing is taken any more');
    await ledger.close();
  }
});

t.test('S12: a reader that stays lets the journal grow: it is said once, and over when the reader has gone', async (t) => {
  const path = join(t.testdir({}), 'books.db');
  const ledger = await openLedger({ path, as: 'daemon', space: { reserveBytes: 1, ballastBytes: 0 } });
  t.teardown(() => ledger.close());
  await furnish(ledger);
  const said: string[] = [];
  const look = watchDisk({ ledger, log: { info: (event) => void said.push(event), warn: (event, { mend = '' }) => void said.push(`${event}: ${mend}`) } });
  const reader = new Database(path, { readonly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM notes').get();
  await look();
  t.same(said, [], 'nothing to say');
  // Other letters each time: a page that stays as it was is not written again.
  const heavy = (turn: number) => String.fromCharCode(97 + turn).repeat(4 * 1_048_576);
  for (let turn = 0; turn < 20; turn += 1) await ledger.setNote('heavy', heavy(turn));
  const { journalBytes } = await ledger.storage();
  t.ok(journalBytes > JOURNAL_ALARM_BYTES, `${Math.round(journalBytes / 1_048_576)} MiB`);
  await look();
  await look();
  t.same(said, ['journal_large: end the process that keeps a read transaction open on the database, such as a backup tool or a SQL shell'], 'once');
  await serve(ledger, 'req_1');
  t.same((await ledger.audit()).findings, [], 'and serving goes on');

  reader.close();
  // The first write folds the journal, the second begins it anew.
  await ledger.setNote('heavy', heavy(21));
  await ledger.setNote('heavy', '');
  await look();
  t.equal(said.at(-1), 'journal_folded');
  t.ok((await ledger.storage()).journalBytes <= JOURNAL_ALARM_BYTES, 'and it is cut back');
});

t.test('a short disk is said once, and once that it has room again', async (t) => {
  const said: string[] = [];
  let isShort = false;
  const look = watchDisk({ ledger: { storage: async () => ({ freeBytes: 5_000_000, isShort, journalBytes: 0, trouble: undefined }) }, log: { info: (event) => void said.push(event), warn: (event, { free_mib }) => void said.push(`${event} ${free_mib}`) } });
  for (isShort of [false, true, true, false, false, true]) await look();
  t.same(said, ['disk_short 4', 'disk_has_room', 'disk_short 4']);
});

t.test('a link is the SHA-256 of the one before it and of what was booked since, whatever a note is written in', async (t) => {
  const path = join(t.testdir(), 'books.db');
  const ledger = await openLedger({ path, as: 'cli' });
  await furnish(ledger);
  for (const note of ['größer', 'ein paar: 😀', '']) await ledger.grant({ accountId: 'acct_ann', amount: 5n, reference: `more ${note.length}`, note, nowMs: NOW_MS });
  await serve(ledger, 'req_1');
  t.same((await ledger.audit()).findings, []);
  await ledger.close();

  const db = new Database(path, { readonly: true });
  const transfers = db.prepare('SELECT seq, kind, debit, credit, amount, at_ms, reference, note FROM transfers ORDER BY seq').raw().all() as (number | string)[][];
  const links = db.prepare('SELECT upto, hash FROM chain ORDER BY upto').all() as { upto: number; hash: Buffer }[];
  db.close();
  t.equal(links.length, 5);
  let before = Buffer.alloc(32);
  let from = 0;
  for (const { upto, hash } of links) {
    const lines = transfers.filter(([seq]) => Number(seq) > from && Number(seq) <= upto).map((columns) => `${columns.slice(0, 6).join(' ')} ${String(columns[6]).length}:${columns[6]} ${String(columns[7]).length}:${columns[7]}\n`);
    before = createHash('sha256').update(before).update(lines.join('')).digest();
    t.equal(hash.toString('hex'), before.toString('hex'), `the link up to ${upto}`);
    from = upto;
  }
});

t.test('a book that is older than it was is refused, unless the operator says that it shall stand', async (t) => {
  const folder = t.testdir({ state: {} });
  const path = join(folder, 'books.db');
  const anchors = join(folder, 'state');
  const warnings: string[] = [];
  const open = async (acceptRollback = false) => {
    const ledger = await openLedger({ path, as: 'cli' });
    const log = { info: () => undefined, warn: (event: string) => void warnings.push(event) };
    try {
      return { ledger, stop: await keepAnchor({ folder: anchors, databasePath: path, ledger, acceptRollback, log }) };
    } catch (error) {
      await ledger.close();
      throw error;
    }
  };
  const close = async ({ ledger, stop }: Awaited<ReturnType<typeof open>>) => {
    await stop();
    await ledger.close();
  };

  const first = await open();
  await furnish(first.ledger);
  await close(first);
  copyFileSync(path, `${path}.backup`);
  const second = await open();
  await serve(second.ledger, 'req_1');
  await close(second);
  const [anchor = ''] = readdirSync(anchors);
  t.match(readFileSync(join(anchors, anchor), 'utf8'), /^3 [0-9a-f]{64}\n$/, 'the head of the book, at the end');
  await close(await open());
  t.same(warnings, [], 'the same book, closed and opened, is the same book');

  copyFileSync(`${path}.backup`, path);
  await t.rejects(open(), { code: 'ledger_rolled_back', message: /notes transfer 3, and the newest here is 1\. .*--accept-rollback/ }, 'S11: an older backup over a newer book');
  const forked = await openLedger({ path, as: 'cli' });
  await serve(forked, 'req_other');
  await forked.close();
  await t.rejects(open(), { code: 'ledger_rolled_back' }, 'nor does it help that it has grown as long by other ways');
  await close(await open(true));
  t.same(warnings, ['rollback_accepted']);
  await close(await open());
  t.same(warnings, ['rollback_accepted'], 'once is enough');

  mkdirSync(join(folder, 'elsewhere'));
  copyFileSync(path, join(folder, 'elsewhere', 'books.db'));
  const copy = await openLedger({ path: join(folder, 'elsewhere', 'books.db'), as: 'cli' });
  await serve(copy, 'req_copy');
  const stop = await keepAnchor({ folder: anchors, databasePath: join(folder, 'elsewhere', 'books.db'), ledger: copy, acceptRollback: false, log: { info: () => undefined, warn: () => undefined } });
  await stop();
  await copy.close();
  t.equal(readdirSync(anchors).length, 2, 'a copy in another place goes its own way');
  await close(await open());

  writeFileSync(join(anchors, anchor), 'rubbish');
  await close(await open());
  t.same(warnings, ['rollback_accepted', 'anchor_unreadable'], 'a note that cannot be read is told, and written anew');
});

t.test('an empty book where another was is refused, unless the operator says that it shall stand', async (t) => {
  const folder = t.testdir({ state: {} });
  const path = join(folder, 'books.db');
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (event: string) => void warnings.push(event) };
  const start = async (more: { readonly acceptRollback?: boolean; readonly isRehearsal?: boolean } = {}) => {
    const ledger = await openLedger({ path, as: 'cli' });
    try {
      await (await keepAnchor({ folder: join(folder, 'state'), databasePath: path, ledger, acceptRollback: false, log, ...more }))();
    } finally {
      await ledger.close();
    }
  };
  const fill = async () => {
    const ledger = await openLedger({ path, as: 'cli' });
    await furnish(ledger);
    await ledger.close();
  };
  await start();
  rmSync(path);
  await start();
  t.same(warnings, [], 'a book without a transfer leaves no note, and may go');
  await fill();
  await start();
  rmSync(path);
  await t.rejects(start(), { code: 'ledger_rolled_back', message: /is not the book that was here before: .*is its disk mounted\?.*--accept-rollback/ });
  await fill();
  await t.rejects(start(), { code: 'ledger_rolled_back' }, 'nor does it help that it has been filled');
  await start({ acceptRollback: true });
  t.same(warnings, ['book_replaced']);
  await start();
  t.same(readdirSync(join(folder, 'state')).map((name) => name.replace(/^.*\.anchor/, '')).sort(), ['', '.replaced'], 'the other note is put aside');
  rmSync(path);
  await start({ isRehearsal: true });
  t.same(warnings, ['book_replaced', 'book_replaced'], 'a rehearsal is told, and goes on');
});

t.test('a journal whose end was lost is told by the anchor, where SQLite says nothing', async (t) => {
  const folder = t.testdir({ state: {} });
  const path = join(folder, 'books.db');
  const log = { info: () => undefined, warn: () => undefined };
  const first = await openLedger({ path, as: 'cli' });
  await furnish(first);
  await (await keepAnchor({ folder: join(folder, 'state'), databasePath: path, ledger: first, acceptRollback: false, log }))();
  await first.close();
  const ledger = await openLedger({ path, as: 'cli' });
  const stop = await keepAnchor({ folder: join(folder, 'state'), databasePath: path, ledger, acceptRollback: false, log });
  for (let at = 0; at < 10; at += 1) await serve(ledger, `req_${at}`);
  await stop();
  // The file and its journal as a crash leaves them.
  const images = ['', '-wal'].map((end) => readFileSync(`${path}${end}`));
  await ledger.close();
  const wal = images[1] ?? Buffer.alloc(0);
  let told = 0;
  for (const cut of [0.3, 0.5, 0.7, 0.9, 0.99]) {
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    writeFileSync(path, images[0] ?? '');
    writeFileSync(`${path}-wal`, wal.subarray(0, Math.floor(wal.length * cut)));
    const reopened = await openLedger({ path, as: 'cli' });
    const found = new Database(path, { readonly: true });
    t.equal(found.pragma('integrity_check', { simple: true }), 'ok', 'SQLite finds nothing wrong');
    found.close();
    try {
      await (await keepAnchor({ folder: join(folder, 'state'), databasePath: path, ledger: reopened, acceptRollback: false, log }))();
    } catch (error) {
      t.match(error, { code: 'ledger_rolled_back' });
      told += 1;
    }
    await reopened.close();
  }
  t.equal(told, 5, 'every loss is told');
});

t.test('books of every schema there was are brought up to date, and add up', async (t) => {
  for (const name of readdirSync(FIXTURES).sort()) {
    const path = join(t.testdir({}), `${name}.db`);
    const old = new Database(path);
    old.exec(readFileSync(new URL(name, FIXTURES), 'utf8'));
    old.close();
    const ledger = await openLedger({ path, as: 'cli' });
    const report = await ledger.audit();
    t.match(report, { accounts: 1, transfers: 3, requests: 2, openHolds: 1 }, name);
    t.same(report.findings, [], `${name} adds up, its transfers are chained, before anything is written`);
    t.match(await ledger.recover(NOW_MS), { released: 1 }, 'what a dead process left open is closed');
    t.same((await ledger.audit()).findings, []);
    await ledger.close();
  }
});

t.test('a command of a newer version does not change the books under an older daemon', async (t) => {
  const path = join(t.testdir({}), 'a.db');
  const old = new Database(path);
  old.exec(readFileSync(new URL('schema-7.sql', FIXTURES), 'utf8'));
  const lock = takeDaemonLock(path);
  await t.rejects(openLedger({ path, as: 'cli' }), { code: 'ledger_older', message: /A daemon of an older findtoken runs on .*a\.db\. Restart it/ });
  t.equal(old.pragma('user_version', { simple: true }), 7, 'nothing was changed');
  await t.rejects(openLedger({ path, as: 'read' }), { code: 'ledger_older', message: /A daemon of an older findtoken runs on .*a\.db\. Restart it/ }, 'nor is it told to start one that runs');

  const sign = takeMigratingLock(path);
  for (const as of ['read', 'cli'] as const) await t.rejects(openLedger({ path, as }), { code: 'ledger_older', message: /a\.db is being brought up to date by another findtoken.* Run the command again once that is done/ }, as);
  await t.rejects(openLedger({ path, as: 'daemon' }), { code: 'ledger_locked', message: /is being brought up to date by another findtoken.* Start the daemon again once that is done/ }, 'and no daemon is blamed for a migration');
  t.equal(old.pragma('user_version', { simple: true }), 7, 'nothing was changed');
  sign.close();
  lock.close();
  await t.rejects(openLedger({ path, as: 'read' }), { code: 'ledger_older', message: /Start the daemon once/ }, 'a sign that a killed one left says nothing');
  old.close();
  const told: object[] = [];
  const ledger = await openLedger({ path, as: 'cli', onOlder: (books) => told.push(books) });
  t.same(told, [{ schema: 7, needed: MIGRATIONS.length }]);
  t.notOk(existsSync(`${path}.migrating`), 'the sign is gone');
  t.match(await ledger.audit(), { requests: 2 }, 'without a daemon it brings them up to date');
  await ledger.close();
  const daemon = await openLedger({ path, as: 'daemon' });
  const beside = await openLedger({ path, as: 'cli' });
  t.match(await beside.findAccount('acct_ann'), { balance: 999_989n }, 'and a daemon of its own version is no hindrance');
  await beside.close();
  await daemon.close();
});

t.test('books whose old rows had been removed before requests were numbered: every transfer is there once, and adds up', async (t) => {
  const path = join(t.testdir({}), 'removed.db');
  const old = new Database(path);
  old.exec(readFileSync(new URL('./fixtures/removed-before-schema-7.sql', import.meta.url), 'utf8'));
  old.close();
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  t.match(await ledger.audit(), { transfers: 7, requests: 2, openHolds: 1, findings: [] }, 'nothing differs from what was removed');
  const { rows } = await ledger.listTransfers({ accountId: 'acct_ann', limit: 100 });
  t.same(rows.map(({ kind, reference }) => `${kind} ${reference}`).toSorted(), [
    'fee req_1', 'fee req_2', 'fee req_3', 'grant start', 'usage req_1', 'usage req_2', 'usage req_3',
  ], 'those of removed requests are told beside those of the rest');
  t.match(await ledger.findAccount('acct_ann'), { balance: 999_967n, held: 100n });

  t.match(await ledger.settle(settlementOf('req_open')), { first: true, cost: 11n }, 'what ran is settled');
  await serve(ledger, 'req_new');
  t.match(await ledger.audit(), { transfers: 11, requests: 3, openHolds: 0, findings: [] }, 'the numbers go on behind those that are gone');
  t.match(await ledger.removeRequests({ beforeMs: NOW_MS, most: 100 }), { removed: 1 }, 'and rows are removed as before');
  t.same((await ledger.audit()).findings, []);
});
