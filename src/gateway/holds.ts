import { Fault } from '../faults.ts';
import type { HoldRequest, HoldResult, KeyOwner } from '../ledger/index.ts';
import { ceilingFor, dearestRates, formatUsd, type Price, type Ppm, type UsdE8 } from '../money/index.ts';
import type { Plan } from '../routing/index.ts';
import type { ChatRequest } from '../wire/index.ts';
import { utcMonth, type ModeChoice } from '../accounts/index.ts';
import type { Call, Running } from './types.ts';

const ONE: Ppm = 1_000_000n;
/** Where the balance covers the prompt but not the ceiling, fewer output tokens than this are not worth asking for. */
const LEAST_TOKENS = 256;

/** A reservation in the books: no provider is asked before it is durable. */
export interface Hold {
  /** The most output tokens of one choice, by which the hold was reckoned; undefined: the client's own limit stands. */
  readonly maxTokens: number | undefined;
  /** Within the free BYOK requests: nothing is charged. */
  readonly free: boolean;
  readonly balance: UsdE8;
  /** The usage fee (Standard) or the BYOK fee as it was when the request came, at which it is charged, whatever is set while it runs. */
  readonly fee: Ppm;
}

/** What `money` takes as a count of tokens; many choices of a very large model pass it. */
const TOKENS_MAX = 100_000_000;

interface Sizing {
  readonly price: Price;
  readonly maxOutput: number;
}

/**
 * Reserves the most that a request may cost at its dearest candidate. Source: DESIGN section 3.
 *
 * Standard: where the balance covers the prompt but not the ceiling, the output limit is lowered to what it covers, at least
 * 256 tokens (or the client's own limit, if that is lower). The limit that was held is the one the provider is given, for a hold
 * binds nobody otherwise. BYOK: the request is counted, and only beyond the free ones is the fee held.
 *
 * @throws Fault `insufficient_credits` (402) with what is needed and available; `account_inactive` (403).
 */
export async function takeHold(running: Running, call: Call, ask: {
  readonly owner: KeyOwner;
  readonly request: ChatRequest;
  readonly plan: Plan;
  readonly choice: ModeChoice;
  /** When the request came, by which its plan is priced. */
  readonly nowMs: number;
}): Promise<Hold> {
  const { request, plan, choice } = ask;
  const { billing } = running.settings;
  const standard = choice.mode === 'standard';
  const fee = standard ? billing.usageFee : billing.byokFee;
  const rate = standard ? ONE + fee : fee;
  const sizings = plan.candidates.map(({ model, price }) => ({ price, maxOutput: model.maxOutput }));
  const wanted = request.maxTokens ?? Math.min(billing.defaultMaxTokens, Math.max(...sizings.map((sizing) => sizing.maxOutput)));

  const first = placed(await running.ledger.hold(holdOf(running, call, ask, ceilingOf(sizings, request, wanted, rate))));
  if (first.ok) return { maxTokens: standard ? wanted : undefined, free: first.free, balance: first.balance, fee };

  const affordable = standard ? tokensFor(sizings, request, first.available, rate) : 0;
  if (affordable >= Math.min(LEAST_TOKENS, wanted)) {
    const lowered = Math.min(affordable, wanted);
    const second = placed(await running.ledger.hold(holdOf(running, call, ask, ceilingOf(sizings, request, lowered, rate))));
    if (second.ok) return { maxTokens: lowered, free: second.free, balance: second.balance, fee };
  }
  const need = ceilingOf(sizings, request, Math.min(LEAST_TOKENS, wanted), rate);
  throw new Fault('insufficient_credits', { fill: { need: formatUsd(need), available: formatUsd(first.available) } });
}

type Placed = { readonly ok: true; readonly free: boolean; readonly balance: UsdE8 } | { readonly ok: false; readonly available: UsdE8 };

function holdOf(running: Running, call: Call, ask: { readonly owner: KeyOwner; readonly request: ChatRequest; readonly plan: Plan; readonly choice: ModeChoice; readonly nowMs: number }, ceiling: UsdE8): HoldRequest {
  const { owner, request, plan, choice, nowMs } = ask;
  const [first] = plan.candidates;
  return {
    id: call.id,
    accountId: owner.accountId,
    keyId: owner.keyId,
    mode: choice.mode,
    // Both of whom is asked first: where nobody lives to tell who served, they are what stands in the books.
    model: first?.model.id ?? request.model,
    requestedModel: request.requestedModel,
    provider: first?.provider ?? '',
    stream: request.stream,
    ceiling,
    byok: choice.mode === 'byok' ? { month: utcMonth(nowMs), free: running.settings.billing.byokFreeRequests } : undefined,
    nowMs,
  };
}

function placed(result: HoldResult): Placed {
  if (result.ok) return result;
  if (result.reason === 'account_inactive') throw inactive(result);
  return { ok: false, available: result.available };
}

/**
 * Why an account is not served, with the mend. One that is frozen owes something, or a dispute is open: that alone freezes an account
 * with credits left, and no recharge ends it.
 */
export function inactive({ status, frozen, available }: { readonly status: KeyOwner['status']; readonly frozen: boolean; readonly available: UsdE8 }): Fault {
  if (status === 'pending') return new Fault('account_inactive', { fill: { state: 'not activated yet', mend: 'Open the link of the activation mail, or ask the operator for `findtoken accounts activate EMAIL`.' } });
  if (!frozen || status !== 'active') return new Fault('account_inactive', { fill: { state: 'deactivated', mend: 'Ask the operator for `findtoken accounts activate EMAIL`.' } });
  if (available < 0n) return new Fault('account_inactive', { fill: { state: 'frozen: a refund or dispute took more than its balance', mend: 'Recharge to cover the debt.' } });
  return new Fault('account_inactive', { fill: { state: 'frozen: a payment of it is disputed', mend: 'It is served again when the dispute is closed; a recharge does not change that.' } });
}

/** The dearest candidate's upper bound for this many output tokens a choice. */
function ceilingOf(sizings: readonly Sizing[], request: ChatRequest, tokens: number, rate: Ppm): UsdE8 {
  let dearest = 0n;
  for (const { price, maxOutput } of sizings) {
    const completion = Math.min(Math.min(tokens, maxOutput) * request.choices, TOKENS_MAX);
    const ceiling = ceilingFor({ prompt: request.promptBound, completion }, price, rate);
    if (ceiling > dearest) dearest = ceiling;
  }
  return dearest;
}

/** How many output tokens a choice the available balance covers at every candidate's price; 0 where not even the prompt fits. */
function tokensFor(sizings: readonly Sizing[], request: ChatRequest, available: UsdE8, rate: Ppm): number {
  let fewest = Number.MAX_SAFE_INTEGER;
  for (const { price } of sizings) {
    const { output } = dearestRates(price, request.promptBound);
    const left = available - ceilingFor({ prompt: request.promptBound, completion: 0 }, price, rate);
    if (left < 0n) return 0;
    if (output === 0n) continue;
    // One token's cost in 1e-18 dollars a choice; one step is kept back, for the ceiling of the sum is rounded up.
    const tokens = ((left > 0n ? left - 1n : 0n) * 10_000n * ONE) / (output * rate * BigInt(request.choices));
    if (tokens < BigInt(fewest)) fewest = Number(tokens);
  }
  return fewest;
}
