import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Ends calls whose turn never comes. On a connection with several requests at once a response gets the connection only when those
 * before it have ended; where it closes first (one before was refused, the client left), Node tells the waiting ones nothing. Such
 * a call would never end: it would keep its hold and its place among the calls under way, and the process could not stop.
 * @returns to be called with each request at its beginning
 */
export function watchTurns(): (req: IncomingMessage, res: ServerResponse) => void {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>();
  const queueOf = (socket: Socket): Set<ServerResponse> => {
    const known = waiting.get(socket);
    if (known !== undefined) return known;
    const queue = new Set<ServerResponse>();
    waiting.set(socket, queue);
    // One listener a connection, however many requests come at once.
    socket.once('close', () => queue.forEach(endUnsent));
    return queue;
  };
  return ({ socket }, res) => {
    if (res.socket !== null) return;
    const queue = queueOf(socket);
    queue.add(res);
    res.once('socket', () => queue.delete(res));
  };
}

/** Tells whoever waits for it what Node leaves untold. */
function endUnsent(res: ServerResponse): void {
  res.destroy();
  res.emit('close');
}
