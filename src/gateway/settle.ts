import type { Receipt, RequestEnd, Settlement } from '../ledger/index.ts';
import { byokFee, charge, ratesFor, type Charge } from '../money/index.ts';
import type { Candidate } from '../routing/index.ts';
import type { Usage } from '../wire/index.ts';
import type { Hold } from './holds.ts';
import type { Call, Running } from './types.ts';

/** Who served a call, as the books need it. */
export interface Served {
  readonly candidate: Candidate;
  readonly attempts: number;
  /** Monotonic time of the first byte for the client; undefined where none went out. */
  readonly firstByteMs: number | undefined;
}

/** A call whose hold is in the books and must be closed there. */
export interface Booked {
  readonly running: Running;
  readonly call: Call;
  readonly hold: Hold;
  readonly byok: boolean;
}

const NOTHING: Charge = { total: 0n, provider: 0n, fee: 0n };

/**
 * The settlement of a call at the serving model's price and the fee, both of when it came. Standard: provider cost and usage fee; BYOK: nothing within the free
 * requests, the fee beyond them. `aborted`: the client hung up, and pays for the prompt and what was generated until then.
 */
export function settlementOf(booked: Booked, served: Served, usage: Usage, status: 'ok' | 'aborted'): Settlement {
  const { hold, byok } = booked;
  const { price } = served.candidate;
  const tokens = { prompt: usage.prompt, cached: usage.cached, completion: usage.completion };
  const cost = !byok ? charge(tokens, price, hold.fee) : hold.free ? NOTHING : byokFee(tokens, price, hold.fee);
  const { input, cachedInput, output } = ratesFor(price, usage.prompt);
  return endOf(booked, served, usage, status, { input, cachedInput, output, rate: hold.fee }, cost);
}

/**
 * Closes the books of an answered or hung-up call; durable when it resolves, but for a client that has hung up: it is owed nothing
 * more, so what the books do not take now they are given later.
 * @throws StorageFault where they do not take the end of an answer. Its client is told that it failed, and then it costs nothing.
 */
export async function settle(booked: Booked, served: Served, usage: Usage, status: 'ok' | 'aborted'): Promise<Receipt> {
  const { running, byok } = booked;
  const settlement = settlementOf(booked, served, usage, status);
  try {
    const receipt = await running.ledger.settle(settlement);
    noteCharge(running, byok, settlement, receipt);
    return receipt;
  } catch (error) {
    const isOwed = status === 'aborted' && running.endings.owe({ kind: 'settle', end: settlement, onDone: (receipt) => noteCharge(running, byok, settlement, receipt) }, error);
    if (!isOwed) throw error;
    return expected(booked, settlement.charge.total);
  }
}

/**
 * Closes the books of a call that failed on our or the provider's side: it costs nothing. `status` is the error's code. What the
 * books do not take now they are given later, for nobody need wait for a hold to be given back.
 */
export async function release(booked: Booked, served: Served | undefined, attempts: number, status: string): Promise<Receipt> {
  const { ledger, endings } = booked.running;
  const end = endOf(booked, served ?? attempts, undefined, status, undefined, undefined);
  try {
    return await ledger.release(end);
  } catch (error) {
    if (!endings.owe({ kind: 'release', end }, error)) throw error;
    return expected(booked, 0n);
  }
}

/** What is told of an end that is written later, as far as it is known now. */
function expected({ call, hold }: Booked, cost: bigint): Receipt {
  return { id: call.id, first: true, cost, shortfall: 0n, balance: hold.balance - cost, held: 0n };
}

function noteCharge(running: Running, byok: boolean, { id, provider, model, charge: { provider: providerCost } }: Settlement, receipt: Receipt): void {
  if (receipt.first) running.metrics.charged({ mode: byok ? 'byok' : 'standard', provider, model, cost: receipt.cost, providerCost });
  if (receipt.shortfall > 0n) running.log.warn('shortfall', { req_id: id, shortfall_e8: receipt.shortfall.toString() });
}

function endOf<C extends Charge | undefined>(booked: Booked, served: Served | number, usage: Usage | undefined, status: string, price: RequestEnd['price'], cost: C): RequestEnd & { readonly charge: C } {
  const { clock } = booked.running;
  const { startedMs, id } = booked.call;
  const by = typeof served === 'number' ? undefined : served;
  return {
    id,
    status,
    model: by?.candidate.model.id ?? '',
    provider: by?.candidate.provider ?? '',
    promptTokens: usage?.prompt ?? 0,
    cachedTokens: usage?.cached ?? 0,
    completionTokens: usage?.completion ?? 0,
    reasoningTokens: usage?.reasoning ?? 0,
    usageOrigin: usage?.origin ?? 'unknown',
    latencyMs: Math.round(clock.monotonicMs() - startedMs),
    firstByteMs: by?.firstByteMs === undefined ? undefined : Math.round(by.firstByteMs - startedMs),
    attempts: typeof served === 'number' ? served : served.attempts,
    nowMs: clock.nowMs(),
    price,
    charge: cost,
  };
}
