import type { OutgoingHttpHeaders } from 'node:http';
import type { Handlers, Link } from '../../crew/index.ts';
import { Fault, toEnvelope } from '../../faults.ts';
import { goneAnswer, otherBody, repeat } from '../idempotency.ts';
import { Interrupter } from '../interrupter.ts';
import { drained, stopping, STOPPING } from '../send.ts';
import type { Hearer } from '../tape.ts';
import type { Answer, Call, Outlet, Running, Streamed } from '../types.ts';
import type { Heard, Message, Neighbours, ToDesk, ToMember } from './types.ts';

/** One that speaks ahead of its hearer by more than this waits for it. */
const AHEAD_MAX = 65_536;
/** A run may end between the desk's word and the joining, and be begun elsewhere; this often in a row it is a fault. */
const TRIES = 5;

/** A call of this process that hears the run of another one. */
interface Listening {
  readonly owner: number;
  readonly call: Call;
  begun(): void;
  end(result: Answer | Streamed | undefined): void;
  fail(error: Error): void;
}

/** A run of this process that a call of another one hears. */
interface Speaking {
  readonly member: number;
  readonly outlet: FarOutlet;
  readonly abort: Interrupter;
}

export interface Hearing {
  readonly neighbours: Neighbours;
  readonly handlers: Pick<Handlers<ToMember>, 'passed' | 'lost'>;
  /** Resolves when all that other processes hear of runs here has been told. */
  told(): Promise<void>;
}

/** The runs under an `Idempotency-Key` that lie in other processes, and those here that others hear. All is passed on by the desk. */
export function openNeighbours(desk: Link<ToDesk>, running: () => Running): Hearing {
  const listening = new Map<number, Listening>();
  const speaking = new Map<string, Speaking>();
  const telling = new Set<Promise<void>>();
  let last = 0;

  const listen = (owner: number, call: Call, name: string, bodyHash: Uint8Array, begun: () => void): Promise<Answer | Streamed | undefined> =>
    new Promise((resolve, reject) => {
      last += 1;
      const hearing = last;
      const onAbort = () => {
        const isStopping = call.signal.reason === STOPPING;
        desk.tell('pass', [owner, { kind: 'left', hearing, isStopping }]);
        // What the other process does now is its own business, and nobody waits for its word.
        if (isStopping) breakOff(one, stopping());
        else one.end({ status: 499, body: '' });
      };
      const over = <T>(tell: (value: T) => void) => (value: T) => {
        listening.delete(hearing);
        call.signal.removeEventListener('abort', onAbort);
        tell(value);
      };
      const one: Listening = { owner, call, begun, end: over(resolve), fail: over(reject) };
      listening.set(hearing, one);
      call.signal.addEventListener('abort', onAbort);
      desk.tell('pass', [owner, { kind: 'join', hearing, name, bodyHash, httpVersion: call.req.httpVersion }]);
      // It may have left while the desk was asked.
      if (call.signal.aborted) onAbort();
    });

  const passed = async (member: number, message: Message): Promise<void> => {
    if (message.kind === 'join') await speak(running(), desk, speaking, member, message);
    else if (message.kind === 'took') speaking.get(`${member} ${message.hearing}`)?.outlet.took(message.characters);
    // That the other process stops is no reason to end what others hear here, unless all of them do.
    else if (message.kind === 'left') speaking.get(`${member} ${message.hearing}`)?.abort.abort(message.isStopping && running().isDraining() ? STOPPING : undefined);
    else {
      const listener = listening.get(message.hearing);
      if (listener !== undefined) await hear(running(), desk, listener, message);
    }
  };
  return {
    neighbours: {
      async hear(call, name, bodyHash, onBegun) {
        for (let tries = 0; tries < TRIES; tries += 1) {
          const owner = await desk.ask('claim', name);
          if (owner === undefined) return undefined;
          const heard = await listen(owner, call, name, bodyHash, onBegun);
          if (heard !== undefined) return heard;
        }
        throw new Fault('overloaded', { fill: { detail: 'The call under this Idempotency-Key ends and begins anew. Try again in a moment.' }, retryAfterS: 1 });
      },
      forgotten: (name) => desk.tell('forgotten', name),
    },
    handlers: {
      passed: ([member, message]) => {
        const work = passed(member, message).catch((error: unknown) => running().log.error('hearing_failed', error));
        if (message.kind !== 'join') return;
        telling.add(work);
        void work.then(() => telling.delete(work));
      },
      lost(no) {
        for (const one of listening.values()) if (one.owner === no) afterLoss(one);
        for (const { member, abort } of speaking.values()) if (member === no) abort.abort();
      },
    },
    async told() {
      while (telling.size > 0) await Promise.all(telling);
    },
  };
}

/** Plays a run of this process to a call of another one. */
async function speak(running: Running, desk: Link<ToDesk>, speaking: Map<string, Speaking>, member: number, join: Extract<Message, { kind: 'join' }>): Promise<void> {
  const { hearing, name, bodyHash, httpVersion } = join;
  const say = (heard: Heard) => desk.tell('pass', [member, heard]);
  const outlet = new FarOutlet(hearing, say);
  const abort = new Interrupter();
  const hearer: Hearer = { res: outlet, signal: abort, req: { httpVersion } };
  // Before anything is waited for: that its hearer has left may have come in the same breath.
  speaking.set(`${member} ${hearing}`, { member, outlet, abort });
  let requestId = '';
  try {
    // So may the desk's word that the name is this process's, and its run begins after it.
    await new Promise((resolve) => setImmediate(resolve));
    const run = running.keyed.find(name, running.clock.nowMs());
    if (run === undefined) return say({ kind: 'none', hearing });
    requestId = run.id;
    if (Buffer.compare(run.bodyHash, bodyHash) !== 0) return say({ kind: 'other', hearing, requestId: run.id });
    const answer = await repeat(running, hearer, run);
    if (!outlet.writableEnded) say({ kind: 'answer', hearing, answer });
  } catch (error) {
    // The one refusal that is a repeat's own; with any other the run has come to nothing, and who hears it begins anew.
    if (error instanceof Fault) return say(error.code === 'idempotency_conflict' ? { kind: 'gone', hearing, requestId } : { kind: 'none', hearing });
    say({ kind: 'failed', hearing });
    throw error;
  } finally {
    speaking.delete(`${member} ${hearing}`);
  }
}

/** Takes a word of another process's run for a call of this one. */
async function hear(running: Running, desk: Link<ToDesk>, listener: Listening, heard: Heard): Promise<void> {
  const { call, owner } = listener;
  const { res } = call;
  switch (heard.kind) {
    case 'head':
      listener.begun();
      return void res.writeHead(heard.status, heard.headers);
    case 'part': {
      const { hearing, text } = heard;
      // One that takes nothing is given up by the process that speaks, as it gives up a client of its own.
      if (res.write(text, 'latin1') || (await drained(res, running.timing.writeStallMs, call.signal))) desk.tell('pass', [owner, { kind: 'took', hearing, characters: text.length }]);
      return;
    }
    case 'end':
      res.addTrailers(heard.trailers);
      res.end();
      return listener.end({ streamed: true, status: 200 });
    case 'answer': return listener.end(heard.answer);
    case 'other': return listener.fail(otherBody(heard.requestId));
    case 'gone': return listener.fail(goneAnswer(heard.requestId));
    case 'none': return listener.end(undefined);
    case 'failed': return listener.fail(new Error('the process that has the run failed over it'));
  }
}

/** The process that had the run is gone. A stream that has begun is told so; where nothing was said yet, the call begins anew. */
function afterLoss(one: Listening): void {
  if (one.call.res.headersSent) breakOff(one, new Fault('overloaded', { fill: { detail: 'The process that served this stream is gone; send the request again.' } }));
  else one.end(undefined);
}

/** Ends a call that hears another process by a word of this one: in its stream where that has begun. */
function breakOff({ call: { id, res }, end, fail }: Listening, fault: Fault): void {
  if (!res.headersSent) return fail(fault);
  res.write(`data: ${JSON.stringify(toEnvelope(fault, id))}\n\n`, 'latin1');
  res.end();
  end({ streamed: true, status: 200 });
}

/** Where a run is written that a client of another process hears. */
class FarOutlet implements Outlet {
  headersSent = false;
  writableEnded = false;
  /** Who hears is told by its signal. */
  readonly destroyed = false;
  readonly #hearing: number;
  readonly #say: (heard: Heard) => void;
  readonly #onDrain = new Set<() => void>();
  #trailers: OutgoingHttpHeaders = {};
  #ahead = 0;

  constructor(hearing: number, say: (heard: Heard) => void) {
    this.#hearing = hearing;
    this.#say = say;
  }

  get writableNeedDrain(): boolean {
    return this.#ahead > AHEAD_MAX;
  }

  writeHead(status: number, headers: OutgoingHttpHeaders): void {
    this.headersSent = true;
    this.#say({ kind: 'head', hearing: this.#hearing, status, headers });
  }

  write(text: string): boolean {
    this.#ahead += text.length;
    this.#say({ kind: 'part', hearing: this.#hearing, text });
    return !this.writableNeedDrain;
  }

  addTrailers(trailers: OutgoingHttpHeaders): void {
    this.#trailers = trailers;
  }

  end(): void {
    this.writableEnded = true;
    this.#say({ kind: 'end', hearing: this.#hearing, trailers: this.#trailers });
  }

  on(_event: 'drain', listener: () => void): void {
    this.#onDrain.add(listener);
  }

  off(_event: 'drain', listener: () => void): void {
    this.#onDrain.delete(listener);
  }

  /** What the other process's client has taken. */
  took(characters: number): void {
    this.#ahead -= characters;
    if (!this.writableNeedDrain) for (const listener of this.#onDrain) listener();
  }
}
