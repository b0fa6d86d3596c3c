import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { backupLedger, inspectLedger, openLedger, restoreLedger } from '../src/ledger/index.ts';
import { openDesk } from './support/command-line.ts';

t.test('a backup is one moment of the books while others write', async (t) => {
  const path = join(t.testdir({}), 'a.db');
  const to = join(t.testdirName, 'b.db');
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  for (let index = 0; index < 400; index += 1) await ledger.setNote(`filler-${index}`, 'x'.repeat(2_000));
  const other = await openLedger({ path, as: 'cli' });
  let isDone = false;
  let writes = 0;
  // Two notes that always change together, outside one transaction only by this test's doing: the copy may differ by one.
  const writer = (async () => {
    while (!isDone) {
      writes += 1;
      await other.setNote('first', String(writes));
      await other.setNote('second', String(writes));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await other.close();
  })();
  while (writes < 5) await new Promise((resolve) => setImmediate(resolve));
  const before = writes;
  const { bytes } = await backupLedger({ path, to });
  isDone = true;
  await writer;
  t.equal(bytes, statSync(to).size);
  t.equal(statSync(to).mode & 0o777, 0o600);
  t.notOk(existsSync(`${to}.part`), 'nothing half-done is left');
  const copy = await openLedger({ path: to, as: 'read' });
  const [first, second] = [Number(await copy.note('first')), Number(await copy.note('second'))];
  t.ok(first - second === 0 || first - second === 1, `one moment: ${first}, ${second}`);
  t.ok(first >= before - 1, 'not an older one');
  await copy.close();
  t.match(inspectLedger({ path: to, folder: t.testdirName, deep: true }), { integrity: 'ok', foreignKeys: 'ok', locked: false });
  await t.rejects(backupLedger({ path: join(t.testdirName, 'none.db'), to }), { code: 'ledger_missing' });
  await t.rejects(backupLedger({ path, to: join(t.testdirName, 'no-folder', 'x.db') }), { code: 'ledger_unfit' });
});

t.test('a restore keeps what it replaces and refuses what is no backup', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'data', 'a.db');
  const from = join(folder, 'b.db');
  const ledger = await openLedger({ path, as: 'cli' });
  await ledger.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs: 1 });
  await backupLedger({ path, to: from });
  await ledger.createAccount({ id: 'acct_2', email: 'late@example.com', status: 'active', nowMs: 2 });
  await ledger.close();
  writeFileSync(join(folder, 'text.db'), 'not a database at all, but long enough to look at');
  await t.rejects(restoreLedger({ path, from: join(folder, 'text.db'), stamp: 'x' }), { code: 'ledger_unfit' });
  const foreign = join(folder, 'foreign.db');
  const { default: Database } = await import('better-sqlite3');
  const other = new Database(foreign);
  other.pragma('journal_mode = WAL');
  other.exec('CREATE TABLE t (a)');
  other.close();
  await t.rejects(restoreLedger({ path, from: foreign, stamp: 'x' }), /not one of findtoken/);
  const daemon = await openLedger({ path, as: 'daemon' });
  await t.rejects(restoreLedger({ path, from, stamp: 'x' }), { code: 'ledger_locked' }, 'not under a daemon');
  t.ok(inspectLedger({ path, folder, deep: false }).locked);
  await daemon.close();
  const { kept } = await restoreLedger({ path, from, stamp: 'now' });
  t.equal(kept, `${path}.replaced-now`);
  const emails = async (file: string) => {
    const books = await openLedger({ path: file, as: 'read' });
    const found = (await books.listAccounts()).map(({ email }) => email);
    await books.close();
    return found;
  };
  t.same(await emails(path), ['ann@example.com']);
  t.same(await emails(kept ?? ''), ['ann@example.com', 'late@example.com'], 'nothing is lost');
  t.notOk(existsSync(`${from}-wal`), 'a backup is one file before and after');
  t.match(await restoreLedger({ path, from, stamp: 'now' }), { kept: `${path}.replaced-now-2` }, 'within the same second');
  t.same(await emails(kept ?? ''), ['ann@example.com', 'late@example.com'], 'what was kept before is still there');
  renameSync(path, join(folder, 'gone.db'));
  t.match(await restoreLedger({ path, from, stamp: 'again' }), { kept: undefined }, 'where nothing was, nothing is kept');
});

/** Writes to the books of a path from a process of its own, which dies at once and leaves its journal. */
function grantAndDie(path: string, amount: string): void {
  const script = `import { openLedger } from './src/ledger/index.ts';
    const ledger = await openLedger({ path: ${JSON.stringify(path)}, as: 'cli' });
    await ledger.grant({ accountId: 'acct_1', amount: ${amount}, reference: 'late ' + Date.now(), note: '', nowMs: Date.now() });
    process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('..', import.meta.url)) });
  if (signal !== 'SIGKILL') throw new Error(`the writer ended otherwise: ${signal}`);
}

async function booksOf(path: string): Promise<{ readonly balance: bigint | undefined; readonly findings: number }> {
  const books = await openLedger({ path, as: 'cli' });
  const found = { balance: (await books.findAccount('acct_1'))?.balance, findings: (await books.audit()).findings.length };
  await books.close();
  return found;
}

t.test('a journal that was left behind is played into nothing', async (t) => {
  const folder = t.testdir({});
  const [path, from] = [join(folder, 'a.db'), join(folder, 'b.db')];
  const ledger = await openLedger({ path, as: 'cli' });
  await ledger.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs: 1 });
  await ledger.grant({ accountId: 'acct_1', amount: 500n, reference: 'start', note: '', nowMs: 1 });
  await backupLedger({ path, to: from });
  await ledger.close();

  grantAndDie(path, '1_000n');
  t.ok(existsSync(`${path}-wal`));
  renameSync(path, join(folder, 'moved.db'));
  t.match(await restoreLedger({ path, from, stamp: 'x' }), { kept: undefined }, 'the database alone was moved away');
  t.same(await booksOf(path), { balance: 500n, findings: 0 }, 'a restored file is the backup');
  t.ok(existsSync(`${path}.replaced-x-wal`), 'and the journal is kept');

  grantAndDie(from, '7n');
  t.ok(existsSync(`${from}-wal`), 'a backup was tried, by whoever died');
  await backupLedger({ path, to: from });
  t.notOk(existsSync(`${from}-wal`));
  await restoreLedger({ path: join(folder, 'c.db'), from, stamp: 'x' });
  t.same(await booksOf(join(folder, 'c.db')), { balance: 500n, findings: 0 }, 'the next backup in its place is whole');

  const waiting = await openLedger({ path, as: 'cli' });
  await restoreLedger({ path, from, stamp: 'y' });
  await t.rejects(waiting.grant({ accountId: 'acct_1', amount: 9n, reference: 'a payment that landed late', note: '', nowMs: 2 }), { code: 'ledger_unfit', message: /was moved or replaced while it was open; nothing was written/ });
  await waiting.close();

  symlinkSync(path, join(folder, 'link.db'));
  await t.rejects(backupLedger({ path: join(folder, 'link.db'), to: path }), /is the database itself/, 'by whatever name');
  t.same(await booksOf(path), { balance: 500n, findings: 0 });
});

t.test('backup, restore and a new master key from the command line', async (t) => {
  const desk = openDesk(t);
  t.match(await desk.run(['backup', '-']), { code: 2, out: '', err: /not to standard output/ });
  const key = join(desk.home, 'keys', 'master.key');
  mkdirSync(join(desk.home, 'keys'), { mode: 0o700 });
  writeFileSync(join(desk.home, 'findtoken.yaml'), `secrets: { master_key: "file:${key}" }\nsandbox: false\nproviders: { deepseek: { base_url: "http://127.0.0.1:9/v1" } }\n`);
  await desk.json('accounts', 'create', 'ann@example.com');
  t.match(await desk.run(['byok', 'register', 'deepseek', '--name', 'w', '--from-stdin', '--no-test'], { stdin: 'sk-mine-mine-mine-1234' }), { code: 0 });
  const made = await desk.json('backup', 'b.db');
  t.match(made, { object: 'backup', file: join(desk.home, 'b.db') });
  t.match(await desk.run(['backup', 'b.db']), { code: 2, err: /add --yes/ }, 'a file that is there is not replaced unasked');
  t.match(await desk.run(['backup', desk.database]), { code: 1, err: /the database itself/ });
  t.match(await desk.run(['rotate-master-key']), { code: 2, err: /add --yes/ });
  const rotated = await desk.json('rotate-master-key', '--yes');
  t.match(rotated, { object: 'master_key_rotation', resealed: 1 });
  t.not(rotated['fingerprint'], rotated['fingerprint_before']);
  t.equal(readFileSync(key, 'utf8').trim().split('\n').length, 2, 'the old key stays behind the new one');
  t.match(await desk.run(['byok', 'list']), { code: 0, out: /sk-…1234/ });
  t.match(await desk.json('doctor', '--offline'), { checks: [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, { name: 'master_key', state: 'ok' }] });
  t.match(await desk.run(['restore', 'b.db']), { code: 2, err: /add --yes/ });
  t.match(await desk.run(['restore', 'none.db', '--yes']), { code: 3, out: '', err: /there is no file/ }, 'as everything that is not found');
  t.match(await desk.json('restore', 'b.db', '--yes'), { object: 'restore', replaced: /\.replaced-\d{8}T\d{6}Z$/ });
  const test = await desk.run(['byok', 'list', '--json']);
  const [{ id }] = JSON.parse(test.out).data;
  t.match(await desk.run(['byok', 'test', id]), { code: 1, out: /unknown\t/ }, 'the old key opens what the backup holds; only the provider is not there');
  t.match(await desk.json('rotate-master-key', '--yes', '--forget-old'), { resealed: 1 });
  t.equal(readFileSync(key, 'utf8').trim().split('\n').length, 1);
});
