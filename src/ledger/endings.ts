import type { Charge } from '../money/index.ts';
import type { Batch, Tally } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { measuresIn, measuresOf, MEASURES_SET, type Measures } from './measures.ts';
import { big, flag, rowOf, rowsOf, text, theRow, whole, type Row } from './rows.ts';
import { SYSTEM, type NewTransfer, type TransferBooks } from './transfers.ts';
import type { Ledger, Receipt, RequestEnd, Settlement } from './types.ts';

export type EndingBooks = Sync<Pick<Ledger, 'progress' | 'settle' | 'release' | 'recover'>>;

const NOTHING: Charge = { total: 0n, provider: 0n, fee: 0n };

interface Ending {
  readonly state: 'settled' | 'released' | 'recovered';
  readonly measures: Measures;
  readonly charge: Charge;
  readonly nowMs: number;
}

/** How a hold ends, once: settled at its cost, released at none, or recovered after a crash. */
export function createEndingBooks(db: Connection, batch: Batch, transfers: Pick<TransferBooks, 'record'>, boot: string): EndingBooks {
  const find = db.prepare(`SELECT r.seq, r.id, r.account, r.key_id, r.mode, r.model, r.provider, r.state, r.hold, r.free, r.byok_month,
      r.cost, r.shortfall, w.balance, w.held FROM requests r JOIN wallets w ON w.no = r.account WHERE r.id = ?`);
  const note = db.prepare(`UPDATE requests SET progress_provider = @chargedProvider, progress_fee = @chargedFee, ${MEASURES_SET}
    WHERE id = @id AND state = 'open'`);
  const pay = db.prepare('UPDATE wallets SET balance = balance - @paid, held = held - @hold WHERE no = @account RETURNING balance, held');
  const end = db.prepare(`UPDATE requests SET state = @state, status = @status, cost = @cost, provider_cost = @providerCost, fee = @fee,
      shortfall = @shortfall, ended_ms = @ended, end_no = (SELECT coalesce(max(end_no), 0) + 1 FROM requests WHERE end_no > 0), ${MEASURES_SET}
    WHERE seq = @seq AND state = 'open'`);
  const giveBack = db.prepare('UPDATE byok_counters SET requests = requests - 1 WHERE account = ? AND month = ? AND requests > 0');
  const abandoned = db.prepare(`SELECT id, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, usage_origin, latency_ms,
      first_byte_ms, attempts, priced, price_input, price_cached, price_output, price_rate, progress_provider, progress_fee
    FROM requests WHERE state = 'open' AND boot <> ? ORDER BY seq`);

  const request = (id: string): Row => {
    const row = rowOf(find.get(id));
    if (row === undefined) throw new Error(`request ${id} was never held`);
    return row;
  };

  const close = (row: Row, ending: Ending): Receipt => {
    if (text(row, 'state') !== 'open') return asBefore(row);
    const { state, measures, nowMs } = ending;
    const id = text(row, 'id');
    const account = big(row, 'account');
    const hold = big(row, 'hold');
    const parts = share(flag(row, 'free') ? NOTHING : ending.charge, big(row, 'balance') - big(row, 'held') + hold);
    const wallet = theRow(pay.get({ account, paid: parts.cost, hold }));
    const { changes } = end.run({ ...measures, ...parts, state, seq: big(row, 'seq'), ended: whole(nowMs) });
    if (changes !== 1) throw new Error(`request ${id} ended under our hands`);
    for (const transfer of transfersOf(account, parts)) transfers.record({ ...transfer, reference: id, note: '', atMs: nowMs });
    const month = text(row, 'byok_month');
    if (state === 'released' && month !== '') giveBack.run(account, month);
    batch.tally(tallyOf(row, ending, parts));
    return { id, first: true, cost: parts.cost, shortfall: parts.shortfall, balance: big(wallet, 'balance'), held: big(wallet, 'held') };
  };

  const settle = (settlement: Settlement): Receipt => {
    assertWholeCharge(settlement.charge);
    return close(request(settlement.id), { state: 'settled', measures: measuresOf(settlement), charge: settlement.charge, nowMs: settlement.nowMs });
  };
  const release = (ended: RequestEnd): Receipt => {
    return close(request(ended.id), { state: 'released', measures: measuresOf(ended), charge: NOTHING, nowMs: ended.nowMs });
  };
  return {
    settle,
    release,
    progress(id, { charge, ...sofar }) {
      assertWholeCharge(charge);
      // The state is not ended by it, so the status stays `open`.
      const { status: _, ...measures } = measuresOf(sofar);
      note.run({ ...measures, id, chargedProvider: charge.provider, chargedFee: charge.fee });
    },
    recover(nowMs) {
      let settled = 0;
      const rows = rowsOf(abandoned.all(boot));
      for (const row of rows) {
        const provider = big(row, 'progress_provider');
        const fee = big(row, 'progress_fee');
        const charge: Charge = { total: provider + fee, provider, fee };
        const state = charge.total > 0n ? 'recovered' : 'released';
        close(request(text(row, 'id')), { state, measures: measuresIn(row, 'recovered'), charge, nowMs });
        if (state === 'recovered') settled += 1;
      }
      return { released: rows.length - settled, settled };
    },
  };
}

interface Parts {
  readonly cost: bigint;
  readonly providerCost: bigint;
  readonly fee: bigint;
  readonly shortfall: bigint;
}

/**
 * Divides a charge between the account and the operator. The account pays what its own hold and what no other hold
 * claims can cover; the provider's part is paid first, so it is our fee that gives way. The rest is the shortfall, which
 * the operator's account of that name pays into `provider_cost`. The three parts always add up to the charge.
 * A charge of 100 (95 + 5) against 97: 95 to the provider, 2 as fee, 3 short.
 */
function share(charge: Charge, covered: bigint): Parts {
  const cost = charge.total < covered ? charge.total : covered > 0n ? covered : 0n;
  const providerCost = charge.provider < cost ? charge.provider : cost;
  return { cost, providerCost, fee: cost - providerCost, shortfall: charge.total - cost };
}

/** The money's ways: the account pays the provider's part and our fee, the operator what is short. Nothing moves for nothing. */
function transfersOf(account: bigint, { providerCost, fee, shortfall }: Parts): Pick<NewTransfer, 'kind' | 'debit' | 'credit' | 'amount'>[] {
  const ways = [
    { kind: 'usage', debit: account, credit: SYSTEM.providerCost, amount: providerCost },
    { kind: 'fee', debit: account, credit: SYSTEM.fees, amount: fee },
    { kind: 'shortfall', debit: SYSTEM.shortfall, credit: SYSTEM.providerCost, amount: shortfall },
  ] as const;
  return ways.filter(({ amount }) => amount > 0n);
}

function tallyOf(row: Row, { measures, nowMs }: Ending, parts: Parts): Tally {
  const { status, model, provider, promptTokens, cachedTokens, completionTokens } = measures;
  return {
    ...parts,
    account: big(row, 'account'),
    keyId: text(row, 'key_id'),
    mode: text(row, 'mode'),
    model: model === '' ? text(row, 'model') : model,
    provider: provider === '' ? text(row, 'provider') : provider,
    endedMs: nowMs,
    // A client that hung up got what it paid for: no failure of ours.
    isError: status !== 'ok' && status !== 'aborted',
    promptTokens,
    cachedTokens,
    completionTokens,
  };
}

function asBefore(row: Row): Receipt {
  return {
    id: text(row, 'id'), first: false, cost: big(row, 'cost'), shortfall: big(row, 'shortfall'),
    balance: big(row, 'balance'), held: big(row, 'held'),
  };
}

/** @throws RangeError where the parts do not add up: the charge was not made by `money`, a bug. */
function assertWholeCharge({ total, provider, fee }: Charge): void {
  if (provider < 0n || fee < 0n || provider + fee !== total) throw new RangeError(`a charge of ${total} is not ${provider} + ${fee}`);
}
