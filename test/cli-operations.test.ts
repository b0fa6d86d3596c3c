import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t from 'tap';
import { openLedger } from '../src/ledger/index.ts';
import { loadSettings } from '../src/settings/index.ts';
import { liveSettings } from '../src/daemon/live-settings.ts';
import { book, openDesk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { programOf } from './support/program.ts';

t.test('a running daemon follows a reload and a new master key', async (t) => {
  const desk = openDesk(t);
  const key = join(desk.home, 'keys', 'master.key');
  mkdirSync(join(desk.home, 'keys'), { mode: 0o700 });
  const file = join(desk.home, 'findtoken.yaml');
  const yaml = (limit: number, more = '') => `server: { port: 0 }\nsandbox: true\nsecrets: { master_key: "file:${key}" }\nrouting: { retries: 0, deadline: 3s }\nproviders: { deepseek: { base_url: "http://127.0.0.1:9/v1" } }\nlimits: { requests_per_minute: ${limit} }\n${more}`;
  writeFileSync(file, yaml(50));
  await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '5', '--note', 'x');
  const { key: apiKey } = await desk.json('keys', 'create', '--name', 'k');
  t.match(await desk.run(['reload']), { code: 1, err: /daemon is not running/ });
  const daemon = desk.start(['serve']);
  const url = /http:\S+/.exec(await daemon.line())?.[0] ?? '';
  const call = (headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${String(apiKey)}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'x' }] }) });
  t.equal((await call()).headers.get('x-ratelimit-limit-requests'), '50');
  writeFileSync(join(desk.home, 'elsewhere.yaml'), yaml(50));
  writeFileSync(file, yaml(70, 'log: { level: warn }\nbilling: { usage_fee: 100% }\n'));
  const reloaded = await desk.run(['--account', 'ann@example.com', 'reload', '--json']);
  t.equal(reloaded.code, 0, reloaded.err);
  t.match(JSON.parse(reloaded.out), { object: 'reload', applied: ['billing.usage_fee', 'limits.requests_per_minute'], waiting: ['log.level'] });
  t.equal((await call()).headers.get('x-ratelimit-limit-requests'), '70', 'from the next request on');
  writeFileSync(file, yaml(90, 'nonsense: 1\n'));
  t.match(await desk.run(['reload']), { code: 1, err: /findtoken\.yaml:7:1: nonsense: unknown key/ });
  t.equal((await call()).headers.get('x-ratelimit-limit-requests'), '70', 'wrong settings change nothing');
  rmSync(file);
  const gone = await desk.run(['reload', '--config', join(desk.home, 'elsewhere.yaml')]);
  t.match(gone, { code: 1, err: /the daemon refused: \S+\/findtoken\.yaml: this file, from which the settings came, is gone\. Put it back,/ }, 'nor do the defaults come where the file is gone');
  t.equal((await call()).headers.get('x-ratelimit-limit-requests'), '70', 'what ran goes on');
  mkdirSync(join(desk.home, '.config', 'findtoken'), { recursive: true });
  writeFileSync(join(desk.home, '.config', 'findtoken', 'findtoken.yaml'), yaml(95));
  t.match(await desk.run(['reload']), { code: 1, err: /the daemon refused: \S+\/findtoken\.yaml: this file/ }, 'nor a file of somewhere else');
  rmSync(join(desk.home, '.config'), { recursive: true });
  writeFileSync(file, yaml(70));
  t.match(JSON.parse((await desk.run(['reload', '--json'])).out), { applied: ['billing.usage_fee'], waiting: [] }, 'and is read again when it is back');

  t.match(await desk.run(['byok', 'register', 'deepseek', '--name', 'w', '--from-stdin', '--no-test', '--account', 'ann@example.com'], { stdin: 'sk-mine-mine-mine-1234' }), { code: 0 });
  const byok = { 'x-findtoken-mode': 'byok' };
  t.match(await (await call(byok)).json(), { error: { code: 'providers_unavailable', metadata: { attempts: [{ provider: 'deepseek' }] } } }, 'the key is opened and the provider is asked, which is not there');
  t.match(await desk.json('rotate-master-key', '--yes', '--forget-old'), { resealed: 1 });
  t.match(await (await call(byok)).json(), { error: { code: 'providers_unavailable', metadata: { attempts: [{ provider: 'deepseek' }] } } }, 'so it is after the change, without a restart');
  t.match(await desk.run(['restore', join(desk.home, 'findtoken.yaml'), '--yes']), { code: 1, err: /^findtoken: a daemon runs on [^\n]*; stop it, then restore\. Nothing was changed\.\n$/ }, 'no restore under a daemon');
  daemon.interrupt();
  t.match(await daemon.ended, { code: 0 });
});

t.test('what a reload can change and what it cannot', async (t) => {
  const folder = t.testdir({});
  const load = (text: string) => {
    writeFileSync(join(folder, 'findtoken.yaml'), text);
    return loadSettings({ env: {}, cwd: folder, home: folder });
  };
  const live = liveSettings(load('limits: { requests_per_minute: 5 }'));
  const { settings } = live;
  const { limits } = settings;
  /** yaml, in force at once, from the next start */
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['limits: { requests_per_minute: 6 }', ['limits.requests_per_minute'], []],
    ['limits: { requests_per_minute: 6 }', [], []],
    ['limits: { requests_per_minute: 6 }\nproviders: { deepseek: { api_key: sk-1234567890abcdef } }', ['providers.deepseek.api_key'], []],
    ['limits: { requests_per_minute: 6 }\nmodels: { qwen-max: { price: { input: 1, output: 2 } } }', ['providers.deepseek.api_key', 'models'], []],
    ['server: { port: 1 }\nrouting: { health_interval: 5s, retries: 1 }', ['limits.requests_per_minute', 'routing.retries', 'models'], ['server.port', 'server.public_url', 'routing.health_interval']],
    ['server: { port: 1 }\nrouting: { retries: 1 }', [], ['server.port', 'server.public_url']], // it goes on to wait, and what was put back does not
    ['routing: { retries: 1 }\nequivalents: { deepseek-chat: [qwen-max] }', ['equivalents'], []],
    ['routing: { retries: 1 }\nproviders: { qwen: { name: Q, api_key: sk-1234567890abcdef } }', ['providers.qwen.api_key', 'providers', 'equivalents'], []],
    ['routing: { retries: 1 }\nproviders: { qwen: { api_key: sk-0234567890abcdef } }', ['providers.qwen.api_key', 'providers'], []], // masked, they are the same
    ['routing: { retries: 1 }\nemail: { smtp: "smtp://a.test" }', ['providers.qwen.api_key'], ['email.smtp']],
    ['routing: { retries: 1 }', [], []],
  ];
  for (const [text, applied, waiting] of cases) t.same(live.replace(load(text)), { applied, waiting }, text);
  t.equal(settings.routing.retries, 1, 'who keeps the settings sees the new ones');
  t.equal(limits.requestsPerMinute, 600, 'and so does who keeps a section');
  t.same({ ...settings.limits }, { ...load('').limits }, 'a copy of a section is a copy of the new one');
  t.equal(settings.server.port, 8787, 'what is built in stays as it was');
  t.equal(settings.catalog.models.get('qwen-max')?.price.input, load('').catalog.models.get('qwen-max')?.price.input);
});

t.test('minutes are counted by their end', async (t) => {
  const path = join(t.testdir({}), 'a.db');
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  await ledger.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs: 1 });
  await ledger.grant({ accountId: 'acct_1', amount: 1_000_000_000n, reference: 'g', note: '', nowMs: 1 });
  await ledger.createKey({ id: 'key_1', accountId: 'acct_1', name: 'k', hash: new Uint8Array(32), last4: 'abcd', nowMs: 1 });
  const minuteMs = Date.UTC(2026, 10, 23, 12, 1);
  const ids = { accountId: 'acct_1', keyId: 'key_1' };
  await book(ledger, { id: 'a', ...ids, prompt: 10, completion: 5, atMs: minuteMs + 1 });
  await book(ledger, { id: 'b', ...ids, prompt: 1, completion: 1, atMs: minuteMs + 59_000, status: 'timeout' });
  await book(ledger, { id: 'c', ...ids, prompt: 1, completion: 1, atMs: minuteMs + 180_000 });
  t.match(await ledger.usageByMinute({ fromMs: minuteMs + 30_000, toMs: minuteMs + 200_000 }), [
    { minuteMs, requests: 2, errors: 1, promptTokens: 11, completionTokens: 6 },
    { minuteMs: minuteMs + 180_000, requests: 1 },
  ], 'empty minutes are left out, a touched one counts whole');
  t.same(await ledger.usageByMinute({ fromMs: 0, toMs: 1 }), []);
});

t.test('Ctrl-C ends what reads all of the books, however many there are', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  const books = new Database(desk.database);
  books.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)
    INSERT INTO transfers (kind, debit, credit, amount, reference, note, at_ms) SELECT 'grant', 3, 100, 1, 'grant ' || i, '', 1 FROM n;
    INSERT INTO chain (upto, hash) SELECT max(seq), zeroblob(32) FROM transfers`);
  books.close();
  const { file, args } = programOf(['audit']);
  // tap's own watch over its children would listen to signals in this one too.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', file, ...args], { cwd: desk.home, env: { PATH: process.env['PATH'] ?? '', HOME: desk.home } });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const ended = once(child, 'close');
  // SQLite makes it when the first row is read.
  while (!existsSync(`${desk.database}-shm`)) await nextTurn();
  // Whoever gets no answer presses again.
  const pressing = setInterval(() => child.kill('SIGINT'), 20);
  const how = await ended.finally(() => clearInterval(pressing));
  t.strictSame(how, [null, 'SIGINT'], 'the signal ends it, which a shell tells as 130');
  t.equal(out, '', 'nothing is printed');
  t.match(await desk.run(['audit']), { code: 1, out: /transfers/ }, 'left alone, it comes to its end');
});

t.test('a daemon that was killed is known to be gone at once', async (t) => {
  const desk = openDesk(t);
  const daemon = await startServe(desk.home, ['--sandbox', '--port', '0']);
  t.teardown(() => daemon.end('SIGKILL'));
  let status = await desk.json('status');
  for (let tries = 0; tries < 50 && status['running'] !== true; tries += 1) status = await desk.json('status');
  t.equal(status['running'], true);
  await daemon.end('SIGKILL');
  t.match(await desk.run(['status']), { code: 0, out: /^daemon\tnot running, last seen \d+s ago\n/, err: /start it with `findtoken serve`/ });
  t.match(await desk.run(['chat', '-m', 'Hi']), { code: 1, err: 'findtoken: the daemon is not running; start it with `findtoken serve`.\n' });
});

t.test('what a daemon knows of its providers is told with the reason', async (t) => {
  const desk = openDesk(t);
  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  const nowMs = Date.now();
  const entry = { state: 'open', failuresInRow: 4, retryAtMs: nowMs + 30_000, openForMs: 30_000, restingUntilMs: 0, lastFailureMs: nowMs, lastSuccessMs: 0, lastFailure: 'retry' };
  const health = [{ key: 'deepseek/deepseek-chat', state: 'down', reason: 'down (it failed), asked again in 30 s', entry }];
  await ledger.publish({ pid: process.pid, version: '1.2.3', url: 'http://127.0.0.1:1', startedMs: nowMs, beatMs: nowMs, detail: JSON.stringify({ in_flight: 0, health }) });
  t.match((await desk.run(['providers', 'list'])).out, /^deepseek\tnone\tdown \(it failed\), asked again in 30 s\t[^]*^qwen\tnone\tunknown\t/m);
  t.match(await desk.json('providers', 'list'), { data: [{ id: 'deepseek', health: 'down', health_reason: 'down (it failed), asked again in 30 s' }] });
});

t.test('a daemon in another container runs, and its number is somebody else\'s here', async (t) => {
  const desk = openDesk(t);
  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  let signals = 0;
  const hear = () => void (signals += 1);
  process.on('SIGHUP', hear);
  t.teardown(() => process.off('SIGHUP', hear));
  const publish = (pid: number) => ledger.publish({ pid, version: '1.2.3', url: 'http://127.0.0.1:1', startedMs: Date.now(), beatMs: Date.now(), detail: JSON.stringify({ in_flight: 0, pids: 'pid:[1]', health: [] }) });
  await publish(4_194_303);
  t.match(await desk.json('status'), { running: true }, 'that nobody has its number here says nothing');
  await publish(process.pid);
  t.match(await desk.run(['reload']), { code: 1, err: new RegExp(`^findtoken: the daemon \\(pid ${process.pid}\\) runs in another container; run this there[^\n]+\n$`) });
  await nextTurn();
  t.equal(signals, 0, 'nobody else is told to read anything');
});

t.test('a reload is heard of also where the clock was set back since the last one', async (t) => {
  const desk = openDesk(t);
  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  const publish = (atMs: number, applied: readonly string[]) => ledger.publish({
    pid: process.pid, version: '1.2.3', url: 'http://127.0.0.1:1', startedMs: Date.now(), beatMs: Date.now(),
    detail: JSON.stringify({ in_flight: 0, health: [], reload: { at_ms: atMs, ok: true, applied, waiting: [], message: '' } }),
  });
  await publish(Date.now() + 3_600_000, ['limits.in_flight']);
  const hear = () => void publish(Date.now(), ['models']);
  process.on('SIGHUP', hear);
  t.teardown(() => process.off('SIGHUP', hear));
  t.match(await desk.json('reload'), { ok: true, applied: ['models'] });
});

t.test('what is told of an empty and of a damaged database names it, not the file beside', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  writeFileSync(desk.database, '');
  for (const args of [['status'], ['balance'], ['backup', 'b.db']]) t.match(await desk.run(args), { code: 1, out: '', err: `findtoken: ${desk.database} is empty. \`findtoken init\` makes a database of it.\n` }, args.join(' '));
  writeFileSync(join(desk.home, 'empty.db'), '');
  t.match(await desk.run(['restore', '--yes', 'empty.db']), { code: 1, out: '', err: /empty\.db is empty\. Name a file that `findtoken backup` made\.\n$/ });
  t.match(await desk.run(['init'], { env: { FINDTOKEN_MASTER_KEY: 'ab'.repeat(32) } }), { code: 0 }, 'and it does');
  writeFileSync(desk.database, 'x'.repeat(10_000));
  t.match(await desk.run(['backup', 'b.db']), { code: 1, out: '', err: new RegExp(`^findtoken: ${desk.database} cannot be opened \\(SQLITE_NOTADB\\)`) });
  t.notOk(existsSync(join(desk.home, 'b.db')));
});
