/** OpenAI's Responses API, said in chat completions and back: one request in, its answer out, nothing kept. */
export { openResponse } from './answer.ts';
export { readResponsesRequest } from './request.ts';
export type { ResponsesRequest, Wishes } from './request.ts';
