import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { Fault } from '../faults.ts';
import { mintId } from '../vault/index.ts';
import { findRoute } from './routes.ts';
import { CHAT_PATH, headersOf, refusalAt } from './send.ts';
import type { Running } from './types.ts';

export const HEADER_BYTES = 16_384;
/** What stands before a request's first line, where another came before it: the end of that one's head. */
const HEAD_END = '\r\n\r\n';

/** What Node tells of bytes that it could not read as a request. */
export interface ParserError {
  readonly code?: string | undefined;
  /** What was read last, and how much of it was understood. */
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
}

interface RequestLine {
  readonly method: string;
  readonly path: string;
}

/** The fault of what was no request. A method that Node does not know is one that no path takes. */
export function parserFault(running: Pick<Running, 'timing'>, error: ParserError): Fault {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new Fault('headers_too_large', { fill: { limit: `${HEADER_BYTES} bytes` } });
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Fault('request_timeout', { fill: { seconds: Math.round(running.timing.bodyMs / 1000) } });
  const line = error.code === 'HPE_INVALID_METHOD' ? requestLineOf(error) : undefined;
  return (line === undefined ? undefined : unrouted(line)) ?? new Fault('invalid_request', { fill: { detail: 'This is not a valid HTTP/1.1 request.' } });
}

/**
 * The first line of the request that could not be read, as far as its bytes are at hand: they are where it came in one piece, as heads do.
 * `FOO /v1/models?a=b HTTP/1.1` is `{ method: 'FOO', path: '/v1/models' }`.
 */
function requestLineOf({ rawPacket, bytesParsed = 0 }: ParserError): RequestLine | undefined {
  if (rawPacket === undefined) return undefined;
  const before = bytesParsed < HEAD_END.length ? -1 : rawPacket.lastIndexOf(HEAD_END, bytesParsed - HEAD_END.length);
  const start = before === -1 ? 0 : before + HEAD_END.length;
  const [, method, path] = /^([\w!#$%&'*+.^`|~-]+) (\/[^\s?]*)(?:\?\S*)? HTTP\/1\.\d\r?\n/.exec(rawPacket.toString('latin1', start, start + HEADER_BYTES)) ?? [];
  return method === undefined || path === undefined ? undefined : { method, path };
}

/**
 * The path that a refusal of such bytes goes by. A request whose line came in an earlier packet is taken for a chat call, whose
 * refusals say the most: no other client minds what it does not ask for. Undefined where it was no request at all.
 */
export function refusedPath(error: ParserError): string | undefined {
  const isRequest = error.code === 'HPE_HEADER_OVERFLOW' || error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  return requestLineOf(error)?.path ?? (isRequest ? CHAT_PATH : undefined);
}

/** Writes a refusal without a response object, and ends the connection. @param path of the request that is refused, where it is known */
export function writeRefusal(running: Pick<Running, 'clock'>, socket: Duplex, fault: Fault, path = ''): void {
  const nowMs = running.clock.nowMs();
  const call = { id: mintId('req', nowMs), path };
  const answer = { ...refusalAt(call, fault), close: true };
  const body = JSON.stringify(answer.body);
  const pairs = headersOf(call, answer, false, Buffer.byteLength(body));
  let head = `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status] ?? 'Refused'}\r\ndate: ${new Date(nowMs).toUTCString()}\r\n`;
  for (let at = 0; at < pairs.length; at += 2) head += `${pairs[at]}: ${pairs[at + 1]}\r\n`;
  socket.on('error', () => socket.destroy());
  socket.end(`${head}\r\n${body}`, () => socket.destroy());
}

/** Why no route takes a request. */
function unrouted({ method, path }: RequestLine): Fault | undefined {
  try {
    findRoute(method, path);
    return undefined;
  } catch (fault) {
    if (fault instanceof Fault) return fault;
    throw fault;
  }
}
