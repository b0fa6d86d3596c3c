import type { Charge } from '../money/index.ts';
import type { Batch, OpenRequest, Tally } from './batch.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { measuresIn, measureValues, MEASURES_SET, type Measures } from './measures.ts';
import type { Purse } from './purses.ts';
import { big, flag, int, rowOf, rowsOf, text, word, type Row } from './rows.ts';
import { SYSTEM, type TransferBooks } from './transfers.ts';
import type { Ledger, Mode, Receipt, RequestEnd, Settlement } from './types.ts';

export type EndingBooks = Sync<Pick<Ledger, 'progress' | 'settle' | 'release' | 'recover'>>;

/** What an end needs to know of a request that nobody ended. */
const ABANDONED = `id, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, usage_origin, latency_ms,
  first_byte_ms, attempts, priced, price_input, price_cached, price_output, price_rate, progress_provider, progress_fee`;
const NOTHING: Charge = { total: 0n, provider: 0n, fee: 0n };
const MODES: readonly Mode[] = ['standard', 'byok'];

interface Ending {
  readonly state: 'settled' | 'released' | 'recovered';
  readonly measures: Measures;
  readonly charge: Charge;
  readonly nowMs: number;
}

/** How a hold ends, once: settled at its cost, released at none, or recovered after a crash. */
export function createEndingBooks(db: Connection, batch: Batch, transfers: Pick<TransferBooks, 'record'>, boot: string): EndingBooks {
  const close = closing(db, batch, transfers);
  // An empty model or provider keeps that of the hold.
  const note = db.prepare(`UPDATE holds SET model = coalesce(nullif(?, ''), model), provider = coalesce(nullif(?, ''), provider),
    progress_provider = ?, progress_fee = ?, ${MEASURES_SET} WHERE id = ?`);
  const abandoned = db.prepare(`SELECT ${ABANDONED} FROM holds WHERE boot <> ? ORDER BY id`);
  const left = db.prepare(`SELECT ${ABANDONED} FROM holds WHERE boot = ? ORDER BY id`);

  return {
    settle(settlement: Settlement) {
      assertWholeCharge(settlement.charge);
      return close(settlement.id, { state: 'settled', measures: settlement, charge: settlement.charge, nowMs: settlement.nowMs });
    },
    release: (ended: RequestEnd) => close(ended.id, { state: 'released', measures: ended, charge: NOTHING, nowMs: ended.nowMs }),
    // The state is not ended by it, so the status stays `open`.
    progress(id, { charge, ...sofar }) {
      assertWholeCharge(charge);
      note.run(sofar.model, sofar.provider, charge.provider, charge.fee, ...measureValues(sofar), id);
      // What is remembered of it has grown old.
      batch.open.delete(id);
    },
    recover(nowMs, life) {
      let settled = 0;
      const rows = rowsOf(life === undefined ? abandoned.all(boot) : left.all(life));
      for (const row of rows) {
        const provider = big(row, 'progress_provider');
        const fee = big(row, 'progress_fee');
        const charge: Charge = { total: provider + fee, provider, fee };
        const state = charge.total > 0n ? 'recovered' : 'released';
        close(text(row, 'id'), { state, measures: measuresIn(row, 'recovered'), charge, nowMs });
        if (state === 'recovered') settled += 1;
      }
      return { released: rows.length - settled, settled };
    },
  };
}

/** Ends a request, or tells how it ended before. @throws Error where it was never held: a bug */
function closing(db: Connection, batch: Batch, transfers: Pick<TransferBooks, 'record'>): (id: string, ending: Ending) => Receipt {
  const { postings } = batch;
  const findOpen = db.prepare('SELECT account, key_id, mode, model, requested_model, provider, stream, hold, free, byok_month, created_ms FROM holds WHERE id = ?');
  const findEnded = db.prepare('SELECT account, cost, shortfall FROM requests WHERE id = ?');
  const end = db.prepare('DELETE FROM holds WHERE id = ?');
  const giveBack = db.prepare('UPDATE byok_counters SET requests = requests - 1 WHERE account = ? AND month = ? AND requests > 0');

  /** Ends an open request; undefined where it is open no more. */
  const endOpen = (id: string, request: OpenRequest, { state, measures, charge, nowMs }: Ending): Receipt | undefined => {
    const { account, hold, month } = request;
    const purse = batch.purses.numbered(account);
    const parts = share(request.free ? NOTHING : charge, purse.balance - purse.held + hold);
    const { cost, providerCost, fee, shortfall } = parts;
    batch.open.delete(id);
    if (end.run(id).changes !== 1) return undefined;
    const seq = postings.nextRequest();
    const model = measures.model === '' ? request.model : measures.model;
    const provider = measures.provider === '' ? request.provider : measures.provider;
    const endedMs = Math.round(nowMs);
    // A clock that was set back meanwhile would have it begin after its end, where no list that goes by time looks for it.
    const createdMs = Math.min(request.createdMs, endedMs);
    postings.request(id, endedMs, [
      seq, id, account, request.keyId, request.mode, model, request.requestedModel, provider, request.stream ? 1 : 0, hold, request.free ? 1 : 0, month,
      ...measureValues(measures), state, measures.status, cost, providerCost, fee, shortfall, createdMs, endedMs,
    ]);
    purse.balance -= cost;
    purse.held -= hold;
    // The account pays the provider's part and our fee, the operator what is short. Nothing moves for nothing.
    if (providerCost > 0n) transfers.record({ kind: 'usage', debit: account, credit: SYSTEM.providerCost, amount: providerCost, reference: id, request: seq, note: '', atMs: nowMs });
    if (fee > 0n) transfers.record({ kind: 'fee', debit: account, credit: SYSTEM.fees, amount: fee, reference: id, request: seq, note: '', atMs: nowMs });
    if (shortfall > 0n) transfers.record({ kind: 'shortfall', debit: SYSTEM.shortfall, credit: SYSTEM.providerCost, amount: shortfall, reference: id, request: seq, note: '', atMs: nowMs });
    if (state === 'released' && month !== '') giveBack.run(account, month);
    batch.tally(tallyOf({ ...request, model, provider }, measures, nowMs, parts));
    return { id, first: true, cost, shortfall, balance: purse.balance, held: purse.held };
  };

  return (id, ending) => {
    const remembered = batch.open.get(id);
    const ended = remembered === undefined ? undefined : endOpen(id, remembered, ending);
    if (ended !== undefined) return ended;
    const open = rowOf(findOpen.get(id));
    const found = open === undefined ? undefined : endOpen(id, openIn(open), ending);
    if (found !== undefined) return found;
    postings.write();
    const row = rowOf(findEnded.get(id));
    if (row === undefined) throw new Error(`request ${id} was never held`);
    return asBefore(id, row, batch.purses.numbered(big(row, 'account')));
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

function tallyOf(request: OpenRequest, measures: Measures, endedMs: number, parts: Parts): Tally {
  const { status, promptTokens, cachedTokens, completionTokens } = measures;
  const { account, keyId, mode, model, provider } = request;
  const { cost, providerCost, fee, shortfall } = parts;
  return {
    cost, providerCost, fee, shortfall, account, keyId, mode, endedMs,
    model, provider,
    // A client that hung up got what it paid for: no failure of ours.
    isError: status !== 'ok' && status !== 'aborted',
    promptTokens: Math.round(promptTokens), cachedTokens: Math.round(cachedTokens), completionTokens: Math.round(completionTokens),
  };
}

function openIn(row: Row): OpenRequest {
  return {
    account: big(row, 'account'), keyId: text(row, 'key_id'), mode: word(row, 'mode', MODES), model: text(row, 'model'),
    requestedModel: text(row, 'requested_model'), provider: text(row, 'provider'), stream: flag(row, 'stream'), hold: big(row, 'hold'),
    free: flag(row, 'free'), month: text(row, 'byok_month'), createdMs: int(row, 'created_ms'),
  };
}

function asBefore(id: string, row: Row, { balance, held }: Purse): Receipt {
  return { id, first: false, cost: big(row, 'cost'), shortfall: big(row, 'shortfall'), balance, held };
}

/** @throws RangeError where the parts do not add up: the charge was not made by `money`, a bug. */
function assertWholeCharge({ total, provider, fee }: Charge): void {
  if (provider < 0n || fee < 0n || provider + fee !== total) throw new RangeError(`a charge of ${total} is not ${provider} + ${fee}`);
}
