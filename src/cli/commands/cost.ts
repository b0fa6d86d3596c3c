import type { Model } from '../../catalog/index.ts';
import { byokFee, charge, feeOn, formatUsdExact, offPeak, usdNumber } from '../../money/index.ts';
import type { Ppm, Price, UsdE8 } from '../../money/index.ts';
import type { Settings } from '../../settings/index.ts';
import type { Call, Given, Verb } from '../command.ts';
import { wrongUsage } from '../failure.ts';
import { dollars, percent } from '../format.ts';
import { neededModel } from '../needed.ts';
import { renderRecord } from '../table.ts';

const TOKENS_MAX = 100_000_000;
const REQUESTS_MAX = 1_000_000_000_000;
const MILLION = 1_000_000n;

export const COST: Verb = {
  usage: 'cost',
  about: 'what a number of requests costs, to the last digit',
  options: [
    { flags: '--model <id>', about: 'the model', required: true },
    { flags: '--input <tokens>', about: 'prompt tokens of one request', required: true },
    { flags: '--output <tokens>', about: 'completion tokens of one request', required: true },
    { flags: '--requests <n>', about: 'how many, in one month (default 1)' },
    { flags: '--cached <tokens>', about: 'how many of the prompt tokens come from the cache (default 0)' },
    { flags: '--mode <mode>', about: 'standard (default) or byok', choices: ['standard', 'byok'] },
    { flags: '--peak', about: 'at the price of peak hours, where the model has one' },
  ],
  examples: ['findtoken cost --model deepseek-chat --input 1000 --output 500 --requests 10000', 'findtoken cost --model deepseek-chat --input 1000 --output 500 --requests 2000000 --mode byok'],
  run: cost,
};

/** The estimate: every amount is what the books would show. */
interface Estimate {
  readonly requests: bigint;
  /** Beyond which BYOK requests bear a fee; 0 in Standard mode. */
  readonly freeRequests: bigint;
  /** The provider's part of one request. */
  readonly providerEach: UsdE8;
  /** The gateway's part of one request that bears it. */
  readonly feeEach: UsdE8;
  readonly provider: UsdE8;
  readonly fee: UsdE8;
  /** What leaves the credits. */
  readonly credits: UsdE8;
  /** The least payment whose credits cover that, and what is kept of it. */
  readonly payment: UsdE8;
  readonly rechargeFee: UsdE8;
}

async function cost({ context, given }: Call): Promise<void> {
  const settings = await context.settings();
  const model = await neededModel(settings.catalog, given.needed('model'));
  const byok = given.text('mode') === 'byok';
  const tokens = readTokens(given);
  const requests = BigInt(given.whole('requests', { least: 1, most: REQUESTS_MAX }) ?? 1);
  const found = estimate(settings, priceOf(model, given.flag('peak')), { tokens, requests, byok });
  context.show(documentOf(found, model, byok), () => renderRecord(byok ? byokLines(found, settings) : standardLines(found, settings), context.terminal));
  if (model.price.peak !== undefined && !given.flag('peak')) context.terminal.note(`Peak hours have a price of their own: --peak reckons with it, \`findtoken models ${model.id}\` tells when.`);
}

function priceOf({ id, price }: Model, peak: boolean): Price {
  if (!peak) return offPeak(price);
  if (price.peak !== undefined) return price.peak.price;
  throw wrongUsage(`${id} costs the same at all hours. Leave --peak out.`);
}

function readTokens(given: Given): { readonly prompt: number; readonly cached: number; readonly completion: number } {
  const bounds = { least: 0, most: TOKENS_MAX };
  const prompt = given.whole('input', bounds) ?? 0;
  const cached = given.whole('cached', bounds) ?? 0;
  if (cached > prompt) throw wrongUsage('--cached is a part of --input and cannot be more.');
  return { prompt, cached, completion: given.whole('output', bounds) ?? 0 };
}

/** One request is rounded as the books round it, then multiplied. */
function estimate(
  { billing }: Settings,
  price: Price,
  plan: { readonly tokens: ReturnType<typeof readTokens>; readonly requests: bigint; readonly byok: boolean },
): Estimate {
  const { tokens, requests, byok } = plan;
  const { total, provider } = charge(tokens, price, billing.usageFee);
  const free = byok ? BigInt(billing.byokFreeRequests) : 0n;
  const freeRequests = requests < free ? requests : free;
  const feeEach = byok ? byokFee(tokens, price, billing.byokFee).total : total - provider;
  const fee = feeEach * (requests - freeRequests);
  const credits = byok ? fee : total * requests;
  const payment = paymentFor(credits, billing.rechargeFee);
  return { requests, freeRequests, providerEach: provider, feeEach, provider: provider * requests, fee, credits, payment, rechargeFee: feeOn(payment, billing.rechargeFee).fee };
}

/** The least payment that gives these credits, for credits are rounded down. At 5.5 %, $9.45 of credits take $10. */
function paymentFor(credits: UsdE8, rate: Ppm): UsdE8 {
  const kept = MILLION - rate;
  if (kept <= 0n) return credits;
  return (credits * MILLION + kept - 1n) / kept;
}

function standardLines(found: Estimate, { billing }: Settings): readonly (readonly [string, string])[] {
  return [
    ['provider cost', `${dollars(found.provider)}  (${found.requests} × $${formatUsdExact(found.providerEach)})`],
    [`usage fee ${percent(billing.usageFee)}`, `${dollars(found.fee)}  (${found.requests} × $${formatUsdExact(found.feeEach)})`],
    ['from the credits', dollars(found.credits)],
    [`recharge fee ${percent(billing.rechargeFee)}`, `${dollars(found.rechargeFee)}  (kept when the credits are bought)`],
    ['to be paid', `${dollars(found.payment)}  (a recharge is at least ${dollars(billing.minimumRecharge)})`],
  ];
}

function byokLines(found: Estimate, { billing }: Settings): readonly (readonly [string, string])[] {
  const charged = found.requests - found.freeRequests;
  return [
    ['provider cost', `${dollars(found.provider)}  (paid to the provider by yourself)`],
    ['free tier', `${found.freeRequests} of ${found.requests} requests are within the ${billing.byokFreeRequests} free ones of a month`],
    [`BYOK fee ${percent(billing.byokFee)}`, `${dollars(found.fee)}  (${charged} × $${formatUsdExact(found.feeEach)})`],
    ['from the credits', dollars(found.credits)],
    [`recharge fee ${percent(billing.rechargeFee)}`, `${dollars(found.rechargeFee)}  (kept when the credits are bought)`],
    ['to be paid', `${dollars(found.payment)}  (a recharge is at least ${dollars(billing.minimumRecharge)})`],
  ];
}

function documentOf(found: Estimate, model: Model, byok: boolean): unknown {
  return {
    object: 'cost_estimate',
    currency: 'usd',
    model: model.id,
    mode: byok ? 'byok' : 'standard',
    requests: Number(found.requests),
    free_requests: Number(found.freeRequests),
    per_request: { provider_cost_exact: formatUsdExact(found.providerEach), fee_exact: formatUsdExact(found.feeEach) },
    provider_cost: usdNumber(found.provider),
    provider_cost_exact: formatUsdExact(found.provider),
    fee: usdNumber(found.fee),
    fee_exact: formatUsdExact(found.fee),
    cost: usdNumber(found.credits),
    cost_exact: formatUsdExact(found.credits),
    recharge_fee: usdNumber(found.rechargeFee),
    payment: usdNumber(found.payment),
  };
}
