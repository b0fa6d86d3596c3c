import type { Server, ServerResponse } from 'node:http';
import { Server as Listener, type Socket } from 'node:net';
import type { Interrupter } from './interrupter.ts';
import { STOPPING } from './send.ts';
import { UnderWay, type Placed } from './under-way.ts';

/** How often connections are looked at while a server drains. */
const SWEEP_MS = 100;
/** What an answer that has ended may take to leave once everything is cut off. */
const LEAVE_MS = 5_000;

/** A call being answered. */
export interface CallUnderWay extends Placed {
  readonly interrupter: Interrupter;
  readonly res: ServerResponse;
  /** Resolves when its answer has left and its books are closed; never rejects. */
  done: Promise<void> | undefined;
}

interface Connection extends Placed {
  readonly socket: Socket;
  /** Bytes that had come at the last look. */
  seen: number;
}

/**
 * The end of a server: it takes no connections, closes those that it has when their answers have left, and cuts off what is left.
 *
 * ```
 * open ──drain──▶ closing: what runs may end, and each answer is its connection's last ──limit──▶ cut off: what runs is told so
 * ```
 * Node's own `close` is not asked for before the end: it takes a connection for idle whose answer has ended and not left yet, and
 * it no longer looks for requests that do not come to their end.
 */
export class Drain {
  readonly #server: Server;
  readonly #calls: UnderWay<CallUnderWay>;
  readonly #connections = new UnderWay<Connection>();
  /** Of which the last answer is written, and may not have left yet. */
  readonly #ended = new WeakSet<Socket>();
  #isClosing = false;
  #isCutOff = false;

  constructor(server: Server, calls: UnderWay<CallUnderWay>) {
    this.#server = server;
    this.#calls = calls;
    server.on('connection', (socket: Socket) => {
      const one: Connection = { socket, seen: -1, place: 0 };
      this.#connections.add(one);
      socket.once('close', () => this.#connections.delete(one));
    });
  }

  /** Whether an answer before this request says already that it is the connection's last: then nobody waits for another one. */
  isPast(res: ServerResponse): boolean {
    const { socket } = res.req;
    return socket.writableEnded || (res.socket === null && (this.#ended.has(socket) || (this.#isClosing && this.#before(res).some((one) => one.headersSent && !one.shouldKeepAlive))));
  }

  /** To be told of a connection of which an answer is the last, whether or not it drains. */
  last(socket: Socket): void {
    this.#ended.add(socket);
  }

  /** To be told of each call at its beginning. */
  begun({ interrupter, res }: CallUnderWay): void {
    if (this.#isClosing) {
      // Where more requests came at once, the last answer says that it is the last, and none before it.
      if (res.socket === null) for (const one of this.#before(res)) one.shouldKeepAlive = true;
      res.shouldKeepAlive = false;
    }
    if (this.#isCutOff) interrupter.abort(STOPPING);
  }

  /**
   * To be told of each call that is under way no more. Its connection closes even where its head had promised to keep it; one that
   * lingers (our side of it has ended) does so by itself, and with the drain at the latest.
   */
  ended({ res: { req, shouldKeepAlive } }: CallUnderWay): void {
    if (this.#isClosing && !shouldKeepAlive) this.last(req.socket);
    if (!this.#isClosing || req.socket.destroyed || req.socket.writableEnded || this.#calls.some(({ res }) => res.req.socket === req.socket)) return;
    req.socket.destroySoon();
  }

  /** Lets calls end for at most `limitMs`, then cuts them off. */
  async drain(limitMs: number): Promise<void> {
    this.#close();
    const sweep = setInterval(() => this.#sweep(), SWEEP_MS);
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([this.#allEnded(), limit]);
    clearTimeout(timer);
    clearInterval(sweep);
    await this.cutOff();
  }

  /** Ends all calls now: each is told, and each closes its books. */
  async cutOff(): Promise<void> {
    this.#close();
    this.#isCutOff = true;
    for (const { interrupter } of this.#calls.now()) interrupter.abort(STOPPING);
    const leave = setInterval(() => {
      for (const { res } of this.#calls.now()) if (res.writableEnded) res.req.socket.destroy();
    }, LEAVE_MS);
    await this.#allEnded();
    clearInterval(leave);
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The answers on a connection that stand before this one. */
  #before(res: ServerResponse): readonly ServerResponse[] {
    return this.#calls.now().flatMap((one) => (one.res !== res && one.res.req.socket === res.req.socket ? [one.res] : []));
  }

  #close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    Listener.prototype.close.call(this.#server);
    const calls = this.#calls.now();
    // Where more requests came at once, the first answer must not be the last.
    const followed = new Set(calls.flatMap(({ res }) => (res.socket === null ? [res.req.socket] : [])));
    // One whose head is out has promised what it has: another request may still come behind it.
    for (const { res } of calls) if (!res.headersSent && !followed.has(res.req.socket)) res.shouldKeepAlive = false;
  }

  /** Closes connections on which nothing has happened since the last look: a request may be on its way while there is none. */
  #sweep(): void {
    const busy = new Set(this.#calls.now().map(({ res }) => res.req.socket));
    for (const one of this.#connections.now()) {
      const { socket, seen } = one;
      one.seen = socket.bytesRead;
      if (!busy.has(socket) && socket.writableLength === 0 && socket.bytesRead === seen) socket.destroy();
    }
  }

  /** Those as well that begin meanwhile. */
  async #allEnded(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls.now().map(async ({ done }) => done));
  }
}
