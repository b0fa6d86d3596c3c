import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';

/*
 * The real keytar against a real Secret Service: gnome-keyring in a D-Bus session of its own, with a home of its own, so that
 * nobody's keychain is touched. Each step is a process, as the daemon and the command line are.
 */

const VAULT = new URL('../src/vault/index.ts', import.meta.url).href;
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const PYTHON = '/usr/bin/python3';

const has = (program: string): Promise<boolean> => new Promise((resolve) => execFile('which', [program], (error) => resolve(error === null)));
const missing = async (...programs: readonly string[]): Promise<string | false> => {
  for (const program of programs) if (!(await has(program))) return `${program} is not installed`;
  const keytar = createRequire(import.meta.url);
  try {
    keytar('keytar');
    return false;
  } catch {
    return 'keytar is not installed or does not load';
  }
};

/** A process with a vault: notes in a file; opens, then does what it is told, and says what it saw. */
const CHILD = `
import fs from 'node:fs';
import { openVault } from ${JSON.stringify(VAULT)};
const [home, task] = process.argv.slice(2);
const file = home + '/state.json';
const state = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { notes: {} };
const row = { table: 'byok', rowId: 'r1', accountId: 'a1', provider: 'deepseek' };
const startedMs = performance.now();
const said = {};
try {
  const vault = await openVault({
    source: { kind: task === 'strict' ? 'keychain' : 'auto' }, env: {}, home, databasePath: home + '/data/findtoken.db',
    notes: { get: async (name) => state.notes[name], set: async (name, value) => { state.notes[name] = value; }, once: async (name, value) => (state.notes[name] ??= value) },
    sealedRowsExist: async () => state.sealed !== undefined,
  });
  Object.assign(said, { source: vault.source, fingerprint: vault.fingerprint, notices: vault.notices });
  if (task === 'seal') state.sealed = Buffer.from(vault.seal('the secret', row)).toString('base64');
  if (task === 'rotate') {
    const rotation = await vault.rotate();
    state.sealed = Buffer.from(rotation.vault.seal(vault.unseal(Buffer.from(state.sealed, 'base64'), row), row)).toString('base64');
    Object.assign(state.notes, rotation.notes);
    fs.writeFileSync(file, JSON.stringify(state));
    await rotation.commit({ forgetOld: true });
  }
  if (state.sealed !== undefined && task !== 'rotate') said.secret = vault.unseal(Buffer.from(state.sealed, 'base64'), row);
  fs.writeFileSync(file, JSON.stringify(state));
} catch (error) {
  Object.assign(said, { refused: error.reason, message: error.message });
}
said.tookMs = performance.now() - startedMs;
fs.writeFileSync(home + '/said.json', JSON.stringify(said));
// An orderly exit would wait for a keychain that never answers.
process.kill(process.pid, 'SIGKILL');
`;

/** A Secret Service that owns its name and answers nothing. */
const MUTE = `
import dbus, time
dbus.SessionBus().request_name('org.freedesktop.secrets')
print('owned', flush=True)
time.sleep(60)
`;

interface Said {
  readonly source?: string;
  readonly fingerprint?: string;
  readonly notices?: readonly string[];
  readonly secret?: string;
  readonly refused?: string;
  readonly message?: string;
  readonly tookMs: number;
}

const WITH_KEYRING = 'printf pass | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null && "$@"';
const WITH_MUTE = `${PYTHON} "$MUTE" > "$HOME/mute.out" & mute=$!; while ! grep -q owned "$HOME/mute.out"; do kill -0 $mute || exit 1; sleep 0.05; done; "$@"; kill $mute`;

/** Runs the child in a home of its own; `session` is the shell that starts it inside a D-Bus session, if there is to be one. */
async function run(home: string, task: string, session?: string): Promise<Said> {
  const child = path.join(home, 'child.mjs');
  const mute = path.join(home, 'mute.py');
  const answer = path.join(home, 'said.json');
  // Sockets lie in it, and their paths are short by nature.
  const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-'));
  fs.rmSync(answer, { force: true });
  fs.writeFileSync(child, CHILD);
  fs.writeFileSync(mute, MUTE);
  const env = { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: path.join(home, '.local', 'share'), MUTE: mute };
  const node = [process.execPath, '--import', TSX, child, home, task];
  const [program = '', ...args] = session === undefined ? node : ['dbus-run-session', '--', 'sh', '-c', session, 'sh', ...node];
  const output = await new Promise<string>((resolve) => {
    execFile(program, args, { env, cwd: fileURLToPath(new URL('..', import.meta.url)), timeout: 60_000 }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
  fs.rmSync(runtime, { recursive: true, force: true });
  if (!fs.existsSync(answer)) throw new Error(`the process said nothing: ${output}`);
  return JSON.parse(fs.readFileSync(answer, 'utf8'));
}

const noSession = await missing('dbus-run-session', 'gnome-keyring-daemon');
const noMute = noSession || await new Promise<string | false>((resolve) => execFile(PYTHON, ['-c', 'import dbus'], (error) => resolve(error === null ? false : 'python3-dbus is not installed')));

t.test('a real keychain keeps the master key, from one login to the next', { skip: noSession }, async (t) => {
  const home = t.testdir();
  const first = await run(home, 'seal', WITH_KEYRING);
  t.equal(first.source, 'keychain');
  t.same(first.notices, []);
  t.equal(first.secret, 'the secret');
  t.notOk(fs.existsSync(path.join(home, '.config', 'findtoken')), 'no key file');
  t.ok(fs.existsSync(path.join(home, '.local', 'share', 'keyrings', 'login.keyring')), 'it is in the keyring of this home');

  const next = await run(home, 'read', WITH_KEYRING);
  t.match(next, { source: 'keychain', fingerprint: first.fingerprint, secret: 'the secret', notices: [] });

  const rotated = await run(home, 'rotate', WITH_KEYRING);
  t.equal(rotated.fingerprint, first.fingerprint);
  const after = await run(home, 'read', WITH_KEYRING);
  t.equal(after.secret, 'the secret');
  t.not(after.fingerprint, first.fingerprint, 'a new master key');

  const away = await run(home, 'read');
  t.equal(away.refused, 'keychain_unreachable', 'outside the session: an error, and never a new key');
  t.match(away.message, /secrets\.master_key/);
});

t.test('without a session bus: the file for auto, an error for keychain', { skip: await missing() }, async (t) => {
  const home = t.testdir();
  t.equal((await run(home, 'strict')).refused, 'keychain_unreachable');
  const said = await run(home, 'seal');
  t.match(said.source, /^file ~/);
  t.equal(said.notices?.length, 1);
  t.equal(said.secret, 'the secret');
});

t.test('a Secret Service that never answers is waited for 3 s', { skip: noMute }, async (t) => {
  const home = t.testdir();
  const said = await run(home, 'seal', WITH_MUTE);
  t.match(said.source, /^file ~/);
  t.match(said.notices?.join(), /did not answer within 3 s/);
  t.ok(said.tookMs >= 2_900 && said.tookMs < 20_000, `after ${Math.round(said.tookMs)} ms`);
  t.equal(said.secret, 'the secret');
});
