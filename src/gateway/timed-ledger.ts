import { StorageFault, type Ledger } from '../ledger/index.ts';
import type { Metrics } from './metrics.ts';

/** The same books, with the time told that the three writes of a request's way take. */
export function timedLedger(ledger: Ledger, metrics: Metrics, nowMs: () => number): Ledger {
  const timed = async <T>(operation: string, written: Promise<T>): Promise<T> => {
    const startedMs = nowMs();
    try {
      const result = await written;
      metrics.wrote(operation, nowMs() - startedMs);
      return result;
    } catch (error) {
      if (error instanceof StorageFault && error.isBusy) metrics.busy();
      throw error;
    }
  };
  return {
    ...ledger,
    hold: (request) => timed('hold', ledger.hold(request)),
    settle: (settlement) => timed('settle', ledger.settle(settlement)),
    release: (end) => timed('release', ledger.release(end)),
  };
}
