import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isThere, makeFolder, whyNot } from '../src/disk.ts';
import { inspectLedger, LedgerError, openLedger } from '../src/ledger/index.ts';
import { openVault } from '../src/vault/index.ts';
import { openDesk } from './support/command-line.ts';
import { programOf } from './support/program.ts';

const NOBODY = 65_534;

/** A folder that everybody may enter, and root's alone to write. */
function sharedFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-disk-'));
  chmodSync(folder, 0o755);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Works as somebody who may not write; root is let do everything. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

/** What a refusal says; the test fails where there is none. */
async function said(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return 'nothing was refused';
}

t.test('folders are made one by one, and never below what takes none', { timeout: 20_000 }, async (t) => {
  const folder = t.testdir({ file: '' });
  makeFolder(join(folder, 'a', 'b', 'c'));
  t.equal(statSync(join(folder, 'a', 'b')).mode & 0o777, 0o700);
  makeFolder(join(folder, 'a', 'b', 'c'));
  symlinkSync('nowhere', join(folder, 'dangling'));
  const reasonFor = (path: string) => {
    try {
      makeFolder(path);
      return 'made';
    } catch (error) {
      return whyNot(path, error);
    }
  };
  t.equal(reasonFor(join(folder, 'file', 'x', 'y')), `${join(folder, 'file')} is no folder (EEXIST)`);
  t.match(reasonFor(join(folder, 'dangling', 'x')), /\(EEXIST\)$/);
  if (existsSync('/proc/self')) t.equal(reasonFor('/proc/findtoken-test/x'), 'in /proc no folder can be made (ENOENT)');
  t.equal(whyNot(folder, new Error('ours')), undefined);
});

t.test('who may not write or read is told the path, and whose it is', async (t) => {
  const folder = sharedFolder(t);
  const home = join(folder, 'home');
  mkdirSync(home, { mode: 0o755 });
  const database = join(home, '.local', 'findtoken.db');
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) chmodSync(home, 0o555);
  const whose = (path: string) => `${path} belongs to user ${statSync(path).uid} (mode `;
  const refused = await said(() => asNobody(() => openLedger({ path: database, as: 'cli' })));
  t.match(refused, `${database} cannot be made or written: ${whose(home)}`);
  t.match(refused, /findtoken runs as user \d+ \(EACCES\)\. Let this user write there/);
  t.match(await said(() => asNobody(() => openLedger({ path: database, as: 'daemon' }))), whose(home));
  const notes = { get: async () => undefined, set: async () => undefined, once: async (_: string, value: string) => value };
  const key = join(home, 'keys', 'master.key');
  t.match(await said(() => asNobody(() => openVault({ source: { kind: 'file', path: key }, env: {}, home: folder, databasePath: join(folder, 'data', 'a.db'), notes, sealedRowsExist: async () => false }))), whose(home));
  if (!isRoot) chmodSync(home, 0o755);

  const books = join(folder, 'books');
  const path = join(books, 'a.db');
  await (await openLedger({ path, as: 'cli' })).close();
  chmodSync(books, 0o755);
  if (!isRoot) chmodSync(path, 0o000);
  const inspected = await asNobody(async () => {
    try {
      return inspectLedger({ path, folder: books, deep: false });
    } catch (error) {
      return error;
    }
  });
  t.ok(inspected instanceof LedgerError && inspected.code === 'ledger_unfit');
  t.match(String(inspected), whose(path));
  t.match(String(inspected), whose(books));
  t.notMatch(String(inspected), /restore/, 'a backup mends no permissions');
  chmodSync(path, 0o600);
  chmodSync(books, isRoot ? 0o700 : 0o000);
  t.match(await said(() => asNobody(async () => isThere(path))), /cannot be looked at: .* \(EACCES\)/, 'what may not be looked at is not taken for missing');
  chmodSync(books, 0o700);
  writeFileSync(path, 'no database at all, but long enough that somebody looks at it');
  t.throws(() => inspectLedger({ path, folder: books, deep: false }), /SQLITE_NOTADB.*findtoken restore/);
});

t.test('a home that is none: one line with the path, and nothing is left behind', async (t) => {
  const desk = openDesk(t);
  const none = join(desk.home, 'plain');
  writeFileSync(none, '');
  for (const [args, HOME] of [[['init'], none], [['serve'], none], [['init'], '/proc'], [['serve', '--sandbox'], '/proc']] as const) {
    if (!existsSync(HOME)) continue;
    const { code, err } = await desk.run(args, { env: { HOME } });
    t.equal(code, 1);
    t.match(err, new RegExp(`^findtoken: ${HOME}/.local/share/findtoken/findtoken\\.db(\\.lock)? cannot be made or written: [^\\n]*${HOME} [^\\n]*\\n$`));
    t.notMatch(err, /--port/);
  }
  t.same(readdirSync(desk.home), ['plain'], 'no findtoken.yaml that nobody can use');
  t.match(await desk.run(['serve', '--sandbox', '--host', 'no-such-host.invalid']), { code: 1, err: /^findtoken: no-such-host\.invalid:8787 has a name [^\n]*--host[^\n]*\n$/ });
});

t.test('a port is not blamed for a folder', async (t) => {
  const home = join(sharedFolder(t), 'home');
  mkdirSync(home);
  chmodSync(home, 0o555);
  const isRoot = process.getuid?.() === 0;
  const run = (...args: readonly string[]) => {
    const program = programOf(args);
    return spawnSync(program.file, program.args, { cwd: home, env: { HOME: home, PATH: process.env['PATH'] ?? '' }, encoding: 'utf8', ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}) });
  };
  if (run('--version').status !== 0) {
    t.pass('skipped: nobody else may run the program from here', { skip: true });
    return;
  }
  const { stderr } = run('serve', '--sandbox', '--port', '0');
  t.match(stderr, /^findtoken: [^\n]*findtoken\.db\.lock cannot be made or written: [^\n]*\(EACCES\)[^\n]*\n/);
  t.notMatch(stderr, /--port/);
});

t.test('who may write is let write, whosever the folder above is', { skip: process.getuid?.() === 0 ? false : 'only root can give a folder away' }, async (t) => {
  const folder = sharedFolder(t);
  chownSync(folder, NOBODY, NOBODY);
  const refused = await said(() => asNobody(async () => {
    mkdirSync(join(folder, 'ours'));
    return openLedger({ path: join(folder, 'ours', 'a.db'), as: 'cli' }).then((ledger) => ledger.close());
  }));
  t.equal(refused, 'nothing was refused');
});
