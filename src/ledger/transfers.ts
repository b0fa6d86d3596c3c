import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { cursorNo, pageOf } from './pages.ts';
import type { NewTransfer } from './postings.ts';
import { big, int, rowsOf, text, theRow, word, type Row } from './rows.ts';
import type { Ledger, Transfer, TransferKind } from './types.ts';

/** The numbers that the schema gives the system accounts; customers' wallets begin at 100. */
export const SYSTEM = { providerCost: 1n, fees: 2n, stripeClearing: 3n, grants: 4n, expiry: 5n, disputes: 6n, shortfall: 7n } as const;
export const FIRST_CUSTOMER = 100n;

export const TRANSFER_KINDS: readonly TransferKind[] = [
  'usage', 'fee', 'shortfall', 'grant', 'grant_back', 'recharge', 'recharge_fee', 'refund', 'dispute', 'dispute_won', 'expiry',
];

export interface TransferBooks extends Sync<Pick<Ledger, 'grant' | 'listTransfers'>> {
  /** Writes one transfer and its system side; the caller moves the customer's balance, in the same transaction. */
  record(transfer: NewTransfer): void;
}

const COLUMNS = `SELECT t.seq, t.kind, d.name AS debit, c.name AS credit, t.amount, t.reference, t.note, t.at_ms`;
const NAMES = `JOIN wallets d ON d.no = t.debit JOIN wallets c ON c.no = t.credit`;

export function createTransferBooks(db: Connection, batch: Batch): TransferBooks {
  const record = (transfer: NewTransfer): void => {
    const { debit, credit, amount } = transfer;
    batch.postings.transfer(transfer);
    if (debit < FIRST_CUSTOMER) batch.addToSystem(debit, -amount);
    if (credit < FIRST_CUSTOMER) batch.addToSystem(credit, amount);
  };
  return { record, grant: grantInto(db, batch, record), listTransfers: listing(db) };
}

function grantInto(db: Connection, batch: Batch, record: (transfer: NewTransfer) => void): TransferBooks['grant'] {
  const walletOf = db.prepare('SELECT no FROM accounts WHERE id = ?').pluck();
  const granted = db.prepare(`SELECT 1 FROM transfers WHERE kind IN ('grant', 'grant_back') AND reference = ? AND request = 0`);
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
  // Each part has an index of its own, whose condition is repeated to let SQLite use it. What requests cost goes by their numbers,
  // which rise with those of the transfers.
  const requestBefore = db.prepare('SELECT request FROM transfers WHERE seq < ? AND request > 0 ORDER BY seq DESC LIMIT 1').pluck();
  const ofCustomer = db.prepare(`${COLUMNS} FROM (
      SELECT * FROM (SELECT * FROM transfers WHERE debit = @wallet AND request > 0 AND request <= @request AND seq < @before ORDER BY request DESC, kind DESC LIMIT @limit)
      UNION ALL SELECT * FROM (SELECT * FROM transfers WHERE debit = @wallet AND debit >= 100 AND request = 0 AND seq < @before ORDER BY seq DESC LIMIT @limit)
      UNION ALL SELECT * FROM (SELECT * FROM transfers WHERE credit = @wallet AND credit >= 100 AND seq < @before ORDER BY seq DESC LIMIT @limit)
    ) t ${NAMES} ORDER BY t.seq DESC LIMIT @limit`);

  return ({ accountId, limit, after }) => {
    const range = { before: cursorNo(after), limit: BigInt(limit) + 1n };
    if (accountId === undefined) return pageOf(rowsOf(all.all(range)), limit, transferIn);
    const wallet = walletNamed.get(accountId);
    if (typeof wallet !== 'bigint') return { rows: [], next: undefined };
    const found = wallet < FIRST_CUSTOMER ? ofSystem.all({ ...range, wallet }) : ofCustomer.all({ ...range, wallet, request: requestBefore.get(range.before) ?? 0n });
    return pageOf(rowsOf(found), limit, transferIn);
  };
}

export function transferIn(row: Row): Transfer {
  return {
    seq: int(row, 'seq'),
    kind: word(row, 'kind', TRANSFER_KINDS),
    debit: text(row, 'debit'),
    credit: text(row, 'credit'),
    amount: big(row, 'amount'),
    reference: text(row, 'reference'),
    note: text(row, 'note'),
    atMs: int(row, 'at_ms'),
  };
}
