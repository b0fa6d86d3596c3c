import { syncRecharges } from '../accounts/index.ts';
import type { Credentials, Gateway } from '../gateway/index.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Payments } from '../payments/index.ts';
import { pidSpace } from '../pids.ts';
import { describeHealth, healthKey } from '../routing/index.ts';
import type { Settings } from '../settings/index.ts';
import type { Upstream } from '../upstream/index.ts';
import { watchDisk } from './disk-watch.ts';
import type { DaemonLog } from './log.ts';
import type { ReloadNews } from './reload.ts';
import { openPostJobs } from './post.ts';
import { openRetention } from './retention.ts';

const PUBLISH_MS = 1_000;
const PROBE_TIMEOUT_MS = 10_000;
/** A payment whose webhook was lost is in the books after at most this long. */
const PAYMENTS_MS = 600_000;
const MAIL_MS = 5_000;
const DISK_MS = 5_000;
/** Idle accounts are looked at by the hour, so that none waits a day longer than it should. */
const ACCOUNTS_MS = 3_600_000;

/** Request rows grow too old by the hour as well. */
const RETENTION_MS = 3_600_000;

export interface JobParts {
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly upstream: Upstream;
  readonly gateway: Pick<Gateway, 'inFlight' | 'health' | 'workers'>;
  readonly credentials: Credentials;
  readonly payments: Payments | undefined;
  readonly log: DaemonLog;
  readonly nowMs: () => number;
  /** What became of the last SIGHUP. */
  readonly lastReload?: () => ReloadNews | undefined;
  readonly about: { readonly version: string; readonly url: string; readonly startedMs: number };
}

/** Starts what the daemon does on its own. The returned function stops it and takes back the sign of life. */
export function startJobs(parts: JobParts): () => Promise<void> {
  const { settings, log } = parts;
  const post = openPostJobs(parts);
  const retention = openRetention({ ...parts, keepRequestsMs: settings.database.keepRequestsMs });
  const lookAtDisk = watchDisk(parts);
  // A command that follows the welcome finds the daemon.
  publish(parts).catch((error: unknown) => log.error('job_publish_failed', error));
  // At the start too: payments may have come while nobody was here, and accounts have been idle for longer.
  settlePayments(parts).catch((error: unknown) => log.error('job_payments_failed', error));
  post.ready().then(() => post.lookAfterAccounts()).then(() => post.sendMail()).catch((error: unknown) => log.error('job_accounts_failed', error));
  retention.run().catch((error: unknown) => log.error('job_retention_failed', error));
  const timers = [
    every(PUBLISH_MS, 'publish', () => publish(parts), log),
    every(settings.routing.healthIntervalMs, 'probe', () => probeProviders(parts), log),
    every(PAYMENTS_MS, 'payments', () => settlePayments(parts), log),
    every(MAIL_MS, 'mail', () => post.sendMail(), log),
    every(DISK_MS, 'disk', lookAtDisk, log),
    every(RETENTION_MS, 'retention', () => retention.run(), log),
    every(ACCOUNTS_MS, 'accounts', () => post.lookAfterAccounts(), log),
  ];
  return async () => {
    timers.forEach((timer) => clearInterval(timer));
    await retention.close();
    await post.close();
    await publish(parts, 0);
  };
}

/** Asks how the open checkouts stand: a webhook may be lost, or not reach this daemon at all. */
export async function settlePayments(parts: Pick<JobParts, 'ledger' | 'payments' | 'log' | 'nowMs'>): Promise<void> {
  const { ledger, payments, log, nowMs } = parts;
  if (payments === undefined) return;
  const { changed, unknown } = await syncRecharges({ ledger, payments, nowMs }, {});
  for (const { id, status } of changed) log.info('recharge_settled', { recharge: id, status });
  for (const id of unknown) log.warn('recharge_unknown', { recharge: id, mend: 'it was opened with another stripe.secret_key' });
}

/** Writes what only the daemon knows where the command line can read it. A beat of 0 says that it has stopped in good order. */
export async function publish(parts: JobParts, beatMs = parts.nowMs()): Promise<void> {
  const { gateway, ledger, about } = parts;
  const nowMs = parts.nowMs();
  const health = [...gateway.health.entries].map(([key, entry]) => ({ key, ...describeHealth(entry, nowMs), entry }));
  const detail = JSON.stringify({ in_flight: gateway.inFlight, workers: gateway.workers.map(({ no, pid, inFlight }) => ({ no, pid, in_flight: inFlight })), sandbox: parts.settings.sandbox, pids: pidSpace() ?? null, health, reload: parts.lastReload?.() ?? null });
  await ledger.publish({ pid: process.pid, ...about, beatMs, detail });
}

/**
 * Asks each provider with an operator key for its list of models, where a model of it is down or has not answered for a while.
 * The list costs nothing; a chat call as a probe would. Source: DESIGN section 6.
 */
export async function probeProviders(parts: JobParts): Promise<void> {
  const { settings, gateway, credentials, upstream } = parts;
  for (const provider of await credentials.operatorProviders()) {
    const models = [...settings.catalog.models.values()].filter((model) => model.provider === provider);
    const due = models.filter((model) => needsProbe(parts, healthKey(provider, model.id)));
    const credential = due.length === 0 ? undefined : await credentials.operator(provider);
    if (credential === undefined) continue;
    const reply = await upstream.listModels({ ...credential, timeoutMs: PROBE_TIMEOUT_MS });
    const ok = reply.kind === 'whole' && reply.status < 500 && reply.status !== 401 && reply.status !== 403;
    for (const model of due) gateway.health.observe(healthKey(provider, model.id), { kind: 'probed', ok });
    if (!ok) parts.log.warn('probe_failed', { provider, answer: reply.kind === 'whole' ? reply.status : reply.failure });
  }
}

/** Known to be down, or known at all and idle for a whole interval. */
function needsProbe(parts: JobParts, key: string): boolean {
  const entry = parts.gateway.health.entries.get(key);
  if (entry === undefined) return false;
  const idleMs = parts.nowMs() - Math.max(entry.lastSuccessMs, entry.lastFailureMs);
  return entry.state !== 'closed' || idleMs >= parts.settings.routing.healthIntervalMs;
}

function every(ms: number, name: string, run: () => Promise<void>, log: DaemonLog): NodeJS.Timeout {
  let isRunning = false;
  const timer = setInterval(() => {
    if (isRunning) return;
    isRunning = true;
    run()
      .catch((error: unknown) => log.error(`job_${name}_failed`, error))
      .finally(() => {
        isRunning = false;
      });
  }, ms);
  timer.unref();
  return timer;
}
