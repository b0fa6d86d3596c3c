import { Fault } from '../faults.ts';
import type { ChatRequest } from './types.ts';

/** Understands a chat request. @throws Fault invalid_request: the client's fault. */
export function readChatRequest(raw: unknown, options: { readonly pictureTokens: number; readonly routingHeader: string | undefined }): ChatRequest {
  throw new Fault('invalid_request', { fill: { detail: `not yet ${typeof raw} ${options.pictureTokens}` } });
}
