import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { RECIPES } from '../src/cli/connect/tools.ts';
import { checkRuntime } from '../src/cli/doctor/machine.ts';
import { checkLinks, checkSkew, checkStripe } from '../src/cli/doctor/outside.ts';
import { ABOUT, COMMANDS } from '../src/cli/program.ts';
import { launchdPlist, systemdUnit } from '../src/cli/service/units.ts';
import { completionScript, SHELLS } from '../src/cli/tree/completion.ts';
import { manPage, markdownPage } from '../src/cli/tree/pages.ts';
import { entriesOf } from '../src/cli/tree/tree.ts';
import { TOOLS } from '../src/cli/commands/connect.ts';
import { loadSettings } from '../src/settings/index.ts';
import { openDesk } from './support/command-line.ts';

const MASTER = { FINDTOKEN_MASTER_KEY: 'ab'.repeat(32) };

/** A provider that lists its models to whoever has the key, and says what it was asked. */
async function startProvider(t: Test, models: readonly string[]): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const isKnown = request.headers.authorization === 'Bearer sk-good-good-good-1234';
    response.writeHead(isKnown || request.method === 'HEAD' ? 200 : 401, { 'content-type': 'application/json' });
    response.end(request.method === 'HEAD' ? '' : JSON.stringify(isKnown ? { data: models.map((id) => ({ id })) } : { error: { message: 'no' } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

t.test('init makes what is missing, once; its curl line works', async (t) => {
  const desk = openDesk(t);
  const first = await desk.run(['init', '--port', '18788'], { env: MASTER });
  t.match(first, { code: 0, out: /settings\t.*findtoken\.yaml \(written\)[^]*master key\tin the environment variable FINDTOKEN_MASTER_KEY[^]*account\tme@localhost, \$10\.00 \(new\)[^]*findtoken serve\n/ });
  const key = /sk-ft_[0-9a-f]{64}/.exec(first.out)?.[0] ?? '';
  t.match(first.out, `-H "Authorization: Bearer ${key}"`, 'the curl line bears the key');
  const file = join(desk.home, 'findtoken.yaml');
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.match(readFileSync(file, 'utf8'), /port: 18788[^]*sandbox: true/, 'without a provider key it answers offline');
  t.match(await desk.run(['config', 'check']), { code: 0 });
  t.match(await desk.json('keys', 'list'), { data: [{ name: 'first key' }] });

  writeFileSync(file, readFileSync(file, 'utf8').replace('18788', '0'));
  const daemon = desk.start(['serve']);
  const url = /http:\S+/.exec(await daemon.line())?.[0] ?? '';
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] }) });
  t.match(await answer.json(), { object: 'chat.completion', choices: [{ finish_reason: 'stop' }] }, 'answered and billed');
  t.match(await desk.json('balance'), { balance: 9.99999 }, "beside the sandbox's account one's own is meant");
  daemon.interrupt();
  t.match(await daemon.ended, { out: /billed to the account that calls\n {2}API key {10}sk-ft_[0-9a-f]{64}\n {19}\(of sandbox@localhost[^]*`findtoken balance --account sandbox@localhost`/ }, 'whose the printed key is, the daemon says');

  const before = readFileSync(file, 'utf8');
  const again = await desk.run(['init'], { env: MASTER });
  t.match(again, { code: 0, out: /\(was there, unchanged\)[^]*\(was there\)[^]*there is one already[^]*\n {2}export FINDTOKEN_API_KEY=\$\(findtoken keys create --name curl --account me@localhost\)\n {2}curl [^]*Bearer \$FINDTOKEN_API_KEY/ }, 'the lines to copy work: the key that was there is known to nobody');
  t.notMatch(await desk.run(['init'], { env: { ...MASTER, FINDTOKEN_API_KEY: 'sk-ft_x' } }), { out: /export/ }, 'unless the shell has one');
  t.notMatch(again.out, /sk-ft_/, 'no second key is made');
  t.equal(readFileSync(file, 'utf8'), before);
  t.match(await desk.json('accounts', 'list'), { data: [{ email: 'me@localhost' }, { email: 'sandbox@localhost' }] });
});

t.test('every question of init has a flag, and a secret stays out of JSON', async (t) => {
  const desk = openDesk(t);
  const run = await desk.run(['--json', 'init', '--user', '--email', 'ann@example.com', '--credits', '2.5', '--key-name', 'laptop', '--key-file', 'key.txt', '--host', '0.0.0.0', '--provider', 'deepseek', '--from-env', 'K', '--no-sandbox'], { env: { ...MASTER, K: 'sk-good-good-good-1234' } });
  t.equal(run.code, 0, run.err);
  t.match(JSON.parse(run.out), {
    object: 'init', config_file: join(desk.home, '.config/findtoken/findtoken.yaml'), config_written: true, account: { email: 'ann@example.com', balance: 2.5 },
    key: { name: 'laptop', file: 'key.txt' }, providers: ['deepseek'], sandbox: false,
  });
  t.notMatch(run.out + run.err, /sk-ft_|sk-good/, 'neither key is shown');
  t.match(readFileSync(join(desk.home, 'key.txt'), 'utf8'), /^sk-ft_[0-9a-f]{64}\n$/);
  t.equal(statSync(join(desk.home, 'key.txt')).mode & 0o777, 0o600);
  t.match(await desk.run(['init', '--from-stdin'], { env: MASTER, stdin: 'x' }), { code: 2, err: /--provider NAME/ });
  const fresh = openDesk(t);
  t.match(await fresh.run(['init', '--host', 'http://x']), { code: 2, err: /^findtoken: --host: server\.host: expected a host name/ }, 'a wrong word makes nothing');
  t.match(await fresh.run(['serve', '--host', 'http://x']), { code: 2, err: /^findtoken: --host: server\.host: expected a host name/ });
  t.match(await fresh.run(['init', '--credits', '1000000000.01']), { code: 2, err: /--credits is at most 1000000000 US dollars/ });
  t.notOk(existsSync(join(fresh.home, 'findtoken.yaml')));
  t.match(await desk.run(['credits', 'grant', '--note', 'x', '--', '-100000000000000']), { code: 2, err: /the amount is at most 1000000000 US dollars/ });
  t.match(await desk.run(['init', '--credits', 'many']), { code: 2, err: /--credits is in US dollars/ });
  t.match(await desk.run(['init', '--provider', 'deepseek'], { env: MASTER }), { code: 2, err: /--from-stdin or --from-env NAME/ }, 'nobody is asked in a pipe');
  const bare = openDesk(t);
  const told = await bare.run(['init', '--json'], { env: MASTER });
  t.match(told.err, /^Key "first key" \(key_\w+\) of me@localhost stands in the document, this once: keep it now\.\n$/);
  const { key } = JSON.parse(told.out);
  t.match(key, { id: /^key_/, name: 'first key', key: /^sk-ft_[0-9a-f]{64}$/, file: null }, 'without a file for it the document bears the key');
  t.match((await bare.json('keys', 'list'))['data'], [{ id: key.id, revoked: null }]);
  t.match(JSON.parse((await bare.run(['init', '--json'], { env: MASTER })).out), { key: null }, 'where one is live, none is made');
});

t.test('an init that fails leaves no account, and no key that nobody was told of', async (t) => {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'secrets: { master_key: "env:FMK" }\n');
  t.match(await desk.run(['init']), { code: 1, out: '', err: /FMK/ });
  t.same((await desk.json('accounts', 'list'))['data'], []);
  const again = await desk.run(['init'], { env: { FMK: MASTER.FINDTOKEN_MASTER_KEY } });
  t.match(again, { code: 0, out: /account\tme@localhost, \$10\.00 \(new\)[^]*Bearer sk-ft_[0-9a-f]{64}"/ }, 'and the next one is as the first');
});

t.test('what init says to type next finds the same settings', async (t) => {
  const desk = openDesk(t);
  const config = 'sub/my gateway.yaml';
  const first = await desk.run(['init', '--config', config, '--no-sandbox', '--key-file', 'my key'], { env: MASTER });
  t.match(first, { code: 0, out: /\n {2}findtoken serve --config 'sub\/my gateway\.yaml'\n/ }, first.err);
  t.match(first.out, /`findtoken providers set-key deepseek --config 'sub\/my gateway\.yaml'`/);
  t.match(first.out, 'Bearer $(cat \'my key\')"');
  t.match(await desk.run(['init', '--config', config], { env: MASTER }), { out: /`findtoken keys create --name NAME --config 'sub\/my gateway\.yaml'` makes another/ });
});

t.test('init says which flags had no effect, for what they are about was there', async (t) => {
  const desk = openDesk(t);
  const wishes = ['--host', '0.0.0.0', '--port', '9000', '--no-sandbox', '--credits', '5', '--key-file', 'k', '--key-name', 'mine'];
  t.match(await desk.run(['init', ...wishes], { env: MASTER }), { code: 0, err: '' }, 'the first has them all');
  t.match(await desk.run(['init', '--port', '9000', '--no-sandbox'], { env: MASTER }), { code: 0, err: '' }, 'what stands there already is no news');
  const again = await desk.run(['init', '--host', '127.0.0.1', '--port', '9001', '--sandbox', '--user', '--credits', '5', '--key-file', 'other'], { env: MASTER });
  t.equal(again.code, 0);
  const file = join(desk.home, 'findtoken.yaml');
  for (const [flag, setting] of [['--host 127.0.0.1', 'server.host: 127.0.0.1'], ['--port 9001', 'server.port: 9001'], ['--sandbox', 'sandbox: true']] as const) {
    t.match(again.err, `${flag} had no effect: ${file} was there and stays as it is. Set \`${setting}\` in it.\n`);
  }
  t.match(again.err, `--user had no effect: ${file} is found first.\n`);
  t.match(again.err, '--credits had no effect: me@localhost was there.');
  t.match(again.err, '--key-file had no effect: me@localhost has a live key already, and none was made.');
});

t.test('doctor says what is wrong and the mend, and changes nothing', async (t) => {
  const desk = openDesk(t);
  const empty = await desk.json('doctor', '--offline');
  t.match(empty, { object: 'doctor', ok: true, fail: 0 }, 'an empty home is no failure');
  t.match(empty['checks'], [{ name: 'runtime', state: 'ok' }, { name: 'better-sqlite3', state: 'ok', detail: /SQLite 3\./ }, { name: 'keychain' }, { name: 'configuration' }, { name: 'prices', state: 'warn', detail: /deepseek-chat/ }, { name: 'database', state: 'warn', mend: 'findtoken init' }]);
  t.notOk(existsSync(desk.database), 'a look makes no database');
  const good = await startProvider(t, []);
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port: closedPort } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  writeFileSync(join(desk.home, 'findtoken.yaml'), `
server: { port: 0 }
email: { smtp: "smtp://127.0.0.1:9" }
stripe: { secret_key: "sk_test_0123456789abcdef" }
providers:
  deepseek: { base_url: "${good.url}", api_key: "sk-good-good-good-1234" }
  qwen: { base_url: "${good.url}", api_key: "sk-bad-bad-bad-bad-1234" }
  kimi: { base_url: "http://127.0.0.1:${closedPort}/v1", api_key: "sk-any-any-any-any-1234" }
`);
  await desk.json('accounts', 'create', 'ann@example.com');
  execFileSync('chmod', ['644', desk.database]);
  const run = await desk.run(['doctor', '--deep', '--json']);
  t.equal(run.code, 1, 'what fails makes it fail');
  const checks = new Map((JSON.parse(run.out).checks as { name: string }[]).map((check) => [check.name, check]));
  /** check, what it says */
  const says: readonly (readonly [string, object])[] = [
    ['database.integrity', { state: 'ok', detail: /every row/ }],
    ['database.schema', { state: 'ok' }],
    ['database.permissions', { state: 'warn', mend: /chmod 600/ }],
    ['master_key', { state: 'ok', detail: /not made yet/ }],
    ['provider.deepseek', { state: 'ok', detail: /takes the key/ }],
    ['provider.qwen', { state: 'fail', mend: 'findtoken providers set-key qwen' }],
    ['provider.kimi', { state: 'fail', detail: /cannot be reached \(ECONNREFUSED\)/ }],
    ['clock', { state: 'ok' }],
    ['stripe', { state: 'ok', detail: /^test mode/ }],
    ['stripe.webhook', { state: 'warn', mend: /webhook_secret/ }],
    ['smtp', { state: 'fail', detail: /127\.0\.0\.1:9 cannot be reached/ }],
  ];
  for (const [name, expected] of says) t.match(checks.get(name), expected, name);
  t.notMatch(run.out, /sk-good|sk-bad|0123456789/, 'no secret is shown');
  t.ok(good.asked.every((line) => /^(HEAD|GET \/v1\/models)/.test(line)), 'nothing that costs is asked');
  t.match(await desk.run(['doctor', '--offline']), { out: /^state\tcheck\tfound\tmend\nok\truntime\t[^]*\nok\tsmtp\tnot asked: 127\.0\.0\.1:9\t\n/ });
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'nonsense: 1\n');
  t.match(await desk.run(['doctor', '--offline']), { code: 1, out: /fail\tconfiguration\t.*findtoken\.yaml:1:1: nonsense: unknown key/ });
});

t.test('parts of doctor that no machine here can show', async (t) => {
  t.match(checkRuntime('v18.1.0', 'linux x64'), { state: 'fail', detail: /20\.20 or newer/ });
  t.match(checkRuntime('v20.20.0', 'linux x64'), { state: 'ok' });
  t.match(checkSkew([]), { state: 'ok', detail: /nobody/ });
  t.match(checkSkew([100, 400, 90_000]), { state: 'ok' }, 'one host that is wrong is outvoted');
  t.match(checkSkew([90_000]), { state: 'warn', detail: '90 s behind the providers\'' });
  const settings = loadSettings({ env: {}, cwd: '/', home: '/root' });
  const stripe = (over: Partial<typeof settings.stripe>) => checkStripe({ ...settings, stripe: { ...settings.stripe, ...over } });
  t.match(stripe({ secretKey: 'nonsense' }), [{ state: 'fail' }, { state: 'warn' }]);
  t.match(stripe({ secretKey: 'sk_live_1', webhookSecret: 'x' }), [{ state: 'ok', detail: 'live mode' }, { state: 'fail', detail: /whsec_/ }]);
  t.match(stripe({ secretKey: 'rk_live_1', webhookSecret: 'whsec_1' }), [{ state: 'ok' }, { state: 'ok' }]);
  const links = (publicUrl: string, over: Partial<typeof settings> = {}) => checkLinks({ ...settings, ...over, server: { ...settings.server, publicUrl } });
  t.same(links('http://127.0.0.1:8787'), [], 'nobody gets a link');
  for (const over of [{ registration: { open: true } }, { email: { ...settings.email, smtp: 'smtp://mail.example.com' } }]) {
    for (const own of ['http://127.0.0.1:8787', 'http://localhost:1', 'http://[::1]:8787']) t.match(links(own, over), [{ name: 'public_url', state: 'warn', mend: /server\.public_url/ }], own);
    t.match(links('https://ai.example.com', over), [{ state: 'ok', detail: 'links in mails lead to https://ai.example.com' }]);
  }
});

t.test('connect prints settings without a secret', async (t) => {
  const desk = openDesk(t);
  t.same(RECIPES.map(({ tool }) => tool), [...TOOLS], 'the help names every tool there is');
  for (const { tool, settings } of RECIPES) {
    const text = settings({ origin: 'http://gateway:1', model: 'deepseek-chat', contextWindow: 1, maxOutput: 2, tools: true });
    t.match(text, tool === 'claude' ? '"http://gateway:1"' : 'http://gateway:1/v1', `${tool}: the address`);
    t.notMatch(text, /sk-/, `${tool}: no key`);
  }
  t.match(await desk.run(['connect', 'aider', '--model', 'qwen-max', '--url', 'https://llm.example.com/v1/']), { code: 0, out: 'export OPENAI_API_BASE="https://llm.example.com/v1"\nexport OPENAI_API_KEY="$FINDTOKEN_API_KEY"\naider --model openai/qwen-max\n', err: /FINDTOKEN_API_KEY is a key of yours/ });
  t.match(await desk.json('connect', 'continue'), { settings: /apiBase: http[^]*apiKey: \$\{\{ secrets\.FINDTOKEN_API_KEY \}\}[^]*capabilities: \[tool_use\]/ }, 'an agent is told that the model takes tools');
  t.match(await desk.json('connect', 'claude'), { settings: /ANTHROPIC_AUTH_TOKEN="\$FINDTOKEN_API_KEY"\nunset ANTHROPIC_API_KEY/ });
  t.match(await desk.json('connect', 'codex'), { object: 'connection', settings: /wire_api = "responses"/ });
  t.match(await desk.run(['connect', 'emacs']), { code: 2, out: '', err: /codex, claude/ });
  t.match(await desk.run(['connect', 'env', '--url', 'nowhere']), { code: 2, err: /--url is an address/ });
});

t.test('catalog check compares our names with the provider\'s', async (t) => {
  const desk = openDesk(t);
  const provider = await startProvider(t, ['deepseek-flash', 'deepseek-v5']);
  writeFileSync(join(desk.home, 'findtoken.yaml'), `providers:\n  deepseek: { base_url: "${provider.url}", api_key: "sk-good-good-good-1234" }\n`);
  const run = await desk.run(['catalog', 'check', '--json']);
  t.equal(run.code, 1);
  const rows: { model: string }[] = JSON.parse(run.out).data;
  t.match(rows.find(({ model }) => model === 'deepseek-chat'), { state: 'listed', upstream: 'deepseek-flash' });
  t.match(rows.find(({ model }) => model === 'deepseek-v4-pro'), { state: 'missing' });
  t.match(await openDesk(t).run(['catalog', 'check']), { code: 3, err: /providers set-key/ });
});

t.test('a unit runs nothing and writes nothing but its folders', async (t) => {
  const unit = { node: '/usr/bin/node', program: '/opt/my apps/100%/findtoken.js', config: '/etc/findtoken/findtoken.yaml', writes: ['/var/lib/findtoken'], home: '/home/ann', drainMs: 120_000 };
  const system = systemdUnit(unit, 'system');
  t.match(system, 'ExecStart=/usr/bin/node "/opt/my apps/100%%/findtoken.js" serve --config /etc/findtoken/findtoken.yaml\n');
  for (const line of ['User=findtoken', 'NoNewPrivileges=true', 'ProtectSystem=strict', 'CapabilityBoundingSet=', 'ReadWritePaths=/var/lib/findtoken', 'Restart=on-failure', 'LimitCORE=0']) t.match(system, `\n${line}\n`);
  const user = systemdUnit(unit, 'user');
  t.match(user, '\nNoNewPrivileges=true\n');
  t.match(user, '\nLimitCORE=0\n', 'a core file would hold every key');
  for (const kind of ['Soft', 'Hard']) t.match(launchdPlist(unit), `<key>${kind}ResourceLimits</key>\n  <dict>\n    <key>Core</key>\n    <integer>0</integer>\n  </dict>\n`);
  t.notMatch(user, /User=|CapabilityBoundingSet|ProtectSystem/, 'what a user\'s own manager may not do is left out');
  t.match(launchdPlist({ ...unit, program: '/a&b' }), '<string>/a&amp;b</string>');
  const desk = openDesk(t);
  const file = join(desk.home, '.config/systemd/user/findtoken.service');
  t.match(await desk.run(['service', 'install', '--kind', 'systemd', '--dry-run']), { code: 0, out: new RegExp(`^would write ${file}\n`) });
  t.notOk(existsSync(file));
  t.match(await desk.run(['service', 'install', '--kind', 'systemd', '--print']), { code: 0, out: /^\[Unit\]\n/ });
  t.match(await desk.run(['service', 'install', '--kind', 'systemd']), { code: 0, out: `${file}\n`, err: /systemctl --user enable/ });
  writeFileSync(file, 'mine');
  t.match(await desk.run(['service', 'install', '--kind', 'systemd']), { code: 2, err: /add --yes/ }, 'what somebody wrote there is not replaced unasked');
});

t.test('completions, the manual and docs/cli.md are made from the command tree', async (t) => {
  const known = { tool: TOOLS, shell: SHELLS };
  const folder = t.testdir({});
  for (const shell of SHELLS) {
    const script = completionScript(shell, COMMANDS, known);
    for (const { path } of entriesOf(COMMANDS)) t.match(script, path.split(' ').at(-1), `${shell} knows ${path}`);
    t.match(script, 'librechat', `${shell} knows the tools`);
    if (shell !== 'bash') t.match(script, /make settings, database, an account and a key/, `${shell} says of a command what the help lists`);
    t.notMatch(script, /asks nothing, and leaves what is there/, 'and no more');
    // Whichever of the shells is here reads it without running it.
    const file = join(folder, `completion.${shell}`);
    writeFileSync(file, script);
    const read = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    if (read.error === undefined) t.match(read, { status: 0, stderr: '' }, `${shell} takes it`);
  }
  const bash = completionScript('bash', COMMANDS, known);
  const complete = (...words: string[]) =>
    execFileSync('bash', ['--norc', '-c', `${bash}\nCOMP_WORDS=(findtoken ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _findtoken; echo "\${COMPREPLY[*]}"`], { encoding: 'utf8', cwd: folder }).trim().split(' ');
  t.match(complete('ke'), ['keys']);
  t.match(complete('keys', ''), ['create', 'list', 'revoke', '--config']);
  t.match(complete('keys', 'create', '--na'), ['--name']);
  t.match(complete('--json', 'connect', 'op'), ['openwebui']);
  t.match(complete('explain', 'x', '--routing', 'c'), ['cheapest']);
  t.same(complete('recharges', 'list', '--status', 'p'), ['pending', 'paid', 'partially_refunded']);
  t.same(complete('logs', '--status', 'p'), ['providers_unavailable', 'provider_failed', 'provider_balance_exhausted'], 'one flag, another command, other values');
  t.match(completionScript('fish', COMMANDS, known), /seen_subcommand_from logs' -l status -x -a 'ok aborted recovered /);
  t.match(completionScript('zsh', COMMANDS, known), /'logs --status'\) compadd -- ok aborted recovered /);
  const man = manPage(COMMANDS, { version: '1.2.3', summary: ABOUT, day: '2026-11-27' });
  t.match(man, /^\.TH FINDTOKEN 1 "2026\\-11\\-27" "findtoken 1\.2\.3"/);
  t.notMatch(man, /(?<![\\])--/, 'dashes of options are dashes, no hyphens');
  const desk = openDesk(t);
  t.match(await desk.run(['man'], { env: { SOURCE_DATE_EPOCH: '86400' } }), { code: 0, out: /^\.TH FINDTOKEN 1 "1970\\-01\\-02"/ }, 'a packager says the day');
  t.match(await desk.run(['man'], { env: { SOURCE_DATE_EPOCH: 'x' } }), { code: 0, out: /^\.TH FINDTOKEN 1 "20\d\d\\-/ });
  const page = new URL('../docs/cli.md', import.meta.url);
  const text = markdownPage(COMMANDS, { summary: ABOUT, json: JSON.parse(readFileSync(new URL('fixtures/json-shapes.json', import.meta.url), 'utf8')) });
  if (process.env['DOCS'] === 'write') writeFileSync(page, text);
  t.equal(readFileSync(page, 'utf8'), text, 'docs/cli.md is the tree; DOCS=write writes it anew');
});
