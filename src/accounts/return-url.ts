import { Fault } from '../faults.ts';

const URL_MAX = 2_000;
/** The machine that the browser runs on. */
const LOCAL = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Where a payer may be sent after the payment page: under `server.public_url`, `stripe.return_urls` or localhost, so that nobody
 * makes of our checkout a way to lead payers elsewhere. Returns the address as a browser will read it.
 * @throws Fault invalid_request, with the field as `param`.
 */
export function readReturnUrl(field: string, written: string, allowed: { readonly publicUrl: string; readonly returnUrls: readonly string[] }): string {
  const url = written.length <= URL_MAX && URL.canParse(written) ? new URL(written) : undefined;
  const isWeb = url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  if (isWeb && (LOCAL.includes(url.hostname) || [allowed.publicUrl, ...allowed.returnUrls].some((base) => isUnder(url, new URL(base))))) return url.href;
  throw new Fault('invalid_request', {
    fill: { detail: `${field} must be an address under server.public_url, localhost, or one of stripe.return_urls; the operator can add it there.` },
    param: field,
  });
}

/** The same origin, and the path of the base or one below it: `/shop` allows `/shop/a`, not `/shopping`. */
function isUnder(url: URL, base: URL): boolean {
  const path = base.pathname.replace(/\/+$/, '');
  return url.origin === base.origin && (url.pathname === path || url.pathname.startsWith(`${path}/`));
}
