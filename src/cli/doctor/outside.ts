import type { Provider } from '../../catalog/index.ts';
import type { Settings } from '../../settings/index.ts';
import { fail, ok, saidBy, warn } from './check.ts';
import type { Check } from './check.ts';

const ANSWER_MS = 8_000;
const SKEW_WARN_MS = 30_000;

/** What one host said without being told any secret. */
interface Knock {
  readonly trouble: string | undefined;
  /** How far its clock is ahead of ours; undefined where it said no time. */
  readonly skewMs: number | undefined;
}

/** Asks a host for nothing but its head: name, way, certificate and clock in one request. */
export async function knock(url: string, nowMs: () => number): Promise<Knock> {
  try {
    const response = await fetch(url, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(ANSWER_MS) });
    const said = Date.parse(response.headers.get('date') ?? '');
    return { trouble: undefined, skewMs: Number.isNaN(said) ? undefined : said - nowMs() };
  } catch (error) {
    return { trouble: troubleOf(error), skewMs: undefined };
  }
}

const UNPROVEN = 'does not prove who it is';
const OWN_CA = 'where a certificate authority of your own signs for it, or for a proxy on the way, start findtoken with NODE_EXTRA_CA_CERTS=/path/to/ca.pem';

/** One provider: its name, certificate and, where there is one, the operator's key. */
export async function checkProvider(provider: Provider, parts: { readonly nowMs: () => number; readonly askKey: (() => Promise<{ readonly verdict: string; readonly detail: string }>) | undefined }): Promise<{ readonly checks: readonly Check[]; readonly skewMs: number | undefined }> {
  const name = `provider.${provider.id}`;
  const { trouble, skewMs } = await knock(provider.baseUrl, parts.nowMs);
  if (trouble !== undefined) return { checks: [fail(name, `${provider.baseUrl} ${trouble}`, `${trouble.startsWith(UNPROVEN) ? OWN_CA : 'mend the way to it'}; \`findtoken providers test\` tries again`)], skewMs };
  if (parts.askKey === undefined) return { checks: [ok(name, 'answers; no key of yours')], skewMs };
  const { verdict, detail } = await parts.askKey();
  if (verdict === 'good') return { checks: [ok(name, 'answers, and takes the key')], skewMs };
  const check = verdict === 'refused' ? fail(name, detail, `findtoken providers set-key ${provider.id}`) : warn(name, detail, `findtoken providers test ${provider.id}`);
  return { checks: [check], skewMs };
}

/** Our clock against those of the hosts that were asked: the middle one is believed. */
export function checkSkew(skewsMs: readonly number[]): Check {
  const sorted = [...skewsMs].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) return ok('clock', 'nobody was asked for the time');
  const seconds = Math.round(Math.abs(middle) / 1_000);
  if (Math.abs(middle) < SKEW_WARN_MS) return ok('clock', `within ${Math.max(1, seconds)} s of ${sorted.length === 1 ? 'a provider\'s' : 'the providers\''}`);
  return warn('clock', `${seconds} s ${middle > 0 ? 'behind' : 'ahead of'} the providers'`, 'set the clock (systemd: timedatectl set-ntp true)');
}

/** What the Stripe settings would do; Stripe itself is not asked. */
export function checkStripe({ stripe, server }: Settings): readonly Check[] {
  if (stripe.secretKey === '') return [ok('stripe', 'not set: no recharges; `findtoken credits grant` gives credits')];
  const mode = /^[sr]k_(test|live)_/.exec(stripe.secretKey)?.[1];
  const key = mode === undefined
    ? fail('stripe', 'stripe.secret_key is no Stripe key (sk_test_…, sk_live_…)', 'set stripe.secret_key')
    : ok('stripe', `${mode} mode${stripe.apiBase === 'https://api.stripe.com' ? '' : `, at ${stripe.apiBase}`}`);
  if (stripe.webhookSecret === '') return [key, warn('stripe.webhook', 'no webhook secret: payments are found by asking Stripe, later', `set stripe.webhook_secret to the signing secret of ${server.publicUrl}/webhooks/stripe`)];
  if (!stripe.webhookSecret.startsWith('whsec_')) return [key, fail('stripe.webhook', 'stripe.webhook_secret is no signing secret (whsec_…)', 'set stripe.webhook_secret')];
  return [key, ok('stripe.webhook', `expects Stripe at ${server.publicUrl}/webhooks/stripe`)];
}

/** Where mails send people who follow their links; told only where there is somebody to follow them. */
export function checkLinks({ server, registration, email }: Settings): readonly Check[] {
  if (!registration.open && email.smtp === '') return [];
  const { hostname } = new URL(server.publicUrl);
  if (!/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return [ok('public_url', `links in mails lead to ${server.publicUrl}`)];
  return [warn('public_url', `links in mails lead to ${server.publicUrl}, which is the reader's own machine`, 'set server.public_url to the address under which others reach the daemon')];
}

function troubleOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (error instanceof Error && error.name === 'TimeoutError') return `does not answer within ${ANSWER_MS / 1_000} s`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `has a name that is not known here (DNS: ${code})`;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) return `${UNPROVEN} (TLS: ${code})`;
  return `cannot be reached (${code === '' ? saidBy(cause) : code})`;
}
