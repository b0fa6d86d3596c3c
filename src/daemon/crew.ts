import { forkMember, type Member } from '../crew/index.ts';
import { openDesk, type Clock, type Desk, type Gateway } from '../gateway/index.ts';
import { heldIn, StorageFault, type Forward, type Ledger, type Sent, type Told } from '../ledger/index.ts';
import type { Settings } from '../settings/index.ts';
import type { Vault } from '../vault/index.ts';
import type { ToDesk, ToMember } from '../gateway/index.ts';
import type { LiveSettings, Reloaded } from './live-settings.ts';
import type { DaemonLog } from './log.ts';
import type { Limited, ToPrimary, ToServing } from './talk.ts';

/** After a process died the next begins at once; one that dies young is given a pause that doubles. */
const YOUNG_MS = 10_000;
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** Where the books do not take the end of what a process left open, they are asked again, after a wait that doubles. */
const RECOVER_MS = 1_000;
const RECOVER_MAX_MS = 30_000;
/**
 * Each process says every second that it is there. One that has said nothing for so many looks stands still (stopped, swapped out, in an endless loop): it is
 * ended, and replaced as one that died. Looks are counted and not time: a primary that stood still itself has looked at nobody meanwhile.
 */
const LOOK_MS = 1_000;
const SILENT_LOOKS = 10;
/** So many looks a process may take to begin: half a second's work, but a machine may have much else to do. */
const BEGIN_LOOKS = 60;
/** What a process may take to leave, beyond the time that its calls have. */
const LEAVE_MS = 15_000;

export interface CrewParts {
  readonly live: LiveSettings;
  readonly ledger: Ledger;
  readonly vault: () => Promise<Vault>;
  readonly clock: Clock;
  readonly log: DaemonLog;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How often it is looked whether each process is there. */
  readonly lookMs?: number;
}

type Recovered = Awaited<ReturnType<Ledger['recover']>>;

/** Several processes that serve, as one gateway. */
export interface Crew extends Gateway {
  /** Resolves when all that serve have the new settings. @throws SettingsError where they are wrong; then nothing has changed. */
  replace(next: Settings): Promise<Reloaded>;
}

interface Serving extends Member<ToServing & ToMember> {
  readonly no: number;
  readonly startedMs: number;
  /** On its holds in the books. */
  readonly life: string;
  isListening: boolean;
  /** Looks since it was started, began to listen or was last heard of. */
  silentLooks: number;
  /** It was ended because it did not begin. */
  isLate: boolean;
}

/**
 * Has `server.workers` processes serve, and is what they share: the books' only writer, the desk of limits and health. One that dies
 * loses nothing but its own calls: their holds are released or settled at what they had come to, and another takes its place.
 */
export function openCrew(parts: CrewParts): Crew {
  const { settings } = parts.live;
  const desk = openDesk({ settings, clock: parts.clock });
  const roster = new Roster(parts, desk);
  return {
    health: desk.health,
    get inFlight() {
      return desk.inFlight;
    },
    get workers() {
      return roster.serving.filter(({ isListening }) => isListening).map(({ no, pid }) => ({ no, pid, inFlight: desk.inFlightOf(no) }));
    },
    listen: (host, port) => roster.begin(settings.server.workers, { host, port }),
    async replace(next) {
      const reloaded = parts.live.replace(next);
      await Promise.all(roster.serving.map(async ({ no, link, isListening }) => {
        const taken = link.ask('reload', parts.live.inForce()).catch((error: unknown) => parts.log.error(`worker_${no}_not_reloaded`, error));
        // One that is being built takes them before it serves.
        if (isListening) await taken;
      }));
      return reloaded;
    },
    drain: (limitMs) => roster.end(limitMs),
    stop: () => roster.end(0),
  };
}

class Roster {
  readonly #parts: CrewParts;
  readonly #desk: Desk;
  readonly #forward: Forward;
  readonly #serving = new Map<number, Serving>();
  /** What is still to be done for those that are gone. */
  readonly #afterwards = new Set<Promise<void>>();
  #of = 0;
  #place = { host: '', port: 0 };
  #port = 0;
  readonly #ending = new AbortController();
  #watch: NodeJS.Timeout | undefined;
  #pauseMs = PAUSE_MS;

  constructor(parts: CrewParts, desk: Desk) {
    this.#parts = parts;
    this.#desk = desk;
    const { forward } = parts.ledger;
    if (forward === undefined) throw new Error('a ledger without a writing thread cannot be shared');
    this.#forward = forward;
  }

  get serving(): readonly Serving[] {
    return [...this.#serving.values()];
  }

  /** Starts them all; the first one finds out whether the place can be listened at. @throws what that one throws */
  async begin(of: number, place: { readonly host: string; readonly port: number }): Promise<{ readonly port: number }> {
    this.#of = of;
    this.#place = place;
    this.#watch = setInterval(() => this.#look(), this.#parts.lookMs ?? LOOK_MS);
    this.#watch.unref();
    try {
      await this.#start(1);
      await Promise.all(Array.from({ length: of - 1 }, (_, at) => this.#start(at + 2)));
    } catch (error) {
      await this.end(0);
      throw error;
    }
    return { port: this.#port };
  }

  /** Has them all leave, after their calls or, with 0, at once. A process that does not leave is ended, and its holds with it. */
  async end(limitMs: number): Promise<void> {
    this.#ending.abort();
    for (const { link } of this.serving) {
      if (limitMs > 0) link.tell('drain', limitMs);
      else link.tell('stop', undefined);
    }
    const late = setTimeout(() => {
      for (const { kill } of this.serving) kill();
    }, limitMs + LEAVE_MS);
    while (this.#afterwards.size > 0) await Promise.all(this.#afterwards);
    clearTimeout(late);
    clearInterval(this.#watch);
  }

  /** Ends those that stand still, and those that do not begin. */
  #look(): void {
    for (const serving of this.serving) {
      serving.silentLooks += 1;
      const { isListening, silentLooks, no: worker, pid } = serving;
      if (silentLooks !== (isListening ? SILENT_LOOKS : BEGIN_LOOKS)) continue;
      serving.isLate = !isListening;
      this.#parts.log.warn(isListening ? 'worker_stands_still' : 'worker_does_not_begin', { worker, pid, seconds: (silentLooks * LOOK_MS) / 1_000 });
      serving.kill();
    }
  }

  /** Starts one process. @throws Error where it cannot serve; then it is gone. */
  async #start(no: number): Promise<void> {
    const { env, live, version } = this.#parts;
    const member = await forkMember<ToServing & ToMember>(env);
    const serving: Serving = Object.assign(member, { no, startedMs: performance.now(), life: `${no}-${globalThis.crypto.randomUUID()}`, isListening: false, silentLooks: 0, isLate: false });
    this.#serving.set(no, serving);
    const begun = new Promise<void>((resolve, reject) => {
      this.#listenTo(serving, resolve, reject);
      void member.ended.then(({ code, signal }) => reject(new Error(serving.isLate ? `a process to serve did not begin within ${BEGIN_LOOKS} s` : `a process to serve ended with ${code ?? signal} before it could`)));
    });
    member.link.tell('begin', { no, of: this.#of, settings: live.inForce(), ...this.#place, version });
    const gone = member.ended.then(({ code, signal }) => this.#lose(serving, `${code ?? signal}`));
    const afterwards = gone.finally(() => this.#afterwards.delete(afterwards));
    this.#afterwards.add(afterwards);
    await begun.catch(async (error: unknown) => {
      // Its number is free when nothing is left of it: what is still to be cleared away would be the next one's.
      member.kill();
      await gone;
      throw error;
    });
  }

  #listenTo(serving: Serving, begun: () => void, failed: (error: Error) => void): void {
    const { no, life, link } = serving;
    const { vault, ledger } = this.#parts;
    link.serve<Omit<ToPrimary, keyof ReturnType<Desk['seat']>>>({
      sit: () => {
        const seat = this.#desk.seat(no, link);
        link.serve<ToDesk>({
          ...seat,
          beat: (record) => {
            // One that counts already, and yet does not come so far as to listen, does not begin.
            if (serving.isListening) serving.silentLooks = 0;
            return seat.beat(record);
          },
        });
      },
      listening: (port) => {
        this.#port = port;
        serving.isListening = true;
        serving.silentLooks = 0;
        begun();
      },
      unable: ({ message, code, syscall }) => failed(Object.assign(new Error(message), code === undefined ? {} : { code, syscall })),
      write: (sent) => this.#write(no, life, sent),
      storage: () => ledger.storage(),
      vault: async () => void (await vault()),
    });
  }

  #write(no: number, life: string, sent: Sent): Promise<Told> | Limited {
    const held = heldIn(sent);
    const limited = held === undefined ? undefined : this.#desk.refusalOf(no, held);
    return limited === undefined ? this.#forward(sent, life) : { limited };
  }

  /** Closes what a process left open, then has another take its place. */
  async #lose(serving: Serving, how: string): Promise<void> {
    const { log } = this.#parts;
    const { no, pid, life } = serving;
    this.#serving.delete(no);
    serving.passOn(!this.#ending.signal.aborted && this.serving.some(({ takes }) => takes));
    const recovered = await this.#recover(no, life);
    this.#desk.clear(no);
    // With none left the place is given up, and a port that was anybody's may not be had again.
    if (this.serving.every(({ isListening }) => !isListening)) this.#place = { ...this.#place, port: this.#port };
    if (this.#ending.signal.aborted || !serving.isListening) return;
    log.warn('worker_lost', { worker: no, pid, ended: how, ...recovered });
    await this.#replace(no, performance.now() - serving.startedMs);
  }

  /** Everything that it asked of the books stands before this in their queue. Undefined where they do not take it now: then they are asked again. */
  async #recover(no: number, life: string): Promise<Recovered | undefined> {
    const { ledger, log, clock } = this.#parts;
    try {
      return await ledger.recover(clock.nowMs(), life);
    } catch (error) {
      log.error('worker_not_recovered', error);
      // Waiting mends no bug.
      if (error instanceof StorageFault) void this.#recoverLater(no, life);
      return undefined;
    }
  }

  /** Its holds would keep the credits of their accounts for as long as the daemon lives. What is left when that stops is closed by its next start. */
  async #recoverLater(no: number, life: string): Promise<void> {
    const { ledger, log, clock } = this.#parts;
    for (let waitMs = RECOVER_MS; ; waitMs = Math.min(RECOVER_MAX_MS, waitMs * 2)) {
      await clock.sleep(waitMs, this.#ending.signal);
      if (this.#ending.signal.aborted) return;
      const recovered = await ledger.recover(clock.nowMs(), life).catch(() => undefined);
      if (recovered === undefined) continue;
      return log.warn('worker_recovered', { worker: no, ...recovered });
    }
  }

  /** Tries for as long as it takes: what is in the way (no file descriptor, another version) may stay for weeks. */
  async #replace(no: number, livedMs: number): Promise<void> {
    const { clock, log } = this.#parts;
    for (let lived = livedMs; ; lived = 0) {
      const isYoung = lived < YOUNG_MS;
      const pauseMs = isYoung ? this.#pauseMs : 0;
      this.#pauseMs = isYoung ? Math.min(PAUSE_MAX_MS, this.#pauseMs * 2) : PAUSE_MS;
      if (pauseMs > 0) await clock.sleep(pauseMs, this.#ending.signal);
      if (this.#ending.signal.aborted) return;
      try {
        await this.#start(no);
        return log.info('worker_started', { worker: no });
      } catch (error) {
        if (this.#ending.signal.aborted) return;
        log.error('worker_not_started', error);
      }
    }
  }
}
