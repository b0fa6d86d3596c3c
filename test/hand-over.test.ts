import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
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
