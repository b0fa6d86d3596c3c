import type { Catalog } from '../catalog/index.ts';
import { describeHealth, healthKey, isOpen, isResting, observe, reserveTrial, type HealthEntry, type HealthEvent, type HealthView } from '../routing/index.ts';

/**
 * What the gateway knows of its providers' health: one entry for each provider and model, moved on by `routing`'s reducer.
 * It lives in memory and starts healthy; the daemon publishes it for the command line.
 */
export class HealthBook {
  readonly #entries = new Map<string, HealthEntry>();
  readonly #nowMs: () => number;

  /** @param nowMs the wall clock: people read the times of next probes */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Keyed by `healthKey`; a missing entry is healthy. */
  get entries(): ReadonlyMap<string, HealthEntry> {
    return this.#entries;
  }

  /** Notes what happened to a provider's model. */
  observe(provider: string, model: string, event: HealthEvent): void {
    const key = healthKey(provider, model);
    this.#entries.set(key, observe(this.#entries.get(key), event, this.#nowMs()));
  }

  /** Marks the one request that an open circuit lets through, so that others do not rush in beside it. */
  reserve(provider: string, model: string): void {
    const key = healthKey(provider, model);
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.state !== 'closed') this.#entries.set(key, reserveTrial(entry, this.#nowMs()));
  }

  /** True while requests pass this model by. */
  isDown(provider: string, model: string): boolean {
    const entry = this.#entries.get(healthKey(provider, model));
    return entry !== undefined && (isOpen(entry, this.#nowMs()) || isResting(entry, this.#nowMs()));
  }
}

/** A provider as `/readyz` shows it. Why it is ill is for the operator's eyes and stands in `findtoken providers list`. */
export interface ProviderHealth {
  readonly id: string;
  readonly operator_key: boolean;
  /** The worst of its models; `up` where nothing is known against any. */
  readonly health: HealthView['state'];
  /** Models that are not `up`. */
  readonly ill: readonly string[];
}

/** Every provider of the catalogue, in its order, with its health at `nowMs`. */
export function providersHealth(catalog: Catalog, book: HealthBook, operators: ReadonlySet<string>, nowMs: number): readonly ProviderHealth[] {
  return [...catalog.providers.keys()].map((id) => {
    const ill = [...catalog.models.values()]
      .filter(({ provider }) => provider === id)
      .map((model) => ({ id: model.id, state: describeHealth(book.entries.get(healthKey(id, model.id)), nowMs).state }))
      .filter(({ state }) => state !== 'up');
    const worst = BY_WEIGHT.find((state) => ill.some((model) => model.state === state));
    return { id, operator_key: operators.has(id), health: worst ?? 'up', ill: ill.map((model) => model.id) };
  });
}

const BY_WEIGHT: readonly HealthView['state'][] = ['down', 'trying', 'resting'];
