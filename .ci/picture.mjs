// Draws docs/stats-light.svg and docs/stats-dark.svg: the stats screen over a sandbox daemon with traffic of its own making.
// `npm run picture`, a minute and a half. The daemon is the built one; the frame is drawn from the sources, for a pipe gets no colour.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cellsOf, drawCells } from './draw-cells.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAM = join(ROOT, 'bin', 'findtoken.js');
const SIZE = { columns: 110, rows: 32, colour: true };
const SECONDS = 70;
const PORT = 18_799;
const MODELS = ['deepseek-chat', 'deepseek-chat', 'deepseek-chat', 'qwen-max', 'kimi-k2', 'glm-4-plus', 'minimax-m2.5', 'deepseek-reasoner'];
const TEXTS = ['Hello!', 'Explain in one paragraph how a hold becomes a charge.', 'Write a haiku about integers. '.repeat(12), '用一句话解释缓存命中的价格。', 'Review this diff and say what could go wrong. '.repeat(40)];

const home = await mkdtemp(join(tmpdir(), 'findtoken-picture-'));
const env = { PATH: process.env.PATH, HOME: home };
// Ink asks for it when it is loaded.
process.env.FORCE_COLOR = '1';
const [{ displayWidth }, { statsText }, { StatsReader }, { openLedger }, { loadSettings }] = await Promise.all([
  import('../src/cli/printable.ts'), import('../src/cli/screens/stats-app.tsx'), import('../src/cli/stats/reader.ts'), import('../src/ledger/index.ts'), import('../src/settings/index.ts'),
]);
let daemon;
try {
  daemon = spawn(process.execPath, [PROGRAM, 'serve', '--sandbox', '--port', String(PORT)], { cwd: home, env, stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve, reject) => {
    daemon.once('exit', (code) => reject(new Error(`the daemon ended with ${code}; is dist/ built?`)));
    daemon.stdout.on('data', (text) => String(text).includes('listening') && resolve());
  });
  const keys = [];
  for (const [email, name] of [['ann@example.com', 'laptop'], ['ann@example.com', 'nightly-evals'], ['bob@example.com', 'support-bot']]) keys.push(await keyOf(email, name));
  await traffic(keys);
  const cells = cellsOf(await frameNow(), displayWidth);
  for (const theme of ['light', 'dark']) await writeFile(join(ROOT, 'docs', `stats-${theme}.svg`), drawCells(cells, theme, 'findtoken stats'));
  console.log('picture: docs/stats-light.svg and docs/stats-dark.svg');
} finally {
  daemon?.kill('SIGTERM');
  await new Promise((resolve) => (daemon === undefined || daemon.exitCode !== null ? resolve() : daemon.once('exit', resolve)));
  await rm(home, { recursive: true, force: true });
}

async function frameNow() {
  const settings = loadSettings({ env, cwd: home, home });
  const ledger = await openLedger({ path: settings.database.path, as: 'read' });
  try {
    return statsText(await new StatsReader({ ledger, configured: ['deepseek', 'qwen', 'zhipu'], nowMs: () => Date.now() }).look(), SIZE);
  } finally {
    await ledger.close();
  }
}

async function keyOf(email, name) {
  await run(['accounts', 'create', email]).catch(() => undefined);
  await run(['credits', 'grant', '25', '--note', 'for the picture', '--account', email]);
  return (await run(['keys', 'create', '--name', name, '--account', email])).trim();
}

/** Calls that come and go in waves; some models fail, and some clients hang up. */
async function traffic(keys) {
  const endMs = Date.now() + SECONDS * 1000;
  const calls = [];
  for (let turn = 0; Date.now() < endMs; turn += 1) {
    const wave = 1 + 0.8 * Math.sin(Date.now() / 7_000);
    const leaving = turn % 23 === 11 ? AbortSignal.timeout(150) : undefined;
    const model = turn % 31 === 17 ? 'sandbox-cut' : MODELS[(turn * 7) % MODELS.length];
    calls.push(ask(keys[turn % 5 === 0 ? 2 : turn % 3 === 0 ? 1 : 0], model, TEXTS[(turn * 3) % TEXTS.length], turn % 3 !== 1, leaving));
    await new Promise((resolve) => setTimeout(resolve, 40 + 260 / (0.3 + wave)));
  }
  calls.push(...keys.map((key) => ask(key, 'deepseek-chat', TEXTS[4], true, undefined)));
  await new Promise((resolve) => setTimeout(resolve, 400));
}

async function ask(key, model, content, stream, signal) {
  try {
    const response = await fetch(`http://127.0.0.1:${PORT}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, stream, messages: [{ role: 'user', content }] }),
      signal,
    });
    await response.text();
  } catch (error) {
    // A client that hangs up is part of the picture.
    if (error?.name !== 'TimeoutError') throw error;
  }
}

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: home, env, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`findtoken ${args.join(' ')} ended with ${code}`))));
  });
}
