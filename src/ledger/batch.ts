import type { Connection } from './connection.ts';
import { createPostings, type Postings, type Value } from './postings.ts';
import { createPurses, type Purses } from './purses.ts';
import type { Mode } from './types.ts';

/** What one ended request adds to the totals of its minute and its day. */
export interface Tally {
  readonly account: bigint;
  readonly keyId: string;
  readonly model: string;
  readonly provider: string;
  readonly mode: string;
  readonly endedMs: number;
  readonly isError: boolean;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly cost: bigint;
  readonly providerCost: bigint;
  readonly fee: bigint;
  readonly shortfall: bigint;
}

/** A request whose hold was taken and not yet ended, as far as its end needs to know. */
export interface OpenRequest {
  readonly account: bigint;
  readonly keyId: string;
  readonly mode: Mode;
  readonly model: string;
  readonly requestedModel: string;
  readonly provider: string;
  readonly stream: boolean;
  readonly hold: bigint;
  readonly free: boolean;
  readonly month: string;
  readonly createdMs: number;
}

/**
 * What the operations of one transaction owe to rows that they share, summed here and written once before the commit.
 * Nothing inside a transaction reads these rows but through here, so no figure is seen stale.
 */
export interface Batch {
  readonly purses: Purses;
  readonly postings: Postings;
  /** Requests that this connection opened, so that their ends need not look for them. A row that is missing is in the table. */
  readonly open: Map<string, OpenRequest>;
  /** Adds to (or takes from) a system account's balance. */
  addToSystem(wallet: bigint, amount: bigint): void;
  tally(request: Tally): void;
  /** Notes that an account and its key were used; the rows keep it to the minute. */
  touch(account: bigint, keyId: string, nowMs: number): void;
  flush(): void;
  /** Forgets all of it: the transaction was rolled back. */
  clear(): void;
}

const FIGURES = ['requests', 'errors', 'prompt_tokens', 'cached_tokens', 'completion_tokens', 'cost', 'provider_cost', 'fee', 'shortfall'] as const;
const COLUMNS = FIGURES.join(', ');
const PLACES = FIGURES.map(() => '?').join(', ');
const SUMS = FIGURES.map((name) => `${name} = ${name} + excluded.${name}`).join(', ');

interface Totals {
  requests: number;
  errors: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  cost: bigint;
  provider_cost: bigint;
  fee: bigint;
  shortfall: bigint;
}

interface Group {
  readonly account: bigint;
  readonly keyId: string;
  readonly model: string;
  readonly provider: string;
  readonly mode: string;
  readonly minute: number;
  readonly totals: Totals;
}

const MINUTE_MS = 60_000;
const MINUTES_A_DAY = 1_440;
/** More than this are not open at once in one process; it bounds what is remembered, never what can be ended. */
const OPEN_MAX = 65_536;

export function createBatch(db: Connection): Batch {
  const purses = createPurses(db);
  const postings = createPostings(db);
  const addBalance = db.prepare('UPDATE wallets SET balance = balance + ? WHERE no = ?');
  const addMinute = db.prepare(upsert('rollup_minutes'));
  const addDay = db.prepare(upsert('rollup_days'));
  const touchAccount = db.prepare('UPDATE accounts SET activity_ms = ? WHERE no = ? AND activity_ms < ?');
  const touchKey = db.prepare('UPDATE api_keys SET last_used_ms = ? WHERE id = ? AND last_used_ms < ?');

  // When each row was last seen to be written: within the minute after it there is nothing to ask for.
  const touched = new Map<bigint | string, number>();
  const touch = (row: bigint | string, nowMs: number, statement: { run(...values: readonly Value[]): { readonly changes: number } }): void => {
    const now = Math.round(nowMs);
    if ((touched.get(row) ?? -Infinity) >= now - MINUTE_MS) return;
    if (statement.run(now, row, now - MINUTE_MS).changes === 1) touched.set(row, now);
  };
  const open = new Map<string, OpenRequest>();
  const system = new Map<bigint, bigint>();
  const groups = new Map<string, Group>();
  const accounts = new Map<bigint, number>();
  const keys = new Map<string, number>();
  const begin = (): void => {
    purses.clear();
    for (const map of [system, groups, accounts, keys]) map.clear();
    if (open.size > OPEN_MAX) open.clear();
    if (touched.size > OPEN_MAX) touched.clear();
  };

  return {
    purses,
    postings,
    open,
    addToSystem: (wallet, amount) => void system.set(wallet, (system.get(wallet) ?? 0n) + amount),
    tally: (request) => add(groups, request),
    touch(account, keyId, nowMs) {
      accounts.set(account, nowMs);
      if (keyId !== '') keys.set(keyId, nowMs);
    },
    flush() {
      purses.flush();
      postings.write();
      for (const [wallet, amount] of system) addBalance.run(amount, wallet);
      for (const group of groups.values()) {
        const values = rollupValues(group);
        addMinute.run(group.minute, ...values);
        addDay.run(Math.floor(group.minute / MINUTES_A_DAY), ...values);
      }
      for (const [account, nowMs] of accounts) touch(account, nowMs, touchAccount);
      for (const [key, nowMs] of keys) touch(key, nowMs, touchKey);
      begin();
    },
    clear() {
      open.clear();
      touched.clear();
      postings.clear();
      begin();
    },
  };
}

function add(groups: Map<string, Group>, request: Tally): void {
  const { account, keyId, model, provider, mode } = request;
  const minute = Math.floor(request.endedMs / MINUTE_MS);
  const name = `${minute}\n${account}\n${keyId}\n${model}\n${provider}\n${mode}`;
  const group = groups.get(name) ?? { account, keyId, model, provider, mode, minute, totals: noTotals() };
  groups.set(name, group);
  const { totals } = group;
  totals.requests += 1;
  totals.errors += request.isError ? 1 : 0;
  totals.prompt_tokens += request.promptTokens;
  totals.cached_tokens += request.cachedTokens;
  totals.completion_tokens += request.completionTokens;
  totals.cost += request.cost;
  totals.provider_cost += request.providerCost;
  totals.fee += request.fee;
  totals.shortfall += request.shortfall;
}

/** A group and its totals in the order of the rollups' columns behind the bucket: binding by place costs half of binding by name. */
function rollupValues({ account, keyId, model, provider, mode, totals }: Group): Value[] {
  return [account, keyId, model, provider, mode, ...FIGURES.map((name) => totals[name])];
}

function noTotals(): Totals {
  return { requests: 0, errors: 0, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, cost: 0n, provider_cost: 0n, fee: 0n, shortfall: 0n };
}

function upsert(table: 'rollup_minutes' | 'rollup_days'): string {
  return `INSERT INTO ${table} (bucket, account, key_id, model, provider, mode, ${COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ${PLACES})
    ON CONFLICT DO UPDATE SET ${SUMS}`;
}
