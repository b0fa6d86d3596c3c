import type { UsdE8 } from '../../money/index.ts';

/** What ended within one second. */
export interface Sample {
  readonly requests: number;
  readonly errors: number;
  readonly tokens: number;
  readonly cost: UsdE8;
}

/** How long answers took, of the newest ones that went well; undefined where there are none. */
export interface Timing {
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
  /** To the first byte for the client. */
  readonly firstByteP50Ms: number | undefined;
  readonly firstByteP95Ms: number | undefined;
}

/** One line of a table of totals. */
export interface Total {
  readonly name: string;
  readonly requests: number;
  readonly errors: number;
  readonly tokens: number;
  readonly cost: UsdE8;
}

/** One provider, by the worst of its models. */
export interface ProviderLine {
  readonly name: string;
  /** `up`, `down`, `resting`, `trying`; `idle` where it was not called since the daemon began. */
  readonly state: 'up' | 'down' | 'resting' | 'trying' | 'idle';
  readonly reason: string;
  /** Until it is asked again; undefined where nothing waits. */
  readonly nextProbeMs: number | undefined;
}

/** One ended request of the tail. */
export interface CallLine {
  readonly id: string;
  readonly endedMs: number;
  readonly model: string;
  readonly provider: string;
  readonly key: string;
  readonly account: string;
  readonly status: string;
  readonly stream: boolean;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cost: UsdE8;
  readonly latencyMs: number;
  readonly firstByteMs: number | undefined;
}

/** Everything one frame shows. */
export interface StatsFrame {
  readonly atMs: number;
  /** Undefined while no daemon runs: the figures then end where it stopped. */
  readonly daemon: { readonly version: string; readonly url: string; readonly upMs: number; readonly inFlight: number; /** Processes that serve. */ readonly workers: number; readonly sandbox: boolean } | undefined;
  /** One a second, oldest first. */
  readonly samples: readonly Sample[];
  readonly timing: Timing;
  /** Of each second as the samples, 0 where nothing ended. */
  readonly latencyMs: readonly number[];
  readonly firstByteMs: readonly number[];
  readonly today: Sample;
  readonly models: readonly Total[];
  readonly keys: readonly Total[];
  readonly accounts: readonly Total[];
  readonly providers: readonly ProviderLine[];
  /** Newest first. */
  readonly calls: readonly CallLine[];
}

export const NOTHING: Sample = { requests: 0, errors: 0, tokens: 0, cost: 0n };

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/**
 * The newest values as bars, the highest of them full height, nothing as a blank; exactly `width` columns.
 * `sparkline([0, 1, 2], 4)` is `"  ▄█"`.
 */
export function sparkline(values: readonly number[], width: number): string {
  if (width <= 0) return '';
  const shown = values.slice(-width);
  const top = Math.max(...shown, 0);
  const bars = shown.map((value) => (value <= 0 || top === 0 ? ' ' : (BARS[Math.min(BARS.length - 1, Math.ceil((value / top) * BARS.length) - 1)] ?? ' ')));
  return bars.join('').padStart(width);
}

/** The value that so many per cent of the values do not pass (nearest rank); undefined of none. `percentile([1, 2, 3, 4], 50)` is 2. */
export function percentile(values: readonly number[], percent: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}

/** The sum of samples. */
export function sumOf(samples: readonly Sample[]): Sample {
  return samples.reduce((sum, one) => ({ requests: sum.requests + one.requests, errors: sum.errors + one.errors, tokens: sum.tokens + one.tokens, cost: sum.cost + one.cost }), NOTHING);
}

/** Counts so that they fit: 999, 1.2k, 34k, 5.6M. */
export function short(count: number): string {
  const steps = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const;
  const step = steps.find(([least]) => count >= least);
  if (step === undefined) return Number.isInteger(count) || count >= 100 ? String(Math.round(count)) : count.toFixed(count < 10 ? 2 : 1);
  const scaled = count / step[0];
  return `${scaled < 10 ? Math.floor(scaled * 10) / 10 : Math.floor(scaled)}${step[1]}`;
}

/** A span of time so that it fits: 812 ms, 1.2 s, 34 s; a dash where there is none. */
export function shortMs(ms: number | undefined): string {
  if (ms === undefined) return '–';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`;
}

/** Errors as a share of requests: "0.0 %"; of no requests, too. */
export function errorShare({ requests, errors }: Pick<Sample, 'requests' | 'errors'>): string {
  return `${requests === 0 ? '0.0' : ((errors / requests) * 100).toFixed(1)} %`;
}
