import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { openLedger } from '../../src/ledger/index.ts';
import type { Ledger } from '../../src/ledger/index.ts';
import { charge, parsePrice } from '../../src/money/index.ts';
import { programOf } from './program.ts';

const TRACER = fileURLToPath(new URL('trace-loads.cjs', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** How one real process of the program ended. */
export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A user's machine: a home of its own, in which commands run as real processes in pipes. */
export interface Desk {
  readonly home: string;
  readonly database: string;
  run(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Runs a command that must succeed with `--json`, and reads what it printed. */
  json(...args: string[]): Promise<Record<string, unknown>>;
  /** Starts a command that goes on; `line` waits for the next line of its stdout. */
  start(args: readonly string[]): { line(): Promise<string>; interrupt(signal?: NodeJS.Signals): void; readonly ended: Promise<Ran> };
  /** Packages out of which a command loads anything, by the bundle's own source maps. */
  packagesOf(args: readonly string[]): Promise<ReadonlySet<string>>;
  ledger(): Promise<Ledger>;
}

export function openDesk(t: Test): Desk {
  const home = t.testdir({});
  const database = join(home, '.local', 'share', 'findtoken', 'findtoken.db');
  const environment = (env: RunOptions['env'] = {}) => ({ PATH: process.env['PATH'] ?? '', HOME: home, ...env });
  const launch = (wish: readonly string[], env?: RunOptions['env']) => {
    const { file, args } = programOf(wish);
    return spawn(file, args, { cwd: home, env: environment(env) });
  };

  const run: Desk['run'] = async (args, { stdin = '', env } = {}) => {
    const child = launch(args, env);
    child.stdin.end(stdin);
    return collect(child);
  };
  return {
    home,
    database,
    run,
    async json(...args) {
      const { code, out, err } = await run(['--json', ...args]);
      t.equal(code, 0, `--json ${args.join(' ')} succeeds`, { diagnostic: code !== 0, err });
      const document: unknown = JSON.parse(out);
      if (typeof document !== 'object' || document === null) throw new Error(`not a JSON document: ${out}`);
      return { ...document };
    },
    start(args) {
      const child = launch(args);
      t.teardown(() => child.kill('SIGKILL'));
      const ended = collect(child);
      const lines: string[] = [];
      const waiting: ((line: string) => void)[] = [];
      let rest = '';
      child.stdout.on('data', (text: string) => {
        const parts = (rest + text).split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) (waiting.shift() ?? ((late) => lines.push(late)))(line);
      });
      const line = () => {
        const [ready] = lines.splice(0, 1);
        return ready === undefined ? new Promise<string>((resolve) => waiting.push(resolve)) : Promise.resolve(ready);
      };
      return { line, interrupt: (signal = 'SIGINT') => void child.kill(signal), ended };
    },
    async packagesOf(args) {
      const trace = join(home, 'loads.txt');
      writeFileSync(trace, '');
      await run(args, { env: { NODE_OPTIONS: `--require=${TRACER}`, TRACE_LOADS: trace } });
      const files = readFileSync(trace, 'utf8').split('\n');
      if (!files.some((file) => /dist\/program-\w+\.js$/.test(file))) throw new Error('the trace saw no program: the check would say nothing');
      return new Set(files.flatMap(sourcesOf).flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? []));
    },
    ledger: () => openLedger({ path: database, as: 'cli' }),
  };
}

/** One answered request in the books: `prompt` + `completion` tokens of deepseek-chat at its price and 5.5 %. */
export async function book(ledger: Ledger, wish: { readonly id: string; readonly accountId: string; readonly keyId: string; readonly prompt: number; readonly completion: number; readonly atMs: number; readonly endMs?: number; readonly model?: string; readonly status?: string }): Promise<void> {
  const { id, accountId, keyId, atMs: nowMs, model = 'deepseek-chat', status = 'ok' } = wish;
  const price = { input: parsePrice('0.14'), cachedInput: parsePrice('0.0028'), output: parsePrice('0.28') };
  const rate = 55_000n;
  const cost = charge({ prompt: wish.prompt, cached: 0, completion: wish.completion }, price, rate);
  const hold = await ledger.hold({ id, accountId, keyId, mode: 'standard', model, requestedModel: model, provider: 'deepseek', stream: false, ceiling: cost.total, byok: undefined, nowMs });
  if (!hold.ok) throw new Error(`not held: ${hold.reason}`);
  await ledger.settle({
    id, status, model, provider: 'deepseek', promptTokens: wish.prompt, cachedTokens: 0, completionTokens: wish.completion, reasoningTokens: 0, usageOrigin: 'reported',
    latencyMs: 812, firstByteMs: 90, attempts: 1, nowMs: wish.endMs ?? nowMs, price: { ...price, rate }, charge: cost,
  });
}

/** A chunk of the bundle stands for the sources in its map; any other file for itself. */
function sourcesOf(file: string): readonly string[] {
  if (!file.startsWith('dist/')) return [file];
  const mapFile = join(ROOT, `${file}.map`);
  if (!existsSync(mapFile)) return [];
  const map: unknown = JSON.parse(readFileSync(mapFile, 'utf8'));
  const sources = typeof map === 'object' && map !== null && 'sources' in map && Array.isArray(map.sources) ? map.sources : [];
  return sources.map(String);
}

function collect(child: ReturnType<typeof spawn>): Promise<Ran> {
  const said = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}
