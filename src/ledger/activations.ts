import type { AccountBooks } from './accounts.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import type { KeyBooks } from './keys.ts';
import type { OutboxBooks } from './outbox.ts';
import { big, int, rowOf, text, whole } from './rows.ts';
import type { Activated, LifeLedger, NewActivation, UseActivation } from './types.ts';

export type ActivationBooks = Sync<Pick<LifeLedger, 'createActivation' | 'activate'>>;

/** Spent or ended links are kept this long, so that their owner is told what is wrong with them. */
const KEPT_MS = 30 * 86_400_000;

export interface ActivationParts {
  readonly accounts: Pick<AccountBooks, 'createAccount' | 'findAccount' | 'setAccountStatus'>;
  readonly keys: Pick<KeyBooks, 'createKey' | 'listKeys'>;
  readonly outbox: Pick<OutboxBooks, 'queueMail'>;
}

/** Links that turn a pending account into an active one. The books know only the SHA-256 of a link's token. */
export function createActivationBooks(db: Connection, parts: ActivationParts): ActivationBooks {
  return { createActivation: creating(db, parts), activate: activating(db, parts) };
}

function creating(db: Connection, { accounts, outbox }: ActivationParts): ActivationBooks['createActivation'] {
  const forget = db.prepare('DELETE FROM activations WHERE expires_ms < ?');
  const mailed = db.prepare(`SELECT count(*) FROM outbox WHERE account = (SELECT no FROM accounts WHERE id = @account) AND kind = 'activation' AND created_ms >= @since`).pluck();
  const numberOf = db.prepare('SELECT no FROM accounts WHERE id = ?').pluck();
  const add = db.prepare('INSERT INTO activations (token_hash, account, expires_ms, used_ms) VALUES (@hash, @account, @expires, @used)');

  return ({ account: wanted, tokenHash, expiresMs, mail, limit, nowMs }: NewActivation) => {
    forget.run(whole(nowMs - KEPT_MS));
    const before = accounts.findAccount(wanted.email);
    const opened = before ?? accounts.createAccount({ ...wanted, status: 'pending', nowMs });
    if (opened === 'email_taken') throw new Error(`an account of this address came out of nowhere: ${wanted.id}`);
    const isWaiting = opened.status === 'pending';
    const isLimited = isWaiting && Number(mailed.get({ account: opened.id, since: whole(limit.sinceMs) })) >= limit.mails;
    const isMailed = isWaiting && !isLimited;
    const account = numberOf.get(opened.id);
    // A link that is spent from the start, where none may be sent: a known address costs the disk what a new one does.
    add.run({ hash: tokenHash, account, expires: whole(expiresMs), used: isMailed ? 0n : whole(nowMs) });
    if (typeof account === 'bigint' && isMailed) outbox.queueMail(account, mail, nowMs);
    return { kind: before === undefined ? 'opened' : isMailed ? 'renewed' : isLimited ? 'limited' : 'known', account: opened };
  };
}

function activating(db: Connection, { accounts, keys }: ActivationParts): ActivationBooks['activate'] {
  const find = db.prepare(`SELECT t.account, t.expires_ms, t.used_ms, a.id AS account_id, a.status FROM activations t JOIN accounts a ON a.no = t.account WHERE t.token_hash = ?`);
  const spend = db.prepare('UPDATE activations SET used_ms = @now WHERE account = @account AND used_ms = 0');
  const erase = db.prepare(`UPDATE outbox SET text = '', html = '' WHERE account = ? AND kind = 'activation' AND state <> 'queued'`);
  const withdraw = db.prepare(`UPDATE outbox SET text = '', html = '', state = 'failed', problem = 'no longer needed: the account is active' WHERE account = ? AND kind = 'activation' AND state = 'queued'`);

  return ({ tokenHash, key, nowMs }: UseActivation): Activated => {
    const row = rowOf(find.get(tokenHash));
    if (row === undefined) return { ok: false, reason: 'unknown' };
    if (int(row, 'used_ms') > 0) return { ok: false, reason: 'used' };
    if (int(row, 'expires_ms') <= nowMs) return { ok: false, reason: 'expired' };
    if (text(row, 'status') === 'deactivated') return { ok: false, reason: 'deactivated' };
    const account = big(row, 'account');
    const accountId = text(row, 'account_id');
    spend.run({ account, now: whole(nowMs) });
    erase.run(account);
    withdraw.run(account);
    accounts.setAccountStatus(accountId, 'active', nowMs);
    const keyed = keys.listKeys(accountId).every(({ revokedMs }) => revokedMs !== undefined);
    if (keyed) keys.createKey({ ...key, accountId, nowMs });
    const active = accounts.findAccount(accountId);
    if (active === undefined) throw new Error(`account ${accountId} is gone`);
    return { ok: true, account: active, keyed };
  };
}
