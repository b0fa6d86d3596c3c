/** A client that writes bytes, not requests. */
import { connect, type Socket } from 'node:net';
import type { House } from './house.ts';

export interface Bare {
  readonly socket: Socket;
  /** What came so far. */
  text(): string;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
}

export function bare(house: Pick<House, 'url'>): Bare {
  const { hostname, port } = new URL(house.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  socket.on('error', () => socket.destroy());
  const closed = new Promise<void>((resolve) => {
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve());
  });
  return { socket, text: () => text, closed };
}

/** A request's head. @param more further lines of it */
export function head(house: Pick<House, 'key'>, more: readonly string[], path = '/v1/chat/completions', method = 'POST'): string {
  return [`${method} ${path} HTTP/1.1`, 'host: localhost', `authorization: Bearer ${house.key}`, ...more, '', ''].join('\r\n');
}

/** A chat request, head and body. */
export function chat(house: Pick<House, 'key'>, body: unknown, more: readonly string[] = ['connection: close']): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return head(house, ['content-type: application/json', `content-length: ${Buffer.byteLength(text)}`, ...more]) + text;
}
