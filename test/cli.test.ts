import Database from 'better-sqlite3';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { COMMANDS } from '../src/cli/program.ts';
import { book, openDesk } from './support/command-line.ts';
import { noScript } from './support/program.ts';

t.test('help, versions and wrong words', async (t) => {
  const desk = openDesk(t);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  t.match(await desk.run(['--version']), { code: 0, out: `${version}\n`, err: '' });
  const bare = await desk.run([]);
  t.match(bare, { code: 0, err: '', out: /Usage: findtoken/ }, 'without a word it shows the help');
  for (const one of COMMANDS) {
    t.match(bare.out, new RegExp(`^  ${'run' in one ? one.usage.split(' ')[0] : one.name} [^\n]{1,76}$`, 'm'), 'the help lists it, on one line of 80 columns');
    for (const { usage, examples } of 'run' in one ? [one] : one.verbs) {
      t.match(examples, [/^findtoken /], `${usage} has an example`);
      const name = `findtoken ${'run' in one ? '' : `${one.name} `}${usage.split(' ')[0]}`;
      t.ok(examples.every((example) => example.startsWith(name)), `${usage}: its own`);
    }
  }
  t.match(await desk.run(['logs', '--help']), { code: 0, err: '', out: /Examples:\n(?: {2}\$ findtoken [^\n]+\n)+\n?$/ }, 'the help of a command ends with examples');
  t.match(await desk.run(['help', 'keys']), { code: 0, err: '', out: /Usage: findtoken keys[^]*\n\nAPI keys of an account\.\n[^]*\n {2}create +make a key;/ }, 'a sentence alone is one');
  t.match(await desk.run(['help', 'keys', 'create']), { code: 0, err: '', out: /Usage: findtoken keys create/ }, 'of a verb, too');
  t.match(await desk.run(['keys', 'create', '--help']), { code: 0, out: /--account[^]*Examples:\n {2}\$ findtoken keys create --name laptop/ }, 'the help of a verb shows the global options, too');

  const cases = [
    [['kyes'], /unknown command 'kyes' \(Did you mean keys\?\) `findtoken --help` lists the commands\.\n/, 'a slip of the pen'],
    [['help', 'kyes'], /unknown command 'kyes'\. `findtoken --help`/, 'help about nothing'],
    [['keys', 'lst'], /unknown command 'lst' \(Did you mean list\?\) `findtoken keys --help` lists its commands\.\n/, 'a slip in the verb'],
    [['balance', '--acount', 'x'], /unknown option '--acount' \(Did you mean --account\?\)/, 'a slip in an option'],
    [['keys', 'create'], /required option '--name <name>' not specified/, 'a missing option'],
    [['--json', 'keys', 'revoke'], /missing required argument 'id'\. `findtoken keys revoke --help` shows how it is used\.\n/, 'a missing argument'],
    [['balance', 'ann'], /too many arguments/, 'an argument too many'],
    [['serve', '--port', '70000'], /--port is a whole number from 0 to 65535/, 'a port that is none'],
    [['cost', '--model', 'deepseek-chat', '--input', '1', '--output', '1', '--mode', 'free'], /Allowed choices are standard, byok/, 'a mode that is none'],
  ] as const;
  await Promise.all(cases.map(async ([args, says, why]) => {
    const { code, out, err } = await desk.run(args);
    t.equal(code, 2, `${why}: exit 2`);
    t.equal(out, '', `${why}: nothing on stdout`);
    t.match(err, says, why);
    t.match(err, /^findtoken: [^\n]+\n$/, `${why}: one line`);
  }));
  for (const args of [['byok', 'register', 'deepsek', '--name', 'x', '--from-stdin'], ['providers', 'set-key', 'deepsek', '--from-stdin'], ['providers', 'test', 'deepsek'], ['catalog', 'check', 'deepsek'], ['init', '--provider', 'deepsek', '--from-stdin']]) {
    t.match(await desk.run(args), { code: 3, out: '', err: /^findtoken: there is no provider "deepsek"; did you mean deepseek\? Known are deepseek, [^\n]+\.\n$/ }, `${args.join(' ')}: as a model that there is not`);
  }
  t.match(await desk.run(['keys']), { code: 2, out: '', err: /^findtoken: keys needs a command: create, list, revoke\. `findtoken keys --help` tells of them\.\n$/ }, 'a noun alone');
  t.match(await desk.run(['--json']), { code: 2, out: '', err: /^findtoken: a command is missing\. `findtoken --help` lists the commands\.\n$/ }, 'options alone');
});

t.test('before there is a database, commands say how to get one', async (t) => {
  const desk = openDesk(t);
  for (const args of [['balance'], ['keys', 'list'], ['logs'], ['audit', '--json']]) {
    const { code, out, err } = await desk.run(args);
    t.same([code, out], [1, ''], args.join(' '));
    t.match(err, /^findtoken: there is no database at .*findtoken\.db yet; make one with `findtoken init`, or try `findtoken serve --sandbox`\.\n$/);
  }
  t.match(await desk.run(['status']), { code: 0, out: /^daemon\tnever started\ndatabase\t.*findtoken\.db \(not made yet\)\n$/, err: /findtoken init/ }, 'its status is nothing to fail at');
  t.match(await desk.json('status'), { running: false, daemon: null, database: { bytes: null }, today: { requests: 0, cost_exact: '0.00000000' } });
  for (const args of [['credits', 'grant', '5', '--note', 'x'], ['keys', 'create', '--name', 'x'], ['accounts', 'deactivate', 'ann@example.com', '--yes']]) {
    t.match(await desk.run(args), { code: 1, err: /there is no database/ }, args.join(' '));
  }
  t.notOk(existsSync(desk.database), 'and what changes something makes none');
  await (await desk.ledger()).close();
  t.match(await desk.run(['credits', 'grant', '5', '--note', 'x']), { code: 3, err: /^findtoken: there is no account yet.*findtoken accounts create EMAIL/ }, 'a database without accounts');
  t.match(await desk.run(['balance', '--config', 'none.yaml']), { code: 1, err: /none\.yaml/ }, 'a file that is not there');
});

t.test('an empty or relative HOME or XDG_CONFIG_HOME says nothing', async (t) => {
  const desk = openDesk(t);
  const known = userInfo().homedir;
  for (const HOME of ['', 'here']) t.match(await desk.run(['config', 'show'], { env: { HOME } }), { code: 0, out: `database.path\t${known}/.local/share/findtoken/findtoken.db\tdefault\n` }, `HOME=${HOME}`);
  for (const XDG_CONFIG_HOME of ['', 'here']) {
    t.match(await desk.run(['service', 'install', '--dry-run', '--kind', 'systemd'], { env: { XDG_CONFIG_HOME } }), { code: 0, out: `would write ${desk.home}/.config/systemd/user/findtoken.service\n` }, `XDG_CONFIG_HOME=${XDG_CONFIG_HOME}`);
  }
});

t.test('usage since a moment of a day whose minutes are gone says that the day counts whole', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.run(['credits', 'grant', '20', '--note', 'x']);
  const ledger = await desk.ledger();
  const dayMs = 86_400_000;
  const midnightMs = Math.floor(Date.now() / dayMs) * dayMs;
  for (const [id, atMs] of [['req_1', midnightMs - 20 * dayMs], ['req_2', midnightMs + 1]] as const) {
    await book(ledger, { id, accountId: String(accountId), keyId: 'key_1', prompt: 1_000, completion: 500, atMs });
  }
  const day = new Date(midnightMs - 20 * dayMs).toISOString().slice(0, 10);
  const since = ['usage', '--since', `${day}T05:00Z`];
  t.match(await desk.run(since), { code: 0, err: '', out: /^deepseek-chat\t1\t/m }, 'from the minute on');
  await ledger.removeRequests({ beforeMs: midnightMs - 10 * dayMs, most: 10 });
  await ledger.removeMinutes({ beforeMs: midnightMs - 10 * dayMs, most: 10 });
  await ledger.close();
  t.match(await desk.run(since), { code: 0, err: `${day} counts whole: minutes are kept no longer than database.keep_requests says.\n`, out: /^deepseek-chat\t2\t/m });
  t.match(await desk.run(['usage', '--since', day]), { code: 0, err: '', out: /^deepseek-chat\t2\t/m }, 'a whole day needs no word');
});

t.test('the story of an account: opened, credited, keyed, called, looked at, closed', async (t) => {
  const desk = openDesk(t);
  const ann = await desk.json('accounts', 'create', 'Ann@example.com');
  t.match(ann, { id: /^acct_/, object: 'account', email: 'ann@example.com', status: 'active', frozen: false, balance: 0, held: 0, available: 0, requests_per_minute: null });
  t.match(await desk.run(['accounts', 'create', 'ann@example.com']), { code: 1, out: '', err: /has an account already/ });
  t.match(await desk.run(['accounts', 'create', 'nonsense']), { code: 2, out: '', err: /name@example\.com/ });

  t.match(await desk.json('credits', 'grant', '20', '--note', 'welcome'), { object: 'grant', account_id: ann['id'], amount: 20, balance: 20, currency: 'usd' });
  t.match(await desk.json('credits', 'grant', '--note', 'taken back', '--', '-5.5'), { amount: -5.5, balance: 14.5 }, 'a negative amount after --');
  t.match(await desk.json('credits', 'grant', '-0.00000001', '--note', 'x'), { balance: 14.5 }, 'the smallest step, without --');
  t.match(await desk.run(['credits', 'grant', '--note', 'x', '-99']), { code: 1, err: /only \$14\.49999999 are available/ }, 'more than there is');
  t.match(await desk.run(['credits', 'grant', 'ten', '--note', 'x']), { code: 2, err: /such as 20 or 9\.45/ });

  const made = await desk.run(['keys', 'create', '--name', 'laptop']);
  t.match(made, { code: 0, out: /^sk-ft_[0-9a-f]{64}\n$/, err: /^Key "laptop" \(key_\w+\) of ann@example\.com\. It is shown this once/ }, 'the key stands alone on stdout');
  const key = await desk.json('keys', 'create', '--name', 'ci');
  t.strictSame(Object.keys(key), ['id', 'name', 'key']);
  t.match(await desk.run(['keys', 'create', '--name', 'a\x1b[31m']), { code: 2, out: '', err: /1 to 100 characters/ });

  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  const [accountId, keyId] = [String(ann['id']), String(key['id'])];
  for (const [id, prompt, completion, ageMs] of [['req_1', 1_000_000, 0, 3_600_000], ['req_2', 1_000, 500, 60_000]] as const) {
    await book(ledger, { id, accountId, keyId, prompt, completion, atMs: Date.now() - ageMs });
  }
  t.match(await desk.json('balance'), { object: 'balance', currency: 'usd', balance: 14.352005, held: 0, available: 14.352005, byok: { requests: 0, free_requests: 1_000_000, remaining_free: 1_000_000 } }, '14.5 − 0.00000001 − 0.1477 − 0.0002954, shown to 6 decimals');
  t.match(await desk.run(['balance']), { code: 0, err: '', out: /^balance\t\$14\.352005\nheld\t\$0\.00\n/ }, 'names and values, tab-separated in a pipe');

  const logs = await desk.json('logs');
  t.match(logs, { object: 'list', has_more: false, next: null, data: [{ id: 'req_2', cost: 0.000295, cost_exact: '0.00029540', prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500, key_id: keyId, status: 'ok' }, { id: 'req_1', cost_exact: '0.14770000' }] }, 'newest first, exact');
  t.match(await desk.json('logs', '--limit', '1'), { has_more: true, next: /^\d+$/, data: [{ id: 'req_2' }] });
  t.match(await desk.json('logs', '--since', '10m'), { data: [{ id: 'req_2' }] });
  t.strictSame((await desk.json('logs', '--model', 'qwen-max'))['data'], []);
  t.match(await desk.run(['logs', '--since', 'tomorrow']), { code: 2, err: /--since is a span such as 30d/ });
  t.match((await desk.json('usage', '--by', 'model, model'))['data'], { length: 1 }, 'each grouping once');
  t.match(await desk.json('usage', '--by', 'model,key'), { data: [{ object: 'usage', by: 'model', group: 'deepseek-chat', requests: 2, cost_exact: '0.14799540' }, { by: 'key', group: keyId, name: 'ci' }] });
  t.match(await desk.run(['usage', '--by', 'key']), { out: new RegExp(`^key\\tname\\trequests[^\n]*\\tprovider cost\\tfee\\tshortfall\\tcost\n${keyId}\\tci\\t2\\t[^\n]*\\t0\\.14028000\\t0\\.00771540\\t0\\.00000000\\t0\\.14799540\n$`) }, 'keys bear their names, and the amounts add up');
  t.match(await desk.json('usage', '--by', 'account'), { data: [{ group: 'ann@example.com', requests: 2 }] }, 'accounts are known by their address');
  const month = new Date(Date.now() - 60_000).toISOString().slice(0, 7);
  const csv = await desk.run(['export', month]);
  t.match(csv.out, /^id,time,account,key_id,mode,model,requested_model,provider,/, 'a month as CSV');
  t.match(csv.out, new RegExp(`\nreq_2,${month}-[^,]+Z,${accountId},${keyId},standard,deepseek-chat,deepseek-chat,[^\n]+,0\\.00029540,0\\.00028000,0\\.00001540,0\\.00000000\n`), 'every amount exact');
  const exported = JSON.parse((await desk.run(['export', month, '--json'])).out);
  t.match(exported, { object: 'list', has_more: false, data: [{ id: 'req_2', account_id: accountId, cost_exact: '0.00029540', provider_cost_exact: '0.00028000', fee_exact: '0.00001540', usage_origin: 'reported' }] });
  t.strictSame((await desk.json('export', '1999-01'))['data'], []);
  t.equal((await desk.run(['export', '1999-01'])).out.trim().split('\n').length, 1, 'an empty month is its title line');
  t.match(await desk.run(['export', 'november']), { code: 2, out: '', err: /like 2026-11/ });
  t.match(await desk.run(['usage', '--by', 'weather']), { code: 2, err: /--by takes model, key, day/ });
  t.match(await desk.json('status'), { object: 'status', running: false, daemon: null, accounts: 1, today: { errors: 0 } });
  t.match(await desk.run(['status']), { code: 0, out: /^daemon\tnever started\n/, err: /findtoken serve/ });

  t.match(await desk.json('accounts', 'set', '--requests-per-minute', '5'), { requests_per_minute: 5 });
  t.match(await desk.json('accounts', 'set', 'ann@example.com', '--requests-per-minute', 'default'), { requests_per_minute: null });
  t.match(await desk.run(['keys', 'revoke', keyId]), { code: 2, out: '', err: /add --yes/ }, 'nobody can be asked in a pipe');
  t.match(await desk.run(['keys', 'revoke', 'key_none', '--yes']), { code: 3, err: /no API key/ });
  t.strictSame(await desk.json('keys', 'revoke', keyId, '--yes'), { id: keyId, object: 'api_key', deleted: true });
  const listed = await desk.json('keys', 'list');
  t.match(listed, { object: 'list', has_more: false, data: [{ id: keyId, object: 'api_key', name: 'ci', key: /^sk-ft_…[0-9a-f]{4}$/, revoked: Number }, { name: 'laptop', revoked: null }] });
  t.notOk(JSON.stringify(listed).includes(made.out.trim()), 'a key is never shown again');
  t.match(await desk.run(['accounts', 'deactivate']), { code: 2, err: /add --yes/ });
  t.match(await desk.json('accounts', 'deactivate', '--yes'), { status: 'deactivated' });
  t.match(await desk.run(['balance', '--account', 'bob@example.com']), { code: 3, out: '', err: /no account "bob@example\.com"/ });
  await desk.json('accounts', 'create', 'bob@example.com', '--pending');
  t.match(await desk.run(['balance']), { code: 2, err: /several accounts.*--account EMAIL/ });
  t.match(await desk.json('balance', '--account', 'bob@example.com'), { balance: 0 });
  t.match(await desk.json('logs'), { data: [{}, {}] }, 'logs are of all accounts');
  t.strictSame((await desk.json('logs', '--account', 'bob@example.com'))['data'], [], 'unless one is named');
});

t.test('a key that has leaked is ended by its id, whoever has it', async (t) => {
  const desk = openDesk(t);
  for (const email of ['ann@example.com', 'bob@example.com']) await desk.run(['accounts', 'create', email]);
  const { id } = await desk.json('keys', 'create', '--name', 'ci', '--account', 'bob@example.com');
  t.match(await desk.run(['keys', 'revoke', String(id), '--account', 'ann@example.com', '--yes']), { code: 3, err: /no API key/ }, 'but not as that of another account');
  t.match(await desk.run(['keys', 'revoke', 'key_none', '--yes']), { code: 2, err: /several accounts/ });
  t.strictSame(await desk.json('keys', 'revoke', String(id), '--yes'), { id, object: 'api_key', deleted: true });
});

t.test('the log is followed: what was, then what comes, one JSON document a line', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '1', '--note', 'x');
  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  const request = (id: string, model: string) => book(ledger, { id, accountId: String(accountId), keyId: 'key_1', prompt: 10, completion: 1, model, atMs: Date.now() });
  await request('req_1', 'deepseek-chat');
  await request('req_2', 'qwen-max');
  const following = desk.start(['logs', '--follow', '--json', '--model', 'deepseek-chat']);
  t.match(JSON.parse(await following.line()), { id: 'req_1', object: 'billing_log' });
  await request('req_3', 'qwen-max');
  await request('req_4', 'deepseek-chat');
  t.match(JSON.parse(await following.line()), { id: 'req_4' }, 'the filter holds for what comes');
  following.interrupt();
  t.match(await following.ended, { code: 130, err: '' }, 'interrupted');
});

t.test('a daemon runs beside the commands: served, chatted with, looked at, stopped', async (t) => {
  const desk = openDesk(t);
  const daemon = desk.start(['serve', '--sandbox', '--port', '0']);
  const url = /http:\S+$/.exec(await daemon.line())?.[0] ?? '';
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/, 'the first line says where');
  // The daemon publishes what it is about once a second; `chat` and `status` read it.
  let talked = await desk.run(['chat', 'sandbox-chat', '-m', 'Say hello']);
  for (let tries = 0; tries < 20 && talked.err.includes('not running'); tries += 1) talked = await desk.run(['chat', 'sandbox-chat', '-m', 'Say hello']);
  t.match(talked, { code: 0, out: /Say hello[^\n]*\n$/, err: /^3 tokens in, \d+ out, \$0\.0000\d+, \d+ ms, sandbox-chat at sandbox, req_\w+\n$/ });
  const answer = await desk.json('chat', 'deepseek-chat', '-m', 'Say hello');
  t.match(answer, { object: 'chat', model: 'deepseek-chat', provider: 'sandbox', content: /Say hello/, prompt_tokens: 3, cost: Number });
  t.match(await desk.json('logs', '--limit', '1'), { data: [{ id: answer['request_id'], model: 'deepseek-chat', provider: 'sandbox', status: 'ok' }] }, 'the row bears the id of the answer');
  t.match(await desk.json('keys', 'list', '--all'), { data: [{ name: 'findtoken chat', revoked: Number }, { revoked: Number }, { name: 'sandbox', revoked: null }] }, 'the key of a call ends with it');
  const { data: listed } = await desk.json('keys', 'list');
  t.match(listed, [{ name: 'sandbox', revoked: null }], 'and stands in no list then');
  t.equal(Array.isArray(listed) && listed.length, 1);
  t.match(await desk.run(['chat', 'deepseek-chta', '-m', 'x']), { code: 3, out: '', err: /[Dd]id you mean "?deepseek-chat/ });
  t.match(await desk.run(['chat', '-m', 'x'], { env: { FINDTOKEN_API_KEY: 'sk-ft_bad' } }), { code: 1, err: /^findtoken: incorrect, missing or revoked API key/ });
  t.match(await desk.run(['chat', 'sandbox-cut', '-m', 'x']), { code: 1, out: /^You asked[^\n]*\n$/, err: /^findtoken: sandbox failed in the middle/ }, 'half an answer ends its line');
  t.match(await desk.json('status'), { running: true, daemon: { url, version: String, pid: Number, in_flight: Number }, today: { requests: 3 } });
  t.match(await desk.run(['audit']), { code: 0, out: /^sound: / });
  t.match(await desk.run(['chat', 'glm-4.7-flash', '-m', 'Hello!']), { code: 0, err: / out, \$0\.00, \d+ ms, glm-4\.7-flash at / }, 'nothing is $0.00, as everywhere');
  const live = async () => (await desk.json('keys', 'list', '--all'))['data'];
  const slow = desk.start(['chat', 'sandbox-slow', '-m', 'x']);
  for (let tries = 0; tries < 40 && !/"findtoken chat"[^}]*"revoked":null/.test(JSON.stringify(await live())); tries += 1);
  slow.interrupt('SIGTERM');
  t.match(await slow.ended, { code: 130, err: /^findtoken: interrupted\.\n$/ }, 'a signal ends a call');
  t.notMatch(JSON.stringify(await live()), /"findtoken chat"[^}]*"revoked":null/, 'and the key of the call with it');
  const away = { env: { XDG_DATA_HOME: join(desk.home, 'away') } };
  t.match(await desk.run(['serve', '--port', new URL(url).port], away), { code: 1, out: '', err: /is in use; stop who uses it, or choose another with --port\.\n$/ });
  daemon.interrupt();
  t.match(await daemon.ended, { code: 0 }, 'told to stop, it drains and is done');
  t.match(await desk.run(['status']), { code: 0, out: /^daemon\tnot running, it was stopped\n/ });
});

t.test('an audit of sound books says so; one false cent is found', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '10', '--note', 'x');
  t.match(await desk.run(['audit']), { code: 0, out: /^sound: 1 account, 1 transfer, 0 requests, 0 open holds\n$/, err: '' });
  const db = new Database(desk.database);
  db.exec('UPDATE wallets SET balance = balance + 1 WHERE customer = 1');
  db.close();
  const { code, out, err } = await desk.run(['audit', '--json']);
  t.equal(code, 1);
  t.match(JSON.parse(out), { object: 'audit', ok: false, findings: [{ rule: String, expected: String, found: String }] });
  t.match(err, /^findtoken: \d+ differences? in 1 account,/);
});

t.test('commands load only what they need', { skip: noScript() }, async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  for (const args of [['--help'], ['keys', 'list'], ['balance'], ['logs'], ['models']]) {
    const loaded = await desk.packagesOf(args);
    t.ok(loaded.has('commander'), `${args.join(' ')}: the trace sees packages`);
    for (const heavy of ['ink', 'react', 'undici', 'stripe', 'pino']) t.notOk(loaded.has(heavy), `${args.join(' ')} loads no ${heavy}`);
  }
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'providers:\n  deepseek: { base_url: "http://127.0.0.1:9/v1", api_key: "sk-0123456789abcdef" }\n');
  const loaded = await desk.packagesOf(['providers', 'test']);
  t.ok(loaded.has('undici'), 'while a test of a provider loads an HTTP client');
});
