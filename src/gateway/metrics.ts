import { FAULTS, type AttemptTrace, type FaultCode } from '../faults.ts';
import type { Mode } from '../ledger/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { addTo, exposition, Family, type Labels, type Series, type SeriesRecord } from './exposition.ts';
import { asksModels } from './send.ts';
import type { AccessLine } from './types.ts';

/** Bounds of OpenTelemetry's GenAI conventions; those of the first token reach 60 s further, for some models think that long. */
const DURATION_S = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN_S = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 60];
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];
const ADDED_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const WRITE_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

const STATES = { closed: 0, 'half-open': 1, open: 2 } as const;

/** What is only known at the moment of asking. */
export interface Load {
  readonly inFlight: number;
  readonly loopLagMs: number;
  /** Of streams and answers: what has come from providers and no client has taken yet. */
  readonly unsentBytes: number;
}

/** What one process has counted, or several together, as data. */
export interface MetricsRecord extends Load {
  readonly streams: number;
  readonly rssBytes: number;
  /** Processes that serve. */
  readonly workers: number;
  /** In the order in which `Metrics` has its families. */
  readonly families: readonly (readonly SeriesRecord[])[];
}

/** Calls that are counted in the same series, each of which begins with the first value that falls into it. */
interface Kind {
  readonly provider: string;
  readonly model: string;
  readonly mode: string;
  readonly status: number;
  readonly stream: string;
  readonly requests: Series;
  duration?: Series;
  firstToken?: Series;
  input?: Series;
  cached?: Series;
  output?: Series;
}

/** What is told besides what was counted. */
export interface Surroundings {
  readonly version: string;
  readonly journalBytes: number;
  /** Provider and state of each provider's model that is known. */
  readonly health: readonly { readonly provider: string; readonly state: keyof typeof STATES }[];
}

/**
 * What `/metrics` tells. Names follow the OpenTelemetry GenAI conventions (semantic-conventions 1.41) where there is one.
 * No label names an account or a key: questions about those go to the books, and a label's values stay as few as the catalogue's.
 */
export class Metrics {
  /** Streams under way. */
  streams = 0;
  readonly #requests = new Family('counter', 'findtoken_requests_total', 'Chat requests by how they ended; 499: the client hung up.');
  readonly #attempts = new Family('counter', 'findtoken_upstream_attempts_total', 'Attempts at providers by their outcome.');
  readonly #failovers = new Family('counter', 'findtoken_failovers_total', 'Moves from one provider and model to the next, by the failure that caused them.');
  readonly #cost = new Family('counter', 'findtoken_cost_usd_total', 'What requests cost their accounts.');
  readonly #fees = new Family('counter', 'findtoken_fees_usd_total', 'The part of that which is ours.');
  readonly #duration = new Family('histogram', 'gen_ai_server_request_duration_seconds', 'From the head of a chat request to the end of its answer.', DURATION_S);
  readonly #firstToken = new Family('histogram', 'gen_ai_server_time_to_first_token_seconds', 'From the head of a streaming request to its first words.', FIRST_TOKEN_S);
  readonly #tokens = new Family('histogram', 'gen_ai_client_token_usage', 'Tokens of a request, by type.', TOKENS);
  readonly #added = new Family('histogram', 'findtoken_overhead_seconds', 'What findtoken itself adds: to the end of a whole answer or the first words of a stream, less the time spent waiting for providers.', ADDED_S);
  readonly #writes = new Family('histogram', 'findtoken_db_write_seconds', 'Until a write is durable.', WRITE_S);
  readonly #busy = new Family('counter', 'findtoken_db_busy_total', 'Writes refused because another process kept the write lock for seconds.');
  readonly #cooldowns = new Family('counter', 'findtoken_provider_cooldowns_total', 'Times a provider\u2019s model came to be passed over or rested.');

  readonly #kinds = new Map<string, Kind>();
  #lastKind: Kind | undefined;

  constructor() {
    // Told as 0 until it happens, so that an alarm on its growth sees the first time.
    this.#busy.add({}, 0);
  }

  /** Counts an ended call by its access line; calls that ask no model are passed over. */
  ended(line: AccessLine): void {
    if (!asksModels(line.path)) return;
    const { chat } = line;
    const kind = this.#kindOf(chat?.provider ?? '', chat?.model_used ?? '', chat?.mode ?? '', statusOf(line), chat === undefined ? '' : chat.stream ? 'true' : 'false');
    addTo(kind.requests, 1);
    if (chat === undefined) return;
    this.#duration.observeIn((kind.duration ??= this.#duration.series(genAi(kind))), line.dur_ms / 1_000);
    if (chat.ttft_ms !== undefined) this.#firstToken.observeIn((kind.firstToken ??= this.#firstToken.series(genAi(kind))), chat.ttft_ms / 1_000);
    if (chat.in_tok > 0) this.#tokens.observeIn((kind.input ??= this.#tokens.series(genAi(kind, 'input'))), chat.in_tok);
    if (chat.cached_tok > 0) this.#tokens.observeIn((kind.cached ??= this.#tokens.series(genAi(kind, 'cached_input'))), chat.cached_tok);
    if (chat.out_tok > 0) this.#tokens.observeIn((kind.output ??= this.#tokens.series(genAi(kind, 'output'))), chat.out_tok);
  }

  /** Most calls are of the kind of the one before. */
  #kindOf(provider: string, model: string, mode: string, status: number, stream: string): Kind {
    const last = this.#lastKind;
    if (last !== undefined && last.model === model && last.provider === provider && last.status === status && last.stream === stream && last.mode === mode) return last;
    const name = `${provider}\0${model}\0${mode}\0${status}\0${stream}`;
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = { provider, model, mode, status, stream, requests: this.#requests.series({ provider, model, mode, status: String(status), stream }) };
      this.#kinds.set(name, kind);
    }
    return (this.#lastKind = kind);
  }

  /** Counts the attempts of one request, in order, and the moves between them. */
  attempted(traces: readonly AttemptTrace[]): void {
    traces.forEach(({ provider, model, class: outcome }, at) => {
      this.#attempts.addAt(`${provider}\0${model}\0${outcome}`, () => ({ provider, model, outcome }), 1);
      const next = traces[at + 1];
      if (next !== undefined && (next.provider !== provider || next.model !== model)) {
        this.#failovers.add({ from: `${provider}/${model}`, to: `${next.provider}/${next.model}`, reason: outcome }, 1);
      }
    });
  }

  /** Counts what a request was charged; the provider's part is paid first, the rest is fee. */
  charged(charge: { readonly mode: Mode; readonly provider: string; readonly model: string; readonly cost: UsdE8; readonly providerCost: UsdE8 }): void {
    const { mode, provider, model, cost, providerCost } = charge;
    this.#cost.addAt(`${mode}\0${provider}\0${model}`, () => ({ mode, provider, model }), cost);
    const fee = cost > providerCost ? cost - providerCost : 0n;
    if (fee > 0n) this.#fees.addAt(mode, () => ({ kind: mode === 'byok' ? 'byok_fee' : 'usage_fee' }), fee);
  }

  /** @param ms the request's time so far, less what was spent waiting for providers */
  added(ms: number, stream: boolean): void {
    this.#added.observeAt(stream ? 'true' : 'false', () => ({ stream: String(stream) }), Math.max(0, ms) / 1_000);
  }

  wrote(operation: string, ms: number): void {
    this.#writes.observeAt(operation, () => ({ operation }), ms / 1_000);
  }

  /** A write that waited for another process until it was refused. */
  busy(): void {
    this.#busy.add({}, 1);
  }

  /** A provider's model is passed over from now on, or rested. */
  cooledDown(provider: string): void {
    this.#cooldowns.add({ provider }, 1);
  }

  /** All that was counted, and this process's load. */
  record(load: Load): MetricsRecord {
    return { ...load, streams: this.streams, rssBytes: process.memoryUsage.rss(), workers: 1, families: this.#families().map((family) => family.record()) };
  }

  /** Adds what others have counted. To metrics that only sum up. */
  addRecord({ streams, families }: Pick<MetricsRecord, 'streams' | 'families'>): void {
    this.streams += streams;
    this.#families().forEach((family, at) => family.addRecord(families[at] ?? []));
  }

  #families(): readonly Family[] {
    return [
      this.#requests, this.#attempts, this.#failovers, this.#cost, this.#fees, this.#duration, this.#firstToken, this.#tokens, this.#added, this.#writes, this.#busy, this.#cooldowns,
    ];
  }

  /** The Prometheus text exposition, format 0.0.4, of what was counted. */
  static text(record: MetricsRecord, { version, journalBytes, health }: Surroundings): string {
    const all = new Metrics();
    all.addRecord(record);
    const states = new Map<string, number>();
    for (const { provider, state } of health) states.set(provider, Math.max(states.get(provider) ?? 0, STATES[state]));
    const gauge = (name: string, help: string, values: readonly (readonly [Labels, number])[]) => {
      const family = new Family('gauge', name, help);
      for (const [labels, value] of values) family.add(labels, value);
      return family;
    };
    return exposition([
      ...all.#families(),
      gauge('findtoken_provider_state', 'A provider by the worst of its models: 0 asked, 1 tried again, 2 passed over.', [...states].map(([provider, state]) => [{ provider }, state])),
      gauge('findtoken_inflight_requests', 'Calls under way.', [[{}, record.inFlight]]),
      gauge('findtoken_inflight_streams', 'Streams under way.', [[{}, record.streams]]),
      gauge('findtoken_unsent_bytes', 'What has come from providers and waits for clients that read more slowly.', [[{}, record.unsentBytes]]),
      gauge('findtoken_event_loop_lag_seconds', 'How late the process is with its own work; of several the latest.', [[{}, record.loopLagMs / 1_000]]),
      gauge('findtoken_db_journal_bytes', 'The journal beside the database; beyond 64 MiB some process keeps a read transaction open.', [[{}, journalBytes]]),
      gauge('process_resident_memory_bytes', 'Memory held by the process, or by all that serve and their primary.', [[{}, record.rssBytes]]),
      gauge('findtoken_workers', 'Processes that serve.', [[{}, record.workers]]),
      gauge('findtoken_build_info', 'The program.', [[{ version, node: process.versions.node }, 1]]),
    ]);
  }
}

/** A stream that failed in-band left as a 200; here it counts as what it was. */
function statusOf({ status, chat }: AccessLine): number {
  if (chat === undefined || status !== 200 || chat.end === 'ok') return status;
  if (chat.end === 'aborted') return 499;
  return isFaultCode(chat.end) ? FAULTS[chat.end].status : 500;
}

function isFaultCode(code: string): code is FaultCode {
  return code in FAULTS;
}

/** The sum of what several have counted; the latest of them tells how late they are. */
export function sumOf(records: readonly MetricsRecord[]): MetricsRecord {
  const all = new Metrics();
  let load: Load = { inFlight: 0, loopLagMs: 0, unsentBytes: 0 };
  let rssBytes = 0;
  let workers = 0;
  for (const record of records) {
    all.addRecord(record);
    load = { inFlight: load.inFlight + record.inFlight, loopLagMs: Math.max(load.loopLagMs, record.loopLagMs), unsentBytes: load.unsentBytes + record.unsentBytes };
    rssBytes += record.rssBytes;
    workers += record.workers;
  }
  return { ...all.record(load), rssBytes, workers };
}

function genAi({ provider, model }: Pick<Kind, 'provider' | 'model'>, type?: 'input' | 'cached_input' | 'output'): Labels {
  return { gen_ai_operation_name: 'chat', gen_ai_provider_name: provider, gen_ai_response_model: model, ...(type === undefined ? {} : { gen_ai_token_type: type }) };
}
