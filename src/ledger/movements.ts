import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { cursorNo, pageOf } from './pages.ts';
import { big, rowsOf, theRow, whole, word } from './rows.ts';
import { FIRST_CUSTOMER, SYSTEM, transferIn, TRANSFER_KINDS } from './transfers.ts';
import type { Ledger, Movement, Standing } from './types.ts';

export type MovementBooks = Sync<Pick<Ledger, 'listMovements' | 'statement'>>;

const DAY_MS = 86_400_000;

/** Money that moved other than by requests, of which there are two transfers each: by its own index, however many those are. */
const MOVED = `transfers t INDEXED BY transfers_by_reference
  WHERE t.request = 0 AND t.kind IN ('grant', 'grant_back', 'recharge', 'recharge_fee', 'refund', 'dispute', 'dispute_won', 'expiry')`;

/** What a kind of transfer changed for those who look at a month: the sums of both of its sides. */
const SIDES = `sum(t.amount) AS amount,
  sum(CASE WHEN t.credit >= @customers THEN t.amount ELSE 0 END) - sum(CASE WHEN t.debit >= @customers THEN t.amount ELSE 0 END) AS customers,
  sum(CASE WHEN t.credit = @fees THEN t.amount ELSE 0 END) - sum(CASE WHEN t.debit = @fees THEN t.amount ELSE 0 END) AS fees,
  sum(CASE WHEN t.debit = @stripe THEN t.amount ELSE 0 END) - sum(CASE WHEN t.credit = @stripe THEN t.amount ELSE 0 END) AS stripe`;

/** The books as whoever closes a month reads them: what moved, and what is owed to customers before and after it. */
export function createMovementBooks(db: Connection): MovementBooks {
  const walletOf = db.prepare('SELECT no FROM accounts WHERE id = ?').pluck();
  const list = db.prepare(`SELECT found.seq, found.kind, d.name AS debit, c.name AS credit, found.amount, found.reference, found.note, found.at_ms FROM (
      SELECT t.* FROM ${MOVED} AND t.seq < @before AND (@wallet = 0 OR t.debit = @wallet OR t.credit = @wallet) ORDER BY t.seq DESC LIMIT @limit
    ) found JOIN wallets d ON d.no = found.debit JOIN wallets c ON c.no = found.credit ORDER BY found.seq DESC`);
  const moved = db.prepare(`SELECT t.kind, ${SIDES} FROM ${MOVED} AND t.at_ms >= @from AND t.at_ms < @to GROUP BY t.kind`);
  // Of requests the days' totals are kept for ever, and their transfers are dated as their ends are.
  const served = db.prepare(`SELECT coalesce(sum(provider_cost), 0) AS usage, coalesce(sum(fee), 0) AS fee, coalesce(sum(shortfall), 0) AS shortfall
    FROM rollup_days WHERE bucket >= @fromDay AND bucket < @toDay`);
  // Back from what is there now, so that nothing before the moment has to be read.
  const standing = db.prepare(`SELECT coalesce(sum(max(balance, 0)), 0) AS owed, coalesce(sum(max(-balance, 0)), 0) AS debts FROM (
      SELECT w.balance - coalesce(m.amount, 0) + coalesce(u.cost, 0) AS balance FROM wallets w
      LEFT JOIN (SELECT no, sum(amount) AS amount FROM (
          SELECT t.credit AS no, t.amount FROM ${MOVED} AND t.at_ms >= @at
          UNION ALL SELECT t.debit, -t.amount FROM ${MOVED} AND t.at_ms >= @at) GROUP BY no) m ON m.no = w.no
      LEFT JOIN (SELECT account, sum(cost) AS cost FROM rollup_days WHERE bucket >= @day GROUP BY account) u ON u.account = w.no
      WHERE w.customer = 1)`);

  const standingAt = (atMs: number): Standing => {
    const row = theRow(standing.get({ at: whole(atMs), day: BigInt(Math.floor(atMs / DAY_MS)) }));
    return { owed: big(row, 'owed'), debts: big(row, 'debts') };
  };
  return {
    listMovements({ accountId, limit, after }) {
      const wallet = accountId === undefined ? 0n : walletOf.get(accountId);
      if (typeof wallet !== 'bigint') return { rows: [], next: undefined };
      return pageOf(rowsOf(list.all({ before: cursorNo(after), limit: BigInt(limit) + 1n, wallet })), limit, transferIn);
    },
    statement({ fromMs, toMs }) {
      const sides = { customers: FIRST_CUSTOMER, fees: SYSTEM.fees, stripe: SYSTEM.stripeClearing };
      const found = rowsOf(moved.all({ ...sides, from: whole(fromMs), to: whole(toMs) })).map((row): Movement => (
        { kind: word(row, 'kind', TRANSFER_KINDS), amount: big(row, 'amount'), customers: big(row, 'customers'), fees: big(row, 'fees'), stripe: big(row, 'stripe') }));
      const row = theRow(served.get({ fromDay: BigInt(Math.floor(fromMs / DAY_MS)), toDay: BigInt(Math.floor(toMs / DAY_MS)) }));
      const [usage, fee, shortfall] = [big(row, 'usage'), big(row, 'fee'), big(row, 'shortfall')];
      const requests: readonly Movement[] = [
        { kind: 'usage', amount: usage, customers: -usage, fees: 0n, stripe: 0n },
        { kind: 'fee', amount: fee, customers: -fee, fees: fee, stripe: 0n },
        { kind: 'shortfall', amount: shortfall, customers: 0n, fees: 0n, stripe: 0n },
      ];
      const all = [...found, ...requests.filter(({ amount }) => amount > 0n)];
      return {
        opening: standingAt(fromMs),
        movements: TRANSFER_KINDS.flatMap((kind) => all.filter((one) => one.kind === kind)),
        closing: standingAt(toMs),
      };
    },
  };
}
