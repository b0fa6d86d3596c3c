import { STATUSES } from './accounts.ts';
import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { big, flag, rowOf, text, whole, word, type Row } from './rows.ts';
import type { HoldRequest, HoldResult, Ledger } from './types.ts';

export type HoldBooks = Sync<Pick<Ledger, 'hold' | 'byokCount'>>;

/**
 * Admission: money is set aside before anything is sent. The row in `requests` is the hold.
 * The condition stands in the WHERE of the one UPDATE and in the CHECK of the table.
 */
export function createHoldBooks(db: Connection, batch: Batch, boot: string): HoldBooks {
  const known = db.prepare(`SELECT r.free, a.id AS account_id, w.balance, w.held
    FROM requests r JOIN accounts a ON a.no = r.account JOIN wallets w ON w.no = r.account WHERE r.id = ?`);
  const take = db.prepare(`UPDATE wallets SET held = held + @amount
    WHERE no = (SELECT no FROM accounts WHERE id = @account AND status = 'active') AND may_overdraw = 0 AND balance - held >= @amount
    RETURNING no, balance, held`);
  const add = db.prepare(`INSERT INTO requests (id, account, key_id, mode, model, requested_model, provider, stream, hold, free, byok_month, boot, created_ms)
    VALUES (@id, @account, @keyId, @mode, @model, @requestedModel, @provider, @stream, @hold, @free, @month, @boot, @now)`);
  const standing = db.prepare(`SELECT a.status, w.may_overdraw, w.balance, w.held FROM accounts a JOIN wallets w ON w.no = a.no WHERE a.id = ?`);
  const counted = db.prepare('SELECT requests FROM byok_counters WHERE account = (SELECT no FROM accounts WHERE id = ?) AND month = ?').pluck();
  const count = db.prepare('INSERT INTO byok_counters (account, month, requests) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET requests = requests + 1');

  const byokCount = (accountId: string, month: string): number => Number(counted.get(accountId, month) ?? 0n);

  const hold = (request: HoldRequest): HoldResult => {
    const before = rowOf(known.get(request.id));
    if (before !== undefined) return again(before, request);
    if (request.ceiling < 0n) throw new RangeError(`a hold cannot be negative: ${request.ceiling}`);
    const { accountId, byok } = request;
    const free = byok !== undefined && byokCount(accountId, byok.month) < byok.free;
    const amount = free ? 0n : request.ceiling;
    const wallet = rowOf(take.get({ account: accountId, amount }));
    if (wallet === undefined) return refusal(rowOf(standing.get(accountId)), accountId);
    const account = big(wallet, 'no');
    if (byok !== undefined) count.run(account, byok.month);
    const { id, keyId, mode, model, requestedModel, provider, nowMs } = request;
    add.run({
      id, account, keyId, mode, model, requestedModel, provider, boot,
      stream: request.stream ? 1n : 0n, hold: amount, free: free ? 1n : 0n, month: byok?.month ?? '', now: whole(nowMs),
    });
    batch.touch(account, keyId, nowMs);
    return { ok: true, balance: big(wallet, 'balance'), held: big(wallet, 'held'), free };
  };
  return { hold, byokCount };
}

/** The same id again: nothing changes. @throws Error where it is another account's, for ids are unique: a bug. */
function again(before: Row, request: HoldRequest): HoldResult {
  if (text(before, 'account_id') !== request.accountId) throw new Error(`request ${request.id} is another account's`);
  return { ok: true, balance: big(before, 'balance'), held: big(before, 'held'), free: flag(before, 'free') };
}

/** Read only after the UPDATE has refused: the reason is for the message, never for the decision. */
function refusal(standing: Row | undefined, accountId: string): HoldResult {
  if (standing === undefined) throw new Error(`no account ${accountId}`);
  const status = word(standing, 'status', STATUSES);
  const frozen = flag(standing, 'may_overdraw');
  if (status !== 'active' || frozen) return { ok: false, reason: 'account_inactive', status, frozen };
  return { ok: false, reason: 'insufficient_credits', available: big(standing, 'balance') - big(standing, 'held') };
}
