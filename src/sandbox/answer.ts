import type { Upstream } from '../upstream/index.ts';

export interface SandboxOptions {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Resolves after `ms`; rejects or resolves at once when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function createSandbox(options: SandboxOptions): Upstream {
  throw new Error(`not built yet: ${options.now()}`);
}
