import type { DaemonState, Ledger } from '../ledger/index.ts';
import { isGone, pidSpace } from '../pids.ts';
import type { HealthEntry } from '../routing/index.ts';

/** The daemon publishes about once a second; one that was silent for longer is gone, or stands still. */
const SILENT_AFTER_MS = 5_000;

/** One provider's model as the daemon sees it. */
export interface HealthNews {
  /** `routing`'s key of provider and model. */
  readonly key: string;
  readonly state: string;
  readonly reason: string;
  readonly entry: HealthEntry;
}

/** One process that serves. */
export interface WorkerNews {
  readonly no: number;
  readonly pid: number;
  readonly inFlight: number;
}

/** What a running daemon last said of itself. */
export interface DaemonNews {
  readonly state: DaemonState;
  /** Whether the numbers of its processes mean the same here; those of another container do not. */
  readonly place: 'here' | 'elsewhere' | 'unknown';
  readonly inFlight: number;
  /** The processes that serve: one is the daemon itself. */
  readonly workers: readonly WorkerNews[];
  /** Models without a provider key are answered inside the daemon. */
  readonly sandbox: boolean;
  readonly health: readonly HealthNews[];
}

/** The news of the daemon; undefined while none runs, for what it said before is no longer true. */
export async function readNews(ledger: Pick<Ledger, 'daemonState'>, nowMs: number): Promise<DaemonNews | undefined> {
  const state = await ledger.daemonState();
  if (state === undefined || nowMs - state.beatMs >= SILENT_AFTER_MS) return undefined;
  const detail = readJson(state.detail);
  const place = placeOf(isFields(detail) ? detail['pids'] : undefined);
  // One that was killed could not say so.
  if (place === 'here' && isGone(state.pid)) return undefined;
  const health = isFields(detail) && Array.isArray(detail['health']) ? detail['health'].flatMap(readHealth) : [];
  const inFlight = isFields(detail) && typeof detail['in_flight'] === 'number' ? detail['in_flight'] : 0;
  const workers = isFields(detail) && Array.isArray(detail['workers']) ? detail['workers'].flatMap(readWorker) : [];
  return { state, place, inFlight, workers, sandbox: isFields(detail) && detail['sandbox'] === true, health };
}

function placeOf(told: unknown): DaemonNews['place'] {
  const space = pidSpace();
  if (typeof told !== 'string' || space === undefined) return 'unknown';
  return told === space ? 'here' : 'elsewhere';
}

/** A daemon of another version may say it otherwise; what cannot be read is left out, for it is only news. */
function readHealth(raw: unknown): HealthNews[] {
  if (!isFields(raw) || !isFields(raw['entry'])) return [];
  const { key, state, reason, entry } = raw;
  if (typeof key !== 'string' || typeof state !== 'string' || typeof reason !== 'string' || !isEntry(entry)) return [];
  return [{ key, state, reason, entry }];
}

function readWorker(raw: unknown): WorkerNews[] {
  if (!isFields(raw)) return [];
  const { no, pid, in_flight: inFlight } = raw;
  return typeof no === 'number' && typeof pid === 'number' && typeof inFlight === 'number' ? [{ no, pid, inFlight }] : [];
}

function isEntry(raw: unknown): raw is HealthEntry {
  if (!isFields(raw)) return false;
  const times = ['failuresInRow', 'retryAtMs', 'openForMs', 'restingUntilMs', 'lastFailureMs', 'lastSuccessMs'];
  return ['closed', 'open', 'half-open'].includes(String(raw['state'])) && typeof raw['lastFailure'] === 'string' && times.every((name) => typeof raw[name] === 'number');
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isFields(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
