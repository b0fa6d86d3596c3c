import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import type { Purse } from './purses.ts';
import { big, flag, theRow } from './rows.ts';
import type { HoldRequest, HoldResult, Ledger } from './types.ts';

export type HoldBooks = Sync<Pick<Ledger, 'hold' | 'byokCount'>>;

/**
 * Admission: money is set aside before anything is sent, as a row of `holds`.
 * The condition is asked of the purse, which the transaction has to itself, and once more by the table's CHECK when it is written.
 */
export function createHoldBooks(db: Connection, batch: Batch, boot: string): HoldBooks {
  const known = db.prepare('SELECT account, free FROM holds WHERE id = ? UNION ALL SELECT account, free FROM requests WHERE id = ?');
  const add = db.prepare(`INSERT INTO holds (id, account, key_id, mode, model, requested_model, provider, stream, hold, free, byok_month, boot, created_ms)
    SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM requests WHERE id = ?) ON CONFLICT (id) DO NOTHING`);
  const counted = db.prepare('SELECT requests FROM byok_counters WHERE account = (SELECT no FROM accounts WHERE id = ?) AND month = ?').pluck();
  const count = db.prepare('INSERT INTO byok_counters (account, month, requests) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET requests = requests + 1');

  const byokCount = (accountId: string, month: string): number => Number(counted.get(accountId, month) ?? 0n);

  /** The same id again: nothing changes. @throws Error where it is another account's, for ids are unique: a bug. */
  const again = (id: string, purse: Purse): HoldResult | undefined => {
    batch.postings.write();
    const found = known.get(id, id);
    if (found === undefined) return undefined;
    const before = theRow(found);
    if (big(before, 'account') !== purse.account) throw new Error(`request ${id} is another account's`);
    return { ok: true, balance: purse.balance, held: purse.held, free: flag(before, 'free') };
  };

  const hold = (request: HoldRequest): HoldResult => {
    if (request.ceiling < 0n) throw new RangeError(`a hold cannot be negative: ${request.ceiling}`);
    const { id, accountId, keyId, mode, model, requestedModel, provider, stream, byok, nowMs, life } = request;
    const purse = batch.purses.named(accountId);
    if (purse === undefined) throw new Error(`no account ${accountId}`);
    const free = byok !== undefined && byokCount(accountId, byok.month) < byok.free;
    const amount = free ? 0n : request.ceiling;
    const refused = refusal(purse, amount);
    if (refused !== undefined) return again(id, purse) ?? refused;
    const { account } = purse;
    const month = byok?.month ?? '';
    const createdMs = Math.round(nowMs);
    if (batch.postings.isPending(id)) batch.postings.write();
    const { changes } = add.run(id, account, keyId, mode, model, requestedModel, provider, stream ? 1 : 0, amount, free ? 1 : 0, month, life ?? boot, createdMs, id);
    if (changes === 0) return again(id, purse) ?? refuse(`request ${id} is neither new nor known`);
    purse.held += amount;
    if (byok !== undefined) count.run(account, byok.month);
    batch.open.set(id, { account, keyId, mode, model, requestedModel, provider, stream, hold: amount, free, month, createdMs });
    batch.touch(account, keyId, nowMs);
    return { ok: true, balance: purse.balance, held: purse.held, free };
  };
  return { hold, byokCount };
}

/** Why this account cannot hold this amount; undefined where it can. */
function refusal({ status, frozen, balance, held }: Purse, amount: bigint): HoldResult | undefined {
  const available = balance - held;
  if (status !== 'active' || frozen) return { ok: false, reason: 'account_inactive', status, frozen, available };
  return available >= amount ? undefined : { ok: false, reason: 'insufficient_credits', available };
}

function refuse(message: string): never {
  throw new Error(message);
}
