import type { EventStream } from '../upstream/index.ts';
import { gatherAnswer, readTransport, type AnswerTarget, type WholeOutcome } from '../wire/index.ts';
import { lastRead, TRUNCATED } from './relay.ts';
import type { Booked } from './settle.ts';

/**
 * Reads a stream to its end where the client waits for a whole answer. It may take as long as a whole answer may; once every choice has
 * ended, its usage and `[DONE]` are waited for as they are in any stream.
 * @param leftMs until when it is to be there, from now on
 */
export async function gatherStream({ running, call }: Booked, stream: EventStream, target: Omit<AnswerTarget, 'includeUsage'>, leftMs: number): Promise<WholeOutcome> {
  const { clock, timing } = running;
  const answer = gatherAnswer(target);
  const endMs = clock.monotonicMs() + leftMs;
  let untilMs = endMs;
  while (answer.failure === undefined && !answer.done) {
    const nowMs = clock.monotonicMs();
    if (answer.finished && untilMs === endMs) untilMs = Math.min(endMs, nowMs + timing.finishGraceMs);
    const read = await lastRead(stream, Math.max(0, untilMs - nowMs));
    if (read.kind === 'events') {
      for (const event of read.events) answer.take(event);
      continue;
    }
    if (answer.finished || (read.kind === 'end' && answer.ended)) break;
    if (read.kind === 'end') return TRUNCATED;
    // Where it was not the client's doing, it was ours: the time is up.
    return readTransport(read.failure === 'aborted' && !call.signal.aborted ? 'timeout' : read.failure, true);
  }
  if (answer.failure === undefined) stream.leave();
  else stream.abort();
  return answer.whole();
}
