import type { Ledger, MinuteTotals, RequestRow, UsageTotals } from '../../ledger/index.ts';
import { describeHealth, forOperator, readHealthKey } from '../../routing/index.ts';
import type { HealthEntry } from '../../routing/index.ts';
import { readNews } from '../daemon-news.ts';
import type { DaemonNews } from '../daemon-news.ts';
import { NOTHING, percentile } from './figures.ts';
import type { CallLine, ProviderLine, Sample, StatsFrame, Total } from './figures.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Seconds that the sparklines reach back; more than the widest card shows. */
export const SAMPLES = 120;
/** The newest requests, from which percentiles and the tail are taken. */
const ROWS_KEPT = 500;
const NAMES_MS = 30_000;
/** Totals of the day move slowly; a busy day has thousands of groups. */
const TOTALS_MS = 2_000;
const WORST_FIRST = ['down', 'resting', 'trying', 'up'] as const;

/**
 * Reads what the screen shows, a look at a time. Counts come from the rollups and times from the newest rows alone, so that a
 * look costs the same at ten million rows as at ten.
 */
export class StatsReader {
  readonly #ledger: Ledger;
  readonly #configured: readonly string[];
  readonly #nowMs: () => number;
  #cursor: string | undefined;
  #rows: readonly RequestRow[] = [];
  #minutes = new Map<number, MinuteTotals>();
  #samples: readonly Sample[] = [];
  #lookedMs = 0;
  #names: { readonly keys: ReadonlyMap<string, string>; readonly accounts: ReadonlyMap<string, string>; readonly atMs: number } = { keys: new Map(), accounts: new Map(), atMs: 0 };
  #totals: { readonly models: readonly Total[]; readonly keys: readonly Total[]; readonly accounts: readonly Total[]; readonly today: Sample; readonly atMs: number } | undefined;

  /** @param parts `configured`: providers with a key in the settings; the catalogue is not read, for its parsing takes longer than the screen's start */
  constructor(parts: { readonly ledger: Ledger; readonly configured: readonly string[]; readonly nowMs: () => number }) {
    this.#ledger = parts.ledger;
    this.#configured = parts.configured;
    this.#nowMs = parts.nowMs;
  }

  /** One look at the books. To be called about once a second; the first one looks back. */
  async look(): Promise<StatsFrame> {
    const nowMs = this.#nowMs();
    const isFirst = this.#cursor === undefined;
    await this.#readRows();
    const fresh = await this.#readMinutes(nowMs);
    if (isFirst) this.#samples = await this.#samplesBefore(nowMs);
    else this.#append(fresh, nowMs);
    this.#lookedMs = nowMs;
    if (nowMs - this.#names.atMs >= NAMES_MS) this.#names = { ...(await readNames(this.#ledger)), atMs: nowMs };
    if (this.#totals === undefined || nowMs - this.#totals.atMs >= TOTALS_MS) this.#totals = { ...(await this.#readTotals(nowMs)), atMs: nowMs };
    const news = await readNews(this.#ledger, nowMs);
    const { models, keys, accounts, today } = this.#totals;
    return {
      atMs: nowMs,
      daemon: news === undefined ? undefined : { version: news.state.version, url: news.state.url, upMs: nowMs - news.state.startedMs, inFlight: news.inFlight, workers: news.workers.length, sandbox: news.sandbox },
      samples: this.#samples,
      ...timesOf(this.#rows, nowMs),
      today,
      models,
      keys,
      accounts,
      providers: providerLines([...this.#configured, ...(await this.#ledger.listProviderKeys()).map(({ provider }) => provider)], news, nowMs),
      calls: this.#rows.map((row) => this.#callOf(row)),
    };
  }

  /** Newest first. After a burst that is longer than what is kept, the rows between are skipped. */
  async #readRows(): Promise<void> {
    const since = await this.#ledger.requestsSince(this.#cursor, {}, ROWS_KEPT);
    if (this.#cursor === undefined || since.rows.length === ROWS_KEPT) {
      const { cursor } = await this.#ledger.requestsSince(undefined, {}, 1);
      // Listed by arrival; the screen shows them by their end.
      this.#rows = [...(await this.#ledger.listRequests({}, { limit: ROWS_KEPT })).rows].sort((x, y) => endedMs(y) - endedMs(x));
      this.#cursor = cursor;
      return;
    }
    const known = new Set(this.#rows.map(({ id }) => id));
    const fresh = since.rows.filter(({ id }) => !known.has(id)).reverse();
    this.#rows = [...fresh, ...this.#rows].slice(0, ROWS_KEPT);
    this.#cursor = since.cursor;
  }

  /** What ended since the last look, as the minutes have grown. */
  async #readMinutes(nowMs: number): Promise<Sample> {
    const minutes = await this.#ledger.usageByMinute({ fromMs: nowMs - 2 * MINUTE_MS, toMs: nowMs + MINUTE_MS });
    let grown = NOTHING;
    for (const now of minutes) {
      const before = this.#minutes.get(now.minuteMs);
      grown = {
        requests: grown.requests + now.requests - (before?.requests ?? 0),
        errors: grown.errors + now.errors - (before?.errors ?? 0),
        tokens: grown.tokens + tokensOf(now) - (before === undefined ? 0 : tokensOf(before)),
        cost: grown.cost + now.cost - (before?.cost ?? 0n),
      };
    }
    this.#minutes = new Map(minutes.map((minute) => [minute.minuteMs, minute]));
    return grown;
  }

  /** A late look covers several seconds: what ended is spread over them evenly. */
  #append(grown: Sample, nowMs: number): void {
    const seconds = Math.max(1, Math.min(SAMPLES, Math.round((nowMs - this.#lookedMs) / SECOND_MS)));
    const share = { requests: grown.requests / seconds, errors: grown.errors / seconds, tokens: grown.tokens / seconds, cost: grown.cost / BigInt(seconds) };
    this.#samples = [...this.#samples, ...Array.from({ length: seconds }, () => share)].slice(-SAMPLES);
  }

  /** The seconds before the first look: from the rows where they reach back so far, else from the last minutes, evenly. */
  async #samplesBefore(nowMs: number): Promise<readonly Sample[]> {
    const buckets = bucketed(this.#rows, nowMs);
    const oldest = this.#rows.at(-1);
    const reachMs = this.#rows.length < ROWS_KEPT || oldest === undefined ? Number.POSITIVE_INFINITY : nowMs - endedMs(oldest);
    const minutes = await this.#ledger.usageByMinute({ fromMs: nowMs - SAMPLES * SECOND_MS, toMs: nowMs });
    return buckets.map((rows, index) => {
      const agoMs = (SAMPLES - index) * SECOND_MS;
      if (agoMs <= reachMs) return rows.reduce((sum, row) => added(sum, row), NOTHING);
      const minute = minutes.find(({ minuteMs }) => minuteMs === Math.floor((nowMs - agoMs) / MINUTE_MS) * MINUTE_MS);
      return minute === undefined ? NOTHING : { requests: minute.requests / 60, errors: minute.errors / 60, tokens: tokensOf(minute) / 60, cost: minute.cost / 60n };
    });
  }

  async #readTotals(nowMs: number): Promise<{ models: readonly Total[]; keys: readonly Total[]; accounts: readonly Total[]; today: Sample }> {
    const fromMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
    // A whole day comes from the days' rollup, however many minutes it has.
    const day = { fromMs, toMs: fromMs + DAY_MS };
    const [models = [], keys = [], accounts = [], [today] = []] = await this.#ledger.usageTables(['model', 'key', 'account', 'day'], day);
    const { keys: keyNames, accounts: emails } = this.#names;
    return {
      models: models.map((row) => totalOf(row, row.group)),
      keys: keys.map((row) => totalOf(row, keyNames.get(row.group) ?? row.group)),
      accounts: accounts.map((row) => totalOf(row, emails.get(row.group) ?? row.group)),
      today: today === undefined ? NOTHING : totalOf(today, ''),
    };
  }

  #callOf(row: RequestRow): CallLine {
    return {
      id: row.id,
      endedMs: endedMs(row),
      model: row.model,
      provider: row.provider,
      key: this.#names.keys.get(row.keyId) ?? row.keyId,
      account: this.#names.accounts.get(row.accountId) ?? row.accountId,
      status: row.status,
      stream: row.stream,
      promptTokens: row.promptTokens,
      completionTokens: row.completionTokens,
      cost: row.cost,
      latencyMs: row.latencyMs,
      firstByteMs: row.firstByteMs,
    };
  }
}

function endedMs({ createdMs, latencyMs }: RequestRow): number {
  return createdMs + latencyMs;
}

/** Rows by the second in which they ended, oldest second first. */
function bucketed(rows: readonly RequestRow[], nowMs: number): readonly (readonly RequestRow[])[] {
  const buckets: RequestRow[][] = Array.from({ length: SAMPLES }, () => []);
  for (const row of rows) buckets[SAMPLES - 1 - Math.floor((nowMs - endedMs(row)) / SECOND_MS)]?.push(row);
  return buckets;
}

function timesOf(rows: readonly RequestRow[], nowMs: number): Pick<StatsFrame, 'timing' | 'latencyMs' | 'firstByteMs'> {
  const good = rows.filter(({ status }) => status === 'ok');
  const latencies = good.map(({ latencyMs }) => latencyMs);
  const firsts = good.flatMap(({ firstByteMs }) => (firstByteMs === undefined ? [] : [firstByteMs]));
  const buckets = bucketed(good, nowMs);
  return {
    timing: { p50Ms: percentile(latencies, 50), p95Ms: percentile(latencies, 95), firstByteP50Ms: percentile(firsts, 50), firstByteP95Ms: percentile(firsts, 95) },
    latencyMs: buckets.map((bucket) => percentile(bucket.map(({ latencyMs }) => latencyMs), 95) ?? 0),
    firstByteMs: buckets.map((bucket) => percentile(bucket.flatMap(({ firstByteMs }) => (firstByteMs === undefined ? [] : [firstByteMs])), 95) ?? 0),
  };
}

function added(sum: Sample, row: RequestRow): Sample {
  const isError = row.status !== 'ok' && row.status !== 'aborted';
  return { requests: sum.requests + 1, errors: sum.errors + (isError ? 1 : 0), tokens: sum.tokens + row.promptTokens + row.completionTokens, cost: sum.cost + row.cost };
}

function tokensOf({ promptTokens, completionTokens }: Pick<MinuteTotals, 'promptTokens' | 'completionTokens'>): number {
  return promptTokens + completionTokens;
}

function totalOf(row: UsageTotals, name: string): Total {
  return { name, requests: row.requests, errors: row.errors, tokens: tokensOf(row), cost: row.cost };
}

/** People know keys and accounts by their names. */
async function readNames(ledger: Ledger): Promise<{ readonly keys: ReadonlyMap<string, string>; readonly accounts: ReadonlyMap<string, string> }> {
  const accounts = await ledger.listAccounts();
  const keys = await Promise.all(accounts.map(({ id }) => ledger.listKeys(id)));
  return { accounts: new Map(accounts.map(({ id, email }) => [id, email])), keys: new Map(keys.flat().map(({ id, name }) => [id, name])) };
}

/** One line a provider that was called or has a key, the ailing ones first. */
function providerLines(keyed: readonly string[], news: DaemonNews | undefined, nowMs: number): readonly ProviderLine[] {
  const entries = new Map<string, HealthEntry[]>();
  for (const { key, entry } of forOperator(news?.health ?? [])) {
    const { provider } = readHealthKey(key);
    entries.set(provider, [...(entries.get(provider) ?? []), entry]);
  }
  const names = new Set([...entries.keys(), ...keyed]);
  const lines = [...names].map((name) => lineOf(name, entries.get(name) ?? [], nowMs));
  const rank = ({ state }: ProviderLine) => (state === 'idle' ? WORST_FIRST.length : WORST_FIRST.indexOf(state));
  return lines.sort((a, b) => rank(a) - rank(b));
}

function lineOf(name: string, entries: readonly HealthEntry[], nowMs: number): ProviderLine {
  const views = entries.map((entry) => describeHealth(entry, nowMs));
  const worst = WORST_FIRST.map((state) => views.find((view) => view.state === state)).find((view) => view !== undefined);
  if (worst === undefined) return { name, state: 'idle', reason: 'not called yet', nextProbeMs: undefined };
  return { name, state: worst.state, reason: worst.reason, nextProbeMs: worst.nextProbeMs };
}
