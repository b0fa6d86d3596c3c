/** Anthropic's Messages API, said in chat completions and back: one request in, its answer out. */
export { openMessage } from './answer.ts';
export { readMessagesRequest } from './request.ts';
export type { MessagesRequest } from './request.ts';
