import type { IncomingMessage } from 'node:http';

/** How long a client may go on sending what is not read, and how long it may be silent meanwhile. */
export interface Lingering {
  readonly ms: number;
  readonly silenceMs: number;
  readonly bytes: number;
}

const LINGER_MS = 10_000;
const SILENCE_MS = 2_000;
/** Of the largest body: one that is over it by little comes to its end. */
const BODIES = 2;

/** The bounds where a body may have so many bytes. */
export function lingeringOf(bodyBytes: number): Lingering {
  return { ms: LINGER_MS, silenceMs: SILENCE_MS, bytes: BODIES * bodyBytes };
}

/**
 * Ends a connection whose answer has been written while its request was still on its way. Our side closes at once; what the client
 * goes on to send is read and dropped, within bounds, until it is whole or the client has closed its own side. A connection that is
 * closed with bytes unread is reset, and with that reset goes the answer: its client would see a broken connection instead.
 */
export function linger(req: IncomingMessage, bounds: Lingering): void {
  const { socket } = req;
  let left = bounds.bytes;
  const end = () => {
    clearTimeout(limit);
    clearTimeout(silence);
    socket.destroy();
  };
  const limit = setTimeout(end, bounds.ms);
  const silence = setTimeout(end, bounds.silenceMs);
  socket.on('close', end);
  req.on('error', end);
  req.on('end', () => (socket.writableFinished ? end() : socket.once('finish', end)));
  req.on('data', (part: Buffer) => {
    left -= part.length;
    if (left < 0) end();
    else silence.refresh();
  });
  socket.end();
  req.resume();
}
