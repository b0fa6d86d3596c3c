import type { Catalog, Model } from '../catalog/index.ts';
import { pricingView, type PricingView } from './pricing-view.ts';

/** A model as `GET /v1/models` shows it: OpenAI's shape, OpenRouter's fields, and ours. */
export interface ModelView {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
  readonly name: string;
  readonly provider: string;
  readonly context_length: number;
  readonly pricing: PricingView;
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

/** One model of the catalogue, at the price of now. `created` is the day on which that was looked up: the catalogue knows no other. */
export function modelView(model: Model, catalog: Pick<Catalog, 'equivalents'>, nowMs: number): ModelView {
  const vision = model.capabilities.includes('vision');
  return {
    id: model.id,
    object: 'model',
    created: Math.floor((Date.parse(`${model.priced}T00:00:00Z`) || 0) / 1000),
    owned_by: model.provider,
    name: model.name,
    provider: model.provider,
    context_length: model.contextWindow,
    pricing: pricingView(model.price, nowMs),
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

function parametersOf(model: Model): readonly string[] {
  const can = new Set(model.capabilities);
  const parameters: string[] = [...COMMON_PARAMETERS];
  if (can.has('tools')) parameters.push('tools', 'tool_choice');
  if (can.has('json_object') || can.has('json_schema')) parameters.push('response_format');
  if (can.has('json_schema')) parameters.push('structured_outputs');
  if (can.has('reasoning')) parameters.push('reasoning');
  return parameters.filter((parameter) => !model.drop.includes(parameter));
}
