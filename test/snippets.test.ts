import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startServe, type DaemonProcess } from './support/process.ts';
import { programOf } from './support/program.ts';
import { startProvider } from './support/provider.ts';
import { blocksOf, commandsOf, type Block } from './support/snippets.ts';

/**
 * Every command and snippet of the README and the quickstart is run, page by page, in the order in which it stands there: real
 * daemon, real curl, the real SDK, an empty home. Only what a reader changes is changed: the port, the key, the provider's address.
 */

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PAGES = ['README.md', 'docs/quickstart.md'];

/** Lines that start the daemon and go on, and with what. `npm ci` is what every test has behind it. */
const SERVES: Readonly<Record<string, readonly string[]>> = {
  'npm ci && npm start': ['--sandbox'],
  'findtoken serve --sandbox': ['--sandbox'],
  'findtoken serve': [],
};
/** The tests cannot run themselves. */
const RUN_BY_CI = ['npm ci && npm test'];

interface Reader {
  readonly home: string;
  readonly providerUrl: string;
  daemon: DaemonProcess | undefined;
  key: string;
  /** What the last command printed. */
  told: string;
}

t.test('what is written as a block is known, whatever it is', async (t) => {
  t.same(blocksOf('a\n```sh\nx \\\n  y  # why\n# no\n\nz\n```\n```\nout\n```\n'), [{ language: 'sh', line: 2, text: 'x \\\n  y  # why\n# no\n\nz' }, { language: '', line: 9, text: 'out' }]);
  t.same(commandsOf('x \\\n  y  # why\n# no\n\nz "#1"'), ['x y', 'z "#1"']);
  t.throws(() => void blocksOf('```sh\n'), /has no end/);
});

for (const page of PAGES) {
  t.test(`${page} does what it says`, async (t) => {
    const provider = await startProvider();
    const reader: Reader = { home: t.testdir({ bin: {} }), providerUrl: provider.url, daemon: undefined, key: '', told: '' };
    settle(reader.home);
    t.teardown(async () => {
      await reader.daemon?.end('SIGKILL');
      await provider.close();
    });
    const blocks = blocksOf(readFileSync(join(ROOT, page), 'utf8'));
    t.ok(blocks.filter(({ language }) => language === 'sh').length >= 2, 'it has commands');
    for (const block of blocks) await follow(t, reader, block, `${page}:${block.line}`);
  });
}

/** `findtoken` on the PATH, and `bin/` as in a checkout. */
function settle(home: string): void {
  const path = join(home, '.path');
  mkdirSync(path);
  const { file, args } = programOf([]);
  writeFileSync(join(path, 'findtoken'), `#!/bin/sh\nexec ${[file, ...args].map((part) => `'${part}'`).join(' ')} "$@"\n`);
  chmodSync(join(path, 'findtoken'), 0o755);
  for (const name of ['findtoken.js', 'load.js', 'package.json']) symlinkSync(join(ROOT, 'bin', name), join(home, 'bin', name));
}

async function follow(t: Test, reader: Reader, block: Block, where: string): Promise<void> {
  switch (block.language) {
    case 'sh':
      for (const command of commandsOf(block.text)) await obey(t, reader, command, where);
      return;
    case 'js':
      return runScript(t, reader, { where, file: 'snippet.mjs', text: block.text, program: process.execPath, args: [] });
    case 'python':
      return runPython(t, reader, block.text, where);
    case 'yaml': {
      const file = join(reader.home, 'snippet.yaml');
      writeFileSync(file, block.text);
      return obey(t, reader, `findtoken --config ${file} config check`, where);
    }
    case 'text':
      for (const line of block.text.split('\n')) t.ok(reader.told.toLowerCase().includes(line.toLowerCase()), `${where}: ${line}`, { told: reader.told });
      return;
    default:
      t.fail(`${where}: a block of ${JSON.stringify(block.language)}: nobody runs it; mark what a program prints as text`);
  }
}

async function obey(t: Test, reader: Reader, command: string, where: string): Promise<void> {
  const serves = SERVES[command];
  if (RUN_BY_CI.includes(command)) t.pass(`${where}: ${command}: run by .ci/run`);
  else if (serves !== undefined) await serve(t, reader, command, serves);
  else {
    const { code, out, err } = await run(reader, 'bash', ['-o', 'pipefail', '-c', real(reader, command)], command.includes('--from-env DEEPSEEK_API_KEY') ? { DEEPSEEK_API_KEY: 'good-key' } : {});
    t.equal(code, 0, `${where}: ${command}`, { diagnostic: code !== 0, out, err });
    reader.told = out;
    if (command.startsWith('curl -i ')) t.match(out, /^HTTP\/1\.1 200 [\s\S]*^x-findtoken-cost: 0\.0/im, `${where}: a billed answer`);
    if (command.startsWith('curl -N ')) t.match(out, /^: x-findtoken-cost 0\.0[\s\S]*data: \[DONE\]/m, `${where}: a billed stream`);
    if (/findtoken(\.js)? logs$/.test(command)) t.match(out, /deepseek-chat/, `${where}: the books have it`);
  }
}

/** The first daemon of a page is the sandbox's; one that asks a provider asks the test's own. */
async function serve(t: Test, reader: Reader, command: string, args: readonly string[]): Promise<void> {
  if (reader.daemon !== undefined) t.equal(await reader.daemon.end('SIGTERM'), 0, 'the daemon before it ended well');
  const settings = join(reader.home, 'findtoken.yaml');
  if (existsSync(settings)) {
    const written = readFileSync(settings, 'utf8');
    writeFileSync(settings, written.replace('deepseek: {', `deepseek: { base_url: "${reader.providerUrl}",`));
    t.match(readFileSync(settings, 'utf8'), `base_url: "${reader.providerUrl}"`, 'nothing leaves this machine');
  }
  reader.daemon = await startServe(reader.home, [...args, '--port', '0']);
  reader.key = /API key +(sk-ft_[0-9a-f]{64})/.exec(reader.daemon.output())?.[1] ?? reader.key;
  t.match(reader.daemon.url, /^http/, command);
}

async function runPython(t: Test, reader: Reader, text: string, where: string): Promise<void> {
  const has = (code: string) => spawnSync('python3', ['-c', code], { stdio: 'ignore' }).status === 0;
  if (!has('')) t.pass(`${where}: the py snippet`, { skip: 'there is no python3' });
  else if (has('import openai')) await runScript(t, reader, { where, file: 'snippet.py', text, program: 'python3', args: [] });
  else await runScript(t, reader, { where: `${where} (no SDK here: its syntax alone)`, file: 'snippet.py', text, program: 'python3', args: ['-m', 'py_compile'], silent: true });
}

async function runScript(t: Test, reader: Reader, script: { readonly where: string; readonly file: string; readonly text: string; readonly program: string; readonly args: readonly string[]; readonly silent?: true }): Promise<void> {
  const file = join(reader.home, script.file);
  writeFileSync(file, real(reader, script.text));
  const { code, out, err } = await run(reader, script.program, [...script.args, file]);
  t.equal(code, 0, `${script.where}: the ${script.file.slice(8)} snippet`, { diagnostic: code !== 0, out, err });
  if (script.silent !== true) t.match(out, /\w+/, `${script.where}: it prints an answer`);
}

/** What the reader puts in: the daemon's port, and the key it printed. */
function real(reader: Reader, text: string): string {
  const { host = '127.0.0.1:8787' } = reader.daemon === undefined ? {} : new URL(reader.daemon.url);
  return text.replaceAll('127.0.0.1:8787', host).replaceAll('sk-ft_your-key-here', reader.key);
}

function run(reader: Reader, program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(program, args, { cwd: reader.home, env: { HOME: reader.home, PATH: `${join(reader.home, '.path')}:${process.env['PATH'] ?? ''}`, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}
