import type { Catalog } from '../catalog/index.ts';
import { describeHealth, forOperator, isOpen, isResting, observe, readHealthKey, reserveTrial, type HealthEntry, type HealthEvent, type HealthView } from '../routing/index.ts';

/**
 * What the gateway knows of its providers' health: one entry for each `healthKey`, moved on by `routing`'s reducer.
 * It lives in memory and starts healthy; the daemon publishes it for the command line.
 */
export class HealthBook {
  readonly #entries = new Map<string, HealthEntry>();
  readonly #nowMs: () => number;
  readonly #onCooldown: (provider: string) => void;

  /**
   * @param nowMs the wall clock: people read the times of next probes
   * @param onCooldown called when requests begin to pass a model of this provider by
   */
  constructor(nowMs: () => number, onCooldown: (provider: string) => void = () => undefined) {
    this.#nowMs = nowMs;
    this.#onCooldown = onCooldown;
  }

  /** Keyed by `healthKey`; a missing entry is healthy. */
  get entries(): ReadonlyMap<string, HealthEntry> {
    return this.#entries;
  }

  /** Notes what happened to a provider's model. @param key of `healthKey` */
  observe(key: string, event: HealthEvent): void {
    const nowMs = this.#nowMs();
    const before = this.#entries.get(key);
    const after = observe(before, event, nowMs);
    this.#entries.set(key, after);
    if (event.kind !== 'answered' && isPassedBy(after, nowMs) && !isPassedBy(before, nowMs)) this.#onCooldown(readHealthKey(key).provider);
  }

  /** Marks the one request that an open circuit lets through, so that others do not rush in beside it. True: the caller is that one, or no mark is needed. */
  reserve(key: string): true {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.state !== 'closed') this.#entries.set(key, reserveTrial(entry, this.#nowMs()));
    return true;
  }

  /** Takes an entry as somebody else has it. */
  set(key: string, entry: HealthEntry): void {
    this.#entries.set(key, entry);
  }

  /** True while requests pass this model by. */
  isDown(key: string): boolean {
    return isPassedBy(this.#entries.get(key), this.#nowMs());
  }
}

function isPassedBy(entry: HealthEntry | undefined, nowMs: number): boolean {
  return isOpen(entry, nowMs) || isResting(entry, nowMs);
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

/** Every provider of the catalogue, in its order, with its health at `nowMs`: as the operator's key finds it, else as BYOK does. */
export function providersHealth(catalog: Catalog, book: { readonly entries: ReadonlyMap<string, HealthEntry> }, operators: ReadonlySet<string>, nowMs: number): readonly ProviderHealth[] {
  const ill = forOperator([...book.entries].map(([key, entry]) => ({ key, ...readHealthKey(key), ...describeHealth(entry, nowMs) }))).filter(({ state }) => state !== 'up');
  return [...catalog.providers.keys()].map((id) => {
    const here = ill.filter(({ provider, model }) => provider === id && catalog.models.get(model)?.provider === id);
    const worst = BY_WEIGHT.find((state) => here.some((one) => one.state === state));
    const models = [...catalog.models.keys()].filter((model) => here.some((one) => one.model === model));
    return { id, operator_key: operators.has(id), health: worst ?? 'up', ill: models };
  });
}

const BY_WEIGHT: readonly HealthView['state'][] = ['down', 'trying', 'resting'];
