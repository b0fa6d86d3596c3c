/** Bytes on a socket, as no client library would send them. */
import { connect, type Socket } from 'node:net';

export interface Told {
  /** Everything that came. */
  readonly text: string;
  /** The status of the first answer; 0 where none came. */
  readonly status: number;
  readonly code: string;
  /** The other side ended the connection. */
  readonly closed: boolean;
  readonly ms: number;
}

export interface RawWish {
  readonly port: number;
  readonly bytes: string | Buffer;
  /** Enough has come; by default one answer whose length is told, or the end of the connection. */
  readonly enough?: (text: string) => boolean;
  readonly limitMs?: number;
  /** Ends our side after the bytes. */
  readonly halfClose?: boolean;
}

/** Sends bytes and gathers what comes until it is enough, the connection ends, or time is up. */
export function sendRaw({ port, bytes, enough = hasAnswer, limitMs = 5_000, halfClose = false }: RawWish): Promise<Told> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    let text = '';
    let closed = false;
    const socket = connect(port, '127.0.0.1');
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), code: /"code":"(\w+)"/.exec(text)?.[1] ?? '', closed, ms: performance.now() - startedMs });
    };
    const timer = setTimeout(finish, limitMs);
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
      if (enough(text)) finish();
    });
    socket.on('end', () => {
      closed = true;
      finish();
    });
    socket.on('error', () => {
      closed = true;
      finish();
    });
    if (halfClose) socket.end(bytes);
    else socket.write(bytes);
  });
}

/** Opens many sockets that say a little and then nothing. */
export function openSilent(port: number, count: number, bytes: string): { readonly sockets: readonly Socket[]; closed(): number; close(): void } {
  let closed = 0;
  const sockets = Array.from({ length: count }, () => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => (closed += 1));
    socket.resume();
    return socket;
  });
  return { sockets, closed: () => closed, close: () => sockets.forEach((socket) => socket.destroy()) };
}

/** One whole answer with a told length, or a chunked one with its last chunk. */
export function hasAnswer(text: string): boolean {
  return answersIn(text).length > 0;
}

/** The answers in a text, in order, heads and bodies. */
export function answersIn(text: string): readonly string[] {
  const answers: string[] = [];
  let rest = text;
  for (;;) {
    const head = rest.indexOf('\r\n\r\n');
    if (head === -1) return answers;
    const length = /\r\ncontent-length: (\d+)/i.exec(rest.slice(0, head + 2))?.[1];
    const end = length === undefined ? rest.indexOf('\r\n0\r\n') : head + 4 + Number(length);
    if (rest.startsWith('HTTP/1.1 100 ')) {
      rest = rest.slice(head + 4);
      continue;
    }
    if (end === -1 || end > rest.length) return answers;
    answers.push(rest.slice(0, end));
    rest = length === undefined ? rest.slice(rest.indexOf('\r\n\r\n', end + 4) + 4) : rest.slice(end);
  }
}
