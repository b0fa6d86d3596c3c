// Stands in for src/ledger in the bench's build without books: a call's hold and its end are answered from memory and written nowhere.
// Keys and accounts are read as ever, so that only the writing is missing.
import { openLedger as openReal } from '../../src/ledger/open.ts';
import type { Ledger, OpenLedger, Receipt, RequestEnd, Settlement } from '../../src/ledger/types.ts';

export * from '../../src/ledger/index.ts';

const BALANCE = 10_000_000_000_000_000n;

/** In the place of the real one of this name, which the line above would hand on. */
export async function openLedger(options: OpenLedger): Promise<Ledger> {
  const real = await openReal(options);
  if (options.as !== 'daemon') return real;
  let held = 0n;
  const holds = new Map<string, bigint>();
  const end = ({ id }: RequestEnd | Settlement, cost: bigint): Receipt => {
    held -= holds.get(id) ?? 0n;
    const first = holds.delete(id);
    return { id, first, cost, shortfall: 0n, balance: BALANCE, held };
  };
  return {
    ...real,
    hold: async ({ id, ceiling }) => {
      holds.set(id, ceiling);
      held += ceiling;
      return { ok: true, balance: BALANCE, held, free: false };
    },
    progress: async () => undefined,
    settle: async (settlement) => end(settlement, settlement.charge.total),
    release: async (ended) => end(ended, 0n),
  };
}
