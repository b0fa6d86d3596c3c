import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../faults.ts';
import { printable } from './body.ts';
import { parserFault, refusedPath, writeRefusal, type ParserError } from './raw-refusals.ts';
import { CHAT_PATH } from './send.ts';
import type { Running } from './types.ts';

/** Kept for the log, the books and the provider's probe. */
const SPARE_FILES = 8;
/** A reader that takes less than this of what is left to send has stalled. */
const LEAST_BYTES_A_SECOND = 16_384;

/** What there is to know of the calls on a connection that is refused. */
export interface ConnectionCalls {
  /** Whether an answer has begun on it: within it a refusal would be taken for a part of it. */
  isAnswering(socket: Duplex): boolean;
  /** The path of the call on it whose answer has not begun: it is the one that a refusal is taken for the answer of. */
  pathOn(socket: Duplex): string | undefined;
  /** Ends those of its calls that `isEnded` picks. */
  breakOff(socket: Duplex, fault: Fault, isEnded: (req: IncomingMessage) => boolean): void;
}

/**
 * What a server does with connections and bytes that never become a request of ours: each is refused in our form.
 */
export function guardConnections(running: Running, server: Server, calls: ConnectionCalls): void {
  const refuse = (socket: Duplex, fault: Fault, path?: string) => {
    if (!socket.writable || calls.isAnswering(socket)) socket.destroy();
    else writeRefusal(running, socket, fault, calls.pathOn(socket) ?? path);
  };
  const { connections, connectionsPerAddress } = running.settings.limits;
  let most = connections;
  let open = 0;
  server.on('listening', () => {
    most = Math.min(connections, affordable());
  });
  server.on('connection', (socket: Socket) => {
    // Not by `maxConnections`: of several processes that serve, Node would have one hand it to the next, and on, for as long as none has room.
    if (open >= most) return void socket.destroy();
    open += 1;
    const left = running.addresses.arrived(socket.remoteAddress ?? '', () => {
      const fault = new Fault('overloaded', { fill: { detail: `There are ${connectionsPerAddress} connections from your address already, the limit. Use them again, or close some.` }, retryAfterS: 5 });
      // Where several processes count together the word comes a moment after the connection, and its first call may have begun.
      calls.breakOff(socket, fault, () => true);
      // What it would have asked is not known yet, and most of it is chat calls.
      refuse(socket, fault, CHAT_PATH);
    });
    socket.on('close', () => {
      open -= 1;
      left();
    });
  });
  server.on('clientError', (error: Error & ParserError, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') socket.destroy();
    else {
      const fault = parserFault(running, error);
      if (fault.code === 'request_timeout') calls.breakOff(socket, fault, (req) => !req.complete);
      refuse(socket, fault, refusedPath(error));
    }
  });
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    refuse(socket, new Fault('method_not_allowed', { fill: { method: 'CONNECT', allow: 'GET, HEAD, POST, DELETE' }, headers: { allow: 'GET, HEAD, POST, DELETE' } }));
  });
}

/**
 * Refuses what a request asks of the connection itself. `Upgrade: h2c` is passed over, as HTTP allows: some clients ask it of everybody.
 * @throws Fault 417 (`Expect`), 400 (`Upgrade`)
 */
export function checkWishes({ headers }: IncomingMessage): void {
  const { expect, upgrade } = headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') throw new Fault('expectation_failed', { fill: { expect: printable(expect) } });
  if (upgrade !== undefined && upgrade.toLowerCase() !== 'h2c') {
    throw new Fault('invalid_request', { fill: { detail: `An upgrade to ${printable(upgrade)} is not possible; plain HTTP/1.1 is spoken here.` } });
  }
}

/** Whether nothing of an answer is left to be written: most are taken in the moment of the write. */
export function isFlushed(res: ServerResponse): boolean {
  if (res.writableFinished || res.destroyed || !res.writableEnded) return true;
  return res.socket !== null && res.socket.writableLength === 0 && res.writableLength === 0;
}

/**
 * Waits until the system has taken an ended answer; a reader that stalls over its rest is dropped. An answer that waits for those before
 * it on its connection is not yet anybody's to read.
 */
export async function flushed(res: ServerResponse, stallMs: number, leastBytesASecond = LEAST_BYTES_A_SECOND): Promise<void> {
  await new Promise<void>((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const begin = () => {
      timer = setTimeout(() => res.destroy(), stallMs + (res.writableLength / leastBytesASecond) * 1_000);
    };
    if (res.socket === null) res.once('socket', begin);
    else begin();
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    res.on('finish', done);
    res.on('close', done);
  });
}

/**
 * Connections that the process has file descriptors for: a call takes one to its client and one to its provider. Without that bound
 * clients would take them all, and every provider would seem to be down. Told by Linux alone; elsewhere there is no bound.
 */
function affordable(): number {
  if (!existsSync('/proc/self/limits')) return Infinity;
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  if (limit === undefined) return Infinity;
  const spare = Number(limit) - readdirSync('/proc/self/fd').length - SPARE_FILES;
  return Math.max(1, Math.floor(spare / 2));
}
