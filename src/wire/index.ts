/** What the wire looks like: OpenAI's shapes towards clients, each provider's dialect towards providers. */
export type {
  AnswerStream,
  AnswerTarget,
  ChatRequest,
  ChatTranslation,
  EventBlock,
  EventBytes,
  Failure,
  FailureClass,
  GatheredAnswer,
  Json,
  JsonObject,
  Needs,
  Outcome,
  Outgoing,
  Routing,
  SimulatedAnswer,
  SseEvent,
  TransportFailure,
  UpstreamTarget,
  Usage,
  WholeAnswer,
  WholeOutcome,
  WholeReply,
  WholeTarget,
  WrittenField,
} from './types.ts';
export { EventScanner } from './events.ts';
export { gatherAnswer } from './gather.ts';
export { fetchesPictures, QUIRKS } from './quirks.ts';
export type { Quirks } from './quirks.ts';
export { readChatRequest, splitModel } from './request.ts';
export { CHAT_SCHEMAS } from './schemas.ts';
export { fieldsOf, isFields, parseJson, textOf } from './json.ts';
export type { Fields } from './json.ts';
export { estimateTokens } from './measure.ts';
export { toUpstream } from './outbound.ts';
export type { Piece } from './outbound.ts';
export { readTransport, readWhole } from './outcome.ts';
export { readUsage, writeUsage } from './usage.ts';
export { openAnswer, simulateAnswer } from './stream.ts';
export { answerInChat, checkToolName, contentInChat, nameInChat, resultInChat, textsIn, withLeadingSystem } from './asked.ts';
export type { Answered } from './asked.ts';
export { NamedEvents, readPiece } from './translation.ts';
export type { CallPiece, ChatPiece } from './translation.ts';
