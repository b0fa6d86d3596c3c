import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { displayWidth } from '../src/cli/printable.ts';
import { book, openDesk } from './support/command-line.ts';
import type { Desk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { programOf } from './support/program.ts';

const FRAMES = new URL('fixtures/frames/', import.meta.url);
const isWriting = process.env['FRAMES'] === 'write';
/** A terminal of util-linux around a shell. */
const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'script (util-linux) is not installed';

/** The read commands; each stands with its daemon up and down where that shows. */
const DOWN = [
  'status', 'accounts list', 'accounts show ann@example.com', 'keys list', 'byok list', 'balance', 'logs', 'logs --status timeout', 'usage --by model,key,day', 'recharges list',
  'mail list', 'mail list --text', 'models deepseek-chat', 'providers list', 'explain deepseek-chat', 'cost --model deepseek-chat --input 1000 --output 500 --requests 10000',
  'audit', 'keys create', 'keys revoke key_none --yes', 'balance --account eve@example.com', 'kyes',
];
const UP = ['status', 'providers list', 'explain deepseek-chat', 'connect aider', 'reload'];

/** What differs from run to run, written over by as many characters, so that every column stays where it was. */
function steady(text: string, home: string): string {
  return text
    .replaceAll(home, 'HOME')
    .replace(/\b(acct|key|req|rch|byok|mail)_[0-9a-hjkmnp-tv-z]{26}\b/g, (id, kind: string) => `${kind}_${'0'.repeat(id.length - kind.length - 1)}`)
    .replace(/(\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\dZ/g, (time) => time.replace(/\d/g, '0'))
    .replace(/\b20\d\d-\d\d(-\d\d)?\b/g, (day) => day.replace(/\d/g, '0'))
    .replace(/sk-ft_…[0-9a-f]{4}/g, 'sk-ft_…0000')
    .replace(/token=[0-9a-f]{64}/g, `token=${'0'.repeat(64)}`)
    .replace(/running for \d+m?s?( \d+s)?, pid \d+/, 'running for 0s, pid 0')
    .replace(/(127\.0\.0\.1:)\d+/g, '$10')
    // How long the home's own path is must not show either.
    .replace(/\s+\(\d+ KiB\)/g, ' (0 KiB)');
}

async function furnished(t: Test): Promise<Desk> {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), `server: { port: 0 }\nsandbox: true\nsecrets: { master_key: "file:${join(desk.home, 'keys', 'master.key')}" }\nmodels: { deepseek-chat: { priced: "2099-01-01" } }\n`);
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
  return desk;
}

/** Each command as one would type it, with what it prints below. */
function session(desk: Desk, commands: readonly string[], size: { readonly columns: number; readonly rows: number } | undefined, env: Readonly<Record<string, string>> = {}): string {
  const { file, args } = programOf([]);
  const program = [file, ...args].map((word) => `'${word}'`).join(' ');
  const whose = (line: string) => (/^(keys list|byok list|balance$|keys create|keys revoke)/.test(line) ? `${line} --account ann@example.com` : line);
  const lines = commands.flatMap((line) => [`printf '%s\\n' '$ findtoken ${line}'`, `${program} ${whose(line)} 2>&1${size === undefined ? ' | cat' : ''}`]).join('\n');
  const script = join(desk.home, 'session.sh');
  writeFileSync(script, `${size === undefined ? '' : `stty cols ${size.columns} rows ${size.rows}\n`}${lines}\n`);
  const environment = { HOME: desk.home, PATH: process.env['PATH'], TERM: 'xterm-256color', ...env };
  const run = size === undefined ? ['sh', [script]] as const : ['script', ['-qefc', `sh ${script}`, '/dev/null']] as const;
  return spawnSync(run[0], run[1], { cwd: desk.home, env: environment, encoding: 'utf8', input: '' }).stdout.replaceAll('\r\n', '\n');
}

t.test('what the commands print is as it was agreed, cell by cell', { skip: noScript, timeout: 350_000 }, async (t) => {
  const desk = await furnished(t);
  const places = [['80x24', { columns: 80, rows: 24 }], ['200x50', { columns: 200, rows: 50 }], ['pipe', undefined]] as const;
  const shown = new Map(places.map(([name, size]) => [name, session(desk, DOWN, size)]));
  const plain = session(desk, DOWN.slice(0, 8), { columns: 80, rows: 24 }, { NO_COLOR: '1' });
  const daemon = await startServe(desk.home);
  t.teardown(() => daemon.end('SIGTERM'));
  for (let tries = 0; tries < 40 && (await desk.json('status'))['running'] !== true; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  await desk.json('recharge', '20', '--no-wait', '--account', 'ann@example.com');

  t.match(shown.get('80x24'), '\x1b[2m', 'a terminal gets colour');
  t.notMatch(plain, '\x1b[', 'unless NO_COLOR is set');
  t.ok(steady(stripVTControlCharacters(shown.get('80x24') ?? ''), desk.home).startsWith(steady(plain, desk.home)), 'and nothing is told by colour alone');
  for (const [name, size] of places) {
    const text = steady(stripVTControlCharacters(`${shown.get(name)}--- a daemon runs\n${session(desk, [...UP, 'recharges list'], size)}`), desk.home);
    t.notMatch(shown.get(name)?.replaceAll('\x1b[2m', '').replaceAll('\x1b[22m', ''), /[\x1b\u202e]/, `${name}: what a name would do to the terminal is shown instead`);
    if (size !== undefined) {
      const tables = text.split('\n').filter((line) => / {2}\S/.test(line) && !/^(findtoken:|\$)/.test(line) && !/https?:|HOME|`/.test(line));
      t.same(tables.filter((line) => displayWidth(line) > size.columns), [], `${name}: every table fits`);
    }
    const file = fileURLToPath(new URL(`tables-${name}.txt`, FRAMES));
    if (isWriting) writeFileSync(file, text);
    t.equal(text, readFileSync(file, 'utf8'), `${name}; FRAMES=write writes it anew`);
  }
});
