import type { FailureClass, Outcome } from '../wire/index.ts';
import type { RetryRules, Step, Trail } from './types.ts';

/** What a failure class allows. `again`: further tries at the same provider. `onward`: where the request goes afterwards. */
interface Row {
  readonly again: 'retries' | 'once' | 'never';
  readonly onward: 'any' | 'other_provider' | 'larger' | 'nowhere';
  /** What the client is told when there is nowhere to go: this failure as its own, or that nobody could answer. */
  readonly end: 'refuse' | 'give-up';
}

/** Source: the classes of `wire`. A key or an account of the operator is the operator's fault and never shown as the client's. */
const STANDARD: Readonly<Record<FailureClass, Row>> = {
  retry: { again: 'retries', onward: 'any', end: 'give-up' },
  overloaded: { again: 'once', onward: 'any', end: 'give-up' },
  next: { again: 'never', onward: 'any', end: 'give-up' },
  gone: { again: 'never', onward: 'any', end: 'give-up' },
  key: { again: 'never', onward: 'other_provider', end: 'give-up' },
  money: { again: 'never', onward: 'other_provider', end: 'give-up' },
  too_long: { again: 'never', onward: 'larger', end: 'refuse' },
  client: { again: 'never', onward: 'nowhere', end: 'refuse' },
  policy: { again: 'never', onward: 'nowhere', end: 'refuse' },
};

/** The user's own key or account is the user's to mend: it is told, never worked around. */
const BYOK: Readonly<Record<FailureClass, Row>> = {
  ...STANDARD,
  key: { again: 'never', onward: 'nowhere', end: 'refuse' },
  money: { again: 'never', onward: 'nowhere', end: 'refuse' },
};

/**
 * Decides the next move after an attempt. The caller sleeps, sends and records.
 *
 * The same provider is asked again after `backoffMs[triesHere - 1]`, or after the provider's Retry-After where that is longer,
 * as long as the wait ends before the deadline; else the next candidate is asked. The first candidate gets all its retries; a
 * later one none that would leave somebody behind it unasked. A request that may have been processed is
 * never sent to the same provider again, under another model's name neither. A request that may not make another attempt gives
 * up, but a failure that is the client's is always told as the client's.
 * Source: CONTRACT section 1. A first attempt answered 500 is `{ do: 'retry', afterMs: 1000 }`.
 */
export function nextStep(outcome: Outcome, trail: Trail, rules: RetryRules): Step {
  if (outcome.kind === 'answered') return { do: 'finish' };
  const row = rowOf(outcome.class, trail);
  if (row.onward === 'nowhere') return end(row);
  if (trail.tries >= rules.maxAttempts) return end(row, 'attempts');
  if (trail.elapsedMs >= rules.deadlineMs) return end(row, 'deadline');

  const triesAllowed = 1 + (trail.once || outcome.maybeServed ? 0 : retriesOf(outcome.class, rules));
  const afterMs = Math.max(backoffMs(trail.triesHere, rules), outcome.retryAfterMs ?? 0);
  if (trail.triesHere < triesAllowed && sparesOthers(trail, rules) && trail.elapsedMs + afterMs < rules.deadlineMs) return { do: 'retry', afterMs };

  const onward = outcome.maybeServed && row.onward === 'any' ? 'other_provider' : row.onward;
  const skip = trail.remaining.findIndex((next) => (onward === 'larger' ? next.larger : onward === 'any' || !next.sameProvider));
  return skip < 0 ? end(row) : { do: 'reroute', skip };
}

/**
 * What a model says that happened to be asked is not the client's fault where another one may say otherwise at other times: a prompt that is
 * too long, where a larger one serves; a bad request, where it was written for another provider and the one it was written for is down.
 */
function rowOf(failure: FailureClass, trail: Trail): Row {
  const row = (trail.byok ? BYOK : STANDARD)[failure];
  if (failure === 'client' && trail.translated) return { ...row, onward: 'any', end: trail.askedIsDown ? 'give-up' : 'refuse' };
  return failure === 'too_long' && trail.fitsElsewhere ? { ...row, end: 'give-up' } : row;
}

/** How often a failure of this class is retried at the same provider: `overloaded` once, `retry` by the rules, others never. */
export function retriesOf(failure: FailureClass, rules: RetryRules): number {
  const { again } = STANDARD[failure];
  if (again === 'never') return 0;
  return again === 'once' ? Math.min(1, rules.retries) : rules.retries;
}

/** True where the attempts that are left reach every remaining candidate though this one is asked once more. */
function sparesOthers(trail: Trail, rules: RetryRules): boolean {
  return trail.tries === trail.triesHere || rules.maxAttempts - trail.tries > trail.remaining.length;
}

function end(row: Row, why: 'exhausted' | 'attempts' | 'deadline' = 'exhausted'): Step {
  return row.end === 'refuse' ? { do: 'refuse' } : { do: 'give-up', why };
}

/** The wait before retry number `retry` (from 1); the last one repeats, and no waits at all mean none. */
function backoffMs(retry: number, rules: RetryRules): number {
  return rules.backoffMs[Math.min(retry, rules.backoffMs.length) - 1] ?? 0;
}
