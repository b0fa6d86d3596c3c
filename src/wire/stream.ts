import type { AnswerStream, AnswerTarget, SimulatedAnswer, WholeAnswer } from './types.ts';

/** Opens the reading of one stream. */
export function openAnswer(target: AnswerTarget): AnswerStream {
  return { take: () => [], started: false, failure: undefined, finished: false, done: false, usage: undefined, completionEstimate: 0, close: () => [target.model.id] };
}

/** A whole answer as a stream. */
export function simulateAnswer(answer: WholeAnswer, target: AnswerTarget): SimulatedAnswer {
  return { chunks: [JSON.stringify(answer.body)], stream: openAnswer(target) };
}
