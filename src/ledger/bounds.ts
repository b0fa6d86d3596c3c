/** Live API keys of one account. Without a bound one account could make so many that every list of them holds up all others. */
export const KEYS_MAX = 1_000;

/** Revoked API keys of one account that were never used and are kept, the newest: making one and revoking it costs nothing. */
export const UNUSED_KEYS_KEPT = 1_000;

/** Registered provider keys of one account: each is read with every request of it. */
export const BYOK_KEYS_MAX = 100;
