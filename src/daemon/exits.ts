/** Exit codes of the daemon, after sysexits: 0 stopped as asked, 70 a bug, 74 the books failed. */
export const EXIT = { stopped: 0, bug: 70, books: 74 } as const;

/** Signals that ask the daemon to stop. */
export const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
