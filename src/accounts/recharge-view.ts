import type { Recharge } from '../ledger/index.ts';
import { formatUsdExact, usdNumber } from '../money/index.ts';

/** A recharge as JSON. Source: CONTRACT section 2. */
export interface RechargeView {
  readonly id: string;
  readonly object: 'recharge';
  readonly created: number;
  readonly status: string;
  readonly currency: string;
  /** What was or is to be paid: fee and credits together. */
  readonly amount: number;
  readonly fee: number;
  readonly fee_exact: string;
  readonly credits: number;
  readonly credits_exact: string;
  /** Paid back so far. */
  readonly refunded: number;
  readonly paid: number | null;
  /** Null once it is paid or expired. */
  readonly checkout_url: string | null;
}

export function rechargeView(recharge: Recharge): RechargeView {
  const { id, status, currency, checkoutUrl, createdMs, paidMs } = recharge;
  return {
    id,
    object: 'recharge',
    created: Math.floor(createdMs / 1000),
    status,
    currency,
    amount: usdNumber(recharge.amount),
    fee: usdNumber(recharge.fee),
    fee_exact: formatUsdExact(recharge.fee),
    credits: usdNumber(recharge.credits),
    credits_exact: formatUsdExact(recharge.credits),
    refunded: usdNumber(recharge.refunded),
    paid: paidMs === undefined ? null : Math.floor(paidMs / 1000),
    checkout_url: status === 'pending' && checkoutUrl !== '' ? checkoutUrl : null,
  };
}
