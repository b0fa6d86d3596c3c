import { formatUsdExact, usdNumber } from '../../money/index.ts';
import { sumOf } from './figures.ts';
import type { CallLine, Sample, StatsFrame, Total } from './figures.ts';

const MINUTE = 60;
const CALLS = 20;

/** A frame as `stats --json` prints it; times in Unix seconds, spans in milliseconds, amounts in US dollars. */
export function statsDocument(frame: StatsFrame): unknown {
  const minute = sumOf(frame.samples.slice(-MINUTE));
  const { daemon, timing } = frame;
  return {
    object: 'stats',
    created: Math.floor(frame.atMs / 1000),
    running: daemon !== undefined,
    daemon: daemon === undefined ? null : { version: daemon.version, url: daemon.url, uptime_s: Math.floor(daemon.upMs / 1000), in_flight: daemon.inFlight, workers: daemon.workers, sandbox: daemon.sandbox },
    last_minute: { ...figuresOf(minute), requests_per_second: rounded(minute.requests / MINUTE), tokens_per_second: rounded(minute.tokens / MINUTE) },
    today: figuresOf(frame.today),
    latency_ms: { p50: timing.p50Ms ?? null, p95: timing.p95Ms ?? null },
    first_byte_ms: { p50: timing.firstByteP50Ms ?? null, p95: timing.firstByteP95Ms ?? null },
    models: frame.models.map(totalDocument),
    keys: frame.keys.map(totalDocument),
    accounts: frame.accounts.map(totalDocument),
    providers: frame.providers.map(({ name, state, reason, nextProbeMs }) => ({ name, state, reason, next_probe_ms: nextProbeMs ?? null })),
    calls: frame.calls.slice(0, CALLS).map(callDocument),
  };
}

function figuresOf({ requests, errors, tokens, cost }: Sample): Record<string, number | string> {
  return { requests: Math.round(requests), errors: Math.round(errors), total_tokens: Math.round(tokens), cost: usdNumber(cost), cost_exact: formatUsdExact(cost) };
}

function totalDocument({ name, ...figures }: Total): Record<string, number | string> {
  return { name, ...figuresOf(figures) };
}

function callDocument(call: CallLine): unknown {
  return {
    id: call.id,
    ended: Math.floor(call.endedMs / 1000),
    model: call.model,
    provider: call.provider,
    status: call.status,
    stream: call.stream,
    prompt_tokens: call.promptTokens,
    completion_tokens: call.completionTokens,
    cost: usdNumber(call.cost),
    latency_ms: call.latencyMs,
    first_byte_ms: call.firstByteMs ?? null,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
