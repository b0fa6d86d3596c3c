import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { isEmbedded } from '../embedded/index.ts';
import { openLink } from './link.ts';
import type { Link, Topics } from './link.ts';

/** The command of the program that a member runs; it finds out by `isMember` that it is one. */
const COMMAND = 'serve';
/** In the member, the stream to the primary: the first descriptor after Node's own channel. */
const LINK_FD = 4;
/** For what a process said before its end to be heard: it lies in the system's buffer already. */
const PARTING_MS = 1_000;

/** How a process came to its end. */
export interface Ended {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** A process that serves for this one. */
export interface Member<T extends Topics<T>> {
  readonly pid: number;
  readonly link: Link<T>;
  /** Resolves when the process is no more and all that it said has been heard. */
  readonly ended: Promise<Ended>;
  /** Connections may be handed to it: it has begun to listen, and can be talked to. */
  readonly takes: boolean;
  /** Once it has ended: gives the connection that was on its way to it to another one, or closes it where no other takes any. */
  passOn(hasOther: boolean): void;
  /** Ends it at once, whatever it does. */
  kill(): void;
}

/** Whether this process was started by another one to serve for it. */
export function isMember(): boolean {
  // Who has no channel was started by nobody; asking Node's module for it costs a start of the daemon a tenth of its time.
  return process.connected === true && cluster.isWorker;
}

/**
 * Starts a process of this same program that listens where this process has it listen: connections are handed out in turn.
 * It inherits the log and the terminal, and nothing to read from.
 * @param env the environment as this process was given it
 * @throws Error of the system where it cannot be started, such as EMFILE
 */
export async function forkMember<Theirs extends Topics<Theirs>>(env: Readonly<Record<string, string | undefined>>): Promise<Member<Theirs>> {
  // The single executable is its own runtime: the first argument after it is the command. Elsewhere the script comes first.
  const [exec, args] = isEmbedded() ? [COMMAND, []] : [process.argv[1] ?? '', [COMMAND]];
  cluster.setupPrimary({ exec, args, stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] });
  const worker = cluster.fork(env);
  // A channel to a process that is dying breaks; its exit tells the rest.
  worker.on('error', () => worker.process.kill('SIGKILL'));
  const { pid } = worker.process;
  // That there is no process for want of files or of the program itself is told a moment later.
  if (pid === undefined) throw (await once(worker, 'error'))[0];
  const stream = worker.process.stdio[LINK_FD];
  if (!(stream instanceof Socket)) throw new Error('a process to serve could not be talked to');
  const link = openLink<Theirs>(stream);
  const passOn = watchHanded(worker.process);
  let isListening = false;
  worker.once('listening', () => (isListening = true));
  // Not by `once` of events: that fails where the channel to a dying process breaks.
  const exited = new Promise<Ended>((resolve) => worker.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined })));
  const ended = (async () => {
    const end = await exited;
    // Its word that a connection has come may be among the last that it said.
    if (worker.isConnected()) await parted(worker);
    await link.gone;
    return end;
  })();
  return {
    pid, link, ended, passOn,
    get takes() {
      return isListening && worker.isConnected();
    },
    kill: () => void worker.process.kill('SIGKILL'),
  };
}

/** Resolves when the channel to a process that is no more has been heard to its end; whoever else holds it open, no other waits for that. */
function parted(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    // Not by `once` of events: that fails where the channel breaks.
    const timer = setTimeout(resolve, PARTING_MS);
    worker.once('disconnect', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Node hands a process one connection at a time, and waits for its word that it has come, which is said before anything is read. Where the
 * process dies before that, Node keeps the connection open for ever, and its client waits for ever. It is told what a process says
 * that cannot take one, and then it asks another; where that word means nothing to it, as after the true one, the connection is closed,
 * which does nothing to one that has arrived.
 * @returns passes on the one that was handed over last, or closes it
 */
function watchHanded(process: Worker['process']): (hasOther: boolean) => void {
  let last: { readonly number: unknown; readonly connection: Closing } | undefined;
  const send = process.send.bind(process) as (...sent: readonly unknown[]) => boolean;
  process.send = (...sent: readonly unknown[]) => {
    const [message, handle] = sent;
    if (isClosing(handle)) last = { number: numberOf(message), connection: handle };
    return send(...sent);
  };
  return (hasOther) => {
    if (last === undefined) return;
    const { number: ack, connection } = last;
    last = undefined;
    let isHeard = false;
    const word = {
      cmd: 'NODE_CLUSTER',
      ack,
      get accepted() {
        isHeard = true;
        return false;
      },
    };
    if (hasOther) process.emit('internalMessage', word, undefined);
    if (!isHeard) connection.close();
  };
}

/** Of what Node says to a process, by which that answers. */
function numberOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'seq' in message ? message.seq : undefined;
}

interface Closing {
  close(): void;
}

function isClosing(handle: unknown): handle is Closing {
  return typeof handle === 'object' && handle !== null && 'close' in handle && typeof handle.close === 'function';
}

/** A member's end of the talk. When the primary is gone there is nobody to write the books: the process ends at once. */
export function linkToPrimary<Theirs extends Topics<Theirs>>(): Link<Theirs> {
  const link = openLink<Theirs>(new Socket({ fd: LINK_FD, readable: true, writable: true }));
  void link.gone.then(() => process.exit(EXIT_ORPHAN));
  return link;
}

/** Of a member whose primary is gone; nobody is left to read it. */
const EXIT_ORPHAN = 1;
