import { Fault } from '../faults.ts';
import { accountIn } from './accounts.ts';
import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import type { OutboxBooks } from './outbox.ts';
import { big, int, rowOf, rowsOf, unless, whole, type Row } from './rows.ts';
import { SYSTEM, type TransferBooks } from './transfers.ts';
import type { IdleAccount, LifeLedger, Page } from './types.ts';

export type ExpiryBooks = Sync<Pick<LifeLedger, 'listIdle' | 'queueNotice' | 'expireCredits' | 'deactivateIdle'>>;

export interface ExpiryParts {
  readonly batch: Batch;
  readonly transfers: Pick<TransferBooks, 'record'>;
  readonly outbox: Pick<OutboxBooks, 'queueMail'>;
}

/** An account that is as idle as its caller believes: not active since, not frozen, with no request under way. */
const IDLE = `SELECT a.no, w.balance FROM accounts a JOIN wallets w ON w.no = a.no
  WHERE a.id = @account AND a.activity_ms = @activity AND w.may_overdraw = 0 AND w.held = 0
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.account = a.no)`;

/** A notice of the account's present time of idleness. Behind a plus its reference says of which end it told; one of an older version has none. */
const OF_THIS_TIME = `(m.reference = CAST(a.activity_ms AS TEXT) OR m.reference LIKE CAST(a.activity_ms AS TEXT) || '+%')`;

/**
 * What idleness does to an account: notices, the end of its credits, its own end. Each counts once for one time of idleness,
 * which is named by the moment of the last activity, never by the day on which it is looked at; so neither a clock that is set
 * back nor a second run repeats anything.
 */
export function createExpiryBooks(db: Connection, { batch, transfers, outbox }: ExpiryParts): ExpiryBooks {
  const idle = db.prepare(IDLE);
  const expired = db.prepare(`SELECT 1 FROM transfers WHERE kind = 'expiry' AND reference = ? AND request = 0`);
  const empty = db.prepare('UPDATE wallets SET balance = balance - @amount WHERE no = @no AND balance = @amount AND held = 0');
  const retire = db.prepare(`UPDATE accounts SET status = 'deactivated' WHERE no = ? AND status = 'active'`);

  const stillIdle = (accountId: string, activityMs: number): Row | undefined => {
    // Activity of this very transaction is still noted in memory only; it must count.
    batch.flush();
    return rowOf(idle.get({ account: accountId, activity: whole(activityMs) }));
  };
  return {
    listIdle: listing(db),
    queueNotice({ accountId, activityMs, mail, nowMs }) {
      const row = stillIdle(accountId, activityMs);
      return row !== undefined && big(row, 'balance') > 0n && outbox.queueMail(big(row, 'no'), mail, nowMs);
    },
    expireCredits({ accountId, activityMs, nowMs }) {
      const row = stillIdle(accountId, activityMs);
      const reference = `${accountId}@${activityMs}`;
      if (row === undefined || big(row, 'balance') <= 0n || expired.get(reference) !== undefined) return undefined;
      const [no, amount] = [big(row, 'no'), big(row, 'balance')];
      if (empty.run({ no, amount }).changes !== 1) throw new Error(`the balance of ${accountId} changed under our hands`);
      transfers.record({ kind: 'expiry', debit: no, credit: SYSTEM.expiry, amount, reference, note: `no activity since ${new Date(activityMs).toISOString()}`, atMs: nowMs });
      return { amount };
    },
    deactivateIdle({ accountId, activityMs, mail, nowMs }) {
      const row = stillIdle(accountId, activityMs);
      if (row === undefined || big(row, 'balance') !== 0n || retire.run(big(row, 'no')).changes === 0) return false;
      outbox.queueMail(big(row, 'no'), mail, nowMs);
      return true;
    },
  };
}

function listing(db: Connection): ExpiryBooks['listIdle'] {
  const list = db.prepare(`SELECT a.no, a.id, a.email, a.status, a.requests_per_minute, a.created_ms, a.activity_ms, w.balance, w.held, w.may_overdraw,
      (SELECT coalesce(max(m.created_ms), 0) FROM outbox m WHERE m.account = a.no AND m.kind = 'expiry_30' AND ${OF_THIS_TIME}) AS foretold_ms,
      (SELECT coalesce(max(m.created_ms), 0) FROM outbox m WHERE m.account = a.no AND m.kind = 'expiry_7' AND ${OF_THIS_TIME}) AS warned_ms
    FROM accounts a JOIN wallets w ON w.no = a.no
    WHERE a.activity_ms <= @before AND (a.activity_ms, a.no) > (@activity, @no) AND (a.status = 'active' OR w.balance > 0)
    ORDER BY a.activity_ms, a.no LIMIT @limit`);
  return ({ beforeMs, limit, after }): Page<IdleAccount> => {
    const [activity, no] = placeOf(after);
    const found = rowsOf(list.all({ before: whole(beforeMs), activity, no, limit: BigInt(limit) + 1n }));
    const rows = found.slice(0, limit);
    const last = rows.at(-1);
    const next = found.length > limit && last !== undefined ? `${big(last, 'activity_ms')}.${big(last, 'no')}` : undefined;
    return { rows: rows.map((row) => ({ account: accountIn(row), foretoldMs: unless(int(row, 'foretold_ms'), 0), warnedMs: unless(int(row, 'warned_ms'), 0) })), next };
  };
}

/** Where a page ended: the last activity and the number of its last account. */
function placeOf(after: string | undefined): readonly [activity: bigint, no: bigint] {
  const place = /^(-?\d{1,16})\.(\d{1,16})$/.exec(after ?? '-1.0');
  if (place === null) throw new Fault('invalid_request', { fill: { detail: 'The cursor is not one that a list gave out.' }, param: 'after' });
  return [BigInt(place[1] ?? 0), BigInt(place[2] ?? 0)];
}
