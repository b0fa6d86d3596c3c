import type { Failure, TransportFailure, WholeAnswer, WholeReply, WholeTarget } from './types.ts';

/** What an attempt that brought no answer means. */
export function readTransport(failure: TransportFailure, sent: boolean): Failure {
  return { kind: 'failed', class: sent ? 'next' : 'retry', status: 0, providerCode: failure, message: '', retryAfterMs: undefined, maybeServed: sent };
}

/** What a whole answer means. */
export function readWhole(reply: WholeReply, target: WholeTarget): Failure | { readonly kind: 'answered'; readonly answer: WholeAnswer } {
  return { ...readTransport('reset', true), status: reply.status, message: target.model.id };
}
