import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';

/** The one file, as a stranger gets it: nothing of the checkout lies around it, no program is on the PATH, the home is empty. */
const BUILT = fileURLToPath(new URL('../dist/findtoken', import.meta.url));
const VERSION = String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
const skip = existsSync(BUILT) ? false : 'there is no dist/findtoken; `npm run build:binary` makes it';

const place = mkdtempSync(join(tmpdir(), 'findtoken-binary-'));
const program = join(place, 'findtoken');
t.teardown(() => rmSync(place, { recursive: true, force: true }));
if (skip === false) copyFileSync(BUILT, program);

let homes = 0;
function emptyHome(): string {
  const home = join(place, `home-${(homes += 1)}`);
  mkdirSync(home, { mode: 0o700 });
  return home;
}

type Env = Readonly<Record<string, string>>;
const machine = (home: string, env: Env = {}) => ({ HOME: home, PATH: '', NO_COLOR: '1', ...env });

function run(home: string, args: readonly string[], env?: Env): { readonly code: number | null; readonly out: string; readonly err: string } {
  const done = spawnSync(program, args, { cwd: home, env: machine(home, env), encoding: 'utf8', timeout: 60_000 });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

/** Runs a command that must succeed, and reads what `--json` printed. */
function json(t: Test, home: string, ...args: string[]): Readonly<Record<string, unknown>> {
  const { code, out, err } = run(home, ['--json', ...args]);
  t.equal(code, 0, `${args.join(' ')} succeeds`, { diagnostic: code !== 0, err });
  const document: unknown = JSON.parse(out);
  return typeof document === 'object' && document !== null ? { ...document } : {};
}

function rows(document: Readonly<Record<string, unknown>>): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(document['data']) ? document['data'] : [];
}

interface Served {
  readonly pid: number;
  readonly url: string;
  /** The key that `--sandbox` prints. */
  readonly key: string;
  output(): string;
  end(signal: NodeJS.Signals): Promise<void>;
}

async function serve(t: Test, home: string, env?: Env): Promise<Served> {
  const child = spawn(program, ['serve', '--sandbox', '--port', '0'], { cwd: home, env: machine(home, env), stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const said = new Promise<void>((resolve, reject) => {
    const hear = (text: string): void => {
      output += text;
      if (/Ctrl-C/.test(output)) resolve();
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    void ended.then(() => reject(new Error(`serve ended:\n${output}`)));
  });
  await said;
  return {
    pid: child.pid ?? 0,
    url: /is listening on (http:\S+)/.exec(output)?.[1] ?? '',
    key: /API key +(sk-ft_[0-9a-f]{64})/.exec(output)?.[1] ?? '',
    output: () => output,
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

function ask({ url }: Served, key: string, body: Readonly<Record<string, unknown>>): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello!' }], ...body }) });
}

t.test('a stranger copies one file and has a billed streaming answer', { skip }, async (t) => {
  const home = emptyHome();
  t.equal(run(home, ['--version']).out, `${VERSION}\n`, 'it knows its version without a package.json');
  t.notOk(existsSync(join(home, '.cache')), 'and unpacks nothing before it is needed');
  t.match(run(home, ['models']).out, /^deepseek-chat\t/m, 'it carries the catalogue');
  t.match(run(home, ['nonsense']), { code: 2, err: /unknown command/ }, 'a wrong command is a wrong command');

  const daemon = await serve(t, home);
  const { key } = daemon;
  const answer = await ask(daemon, key, { model: 'deepseek-chat', stream: true });
  t.equal(answer.status, 200);
  t.match(answer.headers.get('content-type'), /^text\/event-stream/);
  const events = await answer.text();
  t.ok(events.trimEnd().endsWith('data: [DONE]'), 'the stream has its end');
  const cost = /^: x-findtoken-cost (\S+)$/m.exec(events)?.[1];
  t.match(cost, /^0\.0\d+$/, 'and tells its cost');

  const [row = {}] = rows(json(t, home, 'logs'));
  t.match(row, { id: answer.headers.get('x-request-id'), model: 'deepseek-chat', status: 'ok', stream: true, cost: Number(cost) }, 'the books have it');
  const balance = json(t, home, 'balance');
  t.equal(Math.round((10 - Number(balance['balance'])) * 1e6), Math.round(Number(cost) * 1e6), 'and took it from the balance');
  t.match(json(t, home, 'status'), { running: true, daemon: { version: VERSION } }, 'the daemon is seen from outside');
  await daemon.end('SIGTERM');
});

t.test('the commands work beside the running daemon', { skip }, async (t) => {
  const home = emptyHome();
  const daemon = await serve(t, home);
  const made = json(t, home, 'keys', 'create', '--name', 'laptop');
  const key = String(made['key']);
  t.equal((await ask(daemon, key, { model: 'sandbox-chat', max_tokens: 5 })).status, 200, 'a new key is good at once');
  t.equal(run(home, ['--yes', 'keys', 'revoke', String(made['id'])]).code, 0);
  t.equal((await ask(daemon, key, { model: 'sandbox-chat' })).status, 401, 'a revoked one is refused at once');

  const { out: help } = run(home, ['--help']);
  const has = (name: string) => (new RegExp(`^  ${name}\\b`, 'm').test(help) ? false : `this build has no command ${name}`);
  await t.test('stats --once draws one frame', { skip: has('stats') }, async (t) => {
    t.match(run(home, ['stats', '--once']), { code: 0, err: '' }, 'Ink draws without a terminal');
  });
  await t.test('backup and restore', { skip: has('backup') }, async (t) => {
    const copy = join(home, 'copy.db');
    t.equal(run(home, ['backup', copy]).code, 0);
    t.ok(statSync(copy).size > 0);
    t.match(run(home, ['--yes', 'restore', copy]), { code: 1, err: /a daemon runs on .*stop it/ }, 'the books of a running daemon stay where they are');
  });
  await t.test('doctor', { skip: has('doctor') }, async (t) => {
    const { code, out, err } = run(home, ['--json', 'doctor']);
    t.equal(code, 0, 'nothing fails', { diagnostic: code !== 0, out, err });
    const { checks }: { readonly checks: readonly { readonly name: string; readonly state: string; readonly mend: string | null }[] } = JSON.parse(out);
    t.ok(checks.length >= 10, 'it looked at everything');
    t.same(checks.filter(({ state, mend }) => state !== 'ok' && (mend ?? '') === ''), [], 'what is not ok has a mend');
    t.notMatch(out + err, /not part of this executable|Cannot find|ENOENT/, 'and misses no file of the program');
  });
  await t.test('service', { skip: has('service') }, async (t) => {
    const { out } = run(home, ['service', 'install', '--print', '--kind', 'systemd']);
    t.ok(out.split('\n').includes(`ExecStart=${program} serve`), 'the unit starts the one file, which is its own runtime', { out });
  });
  t.match(await (await fetch(`${daemon.url}/openapi.json`)).json(), { openapi: '3.1.0', info: { version: VERSION } }, 'it describes itself');
  const notices = readFileSync(`${BUILT}.NOTICES.txt`, 'utf8');
  for (const name of ['Node.js ', 'SQLite ', 'better-sqlite3 ', 'undici ', 'ink ', 'stripe ']) t.ok(notices.includes(`\n${name}`), `the licence of ${name}lies beside it`);
  t.equal(run(home, ['audit']).code, 0, 'the books add up');
  await daemon.end('SIGTERM');
});

t.test('killed in the middle of an answer, it recovers', { skip }, async (t) => {
  const home = emptyHome();
  const first = await serve(t, home);
  const answer = await ask(first, first.key, { model: 'sandbox-chat', stream: true });
  const reader = answer.body?.getReader();
  await reader?.read();
  t.ok(Number(json(t, home, 'balance')['held']) > 0, 'money is held while the answer runs');
  await first.end('SIGKILL');
  await t.rejects(async () => {
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) t.notMatch(Buffer.from(part.value).toString(), /\[DONE\]/);
  }, 'the client sees no end');

  const second = await serve(t, home);
  t.equal(json(t, home, 'balance')['held'], 0, 'nothing is held any more');
  t.equal((await ask(second, second.key, { model: 'sandbox-chat', max_tokens: 5 })).status, 200, 'and it serves');
  await second.end('SIGTERM');
  t.match(second.output(), /"msg":"recovered"/, 'the log says what the start closed');
  t.equal(run(home, ['audit']).code, 0, 'the books add up');
});

t.test('SQLite is unpacked into a folder of the user, and looked at before it is loaded', { skip }, async (t) => {
  const home = emptyHome();
  const cache = join(home, '.cache', 'findtoken');
  const make = (env?: Env) => run(home, ['accounts', 'create', `user${(homes += 1)}@example.com`], env);
  t.equal(make().code, 0);
  const [name = ''] = readdirSync(cache);
  t.match(name, /^better_sqlite3-[0-9a-f]{16}\.node$/, 'its name bears its hash: another version has another file');
  t.equal(statSync(cache).mode & 0o777, 0o700);
  t.equal(statSync(join(cache, name)).mode & 0o777, 0o600);

  const whole = readFileSync(join(cache, name));
  const tampered = Buffer.from(whole);
  tampered[whole.length - 1] = 255 - (whole.at(-1) ?? 0);
  writeFileSync(join(cache, name), tampered);
  t.equal(make().code, 0);
  t.ok(readFileSync(join(cache, name)).equals(whole), 'a file of the same size with one other byte is not loaded but replaced');

  const open = join(home, 'open');
  mkdirSync(open);
  spawnSync('/bin/chmod', ['0777', open]);
  t.match(make({ FINDTOKEN_CACHE_DIR: open }), { code: 1, err: /other users may write to it.*FINDTOKEN_CACHE_DIR/ }, 'a named folder in which others may write is refused, with the mend');
  t.same(readdirSync(open), [], 'and nothing is left in it');
  const named = join(home, 'deep', 'er');
  t.equal(make({ FINDTOKEN_CACHE_DIR: named }).code, 0);
  t.same(readdirSync(named), [name], 'a named folder is made and used');

  const temporary = join(home, 'tmp');
  mkdirSync(temporary);
  t.equal(make({ XDG_CACHE_HOME: '/dev/null', TMPDIR: temporary }).code, 0, 'where there is no cache, a temporary folder will do');
  t.same(readdirSync(temporary), [], 'and is gone before the command works');
  t.match(make({ XDG_CACHE_HOME: '/proc/none', TMPDIR: '/proc/none' }), { code: 1, err: /^findtoken: better_sqlite3.*\/proc\/none.*FINDTOKEN_CACHE_DIR.*\n$/ }, 'no place at all is one line with the mend');
});

t.test('one copy of SQLite serves all threads, for two would release each other’s locks', { skip: skip === false && !existsSync('/proc/self/maps') ? 'no /proc' : skip }, async (t) => {
  for (const [why, env] of [['from the cache', {}], ['from a temporary folder', { XDG_CACHE_HOME: '/dev/null' }]] as const) {
    const daemon = await serve(t, emptyHome(), env);
    const loaded = readFileSync(`/proc/${daemon.pid}/maps`, 'utf8').split('\n').filter((line) => line.includes('better_sqlite3'));
    t.equal(loaded.filter((line) => / r-xp /.test(line)).length, 1, why);
    await daemon.end('SIGTERM');
  }
});

t.test('compiled code is used where it fits, and missed nowhere', { skip }, async (t) => {
  const home = emptyHome();
  const spy = join(home, 'spy.cjs');
  writeFileSync(spy, `const vm = require('node:vm');
    vm.Script = class extends vm.Script { constructor(source, options) { super(source, options); process.stderr.write(options.filename + ' ' + this.cachedDataRejected + '\\n'); } };`);
  const told = (args: readonly string[], flag = '') => run(home, args, { NODE_OPTIONS: `--require ${spy} ${flag}` });
  t.match(told(['--version']), { code: 0, out: `${VERSION}\n`, err: /^program-\w+\.js false\n$/ }, 'a question for the version loads one text, which the embedded Node compiled');
  t.match(told(['models']).err, /^(?:[a-z]+-\w+\.js false\n)+/, 'each package comes compiled as well');
  t.match(told(['--version'], '--interpreted-frames-native-stack'), { code: 0, out: `${VERSION}\n`, err: /^program-\w+\.js true\n$/ }, 'under a flag that changes what V8 makes it is passed over, without a word');
  t.match(told(['models'], '--interpreted-frames-native-stack'), { code: 0, out: /^deepseek-chat\t/m });
});

t.test('a place in a stack trace is a place in the program', { skip }, async (t) => {
  const home = emptyHome();
  const spy = join(home, 'spy.cjs');
  writeFileSync(spy, "require('node:fs').writeSync = () => { throw new Error('broken'); };");
  const { err } = run(home, ['--version'], { NODE_OPTIONS: `--require ${spy}` });
  t.match(err, /\n +at \w.* \(program-\w+\.js:\d+:\d+\)/, 'functions have their names, texts and lines');
});

t.test('the executable does not tell where it was built', { skip }, async (t) => {
  t.notOk(readFileSync(BUILT).includes(fileURLToPath(new URL('..', import.meta.url))));
});
