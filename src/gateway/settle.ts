import type { Receipt, RequestEnd, Settlement } from '../ledger/index.ts';
import { byokFee, charge, type Charge } from '../money/index.ts';
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
 * The settlement of a call at the serving model's price. Standard: provider cost and usage fee; BYOK: nothing within the free
 * requests, the fee beyond them. `aborted`: the client hung up, and pays for the prompt and what was generated until then.
 */
export function settlementOf(booked: Booked, served: Served, usage: Usage, status: 'ok' | 'aborted'): Settlement {
  const { running, hold, byok } = booked;
  const { billing } = running.settings;
  const { price } = served.candidate.model;
  const tokens = { prompt: usage.prompt, cached: usage.cached, completion: usage.completion };
  const rate = byok ? billing.byokFee : billing.usageFee;
  const cost = !byok ? charge(tokens, price, rate) : hold.free ? NOTHING : byokFee(tokens, price, rate);
  const { input, cachedInput, output } = price;
  return endOf(booked, served, usage, status, { input, cachedInput, output, rate }, cost);
}

/** Closes the books of an answered or hung-up call; durable when it resolves. */
export async function settle(booked: Booked, served: Served, usage: Usage, status: 'ok' | 'aborted'): Promise<Receipt> {
  const settlement = settlementOf(booked, served, usage, status);
  const receipt = await booked.running.ledger.settle(settlement);
  if (receipt.first) {
    const { provider, model } = served.candidate;
    booked.running.metrics.charged({ mode: booked.byok ? 'byok' : 'standard', provider, model: model.id, cost: receipt.cost, providerCost: settlement.charge.provider });
  }
  if (receipt.shortfall > 0n) {
    booked.running.log.warn('shortfall', { req_id: booked.call.id, shortfall_e8: receipt.shortfall.toString() });
  }
  return receipt;
}

/** Closes the books of a call that failed on our or the provider's side: it costs nothing. `status` is the error's code. */
export async function release(booked: Booked, served: Served | undefined, attempts: number, status: string): Promise<Receipt> {
  return booked.running.ledger.release(endOf(booked, served ?? attempts, undefined, status, undefined, undefined));
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
