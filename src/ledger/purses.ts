import { STATUSES } from './accounts.ts';
import type { Connection } from './connection.ts';
import type { AccountStatus } from './types.ts';

/** An account's money while one transaction lasts: what the table says, and what the transaction has made of it so far. */
export interface Purse {
  readonly account: bigint;
  readonly accountId: string;
  readonly status: AccountStatus;
  readonly frozen: boolean;
  balance: bigint;
  held: bigint;
}

/** The purses that one transaction has opened. */
export interface Purses {
  /** By the account's id; undefined where there is no such account. */
  named(accountId: string): Purse | undefined;
  /** By the account's number. @throws Error where there is none: a bug, for a request names its account by reference. */
  numbered(account: bigint): Purse;
  /** Writes what has changed, one UPDATE an account. The table's CHECK is asked about each sum. */
  flush(): void;
  clear(): void;
}

interface Opened extends Purse {
  readonly balanceBefore: bigint;
  readonly heldBefore: bigint;
}

const PURSE = `SELECT a.no, a.id, a.status, w.may_overdraw, w.balance, w.held FROM accounts a JOIN wallets w ON w.no = a.no`;

/**
 * Each account is read once a transaction and written once, however many requests it holds and settles in it: the write
 * lock is held from the transaction's start, so nobody else moves the money meanwhile. A transaction that works with
 * purses must not touch the same wallets by SQL of its own.
 */
export function createPurses(db: Connection): Purses {
  const byId = db.prepare(`${PURSE} WHERE a.id = ?`).raw();
  const byNo = db.prepare(`${PURSE} WHERE a.no = ?`).raw();
  const write = db.prepare('UPDATE wallets SET balance = ?, held = ? WHERE no = ? AND balance = ? AND held = ?');
  const named = new Map<string, Opened>();
  const numbered = new Map<bigint, Opened>();

  const open = (found: unknown): Opened | undefined => {
    if (!Array.isArray(found)) return undefined;
    const purse = purseIn(found);
    named.set(purse.accountId, purse);
    numbered.set(purse.account, purse);
    return purse;
  };
  const clear = (): void => {
    named.clear();
    numbered.clear();
  };
  return {
    named: (accountId) => named.get(accountId) ?? open(byId.get(accountId)),
    numbered(account) {
      const purse = numbered.get(account) ?? open(byNo.get(account));
      if (purse === undefined) throw new Error(`no account with the number ${account}`);
      return purse;
    },
    flush() {
      for (const { account, balance, held, balanceBefore, heldBefore } of numbered.values()) {
        if (balance === balanceBefore && held === heldBefore) continue;
        const { changes } = write.run(balance, held, account, balanceBefore, heldBefore);
        if (changes !== 1) throw new Error(`the wallet of account ${account} changed under our hands`);
      }
      clear();
    },
    clear,
  };
}

/** Read by place: SQLite would make each column's name anew, and every batch reads its accounts. */
function purseIn([account, accountId, status, frozen, balance, held]: readonly unknown[]): Opened {
  const known = STATUSES.find((one) => one === status);
  if (
    typeof account !== 'bigint' || typeof accountId !== 'string' || known === undefined || typeof frozen !== 'bigint'
    || typeof balance !== 'bigint' || typeof held !== 'bigint'
  ) throw new TypeError('the row of an account has another form');
  return { account, accountId, status: known, frozen: frozen !== 0n, balance, held, balanceBefore: balance, heldBefore: held };
}
