import { statSync } from 'node:fs';
import type { UsageTotals } from '../../ledger/index.ts';
import { formatUsdExact, usdNumber } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import type { Books } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import type { DaemonNews } from '../daemon-news.ts';
import { counted, dollars, sizeText, spanText } from '../format.ts';
import { renderRecord } from '../table.ts';

const DAY_MS = 86_400_000;
/** Which an address leaves out. */
const HTTP_PORT = 80;
/** The beat of a daemon that has ended in good order. */
const STOPPED = 0;

export const STATUS: Verb = {
  usage: 'status',
  about: 'the daemon, the database, and the day so far',
  examples: ['findtoken status', 'findtoken status --json'],
  run: status,
};

interface Status {
  readonly news: DaemonNews | undefined;
  /** When a daemon was last heard of, running or not. */
  readonly lastBeatMs: number | undefined;
  readonly nowMs: number;
  readonly path: string;
  readonly bytes: number;
  readonly accounts: number;
  readonly today: UsageTotals | undefined;
}

async function status({ context }: Call): Promise<void> {
  const { path } = (await context.settings()).database;
  const found = await context.readOrNone<Status | undefined>(async (books) => (books === undefined ? undefined : readStatus(books)));
  context.show(found === undefined ? nothingYet(path) : documentOf(found), () =>
    renderRecord(found === undefined ? [['daemon', 'never started'], ['database', `${path} (not made yet)`]] : linesOf(found), context.terminal));
  if (found === undefined) context.terminal.note('Begin with `findtoken init`, or try `findtoken serve --sandbox`.');
  else if (found.news === undefined) context.terminal.note('The daemon is not running; start it with `findtoken serve`.');
}

/** The document before there are books: the same fields. */
function nothingYet(path: string): unknown {
  return { object: 'status', running: false, daemon: null, database: { path, bytes: null }, accounts: 0, today: todayOf(undefined) };
}

async function readStatus({ ledger, settings, nowMs: clock }: Books): Promise<Status> {
  const nowMs = clock();
  const midnightMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const [news, state, accounts, [today]] = await Promise.all([
    readNews(ledger, nowMs),
    ledger.daemonState(),
    ledger.listAccounts(),
    ledger.usageTotals('day', { fromMs: midnightMs, toMs: midnightMs + DAY_MS }),
  ]);
  const { path } = settings.database;
  return { news, lastBeatMs: state?.beatMs, nowMs, path, bytes: statSync(path).size, accounts: accounts.length, today };
}

function linesOf({ news, lastBeatMs, nowMs, path, bytes, accounts, today }: Status): readonly (readonly [string, string])[] {
  const silent = lastBeatMs === undefined ? 'never started' : lastBeatMs === STOPPED ? 'not running, it was stopped' : `not running, last seen ${spanText(nowMs - lastBeatMs)} ago`;
  return [
    ...(news === undefined ? [['daemon', silent] as const] : newsLines(news, nowMs)),
    ['database', `${path} (${sizeText(bytes)})`],
    ['accounts', String(accounts)],
    ['today', `${counted(today?.requests ?? 0, 'request')}, ${counted(today?.errors ?? 0, 'error')}, ${dollars(today?.cost ?? 0n)}`],
  ];
}

function newsLines({ state, inFlight, workers, health }: DaemonNews, nowMs: number): readonly (readonly [string, string])[] {
  return [
    ['daemon', `running for ${spanText(nowMs - state.startedMs)}, pid ${state.pid}, version ${state.version}`],
    ['url', state.url],
    ...(workers.length < 2 ? [] : [['workers', workers.map(({ no, pid, inFlight: calls }) => `${no}: pid ${pid}, ${calls} in flight`).join('; ')] as const]),
    ['in flight', String(inFlight)],
    ...health.map(({ key, reason }) => ['health', `${key}: ${reason}`] as const),
  ];
}

function documentOf({ news, nowMs, path, bytes, accounts, today }: Status): unknown {
  return {
    object: 'status',
    running: news !== undefined,
    daemon: news === undefined ? null : daemonOf(news, nowMs),
    database: { path, bytes },
    accounts,
    today: todayOf(today),
  };
}

function todayOf(today: UsageTotals | undefined): unknown {
  return { requests: today?.requests ?? 0, errors: today?.errors ?? 0, cost: usdNumber(today?.cost ?? 0n), cost_exact: formatUsdExact(today?.cost ?? 0n) };
}

function daemonOf({ state, inFlight, workers, health }: DaemonNews, nowMs: number): unknown {
  return {
    pid: state.pid,
    version: state.version,
    url: state.url,
    port: Number(new URL(state.url).port || HTTP_PORT),
    started: Math.floor(state.startedMs / 1000),
    uptime_s: Math.floor((nowMs - state.startedMs) / 1000),
    in_flight: inFlight,
    workers: workers.map(({ no, pid, inFlight: calls }) => ({ no, pid, in_flight: calls })),
    health: health.map(({ key, state: health, reason }) => ({ key, state: health, reason })),
  };
}
