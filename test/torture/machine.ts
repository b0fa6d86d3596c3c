/** The program under test as users run it: built, in a folder of its own, a process of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAccount, createKey, grantCredits } from '../../src/accounts/index.ts';
import { openLedger, type Ledger } from '../../src/ledger/index.ts';
import { parseUsd } from '../../src/money/index.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = ['src', 'bin', 'config', '.ci', 'package.json', 'tsconfig.json', 'findtoken.example.yaml'];
/** Against a hang: the machine may have much else to do. */
const START_LIMIT_MS = 60_000;

/** Seals what the homes of a run keep; it protects nothing. */
export const MASTER_KEY = 'ab'.repeat(32);

/** A text that stands exactly once in a file, and what takes its place. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A copy of the sources, built; nobody else's build can change it under a run. */
export interface Program {
  readonly root: string;
  remove(): void;
}

/**
 * Copies the checkout's sources, plants the patches and builds.
 * @throws Error where a patch does not fit exactly once: the source has moved on, and the patch must follow.
 */
export function buildProgram(patches: readonly Patch[] = [], more: readonly string[] = []): Program {
  const root = mkdtempSync(join(tmpdir(), 'findtoken-program-'));
  for (const name of [...SOURCES, ...more]) cpSync(join(CHECKOUT, name), join(root, name), { recursive: true });
  symlinkSync(join(CHECKOUT, 'node_modules'), join(root, 'node_modules'));
  for (const { file, from, to } of patches) {
    const path = join(root, file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) throw new Error(`the patch of ${file} fits ${parts.length - 1} times: ${from}`);
    writeFileSync(path, parts.join(to));
  }
  const built = spawnSync(process.execPath, [join(root, '.ci', 'build.mjs')], { cwd: root, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the copy does not build:\n${built.stdout}${built.stderr}`);
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** A folder with a configuration and books. */
export interface Home {
  readonly folder: string;
  readonly database: string;
  readonly accountId: string;
  readonly keys: readonly string[];
  /** The books in a process of their own, as the command line opens them. */
  asCli(): Promise<Ledger>;
  asReader(): Promise<Ledger>;
  remove(): void;
}

export interface HomeWish {
  /** The shape of findtoken.yaml. */
  readonly yaml: Readonly<Record<string, unknown>>;
  /** In dollars; `0` gives none. */
  readonly credit?: string;
  readonly keys?: number;
  /** Makes the books with this program's schema instead of the checkout's. */
  readonly madeBy?: Program;
}

/** Furnishes a home: no limits but those that a test sets, one account. */
export async function furnish(wish: HomeWish): Promise<Home> {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-home-'));
  const database = join(folder, 'books', 'findtoken.db');
  const yaml = {
    server: { port: 0, drain: '20s' }, database: { path: database }, secrets: { master_key: 'env:FINDTOKEN_MASTER_KEY' }, log: { level: 'warn', format: 'json' },
    ...wish.yaml,
    limits: { requests_per_minute: 1_000_000, concurrent_requests: 100_000, connections_per_address: 100_000, loop_lag: '60s', ...recordOf(wish.yaml['limits']) },
  };
  mkdirSync(join(folder, 'books'), { mode: 0o700 });
  writeFileSync(join(folder, 'findtoken.yaml'), JSON.stringify(yaml));
  if (wish.madeBy !== undefined) spawnSync(process.execPath, [join(wish.madeBy.root, 'bin', 'findtoken.js'), 'accounts', 'list'], { cwd: folder, env: environment({ folder }) });
  const asCli = () => openLedger({ path: database, as: 'cli' });
  const ledger = await asCli();
  const parts = { ledger, nowMs: () => Date.now() };
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const keys: string[] = [];
  for (let count = 0; count < (wish.keys ?? 1); count += 1) keys.push((await createKey(parts, { accountId, name: `key ${count}` })).key);
  if (wish.credit !== '0') await grantCredits(parts, { accountId, amount: parseUsd(wish.credit ?? '1000'), note: 'torture' });
  await ledger.close();
  return { folder, database, accountId, keys, asCli, asReader: () => openLedger({ path: database, as: 'read' }), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A running daemon. */
export interface Daemon {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** From the start of the process until it listens. */
  readonly readyMs: number;
  output(): string;
  /** Undefined while it runs. */
  ended(): number | string | undefined;
  end(signal: NodeJS.Signals): Promise<number | string>;
  /** From /proc; 0 where the system has none. */
  vitals(): { readonly rssKib: number; readonly peakKib: number; readonly files: number };
}

export interface StartWish {
  readonly env?: Readonly<Record<string, string>>;
  /** A program that runs Node, such as strace with its arguments. */
  readonly under?: readonly string[];
  /** Called with the process before it listens. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** Starts `serve` and waits until it listens. @throws Error with its output where it ends before. */
export async function startDaemon(program: Program, home: Home, wish: StartWish = {}): Promise<Daemon> {
  const startedMs = performance.now();
  const [command, ...args] = [...(wish.under ?? []), process.execPath, join(program.root, 'bin', 'findtoken.js'), 'serve'];
  const child = spawn(command, args, { cwd: home.folder, env: environment(home, wish.env), stdio: ['ignore', 'pipe', 'pipe'] });
  wish.onSpawn?.(child);
  let output = '';
  let ended: number | string | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-200_000)));
  const exited = new Promise<number | string>((resolve) => child.on('exit', (code, signal) => resolve((ended = code ?? signal ?? -1))));
  for (;;) {
    const url = /is listening on (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) {
      const pid = child.pid ?? -1;
      return {
        url, pid, port: Number(new URL(url).port), readyMs: performance.now() - startedMs,
        output: () => output,
        ended: () => ended,
        vitals: () => vitalsOf(pid),
        end: (signal) => {
          child.kill(signal);
          return exited;
        },
      };
    }
    if (ended !== undefined || performance.now() - startedMs > START_LIMIT_MS) {
      child.kill('SIGKILL');
      throw new Error(`serve ended with ${ended ?? 'silence'}:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Starts one command of the command line. */
export function startCommand(program: Program, home: Home, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(program.root, 'bin', 'findtoken.js'), ...args], { cwd: home.folder, env: environment(home), stdio: ['ignore', 'pipe', 'pipe'] });
}

function environment(home: Pick<Home, 'folder'>, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { HOME: home.folder, PATH: process.env['PATH'] ?? '', NO_COLOR: '1', FINDTOKEN_MASTER_KEY: MASTER_KEY, ...more };
}

function vitalsOf(pid: number): { readonly rssKib: number; readonly peakKib: number; readonly files: number } {
  if (!existsSync(`/proc/${pid}/status`)) return { rssKib: 0, peakKib: 0, files: 0 };
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return { rssKib: kib('VmRSS'), peakKib: kib('VmHWM'), files: countFiles(pid) };
}

function countFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
