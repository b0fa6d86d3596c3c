import type { Ledger } from '../ledger/index.ts';
import type { DaemonLog } from './log.ts';

/** Rows that one transaction looks at: a few milliseconds of the writing thread, which no stream feels. */
const CHUNK_ROWS = 256;
/** Between two of them, so that the removal takes a small part of the writing thread's time, and 2,000 rows a second all the same. */
const REST_MS = 100;
const DAY_MS = 86_400_000;
/** Notes of the last time that was believed, and of since when the clock has been more than a day ahead of it; '' for not. */
const BELIEVED = 'retention_believed_ms';
const AHEAD = 'retention_ahead_since_ms';

export interface RetentionParts {
  readonly ledger: Pick<Ledger, 'removeRequests' | 'removeMinutes' | 'listRequests' | 'note' | 'setNote'>;
  /** `database.keep_requests` */
  readonly keepRequestsMs: number;
  readonly nowMs: () => number;
  readonly log: Pick<DaemonLog, 'info'>;
  /** Waits between two chunks; by default a tenth of a second. */
  readonly rest?: (signal: AbortSignal) => Promise<void>;
}

/**
 * Takes request rows out of the books when they are older than the operator keeps them, and the minutes of the days whose rows are gone:
 * those grow with every key that is in use. What a day came to stays.
 */
export interface Retention {
  /** Removes all that is due by now. */
  run(): Promise<void>;
  /** Stops after the chunk under way; what is left goes at the next start. */
  close(): Promise<void>;
}

export function openRetention({ ledger, keepRequestsMs, nowMs, log, rest = pause }: RetentionParts): Retention {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const removeAll = async (): Promise<void> => {
    const beforeMs = (await believedMs({ ledger, nowMs, log })) - keepRequestsMs;
    await removeRows(beforeMs);
    while (!stopping.signal.aborted) {
      const { isLast } = await ledger.removeMinutes({ beforeMs, most: CHUNK_ROWS });
      if (isLast) return;
      await rest(stopping.signal);
    }
  };
  const removeRows = async (beforeMs: number): Promise<void> => {
    let rows = 0;
    let after: string | undefined;
    do {
      const { removed, next } = await ledger.removeRequests({ beforeMs, most: CHUNK_ROWS, ...(after === undefined ? {} : { after }) });
      rows += removed;
      after = next;
      if (after !== undefined) await rest(stopping.signal);
    } while (after !== undefined && !stopping.signal.aborted);
    if (rows > 0) log.info('requests_removed', { rows, ended_before: new Date(beforeMs).toISOString() });
  };
  return {
    run: async () => {
      if (keepRequestsMs === Infinity || stopping.signal.aborted) return;
      await (running = removeAll());
    },
    async close() {
      stopping.abort();
      // How it ended is told where it was started.
      await running.catch(() => undefined);
    },
  };
}

/**
 * What time it is for something that cannot be undone: a clock more than a day ahead of the last time that was believed (at first, of the
 * newest request) is not believed before it has stayed so for a day. A daemon that was off for long waits that day, too.
 */
async function believedMs({ ledger, nowMs, log }: Pick<RetentionParts, 'ledger' | 'nowMs' | 'log'>): Promise<number> {
  const now = nowMs();
  const [believed, ahead] = await Promise.all([ledger.note(BELIEVED), ledger.note(AHEAD)]);
  const last = believed === undefined ? ((await ledger.listRequests({}, { limit: 1 })).rows[0]?.createdMs ?? now) : Number(believed);
  const aheadMs = ahead === undefined || ahead === '' ? undefined : Number(ahead);
  const isAhead = now > last + DAY_MS;
  if (isAhead && (aheadMs === undefined || aheadMs > now)) {
    await ledger.setNote(AHEAD, String(now));
    log.info('requests_removal_waits', { clock: new Date(now).toISOString(), last_believed: new Date(last).toISOString() });
  }
  if (isAhead && (aheadMs === undefined || now < aheadMs + DAY_MS)) return last;
  if (aheadMs !== undefined) await ledger.setNote(AHEAD, '');
  await ledger.setNote(BELIEVED, String(now));
  return now;
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, REST_MS);
    signal.addEventListener('abort', done);
  });
}
