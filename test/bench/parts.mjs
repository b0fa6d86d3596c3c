// The parts of the bench by name, in the order of a full run. Each is loaded when it is asked for.

export const PARTS = {
  json: async (bench) => (await import('./throughput.mjs')).measureJson(bench),
  sse: async (bench) => (await import('./throughput.mjs')).measureSse(bench),
};
