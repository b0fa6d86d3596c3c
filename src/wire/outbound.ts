import type { ChatRequest, UpstreamTarget } from './types.ts';

/** The JSON text of a request for one target. */
export function toUpstream(request: ChatRequest, target: UpstreamTarget): { readonly body: string; readonly streams: boolean } {
  return { body: JSON.stringify({ ...request.body, model: target.model.upstream }), streams: request.stream };
}
