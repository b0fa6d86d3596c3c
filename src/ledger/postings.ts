import { CLOCK_STEP_MS } from './clock-steps.ts';
import type { Connection } from './connection.ts';
import { transferLine } from './chain.ts';
import { int, theRow } from './rows.ts';
import type { TransferKind } from './types.ts';

export type Value = string | number | bigint;

export interface NewTransfer {
  readonly kind: TransferKind;
  readonly debit: bigint;
  readonly credit: bigint;
  readonly amount: bigint;
  readonly reference: string;
  /** The number of the request that it pays for. */
  readonly request?: number;
  readonly note: string;
  readonly atMs: number;
}

/** Transfers that one transaction has booked, as the chain hashes them. */
export interface Booked {
  readonly first: number;
  readonly last: number;
  readonly text: string;
}

/** The rows that a transaction adds to the two tables that only grow, `requests` and `transfers`. */
export interface Postings {
  /** The number of the next request to end. */
  nextRequest(): number;
  /** An ended request, its values in the order of `REQUEST_COLUMNS`, of which its number is the first and its time the last. */
  request(id: string, endedMs: number, values: readonly Value[]): void;
  transfer(transfer: NewTransfer): void;
  /** True for a request that ended in this transaction and is not in the table yet. */
  isPending(id: string): boolean;
  /** Writes what is pending; to be called before anything reads the two tables. */
  write(): void;
  /** The end of the transaction: writes what is pending, tells what was booked, and begins anew. */
  close(): Booked | undefined;
  /** Forgets all of it: the transaction was rolled back. */
  clear(): void;
}

const REQUEST_COLUMNS = [
  'seq', 'id', 'account', 'key_id', 'mode', 'model', 'requested_model', 'provider', 'stream', 'hold', 'free', 'byok_month',
  'prompt_tokens', 'cached_tokens', 'completion_tokens', 'reasoning_tokens', 'usage_origin', 'latency_ms', 'first_byte_ms', 'attempts',
  'priced', 'price_input', 'price_cached', 'price_output', 'price_rate',
  'state', 'status', 'cost', 'provider_cost', 'fee', 'shortfall', 'created_ms', 'ended_ms',
] as const;
const REQUEST_NAMES = REQUEST_COLUMNS.join(', ');
const TRANSFER_COLUMNS = ['seq', 'kind', 'debit', 'credit', 'amount', 'reference', 'request', 'note', 'at_ms'] as const;
const TRANSFER_NAMES = TRANSFER_COLUMNS.join(', ');

// Rows go in sixteens and a few at once: calling SQLite costs as much as a row of a dozen columns. One request has two transfers.
const REQUEST = `(${REQUEST_COLUMNS.map(() => '?').join(', ')})`;
const REQUESTS_4 = `${REQUEST}, ${REQUEST}, ${REQUEST}, ${REQUEST}`;
const REQUESTS_16 = `${REQUESTS_4}, ${REQUESTS_4}, ${REQUESTS_4}, ${REQUESTS_4}`;
const TRANSFER = `(${TRANSFER_COLUMNS.map(() => '?').join(', ')})`;
const TRANSFERS_2 = `${TRANSFER}, ${TRANSFER}`;
const TRANSFERS_4 = `${TRANSFERS_2}, ${TRANSFERS_2}`;
const TRANSFERS_16 = `${TRANSFERS_4}, ${TRANSFERS_4}, ${TRANSFERS_4}, ${TRANSFERS_4}`;

/**
 * Both tables are written in blocks when the transaction ends. Their rows are numbered here: whoever holds the write lock is alone
 * with the tables. A request's number is never used again, for its transfers bear it: the newest row is never removed.
 */
export function createPostings(db: Connection): Postings {
  const requests = createBlocks(REQUEST_COLUMNS.length, [
    [16, db.prepare<Value[]>(`INSERT INTO requests (${REQUEST_NAMES}) VALUES ${REQUESTS_16}`)],
    [4, db.prepare<Value[]>(`INSERT INTO requests (${REQUEST_NAMES}) VALUES ${REQUESTS_4}`)],
    [1, db.prepare<Value[]>(`INSERT INTO requests (${REQUEST_NAMES}) VALUES ${REQUEST}`)],
  ]);
  const transfers = createBlocks(TRANSFER_COLUMNS.length, [
    [16, db.prepare<Value[]>(`INSERT INTO transfers (${TRANSFER_NAMES}) VALUES ${TRANSFERS_16}`)],
    [2, db.prepare<Value[]>(`INSERT INTO transfers (${TRANSFER_NAMES}) VALUES ${TRANSFERS_2}`)],
    [1, db.prepare<Value[]>(`INSERT INTO transfers (${TRANSFER_NAMES}) VALUES ${TRANSFER}`)],
  ]);
  const last = db.prepare(`SELECT coalesce((SELECT max(seq) FROM requests), 0) AS request, coalesce((SELECT max(seq) FROM transfers), 0) AS transfer,
    coalesce((SELECT ended_ms FROM requests ORDER BY seq DESC LIMIT 1), 0) AS ended`);
  const noteStep = db.prepare('INSERT INTO clock_steps (seq) VALUES (?)');
  const pending = new Set<string>();
  let lines = '';
  let first = 0;
  let numbers: { request: number; transfer: number; endedMs: number } | undefined;

  const number = (): { request: number; transfer: number; endedMs: number } => {
    if (numbers !== undefined) return numbers;
    const row = theRow(last.get());
    numbers = { request: int(row, 'request'), transfer: int(row, 'transfer'), endedMs: int(row, 'ended') };
    return numbers;
  };
  const clear = (): void => {
    requests.clear();
    transfers.clear();
    pending.clear();
    lines = '';
    first = 0;
    numbers = undefined;
  };
  const write = (): void => {
    requests.write();
    transfers.write();
    pending.clear();
  };
  return {
    nextRequest: () => (number().request += 1),
    request(id, endedMs, values) {
      const before = number();
      if (endedMs < before.endedMs - CLOCK_STEP_MS) noteStep.run(before.request);
      before.endedMs = endedMs;
      pending.add(id);
      requests.add(values);
    },
    transfer({ kind, debit, credit, amount, reference, request = 0, note, atMs }) {
      const seq = (number().transfer += 1);
      const at = Math.round(atMs);
      if (first === 0) first = seq;
      lines += transferLine(seq, kind, debit, credit, amount, at, reference, note);
      transfers.add([seq, kind, debit, credit, amount, reference, request, note, at]);
    },
    isPending: (id) => pending.has(id),
    write,
    close() {
      write();
      const booked = first === 0 ? undefined : { first, last: number().transfer, text: lines };
      clear();
      return booked;
    },
    clear,
  };
}

interface Blocks {
  add(row: readonly Value[]): void;
  write(): void;
  clear(): void;
}

/**
 * Values are bound as arguments: taken out of a list, each costs half as much again.
 * @param blocks statements by how many rows they write, the largest first and one of a single row last
 */
function createBlocks(columns: number, blocks: readonly (readonly [rows: number, add: { run(...values: readonly Value[]): unknown }])[]): Blocks {
  let values: Value[] = [];
  return {
    add: (row) => void values.push(...row),
    write() {
      let from = 0;
      for (const [rows, add] of blocks) {
        for (; values.length - from >= rows * columns; from += rows * columns) add.run(...values.slice(from, from + rows * columns));
      }
      values = [];
    },
    clear: () => void (values = []),
  };
}
