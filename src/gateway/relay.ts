import { Fault, toEnvelope, type AttemptTrace } from '../faults.ts';
import type { Receipt } from '../ledger/index.ts';
import { usdNumber } from '../money/index.ts';
import { breakEvent } from '../routing/index.ts';
import type { EventStream, StreamRead } from '../upstream/index.ts';
import { readTransport, type ChatRequest, type Failure, type Usage } from '../wire/index.ts';
import type { Asked } from './attempts.ts';
import type { StreamMouth } from './mouth.ts';
import { breakOf } from './refusals.ts';
import { release, settle, settlementOf, type Booked, type Served } from './settle.ts';

/** What is told of a request after its end: all that an open stream keeps of it, for a prompt may be large. */
export type Gist = Pick<ChatRequest, 'requestedModel' | 'promptEstimate' | 'stream'>;

/** A stream of which the first words have come. `stream` is undefined where a whole answer is told as one. */
export interface Streaming extends Pick<Extract<Asked, { kind: 'stream' }>, 'candidate' | 'traces' | 'stream' | 'answer' | 'ready'> {
  readonly booked: Booked;
  readonly mouth: StreamMouth;
  readonly gist: Gist;
}

/** How a call ended, for its access line. */
export interface Ended {
  readonly receipt: Receipt;
  readonly usage: Usage | undefined;
  /** `ok`, `aborted`, or an error's code. */
  readonly end: string;
}

type Relayed = 'whole' | 'gone' | Failure;

/**
 * Brings a stream to the client and closes its books. The settlement is durable before `[DONE]` leaves.
 * A provider that fails on the way costs the client nothing and is told in-band; a client that hangs up pays for the prompt and
 * for what was generated until then.
 *
 * A stream may be silent for long, and is one of thousands: between two reads nothing is kept that the next does not need.
 */
export async function relayStream(streaming: Streaming): Promise<Ended> {
  const { stream, answer } = streaming;
  const { running } = streaming.booked;
  let progressMs = running.clock.monotonicMs();
  /** Until when a stream whose choices have all ended may go on. */
  let untilMs = Infinity;
  let flows = streaming.mouth.write(streaming.ready.splice(0));
  for (;;) {
    if (typeof flows === 'object') stream?.holdBack();
    if (flows !== true && !(await flows)) return closeStream(streaming, 'gone');
    if (answer.failure !== undefined) return closeStream(streaming, answer.failure);
    if (answer.done || stream === undefined) return closeStream(streaming, 'whole');
    const nowMs = running.clock.monotonicMs();
    if (nowMs - progressMs >= running.timing.progressMs) {
      progressMs = nowMs;
      storeProgress(streaming);
    }
    if (answer.finished && untilMs === Infinity) untilMs = nowMs + running.timing.finishGraceMs;
    if (nowMs > untilMs) return closeStream(streaming, 'whole');
    const told = passOn(streaming, await (answer.finished ? lastRead(stream, untilMs - nowMs) : stream.read()));
    if (typeof told === 'string' || (typeof told === 'object' && 'class' in told)) return closeStream(streaming, told);
    flows = told;
  }
}

async function closeStream(streaming: Streaming, relayed: Relayed): Promise<Ended> {
  const { booked, mouth, candidate, answer, traces } = streaming;
  const { running, call, byok } = booked;
  const served = servedBy(streaming);
  if (relayed === 'whole') streaming.stream?.leave();
  else streaming.stream?.abort();

  if (relayed === 'whole') {
    const usage = usageOf(streaming);
    running.health.observe(candidate.healthKey, { kind: 'answered' });
    const receipt = await settle(booked, served, usage, 'ok');
    mouth.finish(answer.close({ usage, cost: usdNumber(receipt.cost) }), receipt.cost, byok ? undefined : receipt.balance);
    return { receipt, usage, end: 'ok' };
  }
  const broken = breakOf(call.signal, traces);
  if (broken !== undefined) return failInBand(booked, mouth, served, broken);
  if (relayed === 'gone') {
    mouth.close();
    const usage = usageSoFar(streaming);
    return { receipt: await settle(booked, served, usage, 'aborted'), usage, end: 'aborted' };
  }
  const event = breakEvent(relayed, byok);
  if (event !== undefined) running.health.observe(candidate.healthKey, event);
  return failInBand(booked, mouth, served, faultOf(candidate.provider, relayed, traces));
}

/** Who serves a stream, as the books need it. */
export function servedBy({ candidate, traces, mouth }: Streaming): Served {
  return { candidate, attempts: traces.length, firstByteMs: mouth.firstByteMs };
}

function usageOf({ answer, gist }: Streaming): Usage {
  return answer.usage ?? estimated(gist, answer.completionEstimate);
}

/**
 * What a stream has used until now. Some providers say at its beginning what the prompt came to, with no output yet: of what came since
 * nothing is reported then, and it is estimated.
 */
function usageSoFar(streaming: Streaming): Usage {
  const usage = usageOf(streaming);
  const { completionEstimate } = streaming.answer;
  return usage.completion === 0 && completionEstimate > 0 ? { ...usage, origin: 'estimated', completion: completionEstimate } : usage;
}

/** Releases the hold and tells a stream's client, whose head is out, that it failed. */
export async function failInBand(booked: Booked, mouth: StreamMouth, served: Served, fault: Fault): Promise<Ended> {
  const receipt = await release(booked, served, served.attempts, fault.code);
  mouth.fail(toEnvelope(fault, booked.call.id), booked.byok ? undefined : receipt.balance);
  return { receipt, usage: undefined, end: fault.code };
}

/** What an answer probably took, where the provider reported nothing: our own count, marked as such. */
export function estimated(request: Pick<ChatRequest, 'promptEstimate'>, completion: number): Usage {
  return { origin: 'estimated', prompt: request.promptEstimate, cached: 0, completion, reasoning: 0 };
}

/** Passes on what one read brought; else how the stream ended. */
function passOn({ answer, mouth, booked }: Streaming, read: StreamRead): boolean | Promise<boolean> | Relayed {
  if (booked.call.signal.aborted) return 'gone';
  if (read.kind === 'events') return mouth.write(read.events.flatMap((event) => answer.take(event)));
  if (read.kind === 'failed') return answer.finished ? 'whole' : readTransport(read.failure, true);
  return answer.ended ? 'whole' : TRUNCATED;
}

/** Makes durable what a running stream has cost so far. */
function storeProgress(streaming: Streaming): void {
  const { booked } = streaming;
  const { running, call } = booked;
  const soFar = settlementOf(booked, servedBy(streaming), usageSoFar(streaming), 'ok');
  running.ledger.progress(call.id, soFar).catch((error: unknown) => running.log.error('progress_not_stored', error));
}

/** After every choice that was asked for has ended, usage and `[DONE]` may follow, but nobody waits long for them, however much else follows. */
export async function lastRead(stream: EventStream, leftMs: number): Promise<StreamRead> {
  const timer = setTimeout(() => stream.abort(), leftMs);
  try {
    return await stream.read();
  } finally {
    clearTimeout(timer);
  }
}

/** What a provider declines is told as that, for asking again would be no use; everything else broke off. */
function faultOf(provider: string, failure: Failure, traces: readonly AttemptTrace[]): Fault {
  if (failure.class === 'policy') return new Fault('content_filter', { fill: { provider }, param: 'messages', attempts: traces });
  const how = OUR_WORDS.has(failure.providerCode) ? failure.providerCode : failure.class;
  return new Fault('provider_failed', { fill: { provider, detail: `the stream broke off (${how})` }, attempts: traces });
}

/** What clients are told of a broken stream in so many words. A code of the provider's own may hold anything, the key included: it is told as its class. */
const OUR_WORDS: ReadonlySet<string> = new Set(['truncated_stream', 'timeout', 'reset', 'too_large', 'error_event', 'invalid_json', 'too_deep', 'network_error', 'insufficient_system_resource']);
/** The connection ended in good order, but the answer did not. */
export const TRUNCATED: Failure = { kind: 'failed', class: 'next', status: 502, providerCode: 'truncated_stream', message: '', retryAfterMs: undefined, maybeServed: true };
