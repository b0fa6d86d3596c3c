import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { big, rowOf, rowsOf, text, theRow, type Row } from './rows.ts';
import { SYSTEM, type TransferBooks } from './transfers.ts';
import type { RechargeLedger } from './types.ts';

type Door = Sync<RechargeLedger>;

/** Refunds and disputes: facts of payments, and the bookings that follow from them. */
export interface PaybackBooks {
  keepRefund(refund: Parameters<Door['refundRecharge']>[0]): void;
  keepDispute(dispute: Parameters<Door['disputeRecharge']>[0]): void;
  /** Brings a paid recharge's bookings up to the facts of its payment; false where nothing was due. */
  book(rechargeId: string, nowMs: number): boolean;
}

/** What can still be taken back of a recharge. */
interface Left {
  readonly amount: bigint;
  readonly credits: bigint;
}

/**
 * What is taken back comes out of the credits first, dollar for dollar, and then out of the fee; never more than was paid.
 * $10.00 of a recharge of 10.00 (9.45 + 0.55 fee) takes 9.45 credits and the fee; $5.00 takes 5.00 credits.
 */
function takeFrom(left: Left, due: bigint): { readonly total: bigint; readonly credits: bigint; readonly fee: bigint } {
  const total = due < left.amount ? due : left.amount;
  const credits = total < left.credits ? total : left.credits;
  return { total, credits, fee: total - credits };
}

type Record = TransferBooks['record'];

/** The statements and ways that a booking needs. */
interface Means {
  leftOf(row: Row): Left;
  move(kind: 'refund' | 'dispute' | 'dispute_won', way: { readonly from: bigint; readonly to: bigint; readonly amount: bigint; readonly reference: string; readonly atMs: number }): void;
  /** Takes from a wallet, below zero too. */
  take(wallet: bigint, amount: bigint): void;
}

export function createPaybackBooks(db: Connection, transfers: { readonly record: Record }): PaybackBooks {
  const keepRefund = db.prepare(`INSERT INTO payment_refunds (payment_intent, refunded, currency) VALUES (@paymentIntent, @refunded, @currency)
    ON CONFLICT DO UPDATE SET refunded = max(refunded, excluded.refunded)`);
  const keepDispute = db.prepare(`INSERT INTO payment_disputes (id, payment_intent, amount, currency, state)
    VALUES (@disputeId, @paymentIntent, @amount, @currency, @state)
    ON CONFLICT DO UPDATE SET state = CASE WHEN state = 'won' OR excluded.state = 'open' THEN state ELSE excluded.state END`);
  const find = db.prepare('SELECT * FROM recharges WHERE id = ?');
  // Those that were won go first: what they give back, the others may take.
  const disputesOf = db.prepare(`SELECT * FROM payment_disputes WHERE payment_intent = ? AND currency = ? ORDER BY state <> 'won', id`);
  const taken = db.prepare(`SELECT coalesce(sum(taken), 0) AS taken, coalesce(sum(taken_credits), 0) AS taken_credits, count(*) FILTER (WHERE booked = 1) AS standing
    FROM payment_disputes WHERE payment_intent = ?`);
  const setStatus = db.prepare(`UPDATE recharges SET status = CASE WHEN @disputed = 1 THEN 'disputed' WHEN refunded = 0 THEN 'paid'
    WHEN refunded_credits = credits THEN 'refunded' ELSE 'partially_refunded' END WHERE id = @id RETURNING status`).pluck();
  // The wallet may go below zero for a moment; the schema's trigger thaws it where it did not, and no dispute is open.
  const take = db.prepare('UPDATE wallets SET balance = balance - @amount, may_overdraw = 1 WHERE no = @wallet');
  const means: Means = {
    leftOf(row) {
      const sums = theRow(taken.get(text(row, 'payment_intent')));
      return {
        amount: big(row, 'amount') - big(row, 'refunded') - big(sums, 'taken'),
        credits: big(row, 'credits') - big(row, 'refunded_credits') - big(sums, 'taken_credits'),
      };
    },
    move(kind, { from, to, ...rest }) {
      if (rest.amount > 0n) transfers.record({ ...rest, kind, debit: from, credit: to, note: '' });
    },
    take: (wallet, amount) => void take.run({ wallet, amount }),
  };
  const bookDispute = disputing(db, means);
  const bookRefund = refunding(db, means);

  return {
    keepRefund: ({ paymentIntent, refunded, currency }) => void keepRefund.run({ paymentIntent, refunded, currency }),
    keepDispute: ({ disputeId, paymentIntent, amount, currency, state }) => void keepDispute.run({ disputeId, paymentIntent, amount, currency, state }),
    book(id, nowMs) {
      const row = rowOf(find.get(id));
      const payment = row === undefined ? '' : text(row, 'payment_intent');
      if (row === undefined || payment === '') return false;
      const disputed = rowsOf(disputesOf.all(payment, text(row, 'currency'))).map((dispute) => bookDispute(row, dispute, nowMs));
      const refunded = bookRefund(row, nowMs);
      const status = setStatus.get({ id, disputed: big(theRow(taken.get(payment)), 'standing') > 0n ? 1n : 0n });
      return refunded || disputed.includes(true) || status !== text(row, 'status');
    },
  };
}

/** What a dispute takes while it is open or once it is lost, and gives back when it is won; true where something moved. */
function disputing(db: Connection, { leftOf, move, take }: Means): (row: Row, dispute: Row, atMs: number) => boolean {
  const note = db.prepare('UPDATE payment_disputes SET booked = @booked, taken = @total, taken_credits = @credits, account = @wallet WHERE id = @id');
  // Credits that come back are activity, as credits that were bought: a year begins anew.
  const touch = db.prepare('UPDATE accounts SET activity_ms = max(activity_ms, @now) WHERE no = @wallet');
  const giveBack = db.prepare('UPDATE wallets SET balance = balance + @amount WHERE no = @wallet');
  return (row, dispute, atMs) => {
    const id = text(dispute, 'id');
    const wallet = big(row, 'account');
    const isBooked = big(dispute, 'booked') === 1n;
    if (text(dispute, 'state') === 'won') {
      if (!isBooked) return false;
      const credits = big(dispute, 'taken_credits');
      note.run({ id, booked: 0n, total: 0n, credits: 0n, wallet });
      giveBack.run({ wallet, amount: credits });
      touch.run({ wallet, now: BigInt(Math.round(atMs)) });
      move('dispute_won', { from: SYSTEM.disputes, to: wallet, amount: credits, reference: id, atMs });
      move('dispute_won', { from: SYSTEM.disputes, to: SYSTEM.fees, amount: big(dispute, 'taken') - credits, reference: `${id} fee`, atMs });
      return true;
    }
    // One that found nothing left, for another had it all, takes what that one gave back.
    const before = { total: big(dispute, 'taken'), credits: big(dispute, 'taken_credits') };
    const { total, credits, fee } = takeFrom(leftOf(row), big(dispute, 'amount') - before.total);
    const sum = before.total + total;
    if (!isBooked || total > 0n) note.run({ id, booked: 1n, total: sum, credits: before.credits + credits, wallet });
    // A lost one that is booked may take nothing more, but it no longer freezes.
    take(wallet, credits);
    const reference = isBooked ? `${id} ${sum}` : id;
    move('dispute', { from: wallet, to: SYSTEM.disputes, amount: credits, reference, atMs });
    move('dispute', { from: SYSTEM.fees, to: SYSTEM.disputes, amount: fee, reference: `${reference} fee`, atMs });
    return !isBooked || total > 0n;
  };
}

/** What has been paid back beyond what is booked; true where something moved. */
function refunding(db: Connection, { leftOf, move, take }: Means): (row: Row, atMs: number) => boolean {
  const saidOf = db.prepare('SELECT refunded FROM payment_refunds WHERE payment_intent = ? AND currency = ?').pluck();
  const note = db.prepare('UPDATE recharges SET refunded = refunded + @total, refunded_credits = refunded_credits + @credits WHERE id = @id RETURNING refunded').pluck();
  return (row, atMs) => {
    const said = saidOf.get(text(row, 'payment_intent'), text(row, 'currency'));
    const due = typeof said === 'bigint' ? said - big(row, 'refunded') : 0n;
    const { total, credits, fee } = takeFrom(leftOf(row), due);
    if (total <= 0n) return false;
    const id = text(row, 'id');
    const wallet = big(row, 'account');
    // The total so far names a refund: it only grows.
    const reference = `${id} ${String(note.get({ id, total, credits }))}`;
    take(wallet, credits);
    move('refund', { from: wallet, to: SYSTEM.stripeClearing, amount: credits, reference, atMs });
    move('refund', { from: SYSTEM.fees, to: SYSTEM.stripeClearing, amount: fee, reference: `${reference} fee`, atMs });
    return true;
  };
}
