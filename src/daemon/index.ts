/** Builds the parts once, runs the jobs, drains. */
export { startDaemon } from './start.ts';
export type { Daemon, StartDaemon } from './start.ts';
export { serveForPrimary } from './serving.ts';
