/** A hold and its settlement write some 30 KiB; the reserve ends two thousand, the ballast five hundred. */
export const SPACE = { reserveBytes: 64 * 1_048_576, ballastBytes: 16 * 1_048_576 } as const;
