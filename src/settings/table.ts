import { USD } from '../money/index.ts';
import { CATALOG_ROWS } from './catalog-rows.ts';
import { bytes, dollars, duration, file, flag, host, keeping, listOf, mailAddress, masterKey, oneOf, percent, publicAddress, secret, smtpUrl, webAddress, webOrigin, webServer, whole } from './readers.ts';
import type { Reader } from './readers.ts';
import { isMapping } from './source.ts';

/** As one writes it in YAML. */
type Written = string | number | boolean | readonly string[];

/** A key of findtoken.yaml: how it is read, what stands where nothing is written, and what it is for. */
export interface Row<T> {
  readonly reader: Reader<T>;
  /** Read like a written value, `${NAME:-…}` and `~` included. */
  readonly fallback: Written;
  readonly doc: string;
  readonly example: string;
  readonly secret: boolean;
}

/** One key of findtoken.yaml, as the documentation shows it. */
export interface SettingRow {
  /** `section.key`; `ID` stands for a name of one's own. */
  readonly path: string;
  /** As one would write it; empty where there is none. */
  readonly default: string;
  /** Completes "expected …". */
  readonly expects: string;
  readonly example: string;
  readonly doc: string;
  readonly secret: boolean;
}

const HOUR_MS = 3_600_000;
const MIB = 1_048_576;

/** Every key but those of the catalogue. Reading, defaults, refusals and documentation all come from here. */
const ROWS = {
  'server.host': row(host, '127.0.0.1', 'Address to listen on; `0.0.0.0` opens the daemon to the network.'),
  'server.port': row(whole(0, 65_535), 8787, 'Port to listen on; 0 takes a free one.'),
  'server.public_url': row(publicAddress, 'http://127.0.0.1:8787', 'Address under which clients reach the daemon, for links in mails and payments, with or without the `/v1` of its base URL; where it is not written, it follows host and port.'),
  'server.workers': row(whole(1, 64), 1, 'Processes that serve requests; more than one pays where streams fill a core.'),
  'server.hosts': row(listOf(host), [], 'Further Host names that a daemon on the loopback address answers to.', '[gateway.internal]'),
  'server.cors_origins': row(listOf(webOrigin), [], 'Web origins whose pages may call the API.', '[https://app.example.com]'),
  'server.drain': row(duration(0, HOUR_MS), '120s', 'How long running requests may take to end after the daemon is told to stop.'),
  'server.metrics': row(oneOf('loopback', 'open', 'off'), 'loopback', 'Who may read `/metrics`: `loopback` is this machine, with no proxy in between, `open` is everybody.'),
  'database.path': row(file, '${XDG_DATA_HOME:-~/.local/share}/findtoken/findtoken.db', 'The SQLite file that holds everything; a relative path starts at the folder of this file.'),
  'database.anchors': row(file, '${XDG_STATE_HOME:-~/.local/state}/findtoken', 'Folder, best on another disk than the database, in which the head of the books is noted every second: it tells when an older or damaged database takes their place.'),
  'database.keep_requests': row(keeping, 'forever', 'How long the row of a request is kept, for billing logs and `findtoken logs`, at least 7 days; balances, transfers and the totals of each day stay whatever its age.', '400d'),
  'secrets.master_key': row(masterKey, 'auto', 'Where the key that seals provider keys is kept: `auto` is the variable FINDTOKEN_MASTER_KEY where it is set, the keychain, else a key file that only you can read.', 'file:/etc/findtoken/master.key'),
  'billing.usage_fee': row(percent, '5.5%', 'Added to the provider cost of every Standard request.'),
  'billing.recharge_fee': row(percent, '5.5%', 'Taken from every recharge.'),
  'billing.minimum_recharge': row(dollars(USD / 2n), 10, 'Least recharge in US dollars.'),
  'billing.byok_free_requests': row(whole(0, 1_000_000_000_000), 1_000_000, 'BYOK requests of an account that are free in a UTC calendar month.'),
  'billing.byok_fee': row(percent, '5%', 'Taken of the provider cost of every BYOK request beyond the free ones.'),
  'billing.credit_expiry_days': row(whole(1, 36_500), 365, 'Days without activity after which credits expire.'),
  'billing.refund_days': row(whole(0, 3_650), 14, 'Days within which unused credits of a recharge can be refunded.'),
  'billing.refund_fee': row(oneOf('kept', 'unspent'), 'kept', 'Whether a refund gives the recharge fee back: never (`kept`), or where nothing of the recharge was spent (`unspent`).'),
  'billing.picture_tokens': row(whole(0, 1_000_000), 4_096, 'Tokens held for each picture of a prompt until its real usage is known.'),
  'billing.media_tokens': row(whole(0, 10_000_000), 131_072, 'Tokens held for each video, sound or file of a prompt until its real usage is known; never fewer than for a picture.'),
  'billing.default_max_tokens': row(whole(1, 1_048_576), 16_384, 'Output tokens held where a request sets no limit, at most those of the model.'),
  'limits.requests_per_minute': row(whole(1, 1_000_000), 600, 'Requests of one account in a minute, over all its keys.'),
  'limits.concurrent_requests': row(whole(1, 100_000), 200, 'Requests of one account at once.'),
  'limits.body_bytes': row(bytes(1_024, 256 * MIB), 20_971_520, 'Largest request body, in bytes or as `20MiB`.'),
  'limits.json_depth': row(whole(8, 1_000), 128, 'Deepest nesting of a request body.'),
  'limits.json_values': row(whole(1_000, 10_000_000), 60_000, 'Most values in a request body, by its commas and opening brackets; each is work that other requests wait for.'),
  'limits.in_flight': row(whole(1, 1_000_000), 10_000, 'Requests under way over all accounts; beyond them new ones are turned away with 503.'),
  'limits.loop_lag': row(duration(10, 60_000), '3s', 'How late the daemon may be with its own work before new requests are turned away with 503.'),
  'limits.connections': row(whole(1, 1_000_000), 20_000, 'Connections at once.'),
  'limits.connections_per_address': row(whole(1, 1_000_000), 4_096, 'Connections at once from one address; raise it behind a proxy, whose connections all come from one.'),
  'routing.retries': row(whole(0, 10), 3, 'Retries at the same provider after a failed attempt.'),
  'routing.backoff': row(listOf(duration(0, HOUR_MS), 1), ['1s', '2s', '4s'], 'Waits before those retries; the last one repeats.'),
  'routing.timeout': row(duration(10, HOUR_MS), '30s', 'How long one attempt without streaming may take.'),
  'routing.stream_timeout': row(duration(10, HOUR_MS), '120s', 'How long a stream may be without an event from the provider.'),
  'routing.health_interval': row(duration(10, HOUR_MS), '30s', 'How often providers that are down or idle are probed.'),
  'routing.deadline': row(duration(10, HOUR_MS), '90s', 'How long all attempts of one request may take together until the first byte.'),
  'routing.max_attempts': row(whole(1, 100), 10, 'Attempts of one request over all providers.'),
  'stripe.secret_key': row(secret, '${STRIPE_SECRET_KEY:-}', 'Secret key of your Stripe account; without one there are no recharges.', '"${STRIPE_SECRET_KEY}"', true),
  'stripe.webhook_secret': row(secret, '${STRIPE_WEBHOOK_SECRET:-}', 'Signing secret of the webhook `/webhooks/stripe`; without one, payments are found by asking Stripe.', '"${STRIPE_WEBHOOK_SECRET}"', true),
  'stripe.api_base': row(webServer, 'https://api.stripe.com', 'Where Stripe is reached; another address is for rehearsals.'),
  'stripe.return_urls': row(listOf(webAddress), [], 'Addresses, besides `server.public_url` and localhost, under which a payment may return.', '[https://shop.example.com/account]'),
  'email.from': row(mailAddress, 'findtoken@localhost', 'Sender of activation mails and notices.', 'billing@example.com'),
  'email.smtp': row(smtpUrl, '${FINDTOKEN_SMTP_URL:-}', 'SMTP server; without one, the text of a mail goes to the log.', 'smtp://user:password@mail.example.com:587', true),
  'registration.open': row(flag, false, 'Whether anyone may sign up by mail.'),
  'sandbox': row(flag, false, 'Adds a built-in provider that answers offline, to rehearse with.'),
  'log.level': row(oneOf('silent', 'error', 'warn', 'info', 'debug'), 'info', 'Least level that is logged.'),
  'log.format': row(oneOf('auto', 'json', 'pretty'), 'auto', '`auto` is pretty on a terminal and JSON elsewhere.'),
};

/** Key → type of its value, as its reader gives it. */
export type Values = { readonly [Key in keyof typeof ROWS]: (typeof ROWS)[Key] extends Row<infer T> ? T : never };
export type Key = keyof Values;

export const TABLE: { readonly [K in Key]: Row<Values[K]> } = ROWS;

/** Every key of findtoken.yaml with its default, one sentence and an example, in the order of the example file. */
export function describeSettings(): readonly SettingRow[] {
  const rows = Object.entries<Row<unknown>>(ROWS).map(([path, { reader, fallback, doc, example, secret }]) => (
    { path, default: asYaml(fallback), expects: reader.expects, example, doc, secret }));
  return [...rows, ...CATALOG_ROWS];
}

/** Lists and mappings in flow style, a text that YAML could misread in quotes: `[1s, 2s, 4s]`, `{ input: 1 }`, `"http://127.0.0.1:8787"`. */
export function asYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(asYaml).join(', ')}]`;
  if (isMapping(value)) {
    const pairs = Object.entries(value).map(([name, inner]) => `${asYaml(name)}: ${asYaml(inner)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  if (typeof value !== 'string') return String(value);
  return value === '' || /[:#${}[\],&*]/.test(value) ? JSON.stringify(value) : value;
}

function row<T>(reader: Reader<T>, fallback: Written, doc: string, example = asYaml(fallback), isSecret = false): Row<T> {
  return { reader, fallback, doc, example, secret: isSecret };
}
