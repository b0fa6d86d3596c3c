import type { Catalog, Model } from '../catalog/index.ts';
import { invalidRequest } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import type { PlanInput } from '../routing/index.ts';
import type { ChatRequest } from '../wire/index.ts';

/** Who pays the provider for one request, and with whose key. It never changes while the request fails over. */
export type ModeChoice =
  /** The operator's keys; the account pays from its credits. */
  | { readonly mode: 'standard'; readonly only: undefined; readonly inlineKey: undefined }
  /** The account's own keys. `only`: this provider and no other. `inlineKey`: the key came with the request. */
  | { readonly mode: 'byok'; readonly only: string | undefined; readonly inlineKey: string | undefined };

/**
 * Chooses the mode of a request. Source: CONTRACT section 3, in its order: the body's `provider_key`, the header
 * `X-FindToken-Mode`, a registered key for the requested model's provider, else Standard.
 *
 * @throws Fault `invalid_request` (400) where the wish cannot be met: an unknown provider, a header that names no mode, BYOK
 *   without a key. An account with a deepseek key that asks for deepseek-chat gets `{ mode: 'byok' }`.
 */
export function chooseMode(wish: {
  readonly request: ChatRequest;
  readonly header: string | undefined;
  readonly owner: KeyOwner;
  readonly model: Model;
  readonly catalog: Catalog;
}): ModeChoice {
  const { request, owner, model, catalog } = wish;
  const header = readModeHeader(wish.header);
  if (request.providerKey !== undefined) {
    const { provider, apiKey } = request.providerKey;
    if (!catalog.providers.has(provider)) {
      const known = [...catalog.providers.keys()].join(', ');
      throw invalidRequest(`provider_key.provider ${JSON.stringify(provider)} is unknown; use one of ${known}.`, 'provider_key.provider');
    }
    if (apiKey === undefined && !owner.byokProviders.includes(provider)) {
      throw invalidRequest(`No BYOK key is registered for ${provider}; register one with \`findtoken byok register ${provider}\`, or send provider_key.api_key.`, 'provider_key');
    }
    return { mode: 'byok', only: provider, inlineKey: apiKey };
  }
  const own = owner.byokProviders.includes(model.provider);
  if (header === 'standard') return STANDARD;
  if (header === 'byok' && !own && !hasKeyForEquivalent(catalog, model, owner)) {
    throw invalidRequest(`X-FindToken-Mode is byok, but no BYOK key is registered for ${model.provider} or for an equivalent of ${model.id}; register one with \`findtoken byok register ${model.provider}\`.`);
  }
  return header === 'byok' || own ? { mode: 'byok', only: undefined, inlineKey: undefined } : STANDARD;
}

const STANDARD: ModeChoice = { mode: 'standard', only: undefined, inlineKey: undefined };

/**
 * Whose keys a plan counts on in the mode that was chosen: what `planCandidates` asks of them.
 *
 * The sandbox answers for a model whose provider has no key, and stands in for no other: who asked a real provider and is told that it
 * is down knows so, and would take what the sandbox made up for an answer.
 * @param operator `providers`: those for which the operator has a key, which BYOK does not look at; `sandbox`: whether it is on
 */
export function keysInMode(
  choice: ModeChoice,
  model: Pick<Model, 'provider'>,
  owner: Pick<KeyOwner, 'byokProviders' | 'byokRegions'>,
  operator: { readonly providers: ReadonlySet<string>; readonly sandbox: boolean },
): Pick<PlanInput, 'servedBy' | 'byok' | 'only'> {
  const { mode, only, inlineKey } = choice;
  if (mode === 'standard') {
    const { providers } = operator;
    const others = operator.sandbox && !providers.has(model.provider) ? 'sandbox' : undefined;
    return { only, byok: undefined, servedBy: ({ provider }) => (providers.has(provider) ? provider : others) };
  }
  // An inline key goes to the main address.
  if (inlineKey !== undefined) return { only, byok: { regionOf: () => undefined }, servedBy: ({ provider }) => (provider === only ? provider : undefined) };
  return { only, byok: { regionOf: (provider) => owner.byokRegions.get(provider) }, servedBy: ({ provider }) => (owner.byokProviders.includes(provider) ? provider : undefined) };
}

function readModeHeader(value: string | undefined): 'standard' | 'byok' | undefined {
  const mode = value?.trim().toLowerCase();
  if (mode === undefined || mode === '' || mode === 'standard' || mode === 'byok') return mode === '' ? undefined : mode;
  throw invalidRequest('"X-FindToken-Mode" must be "standard" or "byok".', 'X-FindToken-Mode');
}

function hasKeyForEquivalent(catalog: Catalog, model: Model, owner: KeyOwner): boolean {
  const ids = catalog.equivalents.get(model.id) ?? [];
  return ids.some((id) => owner.byokProviders.includes(catalog.models.get(id)?.provider ?? ''));
}
