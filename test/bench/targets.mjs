// What findtoken wants to reach, as ratios within one run where a machine would tell otherwise.
import { table } from './figures.mjs';

/**
 * `of` is the measure's name. `atMost`: less is better. A measure that a part did not take leaves its row out; a stretch that equals
 * its must asks for nothing more.
 */
export const TARGETS = [
  { no: '1', of: 'json/bare', what: 'requests/s, 64 connections, to the bare proxy', unit: '×', must: 0.6, stretch: 0.75 },
  { no: '2', of: 'json/nginx', what: 'the same to nginx', unit: '×', must: 0.2, stretch: 0.28 },
  { no: '3', of: 'json/portkey', what: 'the same to Portkey', unit: '×', must: 12, stretch: 20 },
  { no: '4', of: 'json/caddy', what: 'the same to caddy on one core', unit: '×', must: 1, stretch: 1.3 },
  { no: '5', of: 'json/bookless', what: 'the same to findtoken without books', unit: '×', must: 0.9, stretch: 1 },
  { no: '5', of: 'json-p99/bookless', what: 'p99 to that without books', unit: '×', must: 1, stretch: 1, atMost: true },
  { no: '6', of: 'one-p50/bare', what: 'p50 with one connection to the bare proxy', unit: '×', must: 5, stretch: 3.5, atMost: true },
  { no: '6', of: 'one-p50/portkey', what: 'the same to Portkey', unit: '×', must: 0.6, stretch: 0.6, atMost: true },
  { no: '7', of: 'sse/bare', what: 'events/s back to back, to the bare proxy', unit: '×', must: 0.85, stretch: 0.97 },
  { no: '7', of: 'sse/portkey', what: 'the same to Portkey', unit: '×', must: 5, stretch: 7 },
  { no: '8', of: 'ttft', what: 'first event later than without a proxy', unit: 'ms', must: 2, stretch: 2, atMost: true },
  { no: '8', of: 'ttft-bare', what: 'first event later than through the bare proxy', unit: 'ms', must: 1, stretch: 0.3, atMost: true },
  { no: '9', of: 'idle', what: 'RAM of an idle stream', unit: 'KiB', must: 25, stretch: 16, atMost: true },
  { no: '9', of: 'stalled', what: 'RAM of a slow reader of an endless stream', unit: 'MiB', must: 1, stretch: 1, atMost: true },
  { no: '9', of: 'stalled-growth', what: 'what it grows by afterwards', unit: '×', must: 1.1, stretch: 1.1, atMost: true },
  { no: '10', of: 'ledger/disk', what: 'durable writes/s in batches of 64, to appends with fdatasync', unit: '×', must: 10, stretch: 20 },
  { no: '11', of: 'rows-writes', what: 'durable writes/s at 10 million rows, to 1 million', unit: '×', must: 0.8, stretch: 1 },
  { no: '11', of: 'rows-page', what: 'a page of 50 rows, likewise', unit: '×', must: 1.5, stretch: 1, atMost: true },
  { no: '11', of: 'rows-balance', what: 'a balance, likewise', unit: '×', must: 1.5, stretch: 1, atMost: true },
  { no: '11', of: 'rows-all', what: '`stats`, `usage`, `logs`, a page of logs, a call: the worst at 10 million rows, to 100,000', unit: '×', must: 1.5, stretch: 1.5, atMost: true },
  { no: '12', of: 'help', what: '`--help` to an empty Node', unit: '×', must: 1.4, stretch: 1.15, atMost: true },
  { no: '12', of: 'ready', what: 'the daemon until it listens, to an empty Node', unit: '×', must: 3, stretch: 2, atMost: true },
  { no: '12', of: 'resting', what: 'RAM of the daemon at rest', unit: 'MiB', must: 80, stretch: 80, atMost: true },
  { no: '13', of: 'crash', what: 'kill -9 under load: rounds whose answers and books agree to the cent', unit: 'of all', must: 1, stretch: 1 },
  { no: '', of: 'cli', what: 'commands within their CPU time (`npm run bench:cli`)', unit: 'of all', must: 1, stretch: 1 },
];

/** The targets that this run can tell about, each with what it reached. */
export function verdicts(measures) {
  return TARGETS.map((target) => ({ ...target, reached: measures[target.of] })).filter(({ reached }) => reached !== undefined && !Number.isNaN(reached));
}

export function isMet({ atMost, reached, must }) {
  return atMost === true ? reached <= must : reached >= must;
}

/** The table of targets, with must, stretch and reached. */
export function targetTable(reached) {
  const rows = reached.map((target) => {
    const { no, what, unit, must, stretch, atMost } = target;
    const word = !isMet(target) ? 'MISSED' : stretch !== must && isMet({ ...target, must: stretch }) ? 'beyond the stretch' : 'met';
    const sign = atMost === true ? '≤' : '≥';
    return [no, what, `${sign} ${must} ${unit}`, stretch === must ? '' : `${sign} ${stretch} ${unit}`, `${target.reached.toFixed(2)} ${unit}`, word];
  });
  return table([['#', 'target', 'must', 'stretch', 'reached', ''], ...rows]);
}
