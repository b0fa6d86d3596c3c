import type { Batch } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { cursorNo, pageOf } from './pages.ts';
import { createPaybackBooks } from './paybacks.ts';
import { big, int, rowOf, rowsOf, text, unless, whole, word, type Row } from './rows.ts';
import { SYSTEM, type TransferBooks } from './transfers.ts';
import type { Landing, Recharge, RechargeLedger, RechargeStatus } from './types.ts';

export type RechargeBooks = Sync<RechargeLedger>;

const STATUSES: readonly RechargeStatus[] = ['pending', 'paid', 'expired', 'refunded', 'partially_refunded', 'disputed'];

const RECHARGE = 'SELECT r.*, a.id AS account_id FROM recharges r JOIN accounts a ON a.no = r.account';

/** Recharges from the wish to the credit. Refunds and disputes follow in `paybacks`, at the landing too: their messages may come first. */
export function createRechargeBooks(db: Connection, batch: Batch, transfers: Pick<TransferBooks, 'record'>): RechargeBooks {
  const find = db.prepare(`${RECHARGE} WHERE r.id = ?`);
  const findByPayment = db.prepare(`${RECHARGE} WHERE r.payment_intent = ? AND r.payment_intent <> ''`);
  const eventOf = db.prepare('SELECT 1 FROM stripe_events WHERE id = ?');
  const addEvent = db.prepare('INSERT INTO stripe_events (id, at_ms) VALUES (?, ?)');
  const paybacks = createPaybackBooks(db, transfers);

  const findRecharge = (id: string): Recharge | undefined => {
    const row = rowOf(find.get(id));
    return row === undefined ? undefined : rechargeIn(row);
  };
  const again = (recharge: Recharge, kind: 'done' | 'known'): Landing => {
    const now = findRecharge(recharge.id);
    if (now === undefined) throw new Error(`recharge ${recharge.id} vanished`);
    return { kind, recharge: now };
  };
  const isKnown = (eventId: string | undefined): boolean => eventId !== undefined && eventOf.get(eventId) !== undefined;
  /** Written beside what the event changed, so that neither can be without the other. */
  const note = (eventId: string | undefined, nowMs: number): void => {
    if (eventId !== undefined && !isKnown(eventId)) addEvent.run(eventId, whole(nowMs));
  };
  /** What a refund or dispute means for the recharge of its payment, if that is known yet. */
  const follow = (message: { readonly paymentIntent: string; readonly currency: string; readonly eventId: string | undefined; readonly nowMs: number }, keep: () => void): Landing => {
    const row = rowOf(findByPayment.get(message.paymentIntent));
    const recharge = row === undefined ? undefined : rechargeIn(row);
    if (recharge !== undefined && recharge.currency !== message.currency) return { kind: 'mismatch', recharge };
    const isRepeated = isKnown(message.eventId);
    keep();
    note(message.eventId, message.nowMs);
    if (recharge === undefined) return { kind: 'parked' };
    const isChanged = paybacks.book(recharge.id, message.nowMs);
    return again(recharge, isChanged && !isRepeated ? 'done' : 'known');
  };

  return {
    ...startingIn(db, findRecharge),
    landRecharge: landingIn(db, batch, transfers, { findRecharge, findByPayment: (payment) => rowOf(findByPayment.get(payment)), isKnown, note, again, book: paybacks.book }),
    expireRecharge: expiringIn(db, { findRecharge, isKnown, note, again }),
    refundRecharge: (refund) => follow(refund, () => paybacks.keepRefund(refund)),
    disputeRecharge: (dispute) => follow(dispute, () => paybacks.keepDispute(dispute)),
    findRecharge,
    listRecharges: listing(db),
  };
}

interface Means {
  readonly findRecharge: (id: string) => Recharge | undefined;
  readonly isKnown: (eventId: string | undefined) => boolean;
  readonly note: (eventId: string | undefined, nowMs: number) => void;
  readonly again: (recharge: Recharge, kind: 'done' | 'known') => Landing;
}

function startingIn(db: Connection, findRecharge: Means['findRecharge']): Pick<RechargeBooks, 'startRecharge' | 'attachCheckout'> {
  const add = db.prepare(`INSERT INTO recharges (id, account, amount, fee, credits, currency, created_ms)
    SELECT @id, no, @amount, @fee, @credits, @currency, @now FROM accounts WHERE id = @account`);
  const attach = db.prepare(`UPDATE recharges SET session = @session, checkout_url = @url WHERE id = @id AND (session = '' OR session = @session)`);
  return {
    startRecharge({ id, accountId, amount, fee, credits, currency, nowMs }) {
      const before = findRecharge(id);
      if (before !== undefined) return before;
      if (add.run({ id, account: accountId, amount, fee, credits, currency, now: whole(nowMs) }).changes === 0) return 'no_account';
      return stored(findRecharge, id);
    },
    attachCheckout({ id, session, checkoutUrl }) {
      if (attach.run({ id, session, url: checkoutUrl }).changes === 0) throw new Error(`recharge ${id} has another checkout than ${session}`);
      return stored(findRecharge, id);
    },
  };
}

function landingIn(
  db: Connection,
  batch: Batch,
  { record }: Pick<TransferBooks, 'record'>,
  means: Means & { readonly findByPayment: (paymentIntent: string) => Row | undefined; readonly book: (id: string, nowMs: number) => boolean },
): RechargeBooks['landRecharge'] {
  const pay = db.prepare(`UPDATE recharges SET status = 'paid', payment_intent = @payment, session = @session, paid_ms = @now
    WHERE id = @id AND status IN ('pending', 'expired') RETURNING account`).pluck();
  const credit = db.prepare('UPDATE wallets SET balance = balance + @credits WHERE no = @wallet');
  return ({ id, session, paymentIntent, amount, currency, eventId, nowMs }) => {
    const recharge = means.findRecharge(id);
    if (recharge === undefined) return { kind: 'unknown' };
    const isOurs = (recharge.session === '' || recharge.session === session) && recharge.amount === amount && recharge.currency === currency && paymentIntent !== '';
    const owner = means.findByPayment(paymentIntent);
    const isTaken = owner === undefined ? recharge.paymentIntent !== '' : text(owner, 'id') !== id;
    if (!isOurs || isTaken) return { kind: 'mismatch', recharge };
    const isRepeated = means.isKnown(eventId);
    means.note(eventId, nowMs);
    if (isRepeated || owner !== undefined) return means.again(recharge, 'known');
    const wallet = pay.get({ id, payment: paymentIntent, session, now: whole(nowMs) });
    if (typeof wallet !== 'bigint') throw new Error(`recharge ${id} was paid under our hands`);
    const { credits, fee } = recharge;
    credit.run({ wallet, credits });
    if (credits > 0n) record({ kind: 'recharge', debit: SYSTEM.stripeClearing, credit: wallet, amount: credits, reference: id, note: '', atMs: nowMs });
    if (fee > 0n) record({ kind: 'recharge_fee', debit: SYSTEM.stripeClearing, credit: SYSTEM.fees, amount: fee, reference: id, note: '', atMs: nowMs });
    batch.touch(wallet, '', nowMs);
    means.book(id, nowMs);
    return means.again(recharge, 'done');
  };
}

function expiringIn(db: Connection, means: Means): RechargeBooks['expireRecharge'] {
  const expire = db.prepare(`UPDATE recharges SET status = 'expired' WHERE id = @id AND status = 'pending'`);
  return ({ id, session, eventId, nowMs }) => {
    const recharge = means.findRecharge(id);
    if (recharge === undefined) return { kind: 'unknown' };
    if (recharge.session !== '' && recharge.session !== session) return { kind: 'mismatch', recharge };
    means.note(eventId, nowMs);
    return means.again(recharge, expire.run({ id }).changes === 1 ? 'done' : 'known');
  };
}

function listing(db: Connection): RechargeBooks['listRecharges'] {
  const all = db.prepare(`${RECHARGE} WHERE r.seq < @before ORDER BY r.seq DESC LIMIT @limit`);
  const ofStatus = db.prepare(`${RECHARGE} WHERE r.status = @status AND r.seq < @before ORDER BY r.seq DESC LIMIT @limit`);
  const ofAccount = db.prepare(`${RECHARGE} WHERE r.account = (SELECT no FROM accounts WHERE id = @account) AND r.seq < @before ORDER BY r.seq DESC LIMIT @limit`);
  const ofBoth = db.prepare(`${RECHARGE} WHERE r.account = (SELECT no FROM accounts WHERE id = @account) AND r.status = @status AND r.seq < @before
    ORDER BY r.seq DESC LIMIT @limit`);
  return ({ accountId, status }, { limit, after }) => {
    const range = { before: cursorNo(after), limit: BigInt(limit) + 1n };
    const bound = { ...range, ...(accountId === undefined ? {} : { account: accountId }), ...(status === undefined ? {} : { status }) };
    const query = accountId === undefined ? (status === undefined ? all : ofStatus) : status === undefined ? ofAccount : ofBoth;
    return pageOf(rowsOf(query.all(bound)), limit, rechargeIn);
  };
}

function stored(findRecharge: Means['findRecharge'], id: string): Recharge {
  const recharge = findRecharge(id);
  if (recharge === undefined) throw new Error(`there is no recharge ${id}`);
  return recharge;
}

function rechargeIn(row: Row): Recharge {
  return {
    id: text(row, 'id'),
    accountId: text(row, 'account_id'),
    amount: big(row, 'amount'),
    fee: big(row, 'fee'),
    credits: big(row, 'credits'),
    currency: text(row, 'currency'),
    status: word(row, 'status', STATUSES),
    session: text(row, 'session'),
    paymentIntent: text(row, 'payment_intent'),
    refunded: big(row, 'refunded'),
    refundedCredits: big(row, 'refunded_credits'),
    checkoutUrl: text(row, 'checkout_url'),
    createdMs: int(row, 'created_ms'),
    paidMs: unless(int(row, 'paid_ms'), 0),
  };
}
