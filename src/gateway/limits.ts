import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';

/** What an account was allowed to do, for the rate-limit headers. */
export interface Lease {
  readonly headers: Readonly<Record<string, string>>;
  /** Ends the call's place among the concurrent ones. Calling it twice changes nothing. */
  leave(): void;
}

/** Whose limit it is, and the account's own one where the operator has set it. */
type Owner = Pick<KeyOwner, 'accountId' | 'requestsPerMinute'>;

/**
 * What of a minute's worth is spent, not what is left: a limit that changes counts at once, in whatever order the requests that know
 * of it come.
 */
interface Bucket {
  spent: number;
  /** The limit under which that was spent; what is over a lower one by now is given back at this one's pace. */
  perMinute: number;
  refilledMs: number;
  running: number;
}

/** Why a request does not pass, as data: it may have to tell it in another process. */
export interface LimitRefusal {
  readonly detail: string;
  readonly retryAfterS: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** The refusal as the client is told it. */
export function limitFault({ detail, retryAfterS, headers }: LimitRefusal): Fault {
  return new Fault('rate_limit_exceeded', { fill: { detail }, retryAfterS, headers });
}

export interface LimitRules {
  readonly requestsPerMinute: number;
  readonly concurrentRequests: number;
}

/** Buckets that have been full and idle this long are forgotten. */
const FORGET_AFTER_MS = 120_000;

/**
 * The per-account limits: a token bucket that holds a minute's worth and refills evenly, and a cap on calls at once.
 * All keys of an account share one bucket. It lives in memory: a restart gives everybody a full bucket.
 */
export class Limits {
  readonly #buckets = new Map<string, Bucket>();
  readonly #rules: LimitRules;
  readonly #nowMs: () => number;
  #sweptMs = 0;

  /** @param nowMs a monotonic clock */
  constructor(rules: LimitRules, nowMs: () => number) {
    this.#rules = rules;
    this.#nowMs = nowMs;
  }

  /**
   * Takes one token and one place.
   * @throws Fault `rate_limit_exceeded` (429) with the seconds until the next token. With 600 a minute and an empty bucket
   *   that is 1 (0.1 s, rounded up).
   */
  enter(owner: Owner): Lease {
    const entered = this.admit(owner);
    if ('leave' in entered) return entered;
    throw limitFault(entered);
  }

  /** As `enter`; see `AccountLimits`. */
  async enterWithoutHold(owner: Owner): Promise<Lease> {
    return this.enter(owner);
  }

  /** As `enter`, but a refusal is what it returns. */
  admit(owner: Owner): Lease | LimitRefusal {
    const perMinute = owner.requestsPerMinute ?? this.#rules.requestsPerMinute;
    const nowMs = this.#nowMs();
    const bucket = this.#refilled(owner.accountId, perMinute, nowMs);
    if (bucket.running >= this.#rules.concurrentRequests) {
      return refusal(bucket, perMinute, 1, `This account has ${bucket.running} requests running, its limit. Wait for one to end.`);
    }
    if (perMinute - bucket.spent < 1) {
      return refusal(bucket, perMinute, secondsUntil(bucket, perMinute, perMinute - 1), `This account may send ${perMinute} requests a minute. Slow down, or ask the operator for a higher limit.`);
    }
    bucket.spent += 1;
    bucket.running += 1;
    let running = true;
    return {
      headers: headersOf(bucket, perMinute),
      leave: () => {
        if (running) bucket.running -= 1;
        running = false;
      },
    };
  }

  /** What an account's headers say at the moment; nothing is taken of it. */
  standing(owner: Owner): Lease['headers'] {
    const perMinute = owner.requestsPerMinute ?? this.#rules.requestsPerMinute;
    return headersOf(this.#refilled(owner.accountId, perMinute, this.#nowMs()), perMinute);
  }

  #refilled(accountId: string, perMinute: number, nowMs: number): Bucket {
    this.#forgetIdle(nowMs);
    let bucket = this.#buckets.get(accountId);
    if (bucket === undefined) {
      bucket = { spent: 0, perMinute, refilledMs: nowMs, running: 0 };
      this.#buckets.set(accountId, bucket);
      return bucket;
    }
    bucket.spent = spentAfter(bucket, perMinute, nowMs - bucket.refilledMs);
    if (bucket.spent <= perMinute) bucket.perMinute = perMinute;
    bucket.refilledMs = nowMs;
    return bucket;
  }

  #forgetIdle(nowMs: number): void {
    if (nowMs - this.#sweptMs < FORGET_AFTER_MS) return;
    this.#sweptMs = nowMs;
    for (const [id, bucket] of this.#buckets) {
      if (bucket.running === 0 && nowMs - bucket.refilledMs > FORGET_AFTER_MS) this.#buckets.delete(id);
    }
  }
}

function refusal(bucket: Bucket, perMinute: number, retryAfterS: number, detail: string): LimitRefusal {
  return { detail, retryAfterS, headers: headersOf(bucket, perMinute) };
}

/** What is still spent after `ms`. 100 of 600 a minute, where the limit is 60 by now: 80 after 2 s, 60 after 4 s, 59 after 5 s. */
function spentAfter({ spent, perMinute: former }: Bucket, perMinute: number, ms: number): number {
  const overMs = spent > perMinute ? ((spent - perMinute) * 60_000) / former : 0;
  if (ms < overMs) return spent - (ms * former) / 60_000;
  return Math.max(0, Math.min(spent, perMinute) - ((ms - overMs) * perMinute) / 60_000);
}

/** How long until no more than this is spent. */
function secondsUntil({ spent, perMinute: former }: Bucket, perMinute: number, least: number): number {
  if (perMinute === 0) return 60;
  const overS = spent > perMinute ? ((spent - perMinute) * 60) / former : 0;
  return overS + ((Math.min(spent, perMinute) - least) * 60) / perMinute;
}

/** Reset: seconds until the bucket is full again, in OpenAI's notation (`6s`). */
function headersOf(bucket: Bucket, perMinute: number): Record<string, string> {
  const resetS = Math.ceil(secondsUntil(bucket, perMinute, 0));
  return {
    'x-ratelimit-limit-requests': String(perMinute),
    'x-ratelimit-remaining-requests': String(Math.max(0, Math.floor(perMinute - bucket.spent))),
    'x-ratelimit-reset-requests': `${Math.max(0, resetS)}s`,
  };
}
