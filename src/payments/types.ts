import type { UsdE8 } from '../money/index.ts';

/** What is to be paid. */
export interface CheckoutWish {
  /** Our id of it; it comes back in every message about the checkout, and makes a repeated wish the same checkout. */
  readonly rechargeId: string;
  /** Whole cents. */
  readonly amount: UsdE8;
  /** What the payer buys, as the payment page says it. */
  readonly label: string;
  readonly successUrl: string;
  readonly cancelUrl: string;
}

/** A page on which somebody can pay. */
export interface Checkout {
  readonly session: string;
  readonly url: string;
}

/** What the payment service says, reduced to what the books need. Amounts are 1e-8 USD, currencies lower case. */
export type PaymentMessage =
  | { readonly kind: 'paid'; readonly rechargeId: string; readonly session: string; readonly paymentIntent: string; readonly amount: UsdE8; readonly currency: string }
  /** It will not be paid: the page's time is over, or a slow payment failed. */
  | { readonly kind: 'expired'; readonly rechargeId: string; readonly session: string }
  /** `refunded` is the total so far. */
  | { readonly kind: 'refunded'; readonly paymentIntent: string; readonly refunded: UsdE8; readonly currency: string }
  | { readonly kind: 'disputed'; readonly disputeId: string; readonly paymentIntent: string; readonly amount: UsdE8; readonly currency: string; readonly state: 'open' | 'won' | 'lost' }
  /** Nothing for the books; `about` says what it was. */
  | { readonly kind: 'nothing'; readonly about: string };

/** The way to the payment service. Its secret key is known to nothing else. */
export interface Payments {
  /** `sandbox`: the page is ours, and nobody pays real money. */
  readonly kind: 'stripe' | 'sandbox';
  /** The key's mode. Events of the other mode are not for us. */
  readonly isLive: boolean;
  /**
   * Loads what the first call would load. A daemon does so when it starts: later its files may be gone, replaced by those of another version,
   * or its descriptors used up, and a module that failed to load once fails for good.
   */
  ready(): Promise<void>;
  /** @throws Fault `payments_unavailable` (503) where the service cannot be reached, `invalid_request` (400) where it refuses. */
  startCheckout(wish: CheckoutWish): Promise<Checkout>;
  /** Asks how a checkout stands. */
  pollCheckout(session: string): Promise<PaymentMessage>;
  /** Asks how much of a payment has been paid back in all. */
  pollRefunds(paymentIntent: string): Promise<PaymentMessage>;
  /** Pays back. The same `key` again is the same refund. */
  refund(wish: { readonly paymentIntent: string; readonly amount: UsdE8; readonly key: string }): Promise<void>;
}
