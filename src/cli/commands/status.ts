import { statSync } from 'node:fs';
import type { DaemonState, UsageTotals } from '../../ledger/index.ts';
import { formatUsdExact, usdNumber } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books } from '../context.ts';
import { dollars, spanText } from '../format.ts';
import { renderRecord } from '../table.ts';

/** The daemon publishes about once a second; one that was silent for longer is gone, or stands still. */
const SILENT_AFTER_MS = 5_000;
const DAY_MS = 86_400_000;

export const STATUS: Verb = {
  usage: 'status',
  about: 'the daemon, the database, and the day so far',
  examples: ['findtoken status', 'findtoken status --json'],
  run: status,
};

interface Status {
  readonly state: DaemonState | undefined;
  readonly running: boolean;
  readonly nowMs: number;
  readonly path: string;
  readonly bytes: number;
  readonly accounts: number;
  readonly today: UsageTotals | undefined;
}

async function status({ context }: Call): Promise<void> {
  const found = await context.read(readStatus);
  context.show(documentOf(found), () => renderRecord(linesOf(found), context.terminal));
  if (!found.running) context.terminal.note('The daemon is not running; start it with `findtoken serve`.');
}

async function readStatus({ ledger, settings, nowMs: clock }: Books): Promise<Status> {
  const nowMs = clock();
  const midnightMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const [state, accounts, [today]] = await Promise.all([
    ledger.daemonState(),
    ledger.listAccounts(),
    ledger.usageTotals('day', { fromMs: midnightMs, toMs: midnightMs + DAY_MS }),
  ]);
  const running = state !== undefined && nowMs - state.beatMs < SILENT_AFTER_MS;
  const { path } = settings.database;
  return { state, running, nowMs, path, bytes: statSync(path).size, accounts: accounts.length, today };
}

function linesOf({ state, running, nowMs, path, bytes, accounts, today }: Status): readonly (readonly [string, string])[] {
  const daemon: (readonly [string, string])[] =
    running && state !== undefined
      ? [
          ['daemon', `running for ${spanText(nowMs - state.startedMs)}, pid ${state.pid}, version ${state.version}`],
          ['url', state.url],
          ...detailLines(readDetail(state.detail)),
        ]
      : [['daemon', state === undefined ? 'never started' : `not running, last seen ${spanText(nowMs - state.beatMs)} ago`]];
  return [
    ...daemon,
    ['database', `${path} (${Math.ceil(bytes / 1024)} KiB)`],
    ['accounts', String(accounts)],
    ['today', `${today?.requests ?? 0} requests, ${today?.errors ?? 0} errors, ${dollars(today?.cost ?? 0n)}`],
  ];
}

function documentOf({ state, running, nowMs, path, bytes, accounts, today }: Status): unknown {
  const alive = running && state !== undefined;
  return {
    object: 'status',
    running,
    daemon: alive
      ? { pid: state.pid, version: state.version, url: state.url, started: Math.floor(state.startedMs / 1000), uptime_s: Math.floor((nowMs - state.startedMs) / 1000), detail: readDetail(state.detail) }
      : null,
    database: { path, bytes },
    accounts,
    today: {
      requests: today?.requests ?? 0,
      errors: today?.errors ?? 0,
      cost: usdNumber(today?.cost ?? 0n),
      cost_exact: formatUsdExact(today?.cost ?? 0n),
    },
  };
}

/** What the daemon published is its own JSON; text that is none is shown as nothing, for it is only news. */
function readDetail(detail: string): unknown {
  try {
    return JSON.parse(detail);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** One line for each fact of the daemon: plain values as they are, others as JSON. */
function detailLines(detail: unknown): readonly (readonly [string, string])[] {
  if (typeof detail !== 'object' || detail === null) return [];
  return Object.entries(detail).map(([name, value]) => [name.replaceAll('_', ' '), typeof value === 'object' ? JSON.stringify(value) : String(value)]);
}
