import { openPayments } from './open.ts';
import { createSandboxPayments } from './sandbox.ts';
import type { Payments } from './types.ts';

/**
 * The payments of an installation: Stripe where there is a key; else, with the sandbox on, play money; else none.
 * Play money exists only where the daemon's address is this machine's own: whoever reaches the page gives himself credits.
 * @param choice `sandboxUrl`: where the sandbox's pages are; undefined with the sandbox off
 */
export function choosePayments(choice: { readonly secretKey: string; readonly apiBase: string; readonly sandboxUrl: (() => string) | undefined }): Payments | undefined {
  const { secretKey, apiBase, sandboxUrl } = choice;
  if (secretKey !== '') return openPayments({ secretKey, apiBase });
  if (sandboxUrl === undefined || !isThisMachine(new URL(sandboxUrl()).hostname)) return undefined;
  return createSandboxPayments(sandboxUrl);
}

function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}
