import type { UsdE8 } from '../money/index.ts';
import type { Page } from './records.ts';

export type RechargeStatus = 'pending' | 'paid' | 'expired' | 'refunded' | 'partially_refunded' | 'disputed';

/** A payment into an account's credits, from the wish to whatever becomes of it. `amount === fee + credits`, always. */
export interface Recharge {
  /** `rch_…`, minted by the caller. */
  readonly id: string;
  readonly accountId: string;
  /** What is paid; whole cents. */
  readonly amount: UsdE8;
  readonly fee: UsdE8;
  /** What the account receives. */
  readonly credits: UsdE8;
  /** Lower case, such as `usd`. */
  readonly currency: string;
  readonly status: RechargeStatus;
  /** The payment service's id of the checkout; empty until one is attached. */
  readonly session: string;
  /** The payment service's id of the payment; empty until it is paid. */
  readonly paymentIntent: string;
  /** Booked as paid back, out of credits and fee together. */
  readonly refunded: UsdE8;
  /** The part of `refunded` that was taken from the credits. */
  readonly refundedCredits: UsdE8;
  readonly checkoutUrl: string;
  readonly createdMs: number;
  readonly paidMs: number | undefined;
}

/** What the payment service says was paid. */
export interface LandRecharge {
  readonly id: string;
  readonly session: string;
  readonly paymentIntent: string;
  readonly amount: UsdE8;
  readonly currency: string;
  /** The event that says so; undefined where we asked. */
  readonly eventId: string | undefined;
  readonly nowMs: number;
}

/**
 * What became of a message of the payment service.
 * `done`: it changed the books. `known`: they say so already. `parked`: the payment it speaks of is not known yet; it is kept and
 * counts when that lands. `mismatch`: checkout, amount or currency are not those of our record: nothing was booked.
 */
export type Landing =
  | { readonly kind: 'done' | 'known' | 'mismatch'; readonly recharge: Recharge }
  | { readonly kind: 'parked' | 'unknown' };

export type DisputeState = 'open' | 'won' | 'lost';

/** The part of the ledger's door that is about recharges. Every writing method is one transaction and may be called again. */
export interface RechargeLedger {
  /** Writes a pending recharge; the same id again answers as the first time. */
  startRecharge(wanted: Pick<Recharge, 'id' | 'accountId' | 'amount' | 'fee' | 'credits' | 'currency'> & { readonly nowMs: number }): Promise<Recharge | 'no_account'>;
  /** Notes the checkout of a recharge, once. @throws Error on a second, different one: a bug. */
  attachCheckout(checkout: { readonly id: string; readonly session: string; readonly checkoutUrl: string }): Promise<Recharge>;
  /** Credits a payment: at most once, and only if checkout, amount and currency are those of our record. An expired recharge that was paid after all counts. */
  landRecharge(landing: LandRecharge): Promise<Landing>;
  /** Closes a pending recharge that will not be paid. One that is paid stays so. */
  expireRecharge(ended: { readonly id: string; readonly session: string; readonly eventId: string | undefined; readonly nowMs: number }): Promise<Landing>;
  /**
   * Books what has been paid back. `refunded` is the total so far, so that messages may come twice and in any order: the largest
   * counts. Credits are taken back first, dollar for dollar; what exceeds them comes out of the fee. What exceeds the balance
   * is a debt, and freezes the account.
   */
  refundRecharge(refund: { readonly paymentIntent: string; readonly refunded: UsdE8; readonly currency: string; readonly eventId: string | undefined; readonly nowMs: number }): Promise<Landing>;
  /** An open dispute takes its amount back and freezes the account; a won one returns it, after a loss too (an appeal). Open, lost, won: never back. */
  disputeRecharge(dispute: { readonly disputeId: string; readonly paymentIntent: string; readonly amount: UsdE8; readonly currency: string; readonly state: DisputeState; readonly eventId: string | undefined; readonly nowMs: number }): Promise<Landing>;

  findRecharge(id: string): Promise<Recharge | undefined>;
  /** Newest first. */
  listRecharges(filter: { readonly accountId?: string; readonly status?: RechargeStatus }, page: { readonly limit: number; readonly after?: string }): Promise<Page<Recharge>>;
}
