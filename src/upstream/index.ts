/** The only way out of the house: one attempt to one provider, timed and abortable. */
export { createUpstream } from './send.ts';
export type { UpstreamOptions } from './send.ts';
export type { Attempt, EventStream, Interruption, Reply, StreamRead, Upstream } from './types.ts';
