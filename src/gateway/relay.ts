import { Fault, toEnvelope, type AttemptTrace } from '../faults.ts';
import type { Receipt } from '../ledger/index.ts';
import { usdNumber } from '../money/index.ts';
import type { StreamRead } from '../upstream/index.ts';
import { readTransport, type ChatRequest, type Failure, type Outgoing, type Usage } from '../wire/index.ts';
import type { Asked } from './attempts.ts';
import type { StreamMouth } from './mouth.ts';
import { STOPPING } from './send.ts';
import { release, settle, settlementOf, type Booked, type Served } from './settle.ts';

type Streaming = Extract<Asked, { kind: 'stream' }>;

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
 */
export async function relayStream(booked: Booked, request: ChatRequest, asked: Streaming, mouth: StreamMouth): Promise<Ended> {
  const { running, call, byok } = booked;
  const { candidate, answer } = asked;
  const served = (): Served => ({ candidate, attempts: asked.traces.length, firstByteMs: mouth.firstByteMs });
  const usage = () => answer.usage ?? estimated(request, answer.completionEstimate);
  const relayed = await relay(booked, asked, mouth, () => {
    const soFar = settlementOf(booked, served(), usage(), 'ok');
    running.ledger.progress(call.id, soFar).catch((error: unknown) => running.log.error('progress_not_stored', error));
  });
  if (relayed === 'whole') asked.stream?.leave();
  else asked.stream?.abort();

  if (relayed === 'whole') {
    running.health.observe(candidate.provider, candidate.model.id, { kind: 'answered' });
    const receipt = await settle(booked, served(), usage(), 'ok');
    mouth.finish(answer.close({ usage: usage(), cost: usdNumber(receipt.cost) }), receipt.cost, byok ? undefined : receipt.balance);
    return { receipt, usage: usage(), end: 'ok' };
  }
  if (call.signal.reason === STOPPING) return failInBand(booked, mouth, served(), new Fault('overloaded', { fill: { detail: 'The server is stopping; send the request again.' }, attempts: asked.traces }));
  if (relayed === 'gone') {
    mouth.close();
    const receipt = await settle(booked, served(), usage(), 'aborted');
    return { receipt, usage: usage(), end: 'aborted' };
  }
  // One stream that broke is a failure in a row, never a whole request's worth of retries.
  running.health.observe(candidate.provider, candidate.model.id, { kind: 'failed', class: relayed.class, retryAfterMs: undefined, spent: false });
  return failInBand(booked, mouth, served(), brokenOff(candidate.provider, relayed, asked.traces));
}

/** Releases the hold and tells a stream's client, whose head is out, that it failed. */
export async function failInBand(booked: Booked, mouth: StreamMouth, served: Served, fault: Fault): Promise<Ended> {
  const receipt = await release(booked, served, served.attempts, fault.code);
  mouth.fail(toEnvelope(fault, booked.call.id), booked.byok ? undefined : receipt.balance);
  return { receipt, usage: undefined, end: fault.code };
}

/** What an answer probably took, where the provider reported nothing: our own count, marked as such. */
export function estimated(request: ChatRequest, completion: number): Usage {
  return { origin: 'estimated', prompt: request.promptEstimate, cached: 0, completion, reasoning: 0 };
}

async function relay(booked: Booked, asked: Streaming, mouth: StreamMouth, onProgress: () => void): Promise<Relayed> {
  const { running, call } = booked;
  const { stream, answer } = asked;
  let progressMs = running.clock.monotonicMs();
  let ready: readonly Outgoing[] = asked.ready.splice(0);
  for (;;) {
    const flows = mouth.write(ready);
    // A stream may be silent for long: what has left is not kept meanwhile.
    ready = [];
    if (flows !== true && !(await flows)) return 'gone';
    if (answer.failure !== undefined) return answer.failure;
    if (answer.done || stream === undefined) return 'whole';
    const nowMs = running.clock.monotonicMs();
    if (nowMs - progressMs >= running.timing.progressMs) {
      progressMs = nowMs;
      onProgress();
    }
    const read = await (answer.finished ? lastRead(asked, running.timing.finishGraceMs) : stream.read());
    if (call.signal.aborted) return 'gone';
    if (read.kind === 'events') ready = read.events.flatMap((event) => answer.take(event));
    else if (answer.finished) return 'whole';
    else return read.kind === 'failed' ? readTransport(read.failure, true) : TRUNCATED;
  }
}

/** After every choice has ended, usage and `[DONE]` may follow, but nobody waits long for them. */
async function lastRead(asked: Streaming, graceMs: number): Promise<StreamRead> {
  const timer = setTimeout(() => asked.stream?.abort(), graceMs);
  try {
    return (await asked.stream?.read()) ?? { kind: 'end' };
  } finally {
    clearTimeout(timer);
  }
}

function brokenOff(provider: string, failure: Failure, traces: readonly AttemptTrace[]): Fault {
  const how = OUR_WORDS.has(failure.providerCode) ? failure.providerCode : failure.class;
  return new Fault('provider_failed', { fill: { provider, detail: `the stream broke off (${how})` }, attempts: traces });
}

/** What clients are told of a broken stream in so many words. A code of the provider's own may hold anything, the key included: it is told as its class. */
const OUR_WORDS: ReadonlySet<string> = new Set(['truncated_stream', 'timeout', 'reset', 'too_large', 'error_event', 'invalid_json', 'network_error', 'insufficient_system_resource']);
/** The connection ended in good order, but the answer did not. */
const TRUNCATED: Failure = { kind: 'failed', class: 'next', status: 502, providerCode: 'truncated_stream', message: '', retryAfterMs: undefined, maybeServed: true };
