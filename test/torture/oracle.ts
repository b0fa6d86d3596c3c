/**
 * Compares three accounts of the same hours: what clients received, what the provider said, what stands in the books.
 * It reads the books with SQL of its own and reckons every charge itself, so that it shares no bug with the program.
 */
import Database from 'better-sqlite3';
import { codeOf, shownCosts, type Received } from './calls.ts';
import { costOf, tokensFor, type Spoken } from './script.ts';

/** A row of `requests`, or of `holds`. */
export interface BookedRow {
  readonly id: string;
  readonly state: string;
  readonly status: string;
  readonly hold: bigint;
  readonly cost: bigint;
  readonly shortfall: bigint;
  readonly origin: string;
  readonly mode: string;
  readonly model: string;
  readonly createdMs: number;
}

export interface Books {
  readonly rows: ReadonlyMap<string, BookedRow>;
  readonly openHolds: number;
  /** Breaks of I1 to I6, each as a sentence. */
  readonly breaks: readonly string[];
  readonly wallets: ReadonlyMap<string, { readonly balance: bigint; readonly held: bigint }>;
}

/**
 * Reads the whole books at one moment.
 * @param provider `honest`: it keeps to the limit it was given, so no charge may pass its hold (I6). One that says more than it
 *   was asked is paid out of what else is available, by design: the hold binds the daemon, not the provider.
 */
export function readBooks(database: string, provider: 'honest' | 'any' = 'honest'): Books {
  const db = new Database(database, { readonly: true, timeout: 5_000 }).defaultSafeIntegers(true);
  try {
    db.exec('BEGIN');
    const rows = new Map<string, BookedRow>();
    for (const row of records(db, `SELECT id, state, status, hold, cost, shortfall, usage_origin, mode, model, created_ms FROM requests
      UNION ALL SELECT id, 'open', 'open', hold, 0, 0, usage_origin, mode, model, created_ms FROM holds`)) {
      const id = String(row['id']);
      rows.set(id, {
        id, state: String(row['state']), status: String(row['status']), hold: big(row['hold']), cost: big(row['cost']), shortfall: big(row['shortfall']),
        origin: String(row['usage_origin']), mode: String(row['mode']), model: String(row['model']), createdMs: Number(row['created_ms']),
      });
    }
    const wallets = new Map(records(db, 'SELECT name, balance, held FROM wallets').map((row) => [String(row['name']), { balance: big(row['balance']), held: big(row['held']) }]));
    const openHolds = [...rows.values()].filter(({ state }) => state === 'open').length;
    return { rows, openHolds, wallets, breaks: [...walletBreaks(db), ...chargeBreaks(db, rows, provider)] };
  } finally {
    db.close();
  }
}

/** I1 to I4: every wallet is what its transfers and holds make it. */
function walletBreaks(db: Database.Database): readonly string[] {
  const due = new Map<bigint, bigint>();
  const move = (wallet: bigint, amount: bigint) => due.set(wallet, (due.get(wallet) ?? 0n) + amount);
  for (const row of records(db, 'SELECT debit, credit, amount FROM transfers')) {
    move(big(row['debit']), -big(row['amount']));
    move(big(row['credit']), big(row['amount']));
  }
  const held = new Map(records(db, "SELECT account, sum(hold) AS held FROM holds GROUP BY account").map((row) => [big(row['account']), big(row['held'])]));
  const breaks: string[] = [];
  let sum = 0n;
  for (const row of records(db, 'SELECT no, name, customer, balance, held, may_overdraw FROM wallets')) {
    const no = big(row['no']);
    const [balance, open, name] = [big(row['balance']), big(row['held']), String(row['name'])];
    sum += balance;
    if (balance !== (due.get(no) ?? 0n)) breaks.push(`I1 ${name} has ${balance}, its transfers make ${due.get(no) ?? 0n}`);
    if (open !== (held.get(no) ?? 0n)) breaks.push(`I2 ${name} holds ${open}, its open requests hold ${held.get(no) ?? 0n}`);
    if (row['customer'] === 1n && row['may_overdraw'] === 0n && balance - open < 0n) breaks.push(`I3 ${name} has ${balance - open} available`);
  }
  if (sum !== 0n) breaks.push(`I4 all wallets together have ${sum}`);
  return breaks;
}

/** I5, I6: a request is paid by its own transfers, once, and by nothing else. */
function chargeBreaks(db: Database.Database, rows: ReadonlyMap<string, BookedRow>, provider: 'honest' | 'any'): readonly string[] {
  const breaks: string[] = [];
  const paid = new Map<string, bigint>();
  for (const row of records(db, "SELECT kind, reference, amount FROM transfers WHERE kind IN ('usage', 'fee')")) {
    const id = String(row['reference']);
    paid.set(id, (paid.get(id) ?? 0n) + big(row['amount']));
    if (!rows.has(id)) breaks.push(`I5 ${id} was paid and never held`);
  }
  for (const { id, state, cost, hold, shortfall, mode } of rows.values()) {
    if ((paid.get(id) ?? 0n) !== cost) breaks.push(`I5 ${id} costs ${cost}, its transfers are ${paid.get(id) ?? 0n}`);
    if ((state === 'open' || state === 'released') && cost !== 0n) breaks.push(`I5 ${id} is ${state} and costs ${cost}`);
    if (provider === 'honest' && mode === 'standard' && cost + shortfall > hold) breaks.push(`I6 ${id} costs ${cost} + ${shortfall}, its hold was ${hold}`);
  }
  return breaks;
}

export interface Judgement {
  /** Answers that came whole. */
  readonly answers: number;
  /** I7: came whole and are not charged. */
  readonly lost: readonly string[];
  /** I5, I7: more rows than calls, or one tag asked twice at the provider. */
  readonly doubled: readonly string[];
  /** I10: another cost was charged or shown than the provider's tokens make. */
  readonly wrong: readonly string[];
  /** I8: a failure that the client was told of, and which costs something. */
  readonly overcharged: readonly string[];
  /** I1 to I6, I12. */
  readonly breaks: readonly string[];
  /** Charged, though the last bytes did not arrive: the price of settling first. */
  readonly cutOff: number;
  readonly recovered: number;
  readonly released: number;
  /** Rows whose request never reached the provider: the process died between the hold and the sending. */
  readonly neverSent: number;
}

/** The books, against what the clients and the provider wrote down. Call it at rest: no request runs. */
export function judge(database: string, calls: readonly Received[], said: readonly Spoken[]): Judgement {
  const books = readBooks(database);
  const [lost, wrong, overcharged]: [string[], string[], string[]] = [[], [], []];
  const received = new Set<string>();
  for (const one of calls) {
    const row = books.rows.get(one.id);
    if (one.status === 200 && one.whole) {
      received.add(one.id);
      if (row === undefined || row.state !== 'settled' || row.status !== 'ok') lost.push(`${one.tag} (${one.id}) came whole and is ${row === undefined ? 'not in the books' : row.status}`);
      else wrong.push(...wrongIn(one, row.cost));
    } else if (codeOf(one) !== '' && row !== undefined && row.cost !== 0n) overcharged.push(`${one.tag} (${one.id}) was told ${codeOf(one)} and paid ${row.cost}`);
  }
  const all = [...books.rows.values()];
  const ok = all.filter(({ status }) => status === 'ok');
  const asked = new Map<string, number>();
  for (const { tag } of said) asked.set(tag, (asked.get(tag) ?? 0) + 1);
  const doubled = [...asked].filter(([, times]) => times > 1).map(([tag, times]) => `${tag} was asked ${times} times`);
  if (all.length > calls.length) doubled.push(`${all.length} rows for ${calls.length} calls`);
  if (received.size !== calls.filter((one) => one.status === 200 && one.whole).length) doubled.push('two answers bear one id');
  return {
    answers: received.size, lost, doubled, wrong, overcharged,
    breaks: [...books.breaks, ...(books.openHolds === 0 ? [] : [`I12 ${books.openHolds} holds are open at rest`])],
    cutOff: ok.filter(({ id }) => !received.has(id)).length,
    recovered: all.filter(({ state }) => state === 'recovered').length,
    released: all.filter(({ state }) => state === 'released').length,
    neverSent: Math.max(0, all.length - said.length),
  };
}

/** Everything in a judgement that must be empty. */
export function troubles({ lost, doubled, wrong, overcharged, breaks }: Judgement): readonly string[] {
  return [...lost, ...doubled, ...wrong, ...overcharged, ...breaks];
}

function wrongIn(one: Received, cost: bigint): readonly string[] {
  const due = costOf(tokensFor(one.tag));
  if (cost !== due) return [`${one.tag} (${one.id}) costs ${cost}, its tokens make ${due}`];
  const shown = shownCosts(one);
  const rounded = (Number((cost + 50n) / 100n) / 1_000_000).toFixed(6);
  return shown.length === 1 && shown[0] === rounded ? [] : [`${one.tag} (${one.id}) shows ${shown.join(' and ')}, the books say ${rounded}`];
}

function records(db: Database.Database, query: string): readonly Record<string, unknown>[] {
  return db.prepare(query).all().filter((row): row is Record<string, unknown> => typeof row === 'object' && row !== null);
}

function big(value: unknown): bigint {
  if (typeof value !== 'bigint') throw new TypeError(`no integer: ${String(value)}`);
  return value;
}
