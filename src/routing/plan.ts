import type { Catalog, Model } from '../catalog/index.ts';
import { equivalents } from '../catalog/index.ts';
import type { Price, UsdE8 } from '../money/index.ts';
import { charge, priceAt } from '../money/index.ts';
import { fetchesPictures } from '../wire/index.ts';
import type { ChatRequest, Needs } from '../wire/index.ts';
import { describeHealth, healthKey, isOpen, isResting } from './health.ts';
import type { Candidate, HealthEntry, Plan, Skipped } from './types.ts';

export interface PlanInput {
  readonly catalog: Catalog;
  readonly request: Pick<ChatRequest, 'model' | 'routing' | 'needs' | 'promptEstimate' | 'promptBound' | 'maxTokens' | 'choices'>;
  /** The provider (or the sandbox) that would be asked for this model, if there is a credential for it in this request's mode. */
  readonly servedBy: (model: Model) => string | undefined;
  /** In BYOK, the region of the key for a provider, undefined for its main address; undefined in Standard. */
  readonly byok: { regionOf(provider: string): string | undefined } | undefined;
  /** By `healthKey`; who is missing is healthy. */
  readonly health: ReadonlyMap<string, HealthEntry>;
  readonly nowMs: number;
  /** The provider of an inline `provider_key`: nobody else is asked. */
  readonly only: string | undefined;
  /** Output tokens where the request sets no limit, at most. */
  readonly defaultMaxTokens: number;
}

/** What a request without a limit is expected to generate; a long answer is the exception. */
const EXPECTED_OUTPUT = 1_000;
/** Above it `charge` refuses to count; no plan may fail on a client's `max_tokens`. */
const TOKENS_MAX = 100_000_000;

/**
 * Who is asked, in order, and who is not and why.
 *
 * The requested model stands first, its equivalents follow in the catalogue's order; `cheapest` sorts them by expected cost,
 * ties in that order. Whoever is down or resting is left out. If nobody is left, those come after all, and with `fallback` they
 * always come, behind the others: the resting ones with their retries, the ones that are down as a trial (one attempt each), for
 * no last candidate is refused on a guess.
 * What the request needs (tools, pictures, JSON) filters equivalents only: about the requested model its provider decides.
 * An unknown model gives an empty plan. Never throws.
 */
export function planCandidates(input: PlanInput): Plan {
  const { routing } = input.request;
  const skipped: Skipped[] = [];
  const served: Candidate[] = [];
  for (const model of preferred(input.catalog, input.request.model)) {
    const provider = input.servedBy(model);
    const refusal = refuse(model, provider, input);
    if (refusal !== undefined) skipped.push(refusal);
    else if (provider !== undefined) served.push(candidate(model, provider, input));
  }
  const fitting = withoutTooShort(served, input, skipped);
  const ordered = routing === 'cheapest' ? [...fitting].sort(byCost) : fitting;

  const healthy = ordered.filter((one) => unwell(one, input) === undefined);
  if (healthy.length === 0) return { routing, candidates: ordered.map((one) => asLastResort(one, input, 'but nobody else is left')), skipped };
  const ill = ordered.filter((one) => !healthy.includes(one));
  if (routing === 'fallback') return { routing, candidates: [...healthy, ...ill.map((one) => asLastResort(one, input, 'asked once all others have failed'))], skipped };
  skipped.push(...ill.flatMap((one) => unwell(one, input) ?? []));
  return { routing, candidates: healthy, skipped };
}

/**
 * What the provider would probably bill for this request, in 1e-8 dollars, at the customers' price before any fee: the
 * estimated prompt, nothing cached, and the expected output (`maxTokens`, else 1,000 tokens) times the choices, also where the
 * model can write less: an answer that it cuts short is not a cheaper one. Rounded half up.
 * 1,000 prompt tokens of deepseek-chat and no limit are 14_000n + 28_000n = 42_000n.
 */
export function expectedCost(price: Price, request: Pick<ChatRequest, 'promptEstimate' | 'maxTokens' | 'choices'>, defaultMaxTokens: number = EXPECTED_OUTPUT): UsdE8 {
  const output = (request.maxTokens ?? Math.min(EXPECTED_OUTPUT, defaultMaxTokens)) * request.choices;
  return charge({ prompt: asTokens(request.promptEstimate), cached: 0, completion: asTokens(output) }, price, 0n).total;
}

/** The requested model, then those that may stand in for it, each once. */
function preferred(catalog: Catalog, id: string): readonly Model[] {
  const requested = catalog.models.get(id);
  return requested === undefined ? [] : [...new Set([requested, ...equivalents(catalog, id)])];
}

/** Why this model cannot be asked at all; undefined where it can. */
function refuse(model: Model, provider: string | undefined, input: PlanInput): Skipped | undefined {
  const skip = (kind: Skipped['kind'], reason: string): Skipped => {
    const asked = provider ?? model.provider;
    return { model: model.id, provider: asked, healthKey: placeOf(model, asked, input), kind, reason };
  };
  if (input.only !== undefined && input.only !== model.provider) return skip('other_provider', `the request's key is for ${input.only}`);
  if (provider === undefined) return skip('no_credential', `no key for ${model.provider}`);
  if (model.id === input.request.model) return undefined;
  const lacks = lacking(model, input.request.needs);
  if (lacks === 'tools') return skip('tools', 'cannot call tools');
  if (lacks === 'vision') return skip('vision', 'cannot see pictures');
  const { dialect } = input.catalog.providers.get(model.provider) ?? {};
  if (input.request.needs.linked && dialect !== undefined && !fetchesPictures(dialect)) return skip('vision', 'takes pictures as data only, not by their address');
  if (lacks === 'json') return skip('json', 'cannot promise JSON');
  return undefined;
}

/** A schema is asked of a model that knows plain JSON mode as well: `wire` writes the request down to it. */
function lacking(model: Model, needs: Needs): 'tools' | 'vision' | 'json' | undefined {
  const can = model.capabilities;
  if (needs.tools && !can.includes('tools')) return 'tools';
  if (needs.vision && !can.includes('vision')) return 'vision';
  if (needs.json !== 'none' && !can.includes('json_object') && !can.includes('json_schema')) return 'json';
  return undefined;
}

/** Leaves out whom the prompt does not fit by our estimate, unless the requested model would be all that is left. */
function withoutTooShort(served: readonly Candidate[], input: PlanInput, skipped: Skipped[]): readonly Candidate[] {
  const { model: requested, promptBound } = input.request;
  const prompt = Math.min(input.request.promptEstimate, promptBound);
  const fits = served.filter((one) => prompt <= one.model.contextWindow);
  const kept = fits.length > 0 ? fits : served.filter((one) => one.model.id === requested);
  for (const { model, provider, healthKey: place } of served.filter((one) => !kept.includes(one))) {
    const reason = `a prompt of about ${Math.ceil(prompt)} tokens does not fit its window of ${model.contextWindow}`;
    skipped.push({ model: model.id, provider, healthKey: place, kind: 'too_long', reason });
  }
  return kept;
}

function candidate(model: Model, provider: string, input: PlanInput): Candidate {
  const { request, defaultMaxTokens, nowMs } = input;
  const price = priceAt(model.price, nowMs);
  const role = model.id === request.model ? 'the requested model' : `stands in for ${request.model}`;
  return { model, price, provider, healthKey: placeOf(model, provider, input), expectedCost: expectedCost(price, request, defaultMaxTokens), trial: false, reason: role };
}

/** Health is read where this request's outcome will be told. */
function placeOf(model: Model, provider: string, { byok }: PlanInput): string {
  return healthKey(provider, model.id, byok === undefined ? undefined : { region: byok.regionOf(provider) });
}

/** Why a candidate is better not asked now; undefined where nothing is known against it. */
function unwell(one: Candidate, input: PlanInput): Skipped | undefined {
  const entry = input.health.get(one.healthKey);
  const down = isOpen(entry, input.nowMs);
  if (!down && !isResting(entry, input.nowMs)) return undefined;
  const { reason } = describeHealth(entry, input.nowMs);
  return { model: one.model.id, provider: one.provider, healthKey: one.healthKey, kind: down ? 'down' : 'resting', reason };
}

function asLastResort(one: Candidate, input: PlanInput, why: string): Candidate {
  const ill = unwell(one, input);
  return { ...one, trial: ill?.kind === 'down', reason: `${one.reason}; ${ill?.reason ?? 'healthy'}, ${why}` };
}

function byCost(a: Candidate, b: Candidate): number {
  if (a.expectedCost === b.expectedCost) return 0;
  return a.expectedCost < b.expectedCost ? -1 : 1;
}

function asTokens(count: number): number {
  return Math.min(TOKENS_MAX, Math.max(0, Math.ceil(count)));
}
