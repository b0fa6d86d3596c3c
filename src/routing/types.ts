import type { Model } from '../catalog/index.ts';
import type { Price, UsdE8 } from '../money/index.ts';
import type { FailureClass, Outcome, Routing } from '../wire/index.ts';

/** A model that may serve the request, and through whom. */
export interface Candidate {
  readonly model: Model;
  /** What it costs at the time of the plan: by this the request is held, charged and compared. */
  readonly price: Price;
  /** Who is asked: the model's provider, or the sandbox standing in for it. */
  readonly provider: string;
  /** Where its health stands for this request's key. */
  readonly healthKey: string;
  /** Expected provider cost by this request's own estimate; what `cheapest` sorts by. */
  readonly expectedCost: UsdE8;
  /** Known to be down, but nothing healthy is left: one attempt, no retries. */
  readonly trial: boolean;
  /** One sentence for `explain`. */
  readonly reason: string;
}

/** A model that may not serve it, and why, for `explain` and for the 503's message. */
export interface Skipped {
  readonly model: string;
  readonly provider: string;
  readonly healthKey: string;
  readonly kind: 'no_credential' | 'down' | 'resting' | 'too_long' | 'tools' | 'vision' | 'json' | 'other_provider';
  readonly reason: string;
}

/** The order in which providers are asked: the second of the six values. */
export interface Plan {
  readonly routing: Routing;
  readonly candidates: readonly Candidate[];
  readonly skipped: readonly Skipped[];
}

/** What is known of one provider's model under the operator's key, or under BYOK's. Kept per `healthKey`; a missing entry is healthy. */
export interface HealthEntry {
  readonly state: 'closed' | 'open' | 'half-open';
  readonly failuresInRow: number;
  /** When an open circuit lets one request through; 0 while closed. */
  readonly retryAtMs: number;
  /** How long the present opening lasts; doubles from 30 s to 5 min. */
  readonly openForMs: number;
  /** Rate-limited until then: not down, only resting. */
  readonly restingUntilMs: number;
  /** Class of the newest failure, for people. */
  readonly lastFailure: FailureClass | 'probe' | '';
  readonly lastFailureMs: number;
  readonly lastSuccessMs: number;
}

/** What happened to a provider's model. */
export type HealthEvent =
  | { readonly kind: 'answered' }
  /** `spent`: the retries of one request are used up. */
  | { readonly kind: 'failed'; readonly class: FailureClass; readonly retryAfterMs: number | undefined; readonly spent: boolean }
  /** Asked too often: no failure, and nothing to be asked again before `forMs` have passed. */
  | { readonly kind: 'limited'; readonly class: FailureClass; readonly forMs: number }
  | { readonly kind: 'probed'; readonly ok: boolean }
  /** The request that was to try it was refused before it asked anybody. */
  | { readonly kind: 'untried' };

export interface RetryRules {
  /** Retries after the first attempt at one provider, 3 by default. */
  readonly retries: number;
  /** Waits before them, 1 s, 2 s, 4 s by default; the last one repeats. */
  readonly backoffMs: readonly number[];
  /** Over all attempts of one request, 10 by default. */
  readonly maxAttempts: number;
  /** From the first attempt to the first byte, 90 s by default. */
  readonly deadlineMs: number;
}

/** Where a request stands after an attempt. */
export interface Trail {
  /** Attempts made at this candidate, this one included. */
  readonly triesHere: number;
  /** Attempts made in all. */
  readonly tries: number;
  /** Candidates not yet tried, in order; whether each has a larger context window than the present one. */
  readonly remaining: readonly { readonly larger: boolean; readonly sameProvider: boolean }[];
  /** A model with a larger window failed before, or is passed over as down or rate-limited: the prompt may well fit there another time. */
  readonly fitsElsewhere: boolean;
  /** The candidate stands in for a model of another provider's kind: the request was written anew for it, and what it refuses may be of our writing. */
  readonly translated: boolean;
  /** The model that was asked for failed before, or is passed over as down or rate-limited: it may well take the request another time. */
  readonly askedIsDown: boolean;
  /** Time since the first attempt began. */
  readonly elapsedMs: number;
  /** The client is itself retrying (`x-stainless-retry-count` > 0), or the candidate is a trial: no retries at the same provider. */
  readonly once: boolean;
  /** A BYOK request: the user's own key is never swapped for another one's silently. */
  readonly byok: boolean;
}

export type Step =
  | { readonly do: 'finish' }
  | { readonly do: 'retry'; readonly afterMs: number }
  /** Go to `remaining[skip]`. */
  | { readonly do: 'reroute'; readonly skip: number }
  /** The client is told this failure as its own. */
  | { readonly do: 'refuse' }
  | { readonly do: 'give-up'; readonly why: 'exhausted' | 'attempts' | 'deadline' };

export type { Outcome };
