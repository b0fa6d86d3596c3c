import { HealthBook } from '../health.ts';
import { Limits } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { SignUpLimits } from '../sign-up-limits.ts';
import type { GatewayParts } from '../types.ts';
import type { AddressGate, Shared } from './types.ts';

/** What holds for all that serve, where that is this process alone: it lies in its memory, and nobody is asked. */
export function shareWithNobody({ settings, clock }: Pick<GatewayParts, 'settings' | 'clock'>, metrics: Pick<Metrics, 'cooledDown'>): Shared {
  const addresses = new Addresses(settings.limits.connectionsPerAddress);
  return {
    limits: new Limits(settings.limits, () => clock.monotonicMs()),
    health: new HealthBook(() => clock.nowMs(), (provider) => metrics.cooledDown(provider)),
    signUps: new SignUpLimits(() => clock.monotonicMs()),
    addresses,
    measure: async (own) => own(),
    workers: () => 1,
  };
}

/** Counts open connections by address. */
export class Addresses implements AddressGate {
  readonly #open = new Map<string, number>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  arrived(address: string, refuse: () => void): () => void {
    const count = (this.#open.get(address) ?? 0) + 1;
    this.#open.set(address, count);
    if (count > this.#most) refuse();
    return () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left === 0) this.#open.delete(address);
      else this.#open.set(address, left);
    };
  }
}
