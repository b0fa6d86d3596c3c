import type { Socket } from 'node:net';

import { buildConnector, Pool } from 'undici';

const MAX_HEADER_BYTES = 65_536;
/** An idle connection is worth a TLS handshake; undici's own 4 s would lose it at every pause. */
const KEEP_ALIVE_MS = 60_000;

/** The connections to one origin: HTTP/1.1, one request a connection at a time, idle ones kept for a minute. */
export function openPool(origin: string, connectTimeoutMs: number): Pool {
  const connect = buildConnector({ allowH2: false, timeout: connectTimeoutMs });
  return new Pool(origin, {
    connect: (target, callback) => connect(target, (...result) => {
      const [error, socket] = result;
      if (error === null) {
        socket.prependListener('error', renameError);
        callback(null, socket);
      } else callback(error, null);
    }),
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

/**
 * Gives two errors another code before undici's own listener sees them.
 * ECONNRESET: on a connection that is not kept alive undici takes it for a proper end of the body, and while the answer
 * is held back it fails an assertion there, outside of any handler. Under another code it is a broken connection.
 * An abort: undici puts the aborted request back into its queue and opens a new connection for nothing; a wave of
 * clients hanging up would become a wave of TLS handshakes. Nothing written means that no request was running.
 */
function renameError(this: Socket, error: NodeJS.ErrnoException): void {
  if (error.code === 'ECONNRESET') error.code = 'RESET_BY_PROVIDER';
  else if (error.code === 'UND_ERR_INFO' && error.message === 'aborted' && this.bytesWritten > 0) error.code = 'UND_ERR_ABORTED';
}

/**
 * Whether undici can hold back an answer with these headers. One whose end is the end of the connection it cannot:
 * when such a connection ends while held back, undici fails an assertion that no handler gets to see.
 */
export function canHoldBack(headers: Readonly<Record<string, string>>): boolean {
  const framing = headers['transfer-encoding'] ?? '';
  const connection = headers['connection'] ?? '';
  return /\bchunked\s*$/i.test(framing) && !/\bclose\b/i.test(connection);
}
