import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { backupLedger, openLedger, restoreLedger } from '../src/ledger/index.ts';
import { MIGRATIONS } from '../src/ledger/schema.ts';
import { isGone, pidLife } from '../src/pids.ts';
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

/** Takes all the room that a disk has left. */
function fillUp(file: string): void {
  const handle = openSync(file, 'w');
  try {
    for (;;) writeSync(handle, new Uint8Array(1024));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    closeSync(handle);
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
    const restored = await desk.run(['restore', `${name}.db`]);
    t.match(restored, { code: 0, err: /^Next: `findtoken audit`/m });
    t.equal(/older findtoken: start the daemon first/.test(restored.err), version < MIGRATIONS.length, 'what comes before the audit is said');
    const forward = await desk.run(['keys', 'create', '--name', 'x', '--account', 'nobody@example.com']);
    t.equal(forward.code, 3, 'a command brings it forward, though it does nothing else');
    t.equal(/^Bringing \S+findtoken\.db forward from schema (\d)/m.exec(forward.err)?.[1], version === MIGRATIONS.length ? undefined : `${version}`, 'and says so');
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

t.test('what a backup left that was killed is cleared by the next one, and nothing of one that lives', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  const books = new Database(desk.database);
  books.exec('CREATE TABLE filler (a); INSERT INTO filler SELECT zeroblob(16000000) FROM (VALUES (1), (2), (3), (4), (5), (6))');
  books.close();
  const folders = () => readdirSync(desk.home).filter((name) => name.startsWith('.findtoken-backup-'));
  /** Stops itself as soon as its own folder is there. */
  const halting = (signal: NodeJS.Signals, file: string) => {
    const known = JSON.stringify(folders());
    const sends = `import { readdirSync } from 'node:fs';
      const isBegun = () => readdirSync('.').some((name) => name.startsWith('.findtoken-backup-') && !${known}.includes(name));
      const look = () => (isBegun() ? process.kill(process.pid, '${signal}') : setImmediate(look).unref());
      look();`;
    return desk.run(['backup', file], { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(sends)}` } });
  };
  t.equal((await halting('SIGKILL', 'b.db')).code, null);
  const [left = ''] = folders();
  t.ok(existsSync(join(desk.home, left)), 'half a copy');

  const living = halting('SIGSTOP', 'c.db');
  let held: string | undefined;
  while (held === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    held = folders().find((name) => name !== left);
  }
  const pid = Number(held.split('-').at(-2));
  t.teardown(() => isGone(pid) || process.kill(pid, 'SIGKILL'));
  await desk.json('backup', 'd.db');
  if (pidLife() !== undefined) t.same(folders(), [held], 'that of the dead is gone, that of the living is not');
  process.kill(pid, 'SIGCONT');
  t.equal((await living).code, 0, 'which ends well');
  t.ok(existsSync(join(desk.home, 'c.db')));
});

t.test('of what others left beside a backup only what has stood still for a day is cleared', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'a.db');
  await (await openLedger({ path, as: 'cli' })).close();
  const old = new Date(Date.now() - 2 * 86_400_000);
  const make = (name: string, file: string | undefined, time = old) => {
    mkdirSync(join(folder, name));
    if (file !== undefined) writeFileSync(join(folder, name, file), '');
    if (file !== undefined) utimesSync(join(folder, name, file), time, time);
    utimesSync(join(folder, name), old, old);
    return name;
  };
  const elsewhere = `${'0'.repeat(32)}pid4026531836-${process.pid}`;
  const cleared = [make('.findtoken-backup-Abc123', 'copy.db'), make(`.findtoken-backup-${elsewhere}-Abc123`, 'copy.db-wal'), make('.findtoken-backup-empty0', undefined)];
  const kept = [
    make(`.findtoken-backup-${elsewhere}-Def456`, 'copy.db', new Date()), make('.findtoken-backup-somebd', 'letters.txt'), make('.findtoken-backup-1', 'copy.db'),
    make(`.findtoken-backup-${pidLife() ?? 'x'}-${process.pid}-Abc123`, 'source.db', new Date()),
  ];
  writeFileSync(join(folder, '.findtoken-backup-afile0'), '');
  mkdirSync(join(folder, 'target'));
  symlinkSync(join(folder, 'target'), join(folder, '.findtoken-backup-alink0'));
  await backupLedger({ path, to: join(folder, 'b.db') });
  const found = readdirSync(folder).filter((name) => name.startsWith('.findtoken'));
  t.same(found.sort(), [...kept, '.findtoken-backup-afile0', '.findtoken-backup-alink0'].sort(), `cleared are ${cleared.join(', ')}`);
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

  execFileSync('mount', ['-o', 'remount,size=2m', small]);
  const books = join(small, 'data', 'a.db');
  await (await openLedger({ path: books, as: 'cli' })).close();
  fillUp(join(small, 'filler'));
  const full = { code: 'ledger_unfit', message: /^\S+\/a\.db cannot be opened \(SQLITE_(?:FULL|IOERR_SHMSIZE)\): the disk of \S+small\/data is full\. Free some space there, then run the command again\.$/ };
  for (const as of ['read', 'cli', 'daemon'] as const) await t.rejects(openLedger({ path: books, as }), full, as);
  await t.rejects(backupLedger({ path: books, to: join(folder, 'b.db') }), full, 'a backup names the disk that is full, not the one of the copy');
  t.same(readdirSync(folder).filter((name) => name.includes('b.db')), []);
  rmSync(join(small, 'filler'));
  await (await openLedger({ path: books, as: 'read' })).close();
});
