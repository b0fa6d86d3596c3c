// What one chat request costs the books: its hold and its settlement, in batches of 64, in CPU time and in bytes of the journal.
// node --import tsx test/bench/books.ts [requests] [repetitions]
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBooks, type Books } from '../../src/ledger/books.ts';
import { openConnection } from '../../src/ledger/connection.ts';
import { openLedger } from '../../src/ledger/index.ts';
import { pack, unpack } from '../../src/ledger/packing.ts';
import { bringForward } from '../../src/ledger/forward.ts';
import type { HoldRequest, Settlement } from '../../src/ledger/types.ts';
import { startWriter } from '../../src/ledger/writer.ts';
import { charge } from '../../src/money/index.ts';

const REQUESTS = Number(process.argv[2] ?? 20_480);
const REPETITIONS = Number(process.argv[3] ?? 5);
const BATCH = 64;
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };
const USAGE_FEE = 55_000n;
const COST = charge({ prompt: 100, cached: 0, completion: 10 }, PRICE, USAGE_FEE);
const START_MS = 1_790_000_000_000;

type Writes = { readonly holds: readonly HoldRequest[]; readonly ends: readonly Settlement[] };

/** One batch's writes. Ids are of the daemon's length and ordered by time, as the daemon's are. */
function writesOf(from: number): Writes {
  const numbers = Array.from({ length: BATCH }, (_, at) => from + at);
  const idOf = (no: number): string => `req_${String(no).padStart(10, '0')}${String((no * 7919) % 10_000_000_000).padStart(16, '0')}`;
  const nowMs = START_MS + from * 0.2;
  return {
    holds: numbers.map((no) => ({
      id: idOf(no), accountId: 'acct_0mfq2k8d1x7v', keyId: 'key_0mfq2k8d1x7v', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat', provider: 'deepseek',
      stream: false, ceiling: 100_000n, byok: undefined, nowMs,
    })),
    ends: numbers.map((no) => ({
      id: idOf(no), status: 'ok', model: 'deepseek-chat', provider: 'deepseek', promptTokens: 100, cachedTokens: 0, completionTokens: 10, reasoningTokens: 0, usageOrigin: 'reported',
      latencyMs: 12.5, firstByteMs: undefined, attempts: 1, nowMs: nowMs + 12, price: { ...PRICE, rate: USAGE_FEE }, charge: COST,
    })),
  };
}

async function inFolder<T>(work: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-books-'));
  const path = join(folder, 'findtoken.db');
  try {
    const ledger = await openLedger({ path, as: 'cli' });
    await ledger.createAccount({ id: 'acct_0mfq2k8d1x7v', email: 'ann@example.com', status: 'active', nowMs: START_MS });
    await ledger.grant({ accountId: 'acct_0mfq2k8d1x7v', amount: 100_000_000_000n, reference: 'bench', note: 'bench', nowMs: START_MS });
    await ledger.close();
    const result = await work(path);
    const reader = await openLedger({ path, as: 'read' });
    const { findings } = await reader.audit();
    await reader.close();
    if (findings.length > 0) throw new Error(`the books are not sound: ${JSON.stringify(findings.slice(0, 3))}`);
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The same calls as the thread's, without a thread. Half of the requests come first and are not counted: the engine warms up. */
const inProcess = async (path: string): Promise<readonly number[]> => {
  const db = openConnection({ path, readonly: false });
  bringForward(db, path);
  db.pragma('wal_autocheckpoint = 0');
  const books = createBooks(db, 'bench');
  const rounds = Array.from({ length: REQUESTS / BATCH + 40 }, (_, at) => writesOf(at * BATCH));
  const run = ({ holds, ends }: Writes, { hold, settle, commit }: Books): void => {
    const answers = commit(() => holds.map(hold));
    if (answers.some(({ ok }) => !ok)) throw new Error('a hold was refused');
    commit(() => ends.map(settle));
  };
  for (const round of rounds.slice(0, 40)) run(round, books);
  db.pragma('wal_checkpoint(TRUNCATE)');
  const before = process.cpuUsage();
  const startedMs = performance.now();
  for (const round of rounds.slice(40)) run(round, books);
  const { user, system } = process.cpuUsage(before);
  const wallUs = (performance.now() - startedMs) * 1_000;
  const { size } = statSync(`${path}-wal`);
  db.close();
  return [(user + system) / REQUESTS, user / REQUESTS, system / REQUESTS, wallUs / REQUESTS, size / REQUESTS];
};

/** Through the thread: the CPU time of both sides. */
const throughThread = async (path: string): Promise<readonly number[]> => {
  const writer = await startWriter({ path, boot: 'bench' });
  const run = async (from: number): Promise<void> => {
    const { holds, ends } = writesOf(from);
    await Promise.all(holds.map((request) => writer.write('hold', request)));
    await Promise.all(ends.map((end) => writer.write('settle', end)));
  };
  for (let at = 0; at < 40; at += 1) await run(at * BATCH);
  const before = process.cpuUsage();
  const startedMs = performance.now();
  for (let at = 0; at < REQUESTS / BATCH; at += 1) await run((40 + at) * BATCH);
  const { user, system } = process.cpuUsage(before);
  const wallUs = (performance.now() - startedMs) * 1_000;
  await writer.drain();
  await writer.end();
  return [(user + system) / REQUESTS, user / REQUESTS, system / REQUESTS, wallUs / REQUESTS];
};

/** Packing, the copy between threads, and unpacking, without the books. */
const crossing = (): readonly number[] => {
  const writes = Array.from({ length: REQUESTS / BATCH }, (_, at) => writesOf(at * BATCH));
  const before = process.cpuUsage();
  for (const { holds, ends } of writes) {
    structuredClone(holds.map((request) => pack({ name: 'hold', args: [request] }))).map(unpack);
    structuredClone(ends.map((end) => pack({ name: 'settle', args: [end] }))).map(unpack);
  }
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / REQUESTS];
};

async function measure(name: string, columns: readonly string[], work: () => Promise<readonly number[]>): Promise<void> {
  const runs: (readonly number[])[] = [];
  for (let at = 0; at < REPETITIONS; at += 1) runs.push(await work());
  const median = (column: number): number => runs.map((run) => run[column] ?? Number.NaN).toSorted((a, b) => a - b)[Math.floor(runs.length / 2)] ?? Number.NaN;
  console.log(`${name}: ${columns.map((column, at) => `${column} ${median(at).toFixed(1)}`).join(', ')}`);
}

const TIMES = ['CPU us', 'user', 'system', 'wall'];
const only = process.env['ONLY'] ?? 'books,thread,crossing';
if (only.includes('books')) await measure('books', [...TIMES, 'journal bytes'], () => inFolder(inProcess));
if (only.includes('thread')) await measure('thread and its caller', TIMES, () => inFolder(throughThread));
if (only.includes('crossing')) await measure('crossing', ['CPU us'], async () => crossing());
