import { byokFee, charge } from '../money/index.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { MINUTES_FROM_DAY } from './minutes.ts';
import { RECHARGE_RULES } from './recharge-audit.ts';
import { big, flag, int, rowsOf, text, theRow, type Row } from './rows.ts';
import type { AuditFinding, AuditReport, Ledger } from './types.ts';

export type AuditBooks = Sync<Pick<Ledger, 'audit'>>;

/** More differences than this tell nothing new. */
const FINDINGS_MAX = 1_000;

/** A rule that one query checks: each row it finds is a difference, with `subject`, `expected` and `found`. */
interface Rule {
  readonly rule: string;
  readonly query: string;
}

const RULES: readonly Rule[] = [
  {
    rule: 'I1', // a balance is what its transfers add up to
    query: `SELECT name AS subject, balance AS found, due AS expected FROM (
      SELECT w.name, w.balance, coalesce(i.amount, 0) - coalesce(o.amount, 0) AS due FROM wallets w
      LEFT JOIN (SELECT credit AS no, sum(amount) AS amount FROM transfers GROUP BY credit) i ON i.no = w.no
      LEFT JOIN (SELECT debit AS no, sum(amount) AS amount FROM transfers GROUP BY debit) o ON o.no = w.no
    ) WHERE balance <> due`,
  },
  {
    rule: 'I2', // what is held is what the open requests hold
    query: `SELECT w.name AS subject, w.held AS found, coalesce(o.hold, 0) AS expected FROM wallets w
      LEFT JOIN (SELECT account, sum(hold) AS hold FROM holds GROUP BY account) o ON o.account = w.no
      WHERE w.held <> coalesce(o.hold, 0)`,
  },
  {
    rule: 'I3', // no customer spends what is not there, unless a refund or dispute froze the account
    query: `SELECT name AS subject, '>= 0' AS expected, balance - held AS found FROM wallets WHERE customer = 1 AND may_overdraw = 0 AND balance - held < 0`,
  },
  {
    rule: 'I4', // money neither appears nor vanishes
    query: `SELECT 'all wallets' AS subject, 0 AS expected, total AS found FROM (SELECT sum(balance) AS total FROM wallets) WHERE total <> 0`,
  },
  {
    rule: 'I5', // a request is open or has ended, in one of the ways there are, and costs nothing that was released
    query: `SELECT h.id AS subject, 'open or ended' AS expected, 'both' AS found FROM holds h JOIN requests r ON r.id = h.id
      UNION ALL SELECT id, 'an end', state FROM requests WHERE state NOT IN ('settled', 'released', 'recovered')
      UNION ALL SELECT id, 'no cost', cost FROM requests WHERE state = 'released' AND (cost <> 0 OR shortfall <> 0)`,
  },
  ...transferRules(),
  ...RECHARGE_RULES,
  {
    rule: 'tokens', // cached tokens are a part of the prompt
    query: `SELECT id AS subject, 'at most ' || prompt_tokens AS expected, cached_tokens AS found FROM requests WHERE cached_tokens > prompt_tokens`,
  },
  {
    rule: 'byok_counter', // the month's count is its BYOK requests but the released ones
    query: `SELECT a.id || ' ' || coalesce(c.month, n.month) AS subject, coalesce(n.requests, 0) AS expected, coalesce(c.requests, 0) AS found
      FROM byok_counters c FULL JOIN (SELECT account, month, sum(requests) AS requests FROM (
          SELECT account, byok_month AS month, 1 AS requests FROM requests WHERE byok_month <> '' AND state <> 'released'
          UNION ALL SELECT account, byok_month, 1 FROM holds WHERE byok_month <> ''
          UNION ALL SELECT account, byok_month, counted FROM removed_requests WHERE byok_month <> '') GROUP BY 1, 2) n ON n.account = c.account AND n.month = c.month
      JOIN accounts a ON a.no = coalesce(c.account, n.account) WHERE coalesce(n.requests, 0) <> coalesce(c.requests, 0)`,
  },
  rollupRule('rollup_minutes', 60_000, MINUTES_FROM_DAY),
  rollupRule('rollup_days', 86_400_000, '0'),
];

/**
 * Recomputes the books from their oldest facts: balances from transfers, holds from open requests, every charge from its
 * tokens and the price that was applied, totals from requests, the transfers' hash chain from its first link. To be called within one read transaction.
 */
export function createAuditBooks(db: Connection, breaks: (limit: number) => AuditFinding[]): AuditBooks {
  return {
    audit(): AuditReport {
      const findings: AuditFinding[] = [];
      for (const { rule, query } of RULES) {
        if (findings.length >= FINDINGS_MAX) break;
        const rows = rowsOf(db.prepare(`SELECT * FROM (${query}) LIMIT ${FINDINGS_MAX - findings.length}`).all());
        findings.push(...rows.map((row) => ({ rule, subject: text(row, 'subject'), expected: String(row['expected']), found: String(row['found']) })));
      }
      findings.push(...wrongCharges(db, FINDINGS_MAX - findings.length));
      findings.push(...breaks(FINDINGS_MAX - findings.length));
      const counts = theRow(db.prepare(`SELECT (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM transfers) AS transfers,
        (SELECT count(*) FROM requests) + (SELECT count(*) FROM holds) AS requests, (SELECT count(*) FROM holds) AS open_holds`).get());
      return {
        accounts: int(counts, 'accounts'), transfers: int(counts, 'transfers'),
        requests: int(counts, 'requests'), openHolds: int(counts, 'open_holds'), findings,
      };
    },
  };
}

/**
 * A request's transfers are its row's columns, each from and to the right wallet, and no such transfer is without a request: those whose
 * rows were removed for their age add up to what those rows said. Of a shortfall's transfer only its row knew whose it was.
 */
function transferRules(): readonly Rule[] {
  const kinds = [
    { kind: 'usage', column: 'provider_cost', path: 't.debit = r.account AND t.credit = 1', payer: 't.debit', owner: 'account' },
    { kind: 'fee', column: 'fee', path: 't.debit = r.account AND t.credit = 2', payer: 't.debit', owner: 'account' },
    { kind: 'shortfall', column: 'shortfall', path: 't.debit = 7 AND t.credit = 1', payer: '7', owner: '7' },
  ] as const;
  return kinds.map(({ kind, column, path, payer, owner }) => ({
    rule: `I6 ${kind}`,
    query: `SELECT r.id AS subject, r.${column} AS expected, coalesce(t.amount, 0) AS found FROM requests r
        LEFT JOIN transfers t ON t.kind = '${kind}' AND t.request = r.seq AND t.request > 0 AND t.reference = r.id AND ${path} WHERE r.${column} <> coalesce(t.amount, 0)
      UNION ALL SELECT t.reference, 'a request', t.amount FROM transfers t
        LEFT JOIN requests r ON r.seq = t.request WHERE t.kind = '${kind}'
          AND (r.id IS NULL AND ${payer} NOT IN (SELECT ${owner} FROM removed_requests) OR r.id IS NOT NULL AND (r.id <> t.reference OR NOT (${path})))
      UNION ALL SELECT w.name || ' (removed requests)', gone.amount, coalesce(kept.amount, 0)
        FROM (SELECT ${owner} AS payer, sum(${column}) AS amount FROM removed_requests GROUP BY 1) gone
        LEFT JOIN (SELECT ${payer} AS payer, sum(t.amount) AS amount FROM transfers t LEFT JOIN requests r ON r.seq = t.request
          WHERE t.kind = '${kind}' AND r.id IS NULL GROUP BY 1) kept ON kept.payer = gone.payer
        JOIN wallets w ON w.no = gone.payer WHERE gone.amount <> coalesce(kept.amount, 0)`,
  }));
}

/**
 * A rollup's totals of an account and a day are those of the requests that ended in it, removed ones among them.
 * @param fromDay SQL: the first day that the rollup still has
 */
function rollupRule(table: 'rollup_minutes' | 'rollup_days', bucketMs: number, fromDay: string): Rule {
  const bucketsADay = 86_400_000 / bucketMs;
  const figures = ['prompt_tokens', 'cached_tokens', 'completion_tokens', 'cost', 'provider_cost', 'fee', 'shortfall'];
  const named = figures.join(', ');
  const sums = figures.map((name) => `sum(${name})`).join(` || ' ' || `);
  return {
    rule: table,
    query: `SELECT a.id || ' ' || date(coalesce(n.day, k.day) * 86400, 'unixepoch') AS subject, coalesce(n.figures, 'nothing') AS expected,
        coalesce(k.figures, 'nothing') AS found
      FROM (SELECT account, day, sum(requests) || ' ' || sum(errors) || ' ' || ${sums} AS figures FROM (
          SELECT account, ended_ms / 86400000 AS day, 1 AS requests, status NOT IN ('ok', 'aborted') AS errors, ${named} FROM requests
          UNION ALL SELECT account, day, requests, errors, ${named} FROM removed_requests) GROUP BY 1, 2) n
      FULL JOIN (SELECT account, bucket / ${bucketsADay} AS day,
          sum(requests) || ' ' || sum(errors) || ' ' || ${sums} AS figures FROM ${table} GROUP BY 1, 2) k
        ON k.account = n.account AND k.day = n.day
      JOIN accounts a ON a.no = coalesce(n.account, k.account) WHERE n.figures IS NOT k.figures AND coalesce(n.day, k.day) >= ${fromDay}`,
  };
}

/** Every charge anew, from tokens and price; a request that was never priced has nothing to compare with. */
function wrongCharges(db: Connection, limit: number): AuditFinding[] {
  const findings: AuditFinding[] = [];
  // Read by place: with names, SQLite would make each row's anew.
  const charged = db.prepare(`SELECT id, mode, free, prompt_tokens, cached_tokens, completion_tokens, provider_cost, fee, shortfall,
      price_input, price_cached, price_output, price_rate
    FROM requests WHERE state IN ('settled', 'recovered') AND priced = 1`).raw();
  for (const found of charged.iterate()) {
    if (findings.length >= limit) break;
    const row = chargedRow(found);
    const expected = chargeAnew(row);
    const total = big(row, 'provider_cost') + big(row, 'fee') + big(row, 'shortfall');
    if (expected !== String(total)) findings.push({ rule: 'charge', subject: text(row, 'id'), expected, found: String(total) });
  }
  return findings;
}

/** @throws TypeError where it is no row of what was charged: a bug */
function chargedRow(found: unknown): Row {
  if (!Array.isArray(found)) throw new TypeError('a row was expected');
  const [id, mode, free, prompt_tokens, cached_tokens, completion_tokens, provider_cost, fee, shortfall, price_input, price_cached, price_output, price_rate]: readonly unknown[] = found;
  return { id, mode, free, prompt_tokens, cached_tokens, completion_tokens, provider_cost, fee, shortfall, price_input, price_cached, price_output, price_rate };
}

function chargeAnew(row: Row): string {
  if (flag(row, 'free')) return '0';
  const tokens = { prompt: int(row, 'prompt_tokens'), cached: int(row, 'cached_tokens'), completion: int(row, 'completion_tokens') };
  const price = { input: big(row, 'price_input'), cachedInput: big(row, 'price_cached'), output: big(row, 'price_output') };
  try {
    return String((text(row, 'mode') === 'byok' ? byokFee : charge)(tokens, price, big(row, 'price_rate')).total);
  } catch (error) {
    if (error instanceof RangeError) return `a charge (${error.message})`;
    throw error;
  }
}
