import { Fault, toEnvelope } from '../faults.ts';
import type { KeyOwner, Ledger } from '../ledger/index.ts';
import { formatUsd } from '../money/index.ts';
import type { Interruption } from '../upstream/index.ts';
import { fingerprint } from '../vault/index.ts';
import { HEAP_A_BYTE, readJsonBytes } from './body.ts';
import { leaseToTell, serveChat } from './chat.ts';
import { Interrupter } from './interrupter.ts';
import { breakOf } from './refusals.ts';
import { chatFault, STOPPING } from './send.ts';
import type { Neighbours } from './shared/types.ts';
import { isGone, Tape, type Heard, type Hearer } from './tape.ts';
import type { Answer, Call, Running, Streamed } from './types.ts';

/** Source: CONTRACT section 2. */
const KEEP_MS = 86_400_000;
const KEY_CHARS_MAX = 255;
const EMPTY = Buffer.alloc(0);

/** Bounds of what is kept in memory to be replayed. The oldest answers go first; the books still know how they ended. */
export interface Keeping {
  readonly answers: number;
  readonly characters: number;
}

const KEEPING: Keeping = { answers: 10_000, characters: 64 * 1_048_576 };

/** A call under an `Idempotency-Key`: running, or over and kept. */
export interface Run {
  readonly bodyHash: Uint8Array;
  readonly id: string;
  readonly tape: Tape;
  readonly startedMs: number;
  readonly abort: Interrupter;
  readonly done: Promise<Answer | Streamed>;
  isOver: boolean;
  /** What it takes in memory, once it is over. */
  size: number;
  listeners: number;
  timer: NodeJS.Timeout | undefined;
}

/** The runs that can be joined or replayed, by account and key. Insertion order is age. */
export class KeyedRuns {
  readonly #runs = new Map<string, Run>();
  readonly #keeping: Keeping;
  #size = 0;

  readonly #onForget: (name: string) => void;

  /** @param onForget told of each name that is free again */
  constructor(keeping: Keeping = KEEPING, onForget: (name: string) => void = () => undefined) {
    this.#keeping = keeping;
    this.#onForget = onForget;
  }

  find(name: string, nowMs: number): Run | undefined {
    const run = this.#runs.get(name);
    if (run === undefined || !run.isOver || nowMs - run.startedMs < KEEP_MS) return run;
    this.forget(name);
    return undefined;
  }

  add(name: string, run: Run): void {
    this.#runs.set(name, run);
  }

  /** Keeps a run that is over, and lets go of the oldest ones beyond the bounds. */
  keep(run: Run, size: number): void {
    run.size = size;
    this.#size += size;
    for (const [name, old] of this.#runs) {
      if (this.#size <= this.#keeping.characters && this.#runs.size <= this.#keeping.answers) return;
      if (old.isOver) this.forget(name);
    }
  }

  /** The daemon stops: what still runs ends now, with or without a client. */
  cutOff(): void {
    for (const run of this.#runs.values()) if (!run.isOver) run.abort.abort(STOPPING);
  }

  forget(name: string): void {
    this.#size -= this.#runs.get(name)?.size ?? 0;
    this.#runs.delete(name);
    this.#onForget(name);
  }
}

/**
 * A chat call under an `Idempotency-Key`: the first with a key runs, the same again joins it or hears its answer, and only the first
 * is charged. Without the header it is `serveChat` and nothing else.
 *
 * ```
 * none ──first──▶ running ──answered──▶ kept (24 h, bounded) ──let go, restart──▶ in the books alone: 422
 *   ▲                │ repeats join                │ repeats hear it
 *   └────failed, at no cost: the key is free again, or, until the books have taken that, 503
 * ```
 * A repeat takes no token of the rate limit: it asks no provider. A run goes on for a while after its last client left, so that a
 * client whose connection broke can come back to it.
 * @throws Fault `idempotency_conflict` (422): the key stands for another body, or its answer is gone.
 */
export function serveChatOnce(running: Running, call: Call, owner: KeyOwner): Promise<Answer | Streamed> {
  const key = call.req.headers['idempotency-key'];
  return typeof key === 'string' ? serveKeyed(running, call, owner, key) : serveChat(running, call, owner);
}

async function serveKeyed(running: Running, call: Call, owner: KeyOwner, key: string): Promise<Answer | Streamed> {
  try {
    if (!/^[\x20-\x7e]+$/.test(key) || key.length > KEY_CHARS_MAX) throw new Fault('invalid_request', { fill: { detail: `An Idempotency-Key has 1 to ${KEY_CHARS_MAX} printable ASCII characters.` } });
    // A call that hears another needs its body no more, and may hear it for hours: nothing but `arrived` holds the bytes.
    const arrived: Call = { ...call, body: call.body ?? (await readJsonBytes(call, running.settings.limits, running.load.arriving)) };
    call.body = undefined;
    const name = `${owner.accountId} ${key}`;
    const bodyHash = hashOf(arrived, key);
    const { keyed, neighbours, clock } = running;
    const known = keyed.find(name, clock.nowMs());
    const heard = neighbours === undefined || known !== undefined ? undefined : await hearElsewhere(running, neighbours, arrived, name, bodyHash);
    if (heard !== undefined) return heard;
    const found = known ?? keyed.find(name, clock.nowMs());
    // Another call of this process was given the name as well, and was quicker: the name is kept by its claim.
    if (known === undefined && found !== undefined) neighbours?.forgotten(name);
    if (found !== undefined && Buffer.compare(found.bodyHash, bodyHash) !== 0) throw otherBody(found.id);
    if (found === undefined) return await runFirst(running, arrived, owner, name, bodyHash);
    arrived.body = undefined;
    return await repeat(running, arrived, found);
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    return chatFault(call, cause, { mode: 'standard', cost: 0n, balance: owner.balance }, { lease: await leaseToTell(running, owner, undefined) });
  }
}

/** Until another process has begun to answer, its run may be lost and this call be the first: so long it keeps its body, and the room for it. */
async function hearElsewhere({ load }: Running, neighbours: Neighbours, arrived: Call, name: string, bodyHash: Uint8Array): Promise<Answer | Streamed | undefined> {
  let heapBytes = (arrived.body?.length ?? 0) * HEAP_A_BYTE;
  load.take(heapBytes);
  const giveBack = () => {
    load.give(heapBytes);
    heapBytes = 0;
  };
  const onBegun = () => {
    arrived.body = undefined;
    giveBack();
  };
  try {
    return await neighbours.hear(arrived, name, bodyHash, onBegun);
  } finally {
    giveBack();
  }
}

async function runFirst(running: Running, call: Call, owner: KeyOwner, name: string, bodyHash: Uint8Array): Promise<Answer | Streamed> {
  const abort = new Interrupter();
  const tape = new Tape();
  const startedMs = running.clock.nowMs();
  // The one that is served has the body, and lets go of it when that is read.
  const own: Call = { ...call, res: tape, signal: abort };
  call.body = undefined;
  const start = async (): Promise<Answer | Streamed> => {
    const claim = () => running.ledger.claimIdempotency({ accountId: owner.accountId, keyHash: fingerprint([name]), bodyHash, requestId: call.id, nowMs: startedMs, keepMs: KEEP_MS });
    let standing = await claim();
    if (isOpen(standing) && (await running.endings.hurry(standing.requestId))) standing = await claim();
    if (standing.kind === 'taken') throw takenName(standing);
    return serveChat(running, own, owner);
  };
  const run: Run = { bodyHash, id: call.id, tape, startedMs, abort, done: start(), isOver: false, size: 0, listeners: 0, timer: undefined };
  running.keyed.add(name, run);
  const settled = run.done.then(
    (ended) => conclude(running, name, run, ended),
    () => conclude(running, name, run, undefined), // every listener is told by `done` itself
  );
  await listen(running, call, run, {});
  await settled;
  return run.done;
}

/** The same call again: the answer of the first, under the first one's request id. */
export async function repeat(running: Running, call: Hearer, run: Run): Promise<Answer | Streamed> {
  const marks = { 'x-request-id': run.id, 'idempotent-replayed': 'true' };
  const heard = await listen(running, call, run, marks);
  if (heard === 'left') return { status: breakOf(call.signal, [])?.status ?? 499, body: '' };
  if (heard === 'behind') return { streamed: true, status: 200 };
  const ended = await run.done;
  if ('streamed' in ended && !run.tape.headersSent) throw goneAnswer(run.id);
  // Tokens and cost are told by the first call's line alone.
  if ('streamed' in ended || run.tape.headersSent) return { streamed: true, status: ended.status };
  const { chat: _, ...answer } = ended;
  return { ...answer, headers: { ...answer.headers, ...marks } };
}

/**
 * Stays with a run until this call's client has its stream, or the run its end.
 * @throws Fault `idempotency_conflict` where the beginning of its stream is forgotten
 */
async function listen(running: Running, call: Hearer, run: Run, marks: Readonly<Record<string, string>>): Promise<Heard> {
  const listener = run.tape.join();
  if (listener === undefined) throw goneAnswer(run.id);
  run.listeners += 1;
  clearTimeout(run.timer);
  const onAbort = () => {
    if (!isGone(call.signal)) run.abort.abort(STOPPING);
  };
  call.signal.addEventListener('abort', onAbort);
  if (call.signal.aborted) onAbort();
  try {
    await Promise.race([run.tape.opened, run.done, aborted(call.signal)]);
    if (isGone(call.signal)) return 'left';
    if (run.tape.headersSent) return breakOff(call, run, await run.tape.play(listener, call, running.timing, marks));
    await run.done;
    return 'whole';
  } finally {
    call.signal.removeEventListener('abort', onAbort);
    run.tape.leave(listener);
    run.listeners -= 1;
    // Nobody can come back to an answer whose beginning is forgotten.
    const isWaiting = run.tape.keptSize !== undefined && !running.isDraining();
    if (run.listeners === 0 && !run.isOver) run.timer = setTimeout(() => run.abort.abort(call.signal.reason), isWaiting ? running.timing.rejoinMs : 0);
  }
}

/** Tells a stream in-band that the rest of it will not come. */
function breakOff({ res }: Hearer, run: Run, heard: Heard): Heard {
  if (heard === 'behind' || heard === 'cut') {
    res.write(`data: ${JSON.stringify(toEnvelope(goneAnswer(run.id), run.id))}\n\n`, 'latin1');
    res.end();
  }
  return heard;
}

/** A run is over, however it ended: whoever still listens hears so, and its key is kept or free. */
function conclude(running: Running, name: string, run: Run, ended: Answer | Streamed | undefined): void {
  clearTimeout(run.timer);
  run.isOver = true;
  run.tape.over();
  const size = ended === undefined ? undefined : keptSize(running, run, ended);
  if (size === undefined) running.keyed.forget(name);
  else running.keyed.keep(run, size);
}

/** What was answered is kept; what failed cost nothing and leaves its key free; what was cut short is known to the books alone. */
function keptSize(running: Running, run: Run, ended: Answer | Streamed): number | undefined {
  if ('streamed' in ended) return ended.chat?.end === 'ok' ? run.tape.keptSize : undefined;
  if (ended.status !== 200) return undefined;
  try {
    return JSON.stringify(ended.body).length;
  } catch (error) {
    // What cannot be written (nested too deeply, too long for a string) cannot be told again either.
    running.log.error('answer_not_kept', error);
    return undefined;
  }
}

/** What makes a call the same: its body, and the headers that change what is done with it. The key itself salts the hash. */
function hashOf({ req, body = EMPTY }: Call, key: string): Uint8Array {
  const { 'x-findtoken-mode': mode, 'x-findtoken-routing': routing } = req.headers;
  return fingerprint([key, body, String(mode ?? ''), String(routing ?? '')]);
}

type Standing = Awaited<ReturnType<Ledger['claimIdempotency']>>;
type Taken = Extract<Standing, { kind: 'taken' }>;

/** By the books the request runs still, though nobody here or elsewhere has its run: they have not taken its end yet. */
function isOpen(standing: Standing): standing is Taken {
  return standing.kind === 'taken' && standing.status === 'open';
}

/** Why a key that the books know is not free. One whose request may turn out to have cost nothing is not refused for good. */
function takenName(standing: Taken): Fault {
  const { requestId, status, cost, isSameBody } = standing;
  if (!isSameBody) return otherBody(requestId);
  if (isOpen(standing)) return new Fault('overloaded', { fill: { detail: `Request ${requestId} under this Idempotency-Key has ended, but the books have not taken its end yet. Try again in a moment.` }, retryAfterS: 5 });
  return new Fault('idempotency_conflict', { fill: { detail: `The answer under this Idempotency-Key is no longer kept. Request ${requestId} ended as ${status} and cost $${formatUsd(cost)}; send a new key to ask again.` } });
}

/** The key stands for another request. */
export function otherBody(requestId: string): Fault {
  return new Fault('idempotency_conflict', { fill: { detail: `This Idempotency-Key was used for request ${requestId} with another body. Use a new key for a new request.` } });
}

/** The answer is there in part, or was cut off. Its request is named, for the billing log tells what became of it. */
export function goneAnswer(requestId: string): Fault {
  return new Fault('idempotency_conflict', {
    fill: { detail: `The answer under this Idempotency-Key cannot be heard from the beginning to the end: it is too long to be kept, or was cut off. GET /v1/user/billing-logs tells how request ${requestId} ends; send a new key to ask again.` },
  });
}

function aborted(signal: Interruption): Promise<void> {
  return new Promise((resolve) => {
    if (isGone(signal)) return resolve();
    signal.addEventListener('abort', () => {
      if (isGone(signal)) resolve();
    });
  });
}
