// The parts of the bench by name, in the order of a full run. Each is loaded when it is asked for.
// A part gets the bench, `{ rig, plan, say, origins(), fleet() }`, says its tables, and answers `{ measures, suites?, bad? }`: figures by the
// names that targets.mjs knows, and how many answers were not whole.
import { existsSync } from 'node:fs';

const PART = {
  json: async (bench) => (await import('./throughput.mjs')).measureJson(bench),
  sse: async (bench) => (await import('./throughput.mjs')).measureSse(bench),
  ttft: async (bench) => (await import('./streams.mjs')).measureFirst(bench),
  paced: async (bench) => (await import('./streams.mjs')).measurePaced(bench),
  idle: async (bench) => (await import('./memory.mjs')).measureIdle(bench),
  stalled: async (bench) => (await import('./memory.mjs')).measureStalled(bench),
  workers: async (bench) => (await import('./workers.mjs')).measureWorkers(bench),
  start: async (bench) => (await import('./start.mjs')).measureStart(bench),
  ledger: async (bench) => (await import('./ledger.mjs')).measureLedger(bench),
  cli: async (bench) => (await import('./cli-part.mjs')).measureCliPart(bench),
  crash: async (bench) => (await import('./crash.mjs')).measureCrash(bench),
  rows: async (bench) => (await import('./rows.mjs')).measureRows(bench),
};

/** Several processes on one port are measured where the product has them. */
export const PARTS = Object.fromEntries(Object.entries(PART).filter(([name]) => name !== 'workers' || existsSync(new URL('workers.mjs', import.meta.url))));
