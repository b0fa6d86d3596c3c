const MINUTE_MS = 60_000;
const WAIT_MOST_MS = 6 * 60 * MINUTE_MS;
const GIVE_UP_AFTER_MS = 3 * 24 * 60 * MINUTE_MS;

/**
 * How long after its n-th failed attempt a mail waits for the next one: a minute, doubling, at most six hours; undefined once
 * three days of waiting are used up. Counted by attempts, so that neither a stopped daemon nor a changed clock spends them.
 * `retryAfterMs(1)` is 60,000; `retryAfterMs(20)` is undefined.
 */
export function retryAfterMs(attempts: number): number | undefined {
  let waitedMs = 0;
  let waitMs = MINUTE_MS;
  for (let done = 1; done < attempts; done += 1) {
    waitedMs += waitMs;
    waitMs = Math.min(2 * waitMs, WAIT_MOST_MS);
  }
  return waitedMs + waitMs > GIVE_UP_AFTER_MS ? undefined : waitMs;
}
