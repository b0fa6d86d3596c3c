import type { Upstream } from './types.ts';

export interface UpstreamOptions {
  /** Cap of an answer that is read whole, in bytes; 8 MiB by default. */
  readonly maxBodyBytes?: number;
  /** Cap of one event of a stream, in characters; 1 Mi by default. */
  readonly maxEventChars?: number;
  /** For name resolution, TCP and TLS together; 5,000 by default. */
  readonly connectTimeoutMs?: number;
  /** Sent to every provider as `user-agent`. */
  readonly userAgent: string;
}

export function createUpstream(options: UpstreamOptions): Upstream {
  throw new Error(`not built yet: ${options.userAgent}`);
}
