import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { cursorNo, pageOf } from './pages.ts';
import { big, int, rowsOf, text, theRow, word, type Row } from './rows.ts';
import type { Ledger, Transfer, TransferKind } from './types.ts';

/** The numbers that the schema gives the system accounts; customers' wallets begin at 100. */
export const SYSTEM = { providerCost: 1n, fees: 2n, stripeClearing: 3n, grants: 4n, expiry: 5n, disputes: 6n, shortfall: 7n } as const;
export const FIRST_CUSTOMER = 100n;

const KINDS: readonly TransferKind[] = [
  'usage', 'fee', 'shortfall', 'grant', 'grant_back', 'recharge', 'recharge_fee', 'refund', 'dispute', 'dispute_won', 'expiry',
];

export interface NewTransfer {
  readonly kind: TransferKind;
  readonly debit: bigint;
  readonly credit: bigint;
  readonly amount: bigint;
  readonly reference: string;
  readonly note: string;
  readonly atMs: number;
}

export interface TransferBooks extends Sync<Pick<Ledger, 'grant' | 'listTransfers'>> {
  /** Writes one transfer and its system side; the caller moves the customer's balance, in the same transaction. */
  record(transfer: NewTransfer): void;
}

const COLUMNS = `SELECT t.seq, t.kind, d.name AS debit, c.name AS credit, t.amount, t.reference, t.note, t.at_ms`;
const NAMES = `JOIN wallets d ON d.no = t.debit JOIN wallets c ON c.no = t.credit`;

export function createTransferBooks(db: Connection, batch: Batch): TransferBooks {
  const add = db.prepare(`INSERT INTO transfers (kind, debit, credit, amount, reference, note, at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?)`);
  const record = (transfer: NewTransfer): void => {
    const { kind, debit, credit, amount, reference, note, atMs } = transfer;
    add.run(kind, debit, credit, amount, reference, note, Math.round(atMs));
    if (debit < FIRST_CUSTOMER) batch.addToSystem(debit, -amount);
    if (credit < FIRST_CUSTOMER) batch.addToSystem(credit, amount);
  };
  return { record, grant: grantInto(db, batch, record), listTransfers: listing(db) };
}

function grantInto(db: Connection, batch: Batch, record: (transfer: NewTransfer) => void): TransferBooks['grant'] {
  const walletOf = db.prepare('SELECT no FROM accounts WHERE id = ?').pluck();
  const granted = db.prepare(`SELECT 1 FROM transfers WHERE kind IN ('grant', 'grant_back') AND reference = ?`);
  // A debt that is paid thaws the account.
  const give = db.prepare(`UPDATE wallets SET balance = balance + @amount,
    may_overdraw = CASE WHEN balance + @amount - held >= 0 THEN 0 ELSE may_overdraw END WHERE no = @wallet`);
  const take = db.prepare('UPDATE wallets SET balance = balance - @amount WHERE no = @wallet AND balance - held >= @amount');
  const balanceOf = db.prepare('SELECT balance FROM wallets WHERE no = ?');

  return ({ accountId, amount, reference, note, nowMs }) => {
    if (amount === 0n) throw new RangeError('a grant of nothing');
    const wallet = walletOf.get(accountId);
    if (typeof wallet !== 'bigint') return 'no_account';
    const first = granted.get(reference) === undefined;
    if (first && amount > 0n) {
      give.run({ wallet, amount });
      record({ kind: 'grant', debit: SYSTEM.grants, credit: wallet, amount, reference, note, atMs: nowMs });
    } else if (first) {
      if (take.run({ wallet, amount: -amount }).changes === 0) return 'insufficient_credits';
      record({ kind: 'grant_back', debit: wallet, credit: SYSTEM.grants, amount: -amount, reference, note, atMs: nowMs });
    }
    if (first) batch.touch(wallet, '', nowMs);
    return { first, balance: big(theRow(balanceOf.get(wallet)), 'balance') };
  };
}

function listing(db: Connection): TransferBooks['listTransfers'] {
  const walletNamed = db.prepare('SELECT no FROM wallets WHERE name = ?').pluck();
  const all = db.prepare(`${COLUMNS} FROM transfers t ${NAMES} WHERE t.seq < @before ORDER BY t.seq DESC LIMIT @limit`);
  const ofSystem = db.prepare(`${COLUMNS} FROM transfers t ${NAMES} WHERE t.seq < @before AND (t.debit = @wallet OR t.credit = @wallet)
    ORDER BY t.seq DESC LIMIT @limit`);
  // Each side has an index of its own; `>= 100` is what lets SQLite use it.
  const side = (column: 'debit' | 'credit'): string =>
    `SELECT * FROM (SELECT * FROM transfers WHERE ${column} = @wallet AND ${column} >= 100 AND seq < @before ORDER BY seq DESC LIMIT @limit)`;
  const ofCustomer = db.prepare(`${COLUMNS} FROM (${side('debit')} UNION ALL ${side('credit')}) t ${NAMES} ORDER BY t.seq DESC LIMIT @limit`);

  return ({ accountId, limit, after }) => {
    const range = { before: cursorNo(after), limit: BigInt(limit) + 1n };
    if (accountId === undefined) return pageOf(rowsOf(all.all(range)), limit, transferIn);
    const wallet = walletNamed.get(accountId);
    if (typeof wallet !== 'bigint') return { rows: [], next: undefined };
    const found = (wallet < FIRST_CUSTOMER ? ofSystem : ofCustomer).all({ ...range, wallet });
    return pageOf(rowsOf(found), limit, transferIn);
  };
}

function transferIn(row: Row): Transfer {
  return {
    seq: int(row, 'seq'),
    kind: word(row, 'kind', KINDS),
    debit: text(row, 'debit'),
    credit: text(row, 'credit'),
    amount: big(row, 'amount'),
    reference: text(row, 'reference'),
    note: text(row, 'note'),
    atMs: int(row, 'at_ms'),
  };
}
