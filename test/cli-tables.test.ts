import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { doctorText } from '../src/cli/commands/doctor.ts';
import { displayWidth } from '../src/cli/printable.ts';
import { book, openDesk } from './support/command-line.ts';
import type { Desk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { programOf } from './support/program.ts';

const FRAMES = new URL('fixtures/frames/', import.meta.url);
const isWriting = process.env['FRAMES'] === 'write';
/** A terminal of util-linux around a shell. */
const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'script (util-linux) is not installed';

/** Whose account a place opens, changes and closes; as long as every other one, so that no column moves. */
const HERE = 'here@example.com';
/**
 * Each command that shows something, and what it says of a wrong word; with its daemon up and down where that shows. Screens, `stats` and
 * `doctor` have frames of their own; `man` and `completion` print the same everywhere.
 */
const DOWN = [
  'help', 'help keys', 'help keys create',
  'status', 'accounts list', 'accounts show ann@example.com', 'keys list', 'byok list', 'balance', 'logs', 'logs --status timeout', 'logs --limit 1 --mode standard', 'usage',
  'usage --by model,key,day', 'usage --by mode,provider,account', 'export MONTH', 'export 2020-01', 'recharges list', 'recharges list --status paid', 'recharges sync',
  'mail list', 'mail list --text', 'models', 'models deepseek-chat', 'providers list', 'providers test', 'catalog check', 'explain deepseek-chat', 'explain deepseek-chat --routing cheapest',
  'cost --model deepseek-chat --input 1000 --output 500 --requests 10000', 'cost --model deepseek-chat --input 1000 --output 500 --requests 2000000 --mode byok',
  'config check', 'config show', 'audit', 'reload', 'chat -m Hi', 'service install --kind systemd --dry-run', 'service install --kind systemd --system --dry-run', 'backup --yes b.db',
  `accounts create ${HERE}`, `accounts set ${HERE} --requests-per-minute 5`, `credits grant 5 --note x --account ${HERE}`, `credits grant --note x --account ${HERE} -- -2`,
  `keys create --name laptop --account ${HERE}`, `accounts deactivate ${HERE} --yes`, `accounts activate ${HERE}`,
  'keys create', 'keys revoke key_none --yes', 'balance --account eve@example.com', 'kyes',
];
const UP = [
  'status', 'providers list', 'explain deepseek-chat', 'reload', 'recharges list', 'recharge 20 --no-wait --account ann@example.com', 'recharges list --limit 1', 'restore --yes b.db',
  'connect aider',
];
/** After all of those: what they show must not depend on whether the daemon has told of a call yet. */
const CALLS = ['chat deepseek-chat -m Hi --account ann@example.com', 'chat nope -m Hi --account ann@example.com'];
/** Lines that no terminal has fitted: they are looked at in one place. */
const WRONG = [
  'keys lst', 'balance --acount x', 'balance ann', 'accounts create nope', 'accounts create ann@example.com',
  'accounts set ann@example.com --requests-per-minute x', 'byok register nope --name x', 'byok test byok_none --account ann@example.com', 'byok remove byok_none --yes --account ann@example.com',
  'credits grant x --note y --account ann@example.com', 'credits grant --note y --account ann@example.com -- -5000', 'recharge 1 --account ann@example.com', 'recharges refund rch_none', 'recharges list --status foo',
  'logs --since foo', 'usage --by foo', 'export nov', 'models nope', 'cost --model nope --input 1 --output 1', 'explain nope', 'providers test nope', 'connect nope', 'completion tcsh',
  'config show --config none.yaml', 'config check --config bad.yaml', 'backup /none/b.db', 'restore none.db', 'stats --width 40', 'serve --port x', 'init --port x', 'help nope',
];
const TOOLS = ['codex', 'claude', 'cline', 'continue', 'openwebui', 'librechat', 'langchain', 'ai-sdk', 'env'].map((tool) => `connect ${tool}`);
/** They ask on a terminal; elsewhere they say what to add. */
const ASKING = [
  'keys revoke key_00000000000000000000000000 --account ann@example.com', 'accounts deactivate ann@example.com', 'backup b.db', 'restore b.db', 'rotate-master-key',
  'byok register qwen --name x --account ann@example.com', 'providers set-key qwen', 'init --provider qwen',
];

/** What differs from run to run, written over by as many characters, so that every column stays where it was. */
function steady(text: string, desk: { readonly home: string; readonly short: string }): string {
  return text
    .replaceAll(desk.home, 'HOME')
    .replaceAll(desk.short, 'HOME')
    .replace(/\b(acct|key|req|rch|byok|mail)_[0-9a-hjkmnp-tv-z]{26}\b/g, (id, kind: string) => `${kind}_${'0'.repeat(id.length - kind.length - 1)}`)
    .replace(/\b20\d\d-\d\d-\d\dT[\d:.]+Z/g, (time) => time.replace(/\d/g, '0'))
    .replace(/(\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\dZ/g, (time) => time.replace(/\d/g, '0'))
    .replace(/\b20\d\d-\d\d(-\d\d)?\b/g, (day) => day.replace(/\d/g, '0'))
    .replace(/sk-ft_…[0-9a-f]{4}/g, 'sk-ft_…0000')
    .replace(/sk-ft_[0-9a-f]{64}/g, `sk-ft_${'0'.repeat(64)}`)
    .replace(/\b(term|wide|pipe|mono)@/g, 'here@')
    .replace(/\b\d+ ms\b/g, '0 ms')
    .replace(/token=[0-9a-f]{64}/g, `token=${'0'.repeat(64)}`)
    .replace(/running for \d+m?s?( \d+s)?, pid \d+/, 'running for 0s, pid 0')
    .replace(/(127\.0\.0\.1:)\d+/g, '$10')
    // How long the home's own path is must not show either.
    .replace(/\s+\(\d+ KiB\)/g, ' (0 KiB)')
    .replace(/^(setting|sandbox|[a-z]+\.[a-z_.-]+) {2,}.*$/gm, (row) => row.replace(/ {2,}/g, '  '))
    .replace(/^\d+ KiB\. /gm, '0 KiB. ');
}

/** `short` is another way to the home: a long path would have columns of 200 dropped. */
async function furnished(t: Test): Promise<Desk & { readonly short: string }> {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, 'bad.yaml'), 'server: { prt: 1, "a\\u001b[31m": 2 }\n');
  writeFileSync(join(desk.home, 'findtoken.yaml'), `server: { port: 0 }\nsandbox: true\nsecrets: { master_key: "file:~/keys/master.key" }\nmodels: { deepseek-chat: { priced: "2099-01-01" } }\n`);
  const { id: ann } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '25', '--note', 'x');
  await desk.run(['byok', 'register', 'qwen', '--name', 'work', '--no-test', '--from-stdin'], { stdin: 'sk-0123456789abcdef' });
  const ledger = await desk.ledger();
  const accountId = String(ann);
  const names = ['laptop', '价格 bot 🚀', 'a\x1b[31mred\u202egnp'];
  for (const [index, name] of names.entries()) {
    const keyId = `key_${String(index).repeat(26)}`;
    await ledger.createKey({ id: keyId, accountId, name, hash: new Uint8Array(32).fill(index + 1), last4: 'abcd', nowMs: Date.now() + index });
    await book(ledger, { id: `req_${String(index).repeat(26)}`, accountId, keyId, prompt: 40 + index * 100_000, completion: 12, model: index === 1 ? 'kimi-k2.7-code-highspeed' : 'deepseek-chat', atMs: Date.now() + index * 1_000, ...(index === 2 ? { status: 'providers_unavailable' } : {}) });
  }
  await ledger.close();
  await desk.json('accounts', 'create', 'bob@example.com', '--pending');
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  symlinkSync(desk.home, join(folder, 'h'));
  return { ...desk, short: join(folder, 'h') };
}

/** Each command as one would type it, with what it prints below. */
function session(desk: Desk & { readonly short: string }, who: string, commands: readonly string[], size: { readonly columns: number; readonly rows: number } | undefined, env: Readonly<Record<string, string>> = {}): string {
  const { file, args } = programOf([]);
  const program = [file, ...args].map((word) => `'${word}'`).join(' ');
  const whose = (line: string) => (/^(keys list|byok list|balance$|keys create|keys revoke)/.test(line) && !line.includes('--account') ? `${line} --account ann@example.com` : line);
  const month = new Date().toISOString().slice(0, 7);
  const lines = commands.map((line) => line.replace('MONTH', month).replaceAll(HERE, `${who}@example.com`)).flatMap((line) => [`printf '%s\\n' '$ findtoken ${line}'`, `${program} ${whose(line)} 2>&1${size === undefined ? ' | cat' : ''}`]).join('\n');
  const script = join(desk.home, 'session.sh');
  writeFileSync(script, `${size === undefined ? '' : `stty cols ${size.columns} rows ${size.rows}\n`}${lines}\n`);
  const environment = { HOME: desk.short, PATH: process.env['PATH'], TERM: 'xterm-256color', ...env };
  const run = size === undefined ? ['sh', [script]] as const : ['script', ['-qefc', `sh ${script}`, '/dev/null']] as const;
  return spawnSync(run[0], run[1], { cwd: desk.home, env: environment, encoding: 'utf8', input: '' }).stdout.replaceAll('\r\n', '\n');
}

t.test('doctor is as it was agreed, cell by cell', async (t) => {
  const checks = [
    { name: 'runtime', state: 'ok', detail: 'Node v20.20.2 on linux x64' },
    { name: 'configuration', state: 'fail', detail: 'findtoken.yaml:1:11: "a\x1b[31mred\u202egnp": unknown key. Did you mean port?', mend: 'findtoken config check' },
    { name: 'prices', state: 'warn', detail: "sold below the provider's list price: deepseek-chat, deepseek-coder, deepseek-reasoner, glm-4-plus", mend: 'set models.<id>.price in findtoken.yaml; `findtoken models MODEL` shows both' },
    { name: 'database', state: 'ok', detail: `252 KiB, SQLite 3.53.2, in /home/ann/${'deep/'.repeat(12)}findtoken.db` },
  ] as const;
  for (const [columns, rows] of [[80, 24], [200, 50]] as const) {
    const text = doctorText(checks, { width: columns, colour: false });
    t.notMatch(text, /[\x1b\u202e]/, 'neither colour nor what a name would do');
    t.equal(stripVTControlCharacters(doctorText(checks, { width: columns, colour: true })), text, 'nothing is told by colour alone');
    const file = fileURLToPath(new URL(`doctor-${columns}x${rows}.txt`, FRAMES));
    if (isWriting) writeFileSync(file, `${text}\n`);
    t.equal(`${text}\n`, readFileSync(file, 'utf8'), `${columns} columns; FRAMES=write writes it anew`);
  }
});

t.test('in a narrow terminal columns go, and the cost stays whole; one that says no size counts as 80 columns', { skip: noScript, timeout: 60_000 }, async (t) => {
  const desk = await furnished(t);
  for (const [columns, titles] of [[60, 'time +model +status +cost'], [50, 'model +status +cost'], [40, 'model +status +cost'], [20, 'model +status +cost'], [0, 'time +model +status +in +out +cost']] as const) {
    const shown = stripVTControlCharacters(session(desk, 'narrow', ['logs'], { columns, rows: 24 }));
    t.match(shown, new RegExp(`\n${titles}\n[^]*0\\.02954945\n[^]*0\\.00000945\n`), `${columns} columns`);
  }
});

t.test('what the commands print is as it was agreed, cell by cell', { skip: noScript, timeout: 350_000 }, async (t) => {
  const desk = await furnished(t);
  const places = [['80x24', 'term', { columns: 80, rows: 24 }], ['200x50', 'wide', { columns: 200, rows: 50 }], ['pipe', 'pipe', undefined]] as const;
  const readings = DOWN.indexOf(`accounts create ${HERE}`);
  const first = new Map(places.map(([name, who, size]) => [name, session(desk, who, DOWN.slice(0, readings), size)]));
  const plain = session(desk, 'mono', DOWN.slice(0, readings), { columns: 80, rows: 24 }, { NO_COLOR: '1' });
  const shown = new Map(places.map(([name, who, size]) => [name, `${first.get(name)}${session(desk, who, [...DOWN.slice(readings), ...(size === undefined ? [...WRONG, ...ASKING, ...TOOLS] : [])], size)}`]));
  const daemon = await startServe(desk.home);
  t.teardown(() => daemon.end('SIGTERM'));
  for (let tries = 0; tries < 40 && (await desk.json('status'))['running'] !== true; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));

  t.match(shown.get('80x24'), '\x1b[2m', 'a terminal gets colour');
  t.notMatch(plain, '\x1b[', 'unless NO_COLOR is set');
  t.ok(steady(stripVTControlCharacters(shown.get('80x24') ?? ''), desk).startsWith(steady(plain, desk)), 'and nothing is told by colour alone');
  const beside = new Map([UP, CALLS].flatMap((commands) => places.map(([name, who, size]) => [`${name} ${commands[0]}`, session(desk, who, commands, size)])));
  for (const [name, , size] of places) {
    const text = steady(stripVTControlCharacters(`${shown.get(name)}--- a daemon runs\n${beside.get(`${name} ${UP[0]}`)}${beside.get(`${name} ${CALLS[0]}`)}`), desk);
    t.notMatch(shown.get(name)?.replaceAll('\x1b[2m', '').replaceAll('\x1b[22m', ''), /[\x1b\u202e]/, `${name}: what a name would do to the terminal is shown instead`);
    if (size !== undefined) {
      const tables = text.split('\n').filter((line) => / {2}\S/.test(line) && !/^(findtoken:|\$)/.test(line) && !/https?:|HOME|`|sudo/.test(line));
      t.same(tables.filter((line) => displayWidth(line) > size.columns), [], `${name}: every table fits`);
    }
    const file = fileURLToPath(new URL(`tables-${name}.txt`, FRAMES));
    if (isWriting) writeFileSync(file, text);
    t.equal(text, readFileSync(file, 'utf8'), `${name}; FRAMES=write writes it anew`);
  }
});
