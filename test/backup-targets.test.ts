import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { backupLedger, openLedger, restoreLedger } from '../src/ledger/index.ts';
import { openDesk } from './support/command-line.ts';
import { programOf } from './support/program.ts';

const NOBODY = 65_534;

const FIXTURES = new URL('./fixtures/schemas/', import.meta.url);

/** Whether this machine lets the test make a file of this kind. */
function made(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch (error) {
    t.comment(`${program} is not ours to use here: ${error instanceof Error ? error.name : 'failed'}`);
    return false;
  }
}

t.test('a backup replaces an older one, and nothing else, whatever --yes says', async (t) => {
  const desk = openDesk(t);
  const key = join(desk.home, 'keys', 'master.key');
  mkdirSync(join(desk.home, 'keys'), { mode: 0o700 });
  const yaml = join(desk.home, 'findtoken.yaml');
  writeFileSync(yaml, `secrets: { master_key: "file:${key}" }\n`);
  writeFileSync(key, `${'ab'.repeat(32)}\n`, { mode: 0o600 });
  await desk.json('accounts', 'create', 'ann@example.com');
  const at = (name: string) => join(desk.home, name);
  mkdirSync(at('folder'));
  writeFileSync(at('empty.db'), '');
  const foreign = new Database(at('foreign.db'));
  foreign.pragma('journal_mode = WAL');
  foreign.exec('CREATE TABLE t (a)');
  foreign.close();
  symlinkSync(key, at('link.db'));
  linkSync(desk.database, at('hard.db'));
  symlinkSync(desk.database, at('database-link.db'));
  const refused: [string, RegExp][] = [
    [key, /no database of findtoken/], [yaml, /no database of findtoken/], [at('empty.db'), /no database of findtoken/], [at('foreign.db'), /no database of findtoken/],
    [at('folder'), /is a folder/], [at('link.db'), /is a link/], [at('hard.db'), /is the database itself/], [at('database-link.db'), /is the database itself/],
    ...['-wal', '-shm', '-journal', '.lock', '.ballast'].map((ending): [string, RegExp] => [desk.database + ending, /a file that it keeps beside it/]),
  ];
  if (made('mkfifo', [at('pipe.db')])) refused.push([at('pipe.db'), /is a pipe/]);
  if (made('mknod', [at('device.db'), 'c', '1', '3'])) refused.push([at('device.db'), /no plain file/]);
  const before = new Map(refused.map(([file]) => [file, lstatSync(file, { throwIfNoEntry: false })?.ino]));
  for (const [file, why] of refused) {
    const { code, err } = await desk.run(['backup', '--yes', file]);
    t.equal(code, 1, file);
    t.match(err, why, file);
  }
  // The journals of a reader come and go.
  for (const [file, ino] of before) if (ino !== undefined) t.equal(lstatSync(file, { throwIfNoEntry: false })?.ino, ino, `${file} is what it was`);
  t.match(await desk.run(['audit']), { code: 0 });
  t.equal(readFileSync(key, 'utf8'), `${'ab'.repeat(32)}\n`);

  writeFileSync(at('b.db.part'), 'somebody has this name');
  await desk.json('backup', 'b.db');
  await desk.json('backup', 'b.db', '--yes');
  t.equal(readFileSync(at('b.db.part'), 'utf8'), 'somebody has this name');
  t.same(readdirSync(desk.home).filter((name) => /^b\.db-|findtoken-backup/.test(name)), [], 'nothing half-done is left');
});

t.test('books of every schema there was are an older backup, and those of a running daemon are none', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'a.db');
  await (await openLedger({ path, as: 'cli' })).close();
  for (const name of readdirSync(FIXTURES).filter((name) => name.endsWith('.sql'))) {
    const to = join(folder, `${name}.db`);
    const old = new Database(to);
    old.pragma('journal_mode = WAL');
    old.exec(readFileSync(new URL(name, FIXTURES), 'utf8'));
    old.close();
    let asked = 0;
    await t.rejects(backupLedger({ path, to, replaces: async () => { asked += 1; throw new Error('rather not'); } }), /rather not/, `${name} is asked for`);
    await backupLedger({ path, to, replaces: async () => { asked += 1; } });
    t.equal(asked, 2);
    t.same(readdirSync(folder).filter((file) => file.startsWith(`${name}.db`)), [`${name}.db`]);
  }
  const to = join(folder, 'served.db');
  const daemon = await openLedger({ path: to, as: 'daemon' });
  await t.rejects(backupLedger({ path, to }), /A daemon runs on/);
  await daemon.close();
  await backupLedger({ path, to });
});

t.test('who has installed a newer findtoken can still make a backup of the books as the older one left them', async (t) => {
  const desk = openDesk(t);
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.sql'))) {
    const version = Number(/\d+/.exec(name)?.[0]);
    mkdirSync(dirname(desk.database), { recursive: true });
    const old = new Database(desk.database);
    old.pragma('journal_mode = WAL');
    old.exec(readFileSync(new URL(name, FIXTURES), 'utf8'));
    const { code, err } = await desk.run(['backup', `${name}.db`]);
    t.equal(code, 0, name, { diagnostic: code !== 0, err });
    const [found, kept] = [new Database(join(desk.home, `${name}.db`)), old].map((books) => ({ version: books.pragma('user_version', { simple: true }), accounts: books.prepare('SELECT * FROM accounts').all() }));
    t.same(found, kept, 'it is what was there, and what was there is untouched');
    t.equal(found?.version, version);
    old.close();
    rmSync(dirname(desk.database), { recursive: true });
    t.match(await desk.run(['restore', `${name}.db`]), { code: 0 });
    t.match(await desk.run(['keys', 'create', '--name', 'x', '--account', 'ann@example.com']), { code: 0 }, 'and a command brings it forward');
    t.match(await desk.run(['audit']), { code: 0 }, 'to sound books');
    rmSync(dirname(desk.database), { recursive: true });
  }
  mkdirSync(dirname(desk.database), { recursive: true });
  new Database(desk.database).pragma('journal_mode = WAL');
  t.match(await desk.run(['backup', 'none.db']), { code: 1, err: /is a database, but not one of findtoken/ }, 'a database of somebody else is none');
});

t.test('the books are not restored from themselves', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'a.db');
  await (await openLedger({ path, as: 'cli' })).close();
  linkSync(path, join(folder, 'hard.db'));
  symlinkSync(path, join(folder, 'link.db'));
  for (const name of ['hard.db', 'link.db', 'a.db']) await t.rejects(restoreLedger({ path, from: join(folder, name), stamp: 'x' }), /is the database itself/, name);
  t.same(readdirSync(folder).filter((name) => name.includes('replaced')), []);
  t.notOk(existsSync(`${path}.arriving`));
});

t.test('a backup that is ended from outside leaves nothing half-done', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  const books = new Database(desk.database);
  // More than is copied in one step.
  books.exec('CREATE TABLE filler (a); INSERT INTO filler SELECT zeroblob(16000000) FROM (VALUES (1), (2), (3), (4), (5), (6))');
  books.close();
  for (const [signal, code] of [['SIGTERM', 143], ['SIGHUP', 129], ['SIGINT', 130]] as const) {
    const sends = `import { readdirSync } from 'node:fs';
      const isBegun = () => readdirSync('.').some((name) => name.startsWith('.findtoken-backup-'));
      const look = () => (isBegun() ? process.kill(process.pid, '${signal}') : setImmediate(look).unref());
      look();`;
    const { code: found } = await desk.run(['backup', 'b.db'], { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(sends)}` } });
    t.equal(found, code, signal);
    t.same(readdirSync(desk.home).filter((name) => /^b\.db|findtoken-backup/.test(name)), [], `${signal}: no copy, no folder`);
  }
  await desk.json('backup', 'b.db');
  t.ok(existsSync(join(desk.home, 'b.db')));
});

t.test('a backup is restored from where nothing can be written', async (t) => {
  const isRoot = process.getuid?.() === 0;
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-restore-'));
  t.teardown(() => {
    chmodSync(folder, 0o755);
    rmSync(folder, { recursive: true, force: true });
  });
  const [home, from] = [join(folder, 'home'), join(folder, 'b.db')];
  mkdirSync(home, { mode: 0o700 });
  const ledger = await openLedger({ path: join(folder, 'a.db'), as: 'cli' });
  await ledger.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs: 1 });
  await ledger.close();
  await backupLedger({ path: join(folder, 'a.db'), to: from });
  chmodSync(from, 0o444);
  if (isRoot) chownSync(home, NOBODY, NOBODY);
  chmodSync(folder, isRoot ? 0o755 : 0o555);
  const before = readdirSync(folder);
  const run = (...args: string[]) => {
    const { file, args: words } = programOf(args);
    return spawnSync(file, words, { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '' }, encoding: 'utf8', ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}) });
  };
  if (run('--version').status !== 0) return void t.pass('skipped: nobody else may run the program from here', { skip: true });
  t.match(run('restore', from), { status: 0, stderr: /audit/ });
  t.match(run('accounts', 'list'), { status: 0, stdout: /ann@example\.com/ });
  t.match(run('credits', 'grant', '1', '--note', 'x'), { status: 0 }, 'and it is ours to write');
  t.same(readdirSync(folder), before);
  t.same(readdirSync(join(home, '.local', 'share', 'findtoken')).filter((name) => /backup|arriving/.test(name)), [], 'nothing half-done is left');
  t.match(run('backup', join(folder, 'c.db')), { status: 1, stderr: /c\.db cannot be used: .*belongs to user \d+ \(mode 0[57]55\).*\(EACCES\)\. Name another place/ });
});

t.test('a full disk is called that, and leaves nothing', { skip: process.platform === 'linux' && process.getuid?.() === 0 ? false : 'only root can mount a small disk' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-full-'));
  const small = join(folder, 'small');
  mkdirSync(small);
  const isMounted = made('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
  t.teardown(() => {
    if (isMounted) execFileSync('umount', [small]);
    rmSync(folder, { recursive: true, force: true });
  });
  if (!isMounted) return void t.pass('skipped: no disk can be mounted here', { skip: true });
  const path = join(folder, 'a.db');
  await (await openLedger({ path, as: 'cli' })).close();
  await t.rejects(backupLedger({ path, to: join(small, 'b.db') }), { code: 'ledger_unfit', message: /no room left for the copy in .*small \(SQLITE_FULL\)/ });
  t.same(readdirSync(small), []);
});
