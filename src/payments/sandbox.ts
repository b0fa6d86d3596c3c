import type { Payments } from './types.ts';

/** Every id that the sandbox makes begins so; none of Stripe's does. */
const PREFIX = 'sandbox_';

/**
 * Payments that nobody pays, to rehearse with: the page to pay on is the daemon's own.
 * @param baseUrl the daemon's address, such as `http://127.0.0.1:8787`, asked for when it is needed: a port may not be known before
 */
export function createSandboxPayments(baseUrl: () => string): Payments {
  return {
    kind: 'sandbox',
    isLive: false,
    ready: async () => undefined,
    startCheckout: async ({ rechargeId }) => ({ session: `${PREFIX}${rechargeId}`, url: `${baseUrl()}/sandbox/checkout/${rechargeId}` }),
    // What is paid here is in the books already: there is nobody else to ask.
    pollCheckout: async () => ({ kind: 'nothing', about: 'a checkout of the sandbox' }),
    pollRefunds: async () => ({ kind: 'nothing', about: 'a payment of the sandbox' }),
    refund: async () => undefined,
  };
}

/** Whether a checkout or a payment is one of the sandbox: play money, of which Stripe knows nothing. */
export function isSandboxId(id: string): boolean {
  return id.startsWith(PREFIX);
}

/** The payment of a sandbox's checkout. `sandboxPayment('rch_1')` is `sandbox_pay_rch_1`. */
export function sandboxPayment(rechargeId: string): string {
  return `${PREFIX}pay_${rechargeId}`;
}
