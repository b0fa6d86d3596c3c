import type { Recharge } from '../ledger/index.ts';
import type { Payments } from '../payments/index.ts';
import type { Books } from './context.ts';
import { readNews } from './daemon-news.ts';
import { Refusal } from './failure.ts';

/**
 * The payments that a new recharge is opened with: Stripe where there is a key, else those of a running daemon's sandbox.
 * @throws Refusal where there is neither.
 */
export async function openPaymentsOf(books: Books): Promise<Payments> {
  const { choosePayments } = await import('../payments/index.ts');
  const news = await readNews(books.ledger, books.nowMs());
  const payments = choosePayments({ ...books.settings.stripe, sandboxUrl: news?.sandbox === true ? () => news.state.url : undefined });
  if (payments === undefined) throw new Refusal('nobody takes payments yet: set stripe.secret_key, or rehearse with a running `findtoken serve --sandbox`; `findtoken credits grant` gives credits by hand.');
  return payments;
}

/**
 * The payments that an earlier recharge was opened with.
 * @throws Refusal where it was Stripe and there is no key any more.
 */
export async function paymentsOfRecharge(books: Books, recharge: Pick<Recharge, 'session'>): Promise<Payments> {
  const { choosePayments, createSandboxPayments, isSandboxId } = await import('../payments/index.ts');
  if (isSandboxId(recharge.session)) return createSandboxPayments(() => books.settings.server.publicUrl);
  const payments = choosePayments({ ...books.settings.stripe, sandboxUrl: undefined });
  if (payments === undefined) throw new Refusal('this recharge went through Stripe; set stripe.secret_key.');
  return payments;
}
