/** Stripe: checkout, webhook, polling, refund; and the sandbox that stands in for it. */
export { choosePayments } from './choose.ts';
export { floorToCents, PAYMENT_MAX } from './cents.ts';
export { isTestId, openPayments, type OpenPayments } from './open.ts';
export { createSandboxPayments, isSandboxId, sandboxPayment } from './sandbox.ts';
export type { Checkout, CheckoutWish, PaymentMessage, Payments } from './types.ts';
export { expectWebhook, readWebhook, type WebhookEvent, type WebhookRequest } from './webhook.ts';
