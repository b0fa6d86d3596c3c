// The parts of the bench by name, in the order of a full run. Each is loaded when it is asked for.

export const PARTS = {
  json: async (bench) => (await import('./throughput.mjs')).measureJson(bench),
  sse: async (bench) => (await import('./throughput.mjs')).measureSse(bench),
  ttft: async (bench) => (await import('./streams.mjs')).measureFirst(bench),
  paced: async (bench) => (await import('./streams.mjs')).measurePaced(bench),
  idle: async (bench) => (await import('./memory.mjs')).measureIdle(bench),
  stalled: async (bench) => (await import('./memory.mjs')).measureStalled(bench),
  start: async (bench) => (await import('./start.mjs')).measureStart(bench),
  ledger: async (bench) => (await import('./ledger.mjs')).measureLedger(bench),
  rows: async (bench) => (await import('./rows.mjs')).measureRows(bench),
  cli: async (bench) => (await import('./cli-part.mjs')).measureCliPart(bench),
  crash: async (bench) => (await import('./crash.mjs')).measureCrash(bench),
};
