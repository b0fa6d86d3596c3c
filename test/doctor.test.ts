import Database from 'better-sqlite3';
import { closeSync, existsSync, openSync, renameSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { checkDatabase } from '../src/cli/doctor/books.ts';
import { checkDisk, checkKeychain, checkMail } from '../src/cli/doctor/machine.ts';
import { takeDaemonLock } from '../src/ledger/connection.ts';
import { loadSettings } from '../src/settings/index.ts';
import { book, openDesk } from './support/command-line.ts';
import type { Desk } from './support/command-line.ts';

type Found = Readonly<Record<string, { readonly state: string; readonly detail: string; readonly mend: string | null }>>;

/** What the doctor finds, by the name of the check; each that fails makes it exit 1. */
async function examined(t: Test, desk: Desk, ...args: readonly string[]): Promise<Found> {
  const { code, out, err } = await desk.run(['doctor', '--json', ...args]);
  const document: { readonly fail: number; readonly checks: readonly { name: string; state: string; detail: string; mend: string | null }[] } = JSON.parse(out);
  t.equal(code, document.fail > 0 ? 1 : 0, err);
  for (const { name, state, mend } of document.checks) t.equal(mend !== null && mend !== '', state !== 'ok', `${name}: ${state} says ${state === 'ok' ? 'no' : 'a'} mend`);
  return Object.fromEntries(document.checks.map(({ name, ...rest }) => [name, rest]));
}

function configure(desk: Desk, yaml: string): void {
  writeFileSync(join(desk.home, 'findtoken.yaml'), yaml);
}

async function listening(t: Test): Promise<number> {
  const server = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

t.test('the way to a provider: its name, its certificate; and a port that somebody has', async (t) => {
  const desk = openDesk(t);
  const port = await listening(t);
  configure(desk, `server: { port: ${port} }\nsandbox: true\nproviders:
  deepseek: { base_url: "https://findtoken-nowhere.invalid/v1", api_key: "sk-any-any-any-any-1234" }
  kimi: { base_url: "https://127.0.0.1:${port}/v1", api_key: "sk-any-any-any-any-1234" }\n`);
  const found = await examined(t, desk);
  t.match(found['provider.deepseek'], { state: 'fail', detail: /DNS: (ENOTFOUND|EAI_AGAIN)/ });
  t.match(found['provider.kimi'], { state: 'fail', detail: /TLS: \w+/, mend: /NODE_EXTRA_CA_CERTS=/ });
  t.match(found['port'], { state: 'fail', detail: /EADDRINUSE/, mend: /server\.port/ });
  t.match(found['sandbox'], { state: 'warn', detail: /^is on beside keys of deepseek, kimi: /, mend: /sandbox: false/ }, 'who rehearsed may have forgotten it');
  t.match(await desk.run(['providers', 'set-key', 'qwen', '--from-env', 'K'], { env: { K: 'sk-any-any-any-any-1234', FINDTOKEN_MASTER_KEY: 'ab'.repeat(32) } }), { code: 0, err: /^The sandbox is on: [^\n]+`sandbox: false`[^\n]+\n$/ });
});

t.test('a keychain that cannot be used matters where the settings keep the master key in it', async (t) => {
  const cases = [
    ['keychain', 'fail', /^cannot be used \(locked\), and secrets\.master_key: keychain has/],
    ['auto', 'ok', /a master key goes into a file$/],
    ['file', 'ok', /secrets\.master_key does not need it$/],
    ['env', 'ok', /secrets\.master_key does not need it$/],
    [undefined, 'ok', /a master key goes into a file$/],
  ] as const;
  for (const [kind, state, detail] of cases) t.match(checkKeychain('locked', kind), { state, detail }, `${kind}`);
  t.match(checkKeychain(undefined, 'keychain'), { state: 'ok', detail: 'can be used' });

  // Elsewhere than on Linux the keychain is the system's own, and cannot be put out of reach.
  if (process.platform !== 'linux') return;
  const desk = openDesk(t);
  configure(desk, 'secrets: { master_key: keychain }\nserver: { port: 0 }\n');
  // No bus at this address, so that nobody's keychain is asked.
  const { code, out } = await desk.run(['doctor', '--offline', '--json'], { env: { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nowhere/bus' } });
  const { checks }: { readonly checks: readonly { readonly name: string }[] } = JSON.parse(out);
  t.match(checks.find(({ name }) => name === 'keychain'), { state: 'fail', mend: /^unlock it and .*secrets\.master_key/ });
  t.equal(code, 1);
});

t.test('a master key that is gone, or is another one', async (t) => {
  const desk = openDesk(t);
  const key = join(desk.home, 'keys', 'master.key');
  configure(desk, `secrets: { master_key: "file:${key}" }\nserver: { port: 0 }\n`);
  await desk.json('accounts', 'create', 'ann@example.com');
  t.match(await desk.run(['byok', 'register', 'deepseek', '--name', 'w', '--from-stdin', '--no-test'], { stdin: 'sk-mine-mine-mine-1234' }), { code: 0 });
  t.match((await examined(t, desk, '--offline'))['master_key'], { state: 'ok', detail: /^in the file .*master\.key, fingerprint \w+/ });
  renameSync(key, `${key}.away`);
  t.match((await examined(t, desk, '--offline'))['master_key'], { state: 'fail', detail: /master\.key/ });
  t.notOk(existsSync(key), 'a look makes no key');
  writeFileSync(key, `${'cd'.repeat(32)}\n`, { mode: 0o600 });
  t.match((await examined(t, desk, '--offline'))['master_key'], { state: 'fail', detail: /fingerprint|another/ });
});

t.test('a master key that lies in another place than it did is found there, and a look notes nothing', async (t) => {
  const desk = openDesk(t);
  const settings = (folder: string) => `secrets: { master_key: "file:${join(desk.home, folder, 'master.key')}" }\nserver: { port: 0 }\nproviders: { deepseek: { base_url: "http://127.0.0.1:9/v1" } }\n`;
  configure(desk, settings('old'));
  await desk.json('accounts', 'create', 'ann@example.com');
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-mine-mine-mine-1234' }), { code: 0 });
  renameSync(join(desk.home, 'old'), join(desk.home, 'new'));
  configure(desk, settings('new'));
  for (const again of ['once', 'and again']) {
    t.match(await examined(t, desk, '--offline'), { master_key: { state: 'ok', detail: /new\/master\.key, fingerprint \w+; opens 1 provider key$/ }, providers: { state: 'ok', detail: 'not asked: deepseek' } }, again);
    t.match(await desk.run(['catalog', 'check', 'deepseek']), { code: 1, out: /^deepseek-chat\tdeepseek\t[^\n]*unknown/m, err: '' }, 'the key is opened, and only the provider is not there');
  }
  t.match(await desk.run(['byok', 'register', 'deepseek', '--name', 'w', '--from-stdin', '--no-test'], { stdin: 'sk-mine-mine-mine-5678' }), { code: 0, err: /The master key is now taken from the file [^\n]*new\/master\.key\./ }, 'who writes tells it');
});

t.test('a clock behind the books; a database that is newer, or damaged', async (t) => {
  const desk = openDesk(t);
  configure(desk, 'server: { port: 0 }\n');
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '1', '--note', 'x');
  const ledger = await desk.ledger();
  await book(ledger, { id: 'req_late', accountId: String(accountId), keyId: 'key_1', prompt: 1, completion: 1, atMs: Date.now() + 7_200_000 });
  await ledger.close();
  t.match((await examined(t, desk, '--offline'))['clock.books'], { state: 'fail', mend: /set the clock/ });

  const db = new Database(desk.database);
  const known = db.pragma('user_version', { simple: true });
  db.pragma('user_version = 999');
  db.close();
  t.match((await examined(t, desk, '--offline'))['database.schema'], { state: 'fail', detail: /version 999/, mend: /newer findtoken/ });
  const again = new Database(desk.database);
  again.pragma('user_version = 7');
  const port = await listening(t);
  configure(desk, `server: { port: ${port} }\n`);
  t.match((await examined(t, desk, '--offline'))['port'], { state: 'fail', detail: /EADDRINUSE/ });
  const older = takeDaemonLock(desk.database);
  t.match(await examined(t, desk, '--offline'), {
    'database.schema': { state: 'warn', mend: /restart the one that runs/ }, port: { state: 'ok', detail: 'a daemon runs on the database' }, providers: { state: 'ok', detail: /cannot be read/ },
  }, 'in the middle of an upgrade neither the older daemon is in the way, nor are keys missing');
  older.close();
  configure(desk, 'server: { port: 0 }\n');
  again.pragma(`user_version = ${String(known)}`);
  again.pragma('wal_checkpoint(TRUNCATE)');
  again.close();

  const file = openSync(desk.database, 'r+');
  const { size } = statSync(desk.database);
  for (let at = 8_192; at < size; at += 4_096) writeSync(file, Buffer.alloc(256, 0x5a), 0, 256, at);
  closeSync(file);
  const damaged = await examined(t, desk, '--offline', '--deep');
  const fails = Object.entries(damaged).filter(([name, { state }]) => name.startsWith('database') && state === 'fail');
  t.ok(fails.length > 0, 'a page that was written over is found', damaged);
});

t.test('a journal that grew, a disk that is full, a mail server that is none', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  const settings = loadSettings({ env: {}, cwd: desk.home, home: desk.home });
  writeFileSync(`${desk.database}-wal`, '');
  truncateSync(`${desk.database}-wal`, 300 * 1024 * 1024);
  t.match((await checkDatabase(settings, { deep: false })).find(({ name }) => name === 'database.wal'), { state: 'warn', detail: /300 MiB/, mend: /daemon/ });
  const free = (mib: number) => checkDisk(desk.database, () => mib * 1024 * 1024);
  t.match([free(50), free(500), free(5_000)].map(({ state }) => state), ['fail', 'warn', 'ok']);
  t.match(await checkMail({ ...settings.email, smtp: 'mail.example.com' }, { offline: false }), [{ state: 'fail', mend: 'set email.smtp' }]);
  t.match(await checkMail({ ...settings.email, smtp: 'smtp://findtoken-nowhere.invalid:25' }, { offline: false }), [{ state: 'fail', detail: /name is not known/ }]);
  t.match(await checkMail({ ...settings.email, smtp: 'smtps://mail.example.com' }, { offline: true }), [{ state: 'ok', detail: 'not asked: mail.example.com:465' }]);
});
