import type { Failure, FailureClass, Outcome } from '../wire/index.ts';
import { retriesOf } from './step.ts';
import type { HealthEntry, HealthEvent, RetryRules, Step, Trail } from './types.ts';

/*
 *            retries spent, 5 in a row, key, money
 *   closed ────────────────────────────────────────▶ open ──── retryAtMs passes, reserveTrial ────▶ half-open
 *     ▲  ▲                                            ▲                                              │   │
 *     │  └── answered, refused as the client's fault, good probe ────────────────────────────────────┘   │
 *     └───────── the same, from open ─────────────────┘◀──── any failure: openForMs doubles ─────────────┘
 */

const FAILURES_IN_ROW = 5;
const OPEN_FIRST_MS = 30_000;
const OPEN_MAX_MS = 300_000;
/** How long one request may try a half-open provider before the next one may: as long as a whole attempt. */
const TRIAL_MS = 30_000;
/** A 429 without Retry-After: until the first retry, and after the last one. */
const REST_SHORT_MS = 1_000;
const REST_LONG_MS = 30_000;
/** A longer Retry-After is asked again after this time. */
const REST_MAX_MS = 300_000;

/** Meaning of a class for the provider's health. `alive`: it answered, and the request was at fault. `off`: down at once, for the longest time. */
const MEANING: Readonly<Record<FailureClass, 'failure' | 'alive' | 'off'>> = {
  retry: 'failure', overloaded: 'failure', next: 'failure', gone: 'failure',
  client: 'alive', policy: 'alive', too_long: 'alive',
  key: 'off', money: 'off',
};

/** What a good `GET /models`, or a refusal of another request, does not disprove. */
const PROVEN_BY_ANSWER_ONLY: readonly HealthEntry['lastFailure'][] = ['money', 'gone'];

/** A success so soon after the last one is not worth an entry of its own. */
const SUCCESS_STEP_MS = 1_000;

const UNKNOWN: HealthEntry = {
  state: 'closed', failuresInRow: 0, retryAtMs: 0, openForMs: 0, restingUntilMs: 0, lastFailure: '', lastFailureMs: 0, lastSuccessMs: 0,
};

/** Whose keys an entry tells of, where they are not the operator's: those of all accounts for one address of the provider. */
export interface ByokPlace {
  /** Undefined: the provider's main address. */
  readonly region: string | undefined;
}

/**
 * Key of a provider's model in the map of health entries: `"deepseek/deepseek-chat"` for the operator's key,
 * `"qwen/qwen-max (BYOK)"` and `"qwen/qwen-max (BYOK, hongkong)"` for the accounts' keys.
 *
 * They are apart because what befalls one says little of the other: an operator's empty account, refused key or rate limit is
 * nobody else's, a tenant's answer proves none of the operator's, and another address is another machine. What a BYOK entry
 * holds is the provider's own doing (`healthEvent`), so all accounts share it.
 */
export function healthKey(provider: string, modelId: string, byok?: ByokPlace): string {
  if (byok === undefined) return `${provider}/${modelId}`;
  return `${provider}/${modelId} (BYOK${byok.region === undefined ? '' : `, ${byok.region}`})`;
}

/** What a key of `healthKey` names. No provider's id has a slash, no model's a space. */
export function readHealthKey(key: string): { readonly provider: string; readonly model: string; readonly isByok: boolean } {
  const slash = key.indexOf('/');
  const space = key.indexOf(' ', slash);
  return { provider: key.slice(0, slash), model: key.slice(slash + 1, space < 0 ? undefined : space), isByok: space >= 0 };
}

/** The entries that tell how a provider fares for the operator: those of the operator's key, and BYOK's where there are none. */
export function forOperator<Entry extends { readonly key: string }>(entries: readonly Entry[]): readonly Entry[] {
  const own = new Set(entries.map(({ key }) => readHealthKey(key)).filter(({ isByok }) => !isByok).map(({ provider }) => provider));
  return entries.filter(({ key }) => {
    const { provider, isByok } = readHealthKey(key);
    return !isByok || !own.has(provider);
  });
}

/**
 * The entry after an event. Recorded at the end of an answer, not at its head.
 *
 * Opens when one request's retries are spent or after 5 failures in a row, for 30 s, doubling up to 5 min with every failure
 * of a half-open circuit; for 5 min at once on a refused key or an empty account. A rate limit rests the provider instead (at
 * most 5 min), for it is no outage; a failure that names a Retry-After does both. A failure while open moves nothing, so that
 * trials of a sole provider do not lengthen its outage. Closed by an answer, a good probe, or a refusal that was the client's
 * fault; but that an account is empty, or a model unknown, only an answer disproves, whatever else fails meanwhile. A trial that
 * was not made leaves it to the next request. A probe
 * keeps `openForMs`, so that a provider that only lists its models stays out longer each time. `lastSuccessMs` is kept to the second.
 */
export function observe(entry: HealthEntry | undefined, event: HealthEvent, nowMs: number): HealthEntry {
  const before = entry ?? UNKNOWN;
  if (event.kind === 'answered' && isWell(before) && nowMs >= before.lastSuccessMs && nowMs - before.lastSuccessMs < SUCCESS_STEP_MS) return before;
  if (event.kind === 'untried') return before.state === 'half-open' ? { ...before, state: 'open', retryAtMs: nowMs } : before;
  if (event.kind === 'answered') return { ...alive(before), openForMs: 0, lastFailure: '', lastSuccessMs: nowMs };
  if (event.kind === 'probed' && event.ok) return { ...aliveUnlessProvenOtherwise(before), lastSuccessMs: nowMs };
  const failure = event.kind === 'probed' ? 'probe' : event.class;
  const noted: HealthEntry = { ...before, lastFailure: worse(before, failure), lastFailureMs: nowMs };
  if (event.kind === 'limited') return rested(noted, event.forMs, nowMs);
  const failed: HealthEntry = { ...noted, failuresInRow: before.failuresInRow + 1 };
  if (event.kind === 'probed') return opened(failed, failed.failuresInRow >= FAILURES_IN_ROW, nowMs);

  switch (MEANING[event.class]) {
    case 'alive': return aliveUnlessProvenOtherwise(before);
    case 'off': return { ...failed, state: 'open', openForMs: OPEN_MAX_MS, retryAtMs: nowMs + OPEN_MAX_MS };
    case 'failure':
      return opened(rested(failed, event.retryAfterMs, nowMs), event.spent || failed.failuresInRow >= FAILURES_IN_ROW, nowMs);
  }
}

/**
 * What an attempt's outcome says about the provider's health; undefined where it says nothing: a BYOK key that is refused,
 * empty, rate-limited or not entitled to a model says nothing about the others', nor does a failure that may be the request's.
 * `spent` is set where the class's own retries were made, not where a deadline, a client's wish or the doubt whether it was
 * served cut them short: one timeout is a failure, five in a row are an outage.
 * A 429 without Retry-After rests the provider for 1 s, and for 30 s once the retries are spent.
 */
export function healthEvent(outcome: Outcome, at: { readonly step: Step; readonly trail: Trail; readonly rules: RetryRules }): HealthEvent | undefined {
  if (outcome.kind === 'answered') return outcome;
  const { step, trail, rules } = at;
  const spent = step.do !== 'retry' && !outcome.maybeServed && trail.triesHere > retriesOf(outcome.class, rules);
  return failureEvent(outcome, { spent, byok: trail.byok });
}

/** What a stream that broke off says: as `healthEvent`, one failure in a row, never a whole request's worth of retries. */
export function breakEvent(failure: Failure, byok: boolean): HealthEvent | undefined {
  return failureEvent(failure, { spent: false, byok });
}

function failureEvent(failure: Failure, { spent, byok }: { readonly spent: boolean; readonly byok: boolean }): HealthEvent | undefined {
  const limited = failure.status === 429 && MEANING[failure.class] === 'failure';
  if (failure.doubtful === true) return undefined;
  if (byok && (limited || failure.class === 'gone' || MEANING[failure.class] === 'off')) return undefined;
  if (limited) return { kind: 'limited', class: failure.class, forMs: failure.retryAfterMs ?? (spent ? REST_LONG_MS : REST_SHORT_MS) };
  return { kind: 'failed', class: failure.class, retryAfterMs: failure.retryAfterMs, spent };
}

/**
 * Marks that one request is trying a provider whose outage may be over: others find it open for the next 30 s, or until that
 * request's outcome is observed. The caller stores the result before it sends; an entry that needs no trial comes back as it is.
 */
export function reserveTrial(entry: HealthEntry, nowMs: number): HealthEntry {
  if (entry.state === 'closed' || isOpen(entry, nowMs)) return entry;
  return { ...entry, state: 'half-open', retryAtMs: nowMs + TRIAL_MS };
}

/** Known to be down. False once `retryAtMs` has passed, or lies further ahead than any opening lasts: then the clock was set back. */
export function isOpen(entry: HealthEntry | undefined, nowMs: number): boolean {
  return entry !== undefined && entry.state !== 'closed' && isAhead(entry.retryAtMs, nowMs, OPEN_MAX_MS);
}

/** Rate-limited until later; the same guard against a clock that was set back. */
export function isResting(entry: HealthEntry | undefined, nowMs: number): boolean {
  return entry !== undefined && isAhead(entry.restingUntilMs, nowMs, REST_MAX_MS);
}

/** Health as people and `Retry-After` need it. */
export interface HealthView {
  /** `trying`: a request is finding out, or the next one will. */
  readonly state: 'up' | 'down' | 'resting' | 'trying';
  /** Milliseconds from now until it is asked again, 0 if with the next request; undefined while up. */
  readonly nextProbeMs: number | undefined;
  readonly reason: string;
}

/** One entry in words. An open circuit with 12 s to go is `{ state: 'down', nextProbeMs: 12_000, reason: 'down (retry), …' }`. */
export function describeHealth(entry: HealthEntry | undefined, nowMs: number): HealthView {
  if (entry === undefined) return { state: 'up', nextProbeMs: undefined, reason: 'nothing is known against it' };
  const why = entry.lastFailure === '' ? '' : ` (${CAUSE[entry.lastFailure]})`;
  if (isOpen(entry, nowMs)) {
    const nextProbeMs = entry.retryAtMs - nowMs;
    if (entry.state === 'half-open') return { state: 'trying', nextProbeMs, reason: `was down${why}, one request is trying it` };
    return { state: 'down', nextProbeMs, reason: `down${why}, asked again in ${seconds(nextProbeMs)}` };
  }
  if (isResting(entry, nowMs)) {
    const nextProbeMs = entry.restingUntilMs - nowMs;
    return { state: 'resting', nextProbeMs, reason: `rate-limited, asked again in ${seconds(nextProbeMs)}` };
  }
  if (entry.state !== 'closed') return { state: 'trying', nextProbeMs: 0, reason: `was down${why}, the next request tries it` };
  if (entry.failuresInRow > 0) return { state: 'up', nextProbeMs: undefined, reason: `up, ${entry.failuresInRow} of ${FAILURES_IN_ROW} failures in a row${why}` };
  return { state: 'up', nextProbeMs: undefined, reason: 'up' };
}

const CAUSE: Readonly<Record<Exclude<HealthEntry['lastFailure'], ''>, string>> = {
  retry: 'it failed', overloaded: 'it was overloaded', next: 'it failed', gone: 'the model is unknown there', key: 'it refused our key',
  money: 'our account there is empty', client: 'it refused the request', policy: 'it declined the content', too_long: 'the prompt was too long',
  probe: 'it did not answer a probe',
};

/** Nothing is held against it: as most answers find it. */
function isWell(entry: HealthEntry): boolean {
  return entry.state === 'closed' && entry.failuresInRow === 0 && entry.openForMs === 0 && entry.lastFailure === '';
}

function alive(before: HealthEntry): HealthEntry {
  return { ...before, state: 'closed', failuresInRow: 0, retryAtMs: 0 };
}

function aliveUnlessProvenOtherwise(before: HealthEntry): HealthEntry {
  return before.state !== 'closed' && PROVEN_BY_ANSWER_ONLY.includes(before.lastFailure) ? before : alive(before);
}

/** What is told of an open circuit: what only an answer disproves is not forgotten over a failure that less disproves. */
function worse(before: HealthEntry, failure: HealthEntry['lastFailure']): HealthEntry['lastFailure'] {
  const isKept = before.state !== 'closed' && PROVEN_BY_ANSWER_ONLY.includes(before.lastFailure) && !PROVEN_BY_ANSWER_ONLY.includes(failure);
  return isKept ? before.lastFailure : failure;
}

function rested(entry: HealthEntry, forMs: number | undefined, nowMs: number): HealthEntry {
  return forMs === undefined ? entry : { ...entry, restingUntilMs: nowMs + Math.min(forMs, REST_MAX_MS) };
}

function opened(failed: HealthEntry, due: boolean, nowMs: number): HealthEntry {
  if (failed.state === 'open' && isOpen(failed, nowMs)) return failed;
  if (failed.state === 'closed' && !due) return failed;
  const openForMs = failed.openForMs === 0 ? OPEN_FIRST_MS : Math.min(OPEN_MAX_MS, failed.openForMs * 2);
  return { ...failed, state: 'open', openForMs, retryAtMs: nowMs + openForMs };
}

function isAhead(timeMs: number, nowMs: number, mostMs: number): boolean {
  return timeMs > nowMs && timeMs - nowMs <= mostMs;
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`;
}
