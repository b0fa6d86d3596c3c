import type { Ledger } from '../ledger/index.ts';
import type { DaemonLog } from './log.ts';

/** Rows that one transaction looks at: a few milliseconds of the writing thread, which no stream feels. */
const CHUNK_ROWS = 256;
/** Between two of them, so that the removal takes a small part of the writing thread's time, and 2,000 rows a second all the same. */
const REST_MS = 100;

export interface RetentionParts {
  readonly ledger: Pick<Ledger, 'removeRequests' | 'removeMinutes'>;
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
    const beforeMs = nowMs() - keepRequestsMs;
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
