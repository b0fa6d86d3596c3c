import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openDesk, type Desk } from './support/command-line.ts';
import { programOf } from './support/program.ts';

const MASTER = { FINDTOKEN_MASTER_KEY: 'ab'.repeat(32) };

/** Runs a command whose standard output leads to where nothing can be put. */
async function runInto(desk: Desk, out: 'nobody' | number, args: readonly string[]): Promise<{ readonly code: number | null; readonly err: string }> {
  const program = programOf(args);
  const child = spawn(program.file, program.args, { cwd: desk.home, env: { PATH: process.env['PATH'] ?? '', HOME: desk.home, ...MASTER }, stdio: ['ignore', out === 'nobody' ? 'pipe' : out, 'pipe'] });
  if (out === 'nobody') child.stdout?.destroy();
  let err = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, err })));
}

const live = async (desk: Desk) => JSON.stringify((await desk.json('keys', 'list'))['data']).match(/"revoked":null/g)?.length ?? 0;

t.test('a key that cannot be printed is no key', async (t) => {
  const full = existsSync('/dev/full') ? openSync('/dev/full', 'w') : undefined;
  if (full !== undefined) t.teardown(() => closeSync(full));
  const desk = openDesk(t);
  t.match(await runInto(desk, 'nobody', ['init']), { code: 1, err: /^findtoken: the key could not be printed \(nobody reads it\) and was revoked; run it again\.\n$/ });
  t.equal(await live(desk), 0);
  for (const args of [['keys', 'create', '--name', 'x'], ['--json', 'keys', 'create', '--name', 'x']]) {
    t.match(await runInto(desk, 'nobody', args), { code: 1, err: /^findtoken: the key could not be printed [^\n]*\n$/ });
    if (full !== undefined) t.match(await runInto(desk, full, args), { code: 1, err: /^findtoken: the key could not be printed \([^\n]*ENOSPC[^\n]*\n$/ });
    t.equal(await live(desk), 0, 'none is left that nobody has');
  }
  mkdirSync(join(desk.home, 'folder'));
  t.match(await desk.run(['init', '--key-file', 'folder'], { env: MASTER }), { code: 1, err: /^findtoken: the key could not be written to folder \([^\n]*is a folder \(EISDIR\)\) and was revoked; run it again\.\n$/ });
  t.equal(await live(desk), 0);
  const again = await desk.run(['init'], { env: MASTER });
  t.match(again.out, /sk-ft_[0-9a-f]{64} {2}\(shown this once\)/, 'and it can be run again');
  t.equal(await live(desk), 1);
});

t.test('a signal between the making of a key and its print is heeded behind it', async (t) => {
  const endings = [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const;
  for (const [signal, code] of endings) {
    // Before the first byte leaves, which the key is a part of.
    const early = `const fs = process.getBuiltinModule('node:fs'); const write = fs.writeSync; let told = false; fs.writeSync = (...args) => { if (!told && args[0] === 1) { told = true; process.kill(process.pid, '${signal}'); } return write(...args); }`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(early)}`;
    const desk = openDesk(t);
    const first = await desk.run(['init'], { env: { ...MASTER, NODE_OPTIONS } });
    t.match(first, { code, out: /Bearer sk-ft_[0-9a-f]{64}"[^]*\}'\n$/, err: /^findtoken: interrupted; the key was printed, and is good\.\n$/ }, `init, ${signal}`);
    const second = await desk.run(['keys', 'create', '--name', 'x'], { env: { NODE_OPTIONS } });
    t.match(second, { code, out: /^sk-ft_[0-9a-f]{64}\n$/, err: /^findtoken: interrupted; the key was printed, and is good\.\n$/ }, `keys create, ${signal}`);
    t.equal(await live(desk), 2, 'both are in somebody\'s hands');
  }
});

t.test('a key file takes the place of an older key, and of nothing else', async (t) => {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, '.env'), 'OTHER=1\n');
  t.match(await desk.run(['init', '--key-file', '.env'], { env: MASTER }), { code: 2, out: '', err: /^findtoken: \S+\.env holds something else than a key; name another file with --key-file\.\n$/ });
  t.notOk(existsSync(join(desk.home, 'findtoken.yaml')), 'nothing was made');
  t.equal(readFileSync(join(desk.home, '.env'), 'utf8'), 'OTHER=1\n');
  writeFileSync(join(desk.home, 'key.txt'), `sk-ft_${'0'.repeat(64)}\n`, { mode: 0o644 });
  t.match(await desk.run(['init', '--key-file', 'key.txt'], { env: MASTER }), { code: 0 });
  t.match(readFileSync(join(desk.home, 'key.txt'), 'utf8'), /^sk-ft_(?!0{64})[0-9a-f]{64}\n$/);
  t.equal(statSync(join(desk.home, 'key.txt')).mode & 0o777, 0o600, 'and nobody else reads it');
});
