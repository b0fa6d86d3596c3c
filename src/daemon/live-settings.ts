import { checkSettings } from '../settings/index.ts';
import type { Settings } from '../settings/index.ts';

/** What became of a wish to read the settings again. */
export interface Reloaded {
  /** Settings in force since now. */
  readonly applied: readonly string[];
  /** Settings that are different in the file from what runs, and count from the next start. */
  readonly waiting: readonly string[];
}

/** Settings that a running daemon can change. */
export interface LiveSettings {
  /** Always the same object; what it says of billing, limits, routing, registration, models and provider keys is what was read last. */
  readonly settings: Settings;
  /** @throws SettingsError where the new ones are wrong; then nothing has changed. */
  replace(next: Settings): Reloaded;
  /** Told once the port is known: a `public_url` that nobody wrote follows it where a free one was taken. */
  listensAt(port: number): void;
  /** What is in force, as plain values that can be handed to another process. */
  inForce(): Settings;
}

/** Read where they are used, at every use. Everything else is built into parts at the start. */
const LIVE = /^(billing|limits|routing|registration|providers)\./;
/** These are built into parts as well: a timer, and the sizes of the gates at the door. */
const BUILT_IN = new Set(['routing.health_interval', 'limits.connections', 'limits.connections_per_address']);

/** Settings behind which newer ones can be put. A call under way may see the old ones in one step and the new ones in the next; what it costs is settled with its hold. */
export function liveSettings(first: Settings): LiveSettings {
  let current = first;
  const { file, database, secrets, stripe, email, sandbox, log } = first;
  // Plain objects that are written over: every request reads a dozen of their fields, and through a proxy each would be a call.
  const server = { ...first.server };
  const billing = { ...first.billing };
  const limits = { ...first.limits };
  const routing = { ...first.routing };
  const registration = { ...first.registration };
  const settings: Settings = {
    file, server, database, secrets, stripe, email, sandbox, log, billing, limits, routing, registration,
    get catalog() {
      return current.catalog;
    },
    get providerKeys() {
      return current.providerKeys;
    },
    get origins() {
      return current.origins ?? [];
    },
  };
  return {
    settings,
    listensAt: (port) => {
      const address = new URL(server.publicUrl);
      if (address.port !== '0') return;
      address.port = String(port);
      server.publicUrl = address.origin;
    },
    inForce: () => {
      const { catalog, providerKeys } = current;
      const { connections, connectionsPerAddress } = first.limits;
      const { healthIntervalMs } = first.routing;
      return {
        file, server, database, secrets, stripe, email, sandbox, log, catalog, providerKeys,
        billing: { ...billing }, registration: { ...registration },
        limits: { ...limits, connections, connectionsPerAddress },
        routing: { ...routing, healthIntervalMs },
      };
    },
    replace: (next) => {
      checkSettings(next);
      const isLive = (path: string) => LIVE.test(path) && !BUILT_IN.has(path);
      const applied = [...changedPaths(current, next).filter(isLive), ...changedParts(current, next)];
      // What is built in runs as it was at the start, whatever was read since.
      const waiting = changedPaths(first, next).filter((path) => !isLive(path));
      current = next;
      Object.assign(billing, next.billing);
      Object.assign(limits, next.limits);
      Object.assign(routing, next.routing);
      Object.assign(registration, next.registration);
      return { applied, waiting };
    },
  };
}

function changedPaths(before: Settings, after: Settings): readonly string[] {
  const [old, young] = [valuesOf(before), valuesOf(after)];
  return [...new Set([...old.keys(), ...young.keys()])].filter((path) => old.get(path) !== young.get(path));
}

/** Values by path, secrets as they are: masked, an old and a new one can look the same. */
function valuesOf(settings: Settings): ReadonlyMap<string, string> {
  const { stripe, email, providerKeys, origins = [] } = settings;
  const secrets = new Map([
    ['stripe.secret_key', stripe.secretKey],
    ['stripe.webhook_secret', stripe.webhookSecret],
    ['email.smtp', email.smtp],
    ...[...providerKeys].map(([id, key]) => [`providers.${id}.api_key`, key] as const),
  ]);
  return new Map(origins.map(({ path, value }) => [path, secrets.get(path) ?? value]));
}

/** The sections of the catalogue that differ, by their names in the file. */
function changedParts({ catalog: before }: Settings, { catalog: after }: Settings): readonly string[] {
  return (['providers', 'models', 'equivalents'] as const).filter((part) => textOf(before[part]) !== textOf(after[part]));
}

function textOf(entries: ReadonlyMap<string, unknown>): string {
  return JSON.stringify([...entries], (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
