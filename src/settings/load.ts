import { dirname } from 'node:path';
import { nearestName } from '../catalog/index.ts';
import type { Catalog } from '../catalog/index.ts';
import { readCatalog } from './built-in.ts';
import type { AddedCatalog } from './built-in.ts';
import type { Environment } from './environment.ts';
import { absolute, findFile } from './find-file.ts';
import { overlaidBy } from './overlaid.ts';
import { readProviderKeys } from './provider-keys.ts';
import { SettingsError } from './refusal.ts';
import { isMapping, readSource } from './source.ts';
import type { Source } from './source.ts';
import { asYaml, TABLE } from './table.ts';
import type { Key } from './table.ts';
import { taker } from './take.ts';
import type { Overrides, Take } from './take.ts';
import type { SettingOrigin, Settings } from './types.ts';

export interface LoadOptions {
  /** `--config FILE`: must exist. */
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  readonly home: string;
  /** What the command line sets; it wins over the file. */
  readonly overrides?: { readonly host?: string | undefined; readonly port?: number | string | undefined; readonly sandbox?: boolean | undefined } | undefined;
  /** Added to the built-in catalogue while the sandbox is on. */
  readonly sandboxCatalog?: AddedCatalog | undefined;
}

const CATALOG_SECTIONS = ['providers', 'models', 'equivalents'];

/**
 * findtoken.yaml and the environment as `Settings`, defaults where nothing is written. The catalogue waits for its first use,
 * for most commands need none; all else is checked here.
 * @throws SettingsError at the first fault: an unknown key, a wrong value, an unset variable, a named file that is not there.
 * `loadSettings({ env: {}, cwd: '/', home: '/root' }).server.port` is 8787.
 */
export function loadSettings(options: LoadOptions): Settings {
  // The XDG rules have a relative path ignored.
  const env = { ...options.env, XDG_DATA_HOME: absolute(options.env['XDG_DATA_HOME']), XDG_STATE_HOME: absolute(options.env['XDG_STATE_HOME']) };
  const found = findFile(options);
  const source = found === undefined ? undefined : readSource(found.name, found.text, env);
  if (source !== undefined) refuseUnknown(source);
  const around = { home: options.home, folder: found === undefined ? options.cwd : dirname(found.path) };
  const origins: SettingOrigin[] = [];
  const take = taker({ source, env, around, overrides: overriding(options), origins });
  const plain = build(take);
  const keys = readProviderKeys(source, env, around);
  const written = origins.some(({ path, origin }) => path === 'server.public_url' && origin !== 'default');
  const server = written ? plain.server : { ...plain.server, publicUrl: urlOf(plain.server) };
  const added = plain.sandbox ? options.sandboxCatalog : undefined;
  let catalog: Catalog | undefined;
  return {
    file: found?.path,
    ...plain,
    server,
    get catalog() {
      return (catalog ??= readCatalog(source, added));
    },
    hasOwnCatalog: CATALOG_SECTIONS.some((section) => source !== undefined && Object.hasOwn(source.data, section)),
    providerKeys: keys.keys,
    origins: [...origins.map((one) => (one.path === 'server.public_url' ? { ...one, value: asYaml(server.publicUrl), plain: server.publicUrl } : one)), ...keys.origins],
    get overlaid() {
      return overlaidBy(source);
    },
  };
}

/** Reads what `loadSettings` left for later. @throws SettingsError as it would at the first use of the catalogue. */
export function checkSettings(settings: Settings): void {
  // The catalogue reads itself at this use and throws; that it has models is the built-in file's doing.
  if (settings.catalog.models.size === 0) throw new SettingsError('the catalogue has no models. Add one under models:.');
}

function build(take: Take): Omit<Settings, 'file' | 'catalog' | 'hasOwnCatalog' | 'providerKeys' | 'origins'> {
  return {
    server: {
      host: take('server.host'),
      port: take('server.port'),
      publicUrl: take('server.public_url'),
      workers: take('server.workers'),
      hosts: take('server.hosts'),
      corsOrigins: take('server.cors_origins'),
      drainMs: take('server.drain'),
      metrics: take('server.metrics'),
    },
    database: { path: take('database.path'), anchors: take('database.anchors'), keepRequestsMs: take('database.keep_requests') },
    secrets: { masterKey: take('secrets.master_key') },
    billing: {
      usageFee: take('billing.usage_fee'),
      rechargeFee: take('billing.recharge_fee'),
      minimumRecharge: take('billing.minimum_recharge'),
      byokFreeRequests: take('billing.byok_free_requests'),
      byokFee: take('billing.byok_fee'),
      creditExpiryDays: take('billing.credit_expiry_days'),
      refundDays: take('billing.refund_days'),
      refundFee: take('billing.refund_fee'),
      pictureTokens: take('billing.picture_tokens'),
      mediaTokens: take('billing.media_tokens'),
      defaultMaxTokens: take('billing.default_max_tokens'),
    },
    limits: {
      requestsPerMinute: take('limits.requests_per_minute'),
      concurrentRequests: take('limits.concurrent_requests'),
      bodyBytes: take('limits.body_bytes'),
      jsonDepth: take('limits.json_depth'),
      jsonValues: take('limits.json_values'),
      inFlight: take('limits.in_flight'),
      loopLagMs: take('limits.loop_lag'),
      connections: take('limits.connections'),
      connectionsPerAddress: take('limits.connections_per_address'),
    },
    routing: {
      retries: take('routing.retries'),
      backoffMs: take('routing.backoff'),
      timeoutMs: take('routing.timeout'),
      streamTimeoutMs: take('routing.stream_timeout'),
      healthIntervalMs: take('routing.health_interval'),
      deadlineMs: take('routing.deadline'),
      maxAttempts: take('routing.max_attempts'),
    },
    stripe: {
      secretKey: take('stripe.secret_key'),
      webhookSecret: take('stripe.webhook_secret'),
      apiBase: take('stripe.api_base'),
      returnUrls: take('stripe.return_urls'),
    },
    email: { from: take('email.from'), smtp: take('email.smtp') },
    registration: { open: take('registration.open') },
    sandbox: take('sandbox'),
    log: { level: take('log.level'), format: take('log.format') },
  };
}

/** What the command line set, by key. */
function overriding({ overrides = {} }: LoadOptions): Overrides {
  const all: [Key, { option: string; value: unknown }][] = [
    ['server.host', { option: '--host', value: overrides.host }],
    ['server.port', { option: '--port', value: overrides.port }],
    ['sandbox', { option: '--sandbox', value: overrides.sandbox }],
  ];
  return new Map(all.filter(([, { value }]) => value !== undefined));
}

/** Names that nobody reads would be settings that silently do nothing. */
function refuseUnknown(source: Source): void {
  const keys = Object.keys(TABLE).map((path) => path.split('.'));
  const sections = [...new Set(keys.map(([section = '']) => section)), ...CATALOG_SECTIONS];
  for (const [section, value] of Object.entries(source.data)) {
    if (!sections.includes(section)) refuseName(source, [section], sections);
    const names = keys.flatMap(([first, name]) => (first === section && name !== undefined ? [name] : []));
    if (names.length === 0 || value === null) continue;
    if (!isMapping(value)) throw new SettingsError(`${source.place([section])}: ${section}: expected names and values. Write for example ${section}: { ${names[0]}: … }`);
    for (const name of Object.keys(value)) if (!names.includes(name)) refuseName(source, [section, name], names);
  }
}

function refuseName(source: Source, path: readonly string[], known: readonly string[]): never {
  const near = nearestName(known, path.at(-1) ?? '');
  const mend = near === undefined ? `The names here are ${known.join(', ')}.` : `Did you mean ${near}?`;
  throw new SettingsError(`${source.place(path, true)}: ${path.join('.')}: unknown key. ${mend}`);
}

/** Where a client on this machine reaches a daemon with this host and port. */
function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  const reached = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}
