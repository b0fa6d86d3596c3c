import type { CallLine, Sample, StatsFrame, Total } from '../../src/cli/stats/figures.ts';

/** A frame in which everything stands that the screen can show, the same at every run. */
export function fixedFrame(): StatsFrame {
  const atMs = Date.UTC(2026, 10, 23, 18, 7, 55);
  const samples = Array.from({ length: 120 }, (_, second): Sample => {
    const requests = second % 17 === 0 ? 0 : 3 + Math.round(3 * Math.sin(second / 6));
    return { requests, errors: second % 40 === 39 ? 1 : 0, tokens: requests * 412, cost: BigInt(requests) * 31_415n };
  });
  return {
    atMs,
    daemon: { version: '0.1.0', url: 'http://127.0.0.1:8787', upMs: 93_784_000, inFlight: 7, workers: 1, sandbox: false },
    samples,
    timing: { p50Ms: 812, p95Ms: 2_431, firstByteP50Ms: 96, firstByteP95Ms: 341 },
    latencyMs: samples.map(({ requests }) => (requests === 0 ? 0 : 800 + requests * 120)),
    firstByteMs: samples.map(({ requests }) => (requests === 0 ? 0 : 60 + requests * 20)),
    today: { requests: 48_213, errors: 120, tokens: 21_904_117, cost: 1_934_500_000n },
    models: [total('deepseek-chat', 31_002, 40), total('qwen-max', 9_120, 71), total('kimi-k2', 5_001, 9), total('glm-4-plus', 2_090, 0), total('minimax-m2.5', 999, 0), total('qwen-turbo', 1, 0)],
    keys: [total('laptop', 30_120, 60), total('价格 bot', 12_000, 60), total('a\x1b[31mred\u202egnp', 6_093, 0)],
    accounts: [total('ann@example.com', 42_120, 100), total('bob@example.com', 6_093, 20)],
    providers: [
      { name: 'kimi', state: 'down', reason: 'down (retry), asked again in 12 s', nextProbeMs: 12_000 },
      { name: 'zhipu', state: 'resting', reason: 'rate-limited, asked again in 4 s', nextProbeMs: 4_000 },
      { name: 'minimax', state: 'trying', reason: 'was down (timeout), the next request tries it', nextProbeMs: 0 },
      { name: 'deepseek', state: 'up', reason: 'up', nextProbeMs: undefined },
      { name: 'qwen', state: 'up', reason: 'up, 1 of 5 failures in a row (timeout)', nextProbeMs: undefined },
      { name: 'stepfun', state: 'idle', reason: 'not called yet', nextProbeMs: undefined },
    ],
    calls: Array.from({ length: 40 }, (_, index) => call(index, atMs)),
  };
}

function total(name: string, requests: number, errors: number): Total {
  return { name, requests, errors, tokens: requests * 454, cost: BigInt(requests) * 40_123n };
}

function call(index: number, atMs: number): CallLine {
  const models = ['deepseek-chat', 'qwen-max', 'kimi-k2'];
  const status = index % 11 === 4 ? 'providers_unavailable' : index % 13 === 6 ? 'aborted' : 'ok';
  return {
    id: `req_${String(index).padStart(4, '0')}`,
    endedMs: atMs - index * 730,
    model: models[index % 3] ?? '',
    provider: ['deepseek', 'qwen', 'kimi'][index % 3] ?? '',
    key: index % 2 === 0 ? 'laptop' : 'a\x1b[31mred\u202egnp',
    account: 'ann@example.com',
    status,
    stream: index % 2 === 0,
    promptTokens: 40 + index * 37,
    completionTokens: status === 'ok' ? 120 + index * 11 : 0,
    cost: status === 'ok' ? 3_141n * BigInt(index + 1) : 0n,
    latencyMs: 310 + index * 97,
    firstByteMs: index % 2 === 0 ? 80 + index : undefined,
  };
}
