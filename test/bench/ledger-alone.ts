// The books alone, on one connection and in one thread: how many writes are durable in a second, and how long a commit takes.
// Argument: JSON { path, accountId, rounds, seconds, batches, disk }. Prints one line of JSON. `disk`: a file for the comparison with
// what the disk itself can do, an append of 4 KiB and fdatasync; without it, pages and balances are read as well.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { createBooks, type Books } from '../../src/ledger/books.ts';
import { openConnection } from '../../src/ledger/connection.ts';
import { bringForward } from '../../src/ledger/forward.ts';
import type { HoldRequest, Settlement } from '../../src/ledger/types.ts';
import { charge } from '../../src/money/index.ts';

interface Order {
  readonly path: string;
  readonly accountId: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly batches: readonly number[];
  readonly disk?: string;
}

interface Slice {
  readonly perS: number;
  readonly commitsUs: readonly number[];
}

const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };
const USAGE_FEE = 55_000n;
const COST = charge({ prompt: 100, cached: 0, completion: 10 }, PRICE, USAGE_FEE);
const PAGE = 50;
const READS = 200;
const WARM_UP_BATCHES = 40;

let made = 0;

/** Durable writes, holds and settlements by turns, each batch of them in a transaction of its own. */
function write({ books, accountId }: { readonly books: Books; readonly accountId: string }, batch: number, seconds: number): Slice {
  const commitsUs: number[] = [];
  const startedMs = performance.now();
  const untilMs = startedMs + seconds * 1_000;
  let writes = 0;
  const commit = (work: () => void): void => {
    const beforeMs = performance.now();
    books.commit(work);
    commitsUs.push((performance.now() - beforeMs) * 1_000);
    writes += batch;
  };
  while (performance.now() < untilMs) {
    const ids = Array.from({ length: batch }, () => `req_${String(Date.now()).padStart(14, '0')}${String((made += 1)).padStart(12, '0')}`);
    const nowMs = Date.now();
    commit(() => ids.map((id) => books.hold(holdOf(id, accountId, nowMs))));
    commit(() => ids.map((id) => books.settle(endOf(id, nowMs))));
  }
  return { perS: (writes / (performance.now() - startedMs)) * 1_000, commitsUs };
}

function holdOf(id: string, accountId: string, nowMs: number): HoldRequest {
  return {
    id, accountId, keyId: 'key_bench', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat', provider: 'deepseek', stream: false,
    ceiling: 100_000n, byok: undefined, nowMs,
  };
}

function endOf(id: string, nowMs: number): Settlement {
  return {
    id, status: 'ok', model: 'deepseek-chat', provider: 'deepseek', promptTokens: 100, cachedTokens: 0, completionTokens: 10, reasoningTokens: 0, usageOrigin: 'reported',
    latencyMs: 12, firstByteMs: undefined, attempts: 1, nowMs, price: { ...PRICE, rate: USAGE_FEE }, charge: COST,
  };
}

/** What no program can pass: appends that are on the disk before the next one. */
function append(file: string, seconds: number): number {
  const page = globalThis.crypto.getRandomValues(new Uint8Array(4_096));
  const handle = openSync(file, 'w');
  const startedMs = performance.now();
  let appends = 0;
  try {
    for (; performance.now() < startedMs + seconds * 1_000; appends += 1) {
      writeSync(handle, page);
      fdatasyncSync(handle);
    }
  } finally {
    closeSync(handle);
  }
  return (appends / (performance.now() - startedMs)) * 1_000;
}

/** Time of each read in µs. */
function times(read: () => void): readonly number[] {
  return Array.from({ length: READS }, () => {
    const beforeMs = performance.now();
    read();
    return (performance.now() - beforeMs) * 1_000;
  });
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const { path, accountId, rounds, seconds, batches, disk }: Order = JSON.parse(process.argv[2] ?? '');
const db = openConnection({ path, readonly: false });
bringForward(db, path);
const books = createBooks(db, 'bench');
for (let at = 0; at < WARM_UP_BATCHES; at += 1) write({ books, accountId }, 64, 0.001);
const found = Array.from({ length: rounds }, () => ({
  appendsPerS: disk === undefined ? 0 : append(disk, seconds),
  batches: batches.map((batch) => {
    const { perS, commitsUs } = write({ books, accountId }, batch, seconds);
    return { batch, perS, p50Us: quantile(commitsUs, 0.5), p99Us: quantile(commitsUs, 0.99) };
  }),
  pageUs: quantile(times(() => void books.listRequests({ accountId }, { limit: PAGE })), 0.5),
  deepUs: quantile(times(() => void books.listRequests({ accountId }, { limit: PAGE, after: '50000' })), 0.5),
  balanceUs: quantile(times(() => void books.findAccount(accountId)), 0.5),
}));
db.close();
console.log(JSON.stringify(found));
