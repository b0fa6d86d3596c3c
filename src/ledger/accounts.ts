import type { Connection } from './connection.ts';
import type { Sync } from './books.ts';
import { big, flag, int, rowOf, rowsOf, text, whole, word, type Row } from './rows.ts';
import type { Account, AccountStatus, Ledger } from './types.ts';

export const STATUSES: readonly AccountStatus[] = ['pending', 'active', 'deactivated'];

const ACCOUNT = `SELECT a.id, a.email, a.status, a.requests_per_minute, a.created_ms, a.activity_ms, w.balance, w.held, w.may_overdraw
  FROM accounts a JOIN wallets w ON w.no = a.no`;

export type AccountBooks = Sync<Pick<Ledger, 'createAccount' | 'findAccount' | 'listAccounts' | 'setAccountStatus' | 'setAccountLimit'>>;

/** Accounts and their wallets. E-mail addresses are kept in lower case and are unique. */
export function createAccountBooks(db: Connection): AccountBooks {
  const taken = db.prepare('SELECT 1 FROM accounts WHERE email = ?');
  // Customers' wallets are numbered from 100; below stand the system accounts.
  const addWallet = db.prepare(`INSERT INTO wallets (no, name, customer) VALUES ((SELECT max(99, max(no)) + 1 FROM wallets), ?, 1) RETURNING no`).pluck();
  const addAccount = db.prepare(`INSERT INTO accounts (no, id, email, status, created_ms, activity_ms) VALUES (@no, @id, @email, @status, @now, @now)`);
  const find = db.prepare(`${ACCOUNT} WHERE a.id = @name OR a.email = @email ORDER BY a.id = @name DESC LIMIT 1`);
  const list = db.prepare(`${ACCOUNT} ORDER BY a.no`);
  const setStatus = db.prepare(`UPDATE accounts SET status = @status, activity_ms = max(activity_ms, CASE @status WHEN 'active' THEN @now ELSE 0 END) WHERE id = @id`);
  const setLimit = db.prepare('UPDATE accounts SET requests_per_minute = @limit WHERE id = @id');

  const findAccount = (idOrEmail: string): Account | undefined => {
    const row = rowOf(find.get({ name: idOrEmail, email: plainEmail(idOrEmail) }));
    return row === undefined ? undefined : accountIn(row);
  };
  return {
    createAccount({ id, email, status, nowMs }) {
      const address = plainEmail(email);
      if (taken.get(address) !== undefined) return 'email_taken';
      const no = addWallet.get(id);
      addAccount.run({ no, id, email: address, status, now: whole(nowMs) });
      const account = findAccount(id);
      if (account === undefined) throw new Error(`account ${id} was not stored`);
      return account;
    },
    findAccount,
    listAccounts: () => rowsOf(list.all()).map(accountIn),
    setAccountStatus: (id, status, nowMs) => setStatus.run({ id, status, now: whole(nowMs) }).changes === 1,
    setAccountLimit: (id, limit) => setLimit.run({ id, limit: limit === undefined ? null : BigInt(limit) }).changes === 1,
  };
}

export function accountIn(row: Row): Account {
  return {
    id: text(row, 'id'),
    email: text(row, 'email'),
    status: word(row, 'status', STATUSES),
    frozen: flag(row, 'may_overdraw'),
    balance: big(row, 'balance'),
    held: big(row, 'held'),
    requestsPerMinute: limitIn(row),
    createdMs: int(row, 'created_ms'),
    activityMs: int(row, 'activity_ms'),
  };
}

/** NULL is the one "none" that a limit has: 0 would read as "no request at all". */
export function limitIn(row: Row): number | undefined {
  return row['requests_per_minute'] === null ? undefined : int(row, 'requests_per_minute');
}

function plainEmail(written: string): string {
  return written.trim().toLowerCase();
}
