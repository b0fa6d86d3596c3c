import { checkSettings } from '../settings/index.ts';
import type { Settings } from '../settings/index.ts';

/** What became of a wish to read the settings again. */
export interface Reloaded {
  /** Settings in force since now. */
  readonly applied: readonly string[];
  /** Settings that are different in the file and count from the next start. */
  readonly waiting: readonly string[];
}

/** Settings that a running daemon can change. */
export interface LiveSettings {
  /** Always the same object; what it says of billing, limits, routing, registration, models and provider keys is what was read last. */
  readonly settings: Settings;
  /** @throws SettingsError where the new ones are wrong; then nothing has changed. */
  replace(next: Settings): Reloaded;
  /** What is in force, as plain values that can be handed to another process. */
  inForce(): Settings;
}

/** Read where they are used, at every use. Everything else is built into parts at the start. */
const LIVE = /^(billing|limits|routing|registration|providers)\./;
/** These are built into parts as well: a timer, and the sizes of the gates at the door. */
const BUILT_IN = new Set(['routing.health_interval', 'limits.connections', 'limits.connections_per_address']);

/** Settings behind which newer ones can be put. A call under way may see the old ones in one step and the new ones in the next. */
export function liveSettings(first: Settings): LiveSettings {
  let current = first;
  const { file, server, database, secrets, stripe, email, sandbox, log } = first;
  // Plain objects that are written over: every request reads a dozen of their fields, and through a proxy each would be a call.
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
      const changed = changedPaths(current, next);
      const isLive = (path: string) => LIVE.test(path) && !BUILT_IN.has(path);
      const catalog = catalogText(current) === catalogText(next) ? [] : ['models'];
      current = next;
      Object.assign(billing, next.billing);
      Object.assign(limits, next.limits);
      Object.assign(routing, next.routing);
      Object.assign(registration, next.registration);
      return { applied: [...changed.filter(isLive), ...catalog], waiting: changed.filter((path) => !isLive(path)) };
    },
  };
}

function changedPaths(before: Settings, after: Settings): readonly string[] {
  const values = (settings: Settings) => new Map((settings.origins ?? []).map(({ path, value }) => [path, value]));
  const [old, young] = [values(before), values(after)];
  return [...new Set([...old.keys(), ...young.keys()])].filter((path) => old.get(path) !== young.get(path));
}

function catalogText({ catalog }: Settings): string {
  const whole = [[...catalog.models], [...catalog.providers], [...catalog.equivalents]];
  return JSON.stringify(whole, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
