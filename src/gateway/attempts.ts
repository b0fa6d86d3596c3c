import type { AttemptTrace } from '../faults.ts';
import { healthEvent, nextStep, type Candidate, type Plan, type RetryRules, type Step, type Trail } from '../routing/index.ts';
import type { EventStream, Reply } from '../upstream/index.ts';
import { openAnswer, readTransport, readWhole, simulateAnswer, toUpstream, type AnswerStream, type AnswerTarget, type ChatRequest, type Failure, type Outgoing, type Piece, type WholeAnswer, type WholeOutcome } from '../wire/index.ts';
import { gatherStream } from './gather.ts';
import type { StreamMouth } from './mouth.ts';
import { CHAT_PATH } from './send.ts';
import type { Booked } from './settle.ts';
import type { Credential } from './types.ts';

/** How asking the providers of a plan in turn ended. */
export type Asked =
  | { readonly kind: 'whole'; readonly candidate: Candidate; readonly traces: readonly AttemptTrace[]; readonly answer: WholeAnswer }
  /** `stream` is undefined where a whole answer is told as a stream. `ready`: events that have come already; who sends them empties the list. */
  | { readonly kind: 'stream'; readonly candidate: Candidate; readonly traces: readonly AttemptTrace[]; readonly stream: EventStream | undefined; readonly answer: AnswerStream; readonly ready: Outgoing[] }
  | { readonly kind: 'failed'; readonly candidate: Candidate; readonly traces: readonly AttemptTrace[]; readonly failure: Failure; readonly refused: boolean }
  /** The client is gone, or the call was broken off. `inFlight`: a provider may have been working on it. */
  | { readonly kind: 'hung-up'; readonly candidate: Candidate; readonly traces: readonly AttemptTrace[]; readonly inFlight: boolean };

export interface Asking {
  readonly booked: Booked;
  readonly request: ChatRequest;
  readonly plan: Plan;
  /** The credential for a candidate's provider; undefined where it has gone meanwhile. */
  readonly credential: (provider: string) => Credential | undefined | Promise<Credential | undefined>;
  /** The key that was sent last: what a provider says is told without it. */
  readonly used: { secret: string };
  /** Present for streams. */
  readonly mouth: StreamMouth | undefined;
  /** The client is itself retrying: our retries do not start anew. */
  readonly clientRetries: boolean;
  readonly traceparent: string | undefined;
}

type Attempted =
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'whole'; readonly answer: WholeAnswer }
  | { readonly kind: 'stream'; readonly stream: EventStream | undefined; readonly answer: AnswerStream; readonly ready: Outgoing[] };

/**
 * The attempt loop, one for streams and whole answers: send, classify, let `routing` decide, wait or move on.
 * Nothing is sent again once the head of a stream is out.
 */
export async function askProviders(asking: Asking): Promise<Asked> {
  const { booked, plan, mouth } = asking;
  const { running, call } = booked;
  const rules = rulesOf(asking);
  const traces: AttemptTrace[] = [];
  const startedMs = running.clock.monotonicMs();
  let at = 0;
  let triesHere = 0;
  for (;;) {
    const candidate = candidateAt(plan, at);
    triesHere += 1;
    mouth?.serving(candidate, traces.length + 1);
    if (at > 0) await running.health.reserve(candidate.healthKey);
    const sentMs = running.clock.monotonicMs();
    const attempted = await attempt(asking, candidate, rules.deadlineMs - (sentMs - startedMs));
    const failure = attempted.kind === 'failed' ? attempted.failure : undefined;
    traces.push(traceOf(candidate, failure, running.clock.monotonicMs() - sentMs));
    if (call.signal.aborted) return { kind: 'hung-up', candidate, traces, inFlight: failure === undefined || failure.maybeServed };
    if (attempted.kind === 'whole') return { kind: 'whole', candidate, traces, answer: attempted.answer };
    if (attempted.kind === 'stream') return { kind: 'stream', candidate, traces: traces.slice(), stream: attempted.stream, answer: attempted.answer, ready: attempted.ready };

    const trail = trailOf(asking, at, triesHere, traces.length, running.clock.monotonicMs() - startedMs);
    const next = nextStep(attempted.failure, trail, rules);
    // With a head out nobody is asked again, but what is the client's own fault is told as that.
    const step: Step = mouth?.isOpen === true && next.do !== 'refuse' ? { do: 'give-up', why: 'exhausted' } : next;
    observeFailure(booked, candidate, attempted.failure, { step, trail, rules });
    if (step.do === 'retry') {
      await running.clock.sleep(step.afterMs, call.signal);
      call.waits.ms += step.afterMs;
      if (call.signal.aborted) return { kind: 'hung-up', candidate, traces, inFlight: false };
    } else if (step.do === 'reroute') {
      at += 1 + step.skip;
      triesHere = 0;
    } else {
      return { kind: 'failed', candidate, traces, failure: attempted.failure, refused: step.do === 'refuse' };
    }
  }
}

/** Tells health what an attempt's end says about the provider, and the operator where a key or the catalogue of theirs is in trouble. */
function observeFailure(booked: Booked, candidate: Candidate, failure: Failure, at: { readonly step: Step; readonly trail: Trail; readonly rules: RetryRules }): void {
  const event = healthEvent(failure, at);
  if (event !== undefined) booked.running.health.observe(candidate.healthKey, event);
  if (booked.byok) return;
  const { provider, model: { id, upstream } } = candidate;
  const { log } = booked.running;
  if (failure.class === 'key' || failure.class === 'money') {
    log.warn('operator_key_trouble', { provider, class: failure.class, status: failure.status, mend: 'findtoken providers test' });
  } else if (failure.class === 'gone') {
    log.warn('model_gone', { provider, model: id, upstream, status: failure.status, mend: `set models.${id}.upstream to the provider's present name` });
  }
}

/** One attempt; where the provider answers this model in streams only, it is asked for one, at once and from then on. */
async function attempt(asking: Asking, candidate: Candidate, leftMs: number): Promise<Attempted> {
  const { running: { clock, streamsOnly } } = asking.booked;
  const sentMs = clock.monotonicMs();
  const streams = asking.request.stream || streamsOnly.has(candidate.model);
  const attempted = await attemptOnce(asking, candidate, { leftMs, streams });
  if (streams || attempted.kind !== 'failed' || attempted.failure.onlyStreams !== true) return attempted;
  streamsOnly.add(candidate.model);
  return attemptOnce(asking, candidate, { leftMs: leftMs - (clock.monotonicMs() - sentMs), streams: true });
}

/** @param how.streams a stream is asked for, though the client may want a whole answer */
async function attemptOnce(asking: Asking, candidate: Candidate, how: { readonly leftMs: number; readonly streams: boolean }): Promise<Attempted> {
  const { booked, request } = asking;
  const { running, call, hold } = booked;
  const { streams } = how;
  const { routing } = running.settings;
  const leftMs = Math.max(1, Math.min(routing.timeoutMs, how.leftMs));
  const credential = await asking.credential(candidate.provider);
  if (credential === undefined) return { kind: 'failed', failure: NO_KEY };
  asking.used.secret = credential.apiKey;
  const dialect = dialectOf(asking, candidate.provider);
  const maxTokens = hold.maxTokens === undefined ? undefined : Math.min(hold.maxTokens, candidate.model.maxOutput);
  const { body, choices } = toUpstream(streams === request.stream ? request : { ...request, stream: streams }, { model: candidate.model, dialect, writtenFor: writtenFor(asking), maxTokens });
  const sender = candidate.provider === 'sandbox' ? running.sandbox : running.upstream;
  if (sender === undefined) return { kind: 'failed', failure: NO_KEY };
  const sentMs = running.clock.monotonicMs();
  const reply = await sender.send(
    {
      provider: credential.provider,
      baseUrl: credential.baseUrl,
      apiKey: credential.apiKey,
      body: joined(body),
      stream: streams,
      model: candidate.model.id,
      requestId: call.id,
      traceparent: asking.traceparent,
      timeoutMs: request.stream ? routing.streamTimeoutMs : leftMs,
      idleMs: routing.streamTimeoutMs,
    },
    call.signal,
  );
  call.waits.ms += running.clock.monotonicMs() - sentMs;
  return readReply(asking, candidate, { dialect, choices, leftMs: leftMs - (running.clock.monotonicMs() - sentMs) }, reply);
}

/** How a provider is spoken to. */
function dialectOf({ booked }: Asking, provider: string): string {
  return booked.running.settings.catalog.providers.get(provider)?.dialect ?? 'openai';
}

/** Whose words the client used: those of the provider of the model that it asked for, or OpenAI's where we said them for a client of another API. */
function writtenFor({ booked, request }: Asking): string | undefined {
  if (booked.call.path !== CHAT_PATH) return 'openai';
  const { catalog } = booked.running.settings;
  return catalog.providers.get(catalog.models.get(request.model)?.provider ?? '')?.dialect;
}

/** The pieces of a JSON text in one, as UTF-8. */
function joined(pieces: readonly Piece[]): Buffer {
  const parts = pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece));
  const [only] = parts;
  return parts.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(parts);
}

/** @param sent the dialect that the provider was spoken to in, how many choices it was asked for, and how long a whole answer may take from now on */
function readReply(asking: Asking, candidate: Candidate, sent: { readonly dialect: string; readonly choices: number; readonly leftMs: number }, reply: Reply): Attempted | Promise<Attempted> {
  const { request, booked } = asking;
  const { model } = candidate;
  const requestId = booked.call.id;
  const createdS = Math.floor(booked.running.clock.nowMs() / 1000);
  const { dialect, choices } = sent;
  // Name by name: a literal that spreads and then adds is many times slower.
  const target = { dialect, choices, model, requestId, createdS, includeUsage: request.includeUsage };
  if (reply.kind === 'failed') return { kind: 'failed', failure: readTransport(reply.failure, reply.sent) };
  if (reply.kind === 'whole') {
    const read = readWhole(reply, target);
    if (read.kind === 'failed' || !request.stream) return attemptedWhole(read);
    const { chunks, stream: answer } = simulateAnswer(read.answer, target);
    return { kind: 'stream', stream: undefined, answer, ready: [...chunks] };
  }
  return request.stream ? timedFirstWords(booked, reply.stream, openAnswer(target)) : timedWhole(booked, reply.stream, target, sent.leftMs);
}

/** A stream for a client that waits for a whole answer, whether it was asked for or not. */
async function timedWhole(booked: Booked, stream: EventStream, target: AnswerTarget, leftMs: number): Promise<Attempted> {
  const { clock } = booked.running;
  const openedMs = clock.monotonicMs();
  const read = await gatherStream(booked, stream, target, leftMs);
  booked.call.waits.ms += clock.monotonicMs() - openedMs;
  return attemptedWhole(read);
}

function attemptedWhole(read: WholeOutcome): Attempted {
  return read.kind === 'failed' ? { kind: 'failed', failure: read } : { kind: 'whole', answer: read.answer };
}

async function timedFirstWords(booked: Booked, stream: EventStream, answer: AnswerStream): Promise<Attempted> {
  const { clock } = booked.running;
  const openedMs = clock.monotonicMs();
  const words = await firstWords(stream, answer);
  booked.call.waits.ms += clock.monotonicMs() - openedMs;
  return words;
}

/** Reads a stream until something of the answer has come: until then another provider may still take over. */
async function firstWords(stream: EventStream, answer: AnswerStream): Promise<Attempted> {
  const ready: Outgoing[] = [];
  for (;;) {
    const read = await stream.read();
    if (read.kind === 'failed') return { kind: 'failed', failure: readTransport(read.failure, true) };
    if (read.kind === 'events') for (const event of read.events) ready.push(...answer.take(event));
    const isEmpty = !answer.started && (read.kind === 'end' || answer.done);
    if (answer.failure !== undefined || isEmpty) {
      stream.abort();
      return { kind: 'failed', failure: answer.failure ?? EMPTY_STREAM };
    }
    if (answer.started) return { kind: 'stream', stream, answer, ready };
  }
}

function rulesOf(asking: Asking): RetryRules {
  const { retries, backoffMs, maxAttempts, deadlineMs } = asking.booked.running.settings.routing;
  return { retries, backoffMs, maxAttempts, deadlineMs };
}

function trailOf(asking: Asking, at: number, triesHere: number, tries: number, elapsedMs: number): Trail {
  const { candidates, skipped } = asking.plan;
  const here = candidateAt(asking.plan, at);
  const { models } = asking.booked.running.settings.catalog;
  const isLarger = (id: string): boolean => (models.get(id)?.contextWindow ?? 0) > here.model.contextWindow;
  const failed = candidates.slice(0, at).map(({ model }) => model.id);
  const away = [...failed, ...skipped.flatMap(({ kind, model }) => (kind === 'down' || kind === 'resting' ? [model] : []))];
  return {
    triesHere,
    tries,
    elapsedMs,
    once: asking.clientRetries || here.trial,
    byok: asking.booked.byok,
    fitsElsewhere: away.some(isLarger),
    translated: here.model.id !== asking.request.model && dialectOf(asking, here.provider) !== writtenFor(asking),
    askedIsDown: away.includes(asking.request.model),
    remaining: candidates.slice(at + 1).map((other) => ({
      larger: other.model.contextWindow > here.model.contextWindow,
      sameProvider: other.provider === here.provider,
    })),
  };
}

function candidateAt(plan: Plan, at: number): Candidate {
  const candidate = plan.candidates[at];
  if (candidate === undefined) throw new Error(`a step left the plan: candidate ${at} of ${plan.candidates.length}`);
  return candidate;
}

function traceOf(candidate: Candidate, failure: Failure | undefined, ms: number): AttemptTrace {
  return { provider: candidate.provider, model: candidate.model.id, status: failure?.status ?? 200, class: failure?.class ?? 'answered', ms: Math.round(ms) };
}

const FAILED: Failure = { kind: 'failed', class: 'next', status: 0, providerCode: '', message: '', retryAfterMs: undefined, maybeServed: true };
/** The key was there when the plan was made, and is gone. */
const NO_KEY: Failure = { ...FAILED, class: 'key', providerCode: 'no_key', maybeServed: false };
const EMPTY_STREAM: Failure = { ...FAILED, status: 502, providerCode: 'empty_stream' };
