import type { Catalog, Model } from '../catalog/index.ts';
import type { PicoUsd, Rates } from '../money/index.ts';

interface Pricing {
  readonly prompt: string;
  readonly completion: string;
  readonly input_cache_read: string;
}

/** A model as `GET /v1/models` shows it: OpenAI's shape, OpenRouter's fields, and ours. */
export interface ModelView {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
  readonly name: string;
  readonly provider: string;
  readonly context_length: number;
  /** Decimal strings in US dollars per token, before the usage fee. */
  readonly pricing: Pricing & {
    /** Stands only where a request with more than `min_prompt_tokens` costs other prices, all of it. */
    readonly overrides?: readonly (Pricing & { readonly min_prompt_tokens: number })[];
  };
  readonly architecture: {
    readonly modality: string;
    readonly input_modalities: readonly string[];
    readonly output_modalities: readonly string[];
  };
  readonly top_provider: { readonly context_length: number; readonly max_completion_tokens: number };
  readonly supported_parameters: readonly string[];
  /** In order of preference. */
  readonly equivalents: readonly string[];
  /** Stands only on models that exist to rehearse with. */
  readonly sandbox?: true;
}

/** What every model takes, in OpenRouter's spelling; a model's `drop` list takes away. */
const COMMON_PARAMETERS = ['max_tokens', 'temperature', 'top_p', 'stop', 'frequency_penalty', 'presence_penalty'] as const;
const DECIMALS = 12;

/**
 * One model of the catalogue. `created` is the day on which its price was looked up: the catalogue knows no other.
 * A price of $0.14 per million tokens is shown as "0.00000014" per token.
 */
export function modelView(model: Model, catalog: Pick<Catalog, 'equivalents'>): ModelView {
  const vision = model.capabilities.includes('vision');
  const { longPrompt } = model.price;
  return {
    id: model.id,
    object: 'model',
    created: Math.floor((Date.parse(`${model.priced}T00:00:00Z`) || 0) / 1000),
    owned_by: model.provider,
    name: model.name,
    provider: model.provider,
    context_length: model.contextWindow,
    pricing: { ...pricingOf(model.price), ...(longPrompt === undefined ? {} : { overrides: [{ min_prompt_tokens: longPrompt.above, ...pricingOf(longPrompt) }] }) },
    architecture: {
      modality: vision ? 'text+image->text' : 'text->text',
      input_modalities: vision ? ['text', 'image'] : ['text'],
      output_modalities: ['text'],
    },
    top_provider: { context_length: model.contextWindow, max_completion_tokens: model.maxOutput },
    supported_parameters: parametersOf(model),
    equivalents: catalog.equivalents.get(model.id) ?? [],
    ...(model.sandbox ? { sandbox: true } : {}),
  };
}

function pricingOf({ input, cachedInput, output }: Rates): Pricing {
  return { prompt: perToken(input), completion: perToken(output), input_cache_read: perToken(cachedInput) };
}

function parametersOf(model: Model): readonly string[] {
  const can = new Set(model.capabilities);
  const parameters: string[] = [...COMMON_PARAMETERS];
  if (can.has('tools')) parameters.push('tools', 'tool_choice');
  if (can.has('json_object') || can.has('json_schema')) parameters.push('response_format');
  if (can.has('json_schema')) parameters.push('structured_outputs');
  if (can.has('reasoning')) parameters.push('reasoning');
  return parameters.filter((parameter) => !model.drop.includes(parameter));
}

/** 140_000n (1e-12 dollars) is "0.00000014"; nothing is rounded, for a price has at most 12 decimals a token. */
function perToken(price: PicoUsd): string {
  const digits = price.toString().padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  const whole = digits.slice(0, -DECIMALS);
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
