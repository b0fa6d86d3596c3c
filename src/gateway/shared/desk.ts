import type { Handlers, Link } from '../../crew/index.ts';
import type { Settings } from '../../settings/index.ts';
import { isOpen, type HealthEntry } from '../../routing/index.ts';
import { HealthBook } from '../health.ts';
import { Limits, type Lease, type LimitRefusal } from '../limits.ts';
import { Metrics, sumOf, type MetricsRecord } from '../metrics.ts';
import { SignUpLimits } from '../sign-up-limits.ts';
import type { Clock } from '../types.ts';
import { Addresses } from './alone.ts';
import type { ToDesk, ToMember } from './types.ts';

/** One that is slower to tell what it has counted is taken at its word of the last beat. */
const MEASURE_MS = 1_000;

/** One process that serves, as the desk has it. */
interface Seat {
  readonly no: number;
  readonly link: Link<ToMember>;
  readonly leases: Map<string, Lease>;
  /** Requests that did not pass the limits, until they leave: no hold is to be taken for them. */
  readonly refused: Map<string, LimitRefusal>;
  readonly connections: Map<number, () => void>;
  last: MetricsRecord | undefined;
}

export interface Desk {
  readonly health: HealthBook;
  /** Calls under way, as far as was told. */
  readonly inFlight: number;
  /** Gives a process a seat. */
  seat(no: number, link: Link<ToMember>): SeatHandlers;
  /** Why a request's hold must not be taken: it did not pass the limits. */
  refusalOf(no: number, requestId: string): LimitRefusal | undefined;
  inFlightOf(no: number): number;
  /** Takes back all that a process had, for it is gone. */
  clear(no: number): void;
}

export type SeatHandlers = Handlers<ToDesk>;

/**
 * Where the processes that serve ask for what holds for all of them: the limits of an account, the providers' health, who has
 * which `Idempotency-Key`. It lies in the primary process, answers each question in the order of asking, and what a process
 * holds here falls back when it dies.
 */
export function openDesk({ settings, clock }: { readonly settings: Pick<Settings, 'limits'>; readonly clock: Clock }): Desk {
  const seats = new Map<number, Seat>();
  const limits = new Limits(settings.limits, () => clock.monotonicMs());
  const signUps = new SignUpLimits(() => clock.monotonicMs());
  const addresses = new Addresses(settings.limits.connectionsPerAddress);
  const runs = new Map<string, Claimed>();
  /** What is counted here, for it happens to all of them. */
  const counted = new Metrics();
  const health = new SpokenHealth(() => clock.nowMs(), (provider) => counted.cooledDown(provider), (key, entry) => {
    for (const { link } of seats.values()) link.tell('health', [key, entry]);
  });
  let departed: MetricsRecord | undefined;
  const tellCount = () => {
    for (const { link } of seats.values()) link.tell('workers', seats.size);
  };
  return {
    health,
    get inFlight() {
      return [...seats.values()].reduce((sum, { last }) => sum + (last?.inFlight ?? 0), 0);
    },
    inFlightOf: (no) => seats.get(no)?.last?.inFlight ?? 0,
    seat(no, link) {
      const seat: Seat = { no, link, leases: new Map(), refused: new Map(), connections: new Map(), last: undefined };
      seats.set(no, seat);
      for (const [key, entry] of health.entries) link.tell('health', [key, entry]);
      tellCount();
      return {
        ...limitHandlers(seat, limits),
        ...runHandlers(seat, seats, runs),
        observed: ([key, event]) => health.observe(key, event),
        reserve: (key) => health.tryReserve(key),
        signUp: (wish) => signUps.admit(wish),
        arrived: ([connection, address]) => void seat.connections.set(connection, addresses.arrived(address, () => link.tell('crowded', connection))),
        parted(connection) {
          seat.connections.get(connection)?.();
          seat.connections.delete(connection);
        },
        beat: (record) => void (seat.last = record),
        measureAll: async () => {
          const own: MetricsRecord = { ...counted.record({ inFlight: 0, loopLagMs: 0, unsentBytes: 0 }), workers: 0 };
          const told = await Promise.all([...seats.values()].map(measured));
          return sumOf([own, ...(departed === undefined ? [] : [departed]), ...told.flatMap((record) => record ?? [])]);
        },
      };
    },
    refusalOf: (no, requestId) => seats.get(no)?.refused.get(requestId),
    clear(no) {
      const seat = seats.get(no);
      if (seat === undefined) return;
      seats.delete(no);
      for (const lease of seat.leases.values()) lease.leave();
      for (const part of seat.connections.values()) part();
      for (const [name, { owner }] of runs) if (owner === no) runs.delete(name);
      // Counters only rise: what it had counted stays in the sum.
      if (seat.last !== undefined) departed = { ...sumOf([seat.last, ...(departed === undefined ? [] : [departed])]), inFlight: 0, loopLagMs: 0, unsentBytes: 0, streams: 0, rssBytes: 0, workers: 0 };
      for (const { link } of seats.values()) link.tell('lost', no);
      tellCount();
    },
  };
}

function limitHandlers(seat: Seat, limits: Limits): Pick<SeatHandlers, 'enter' | 'leave' | 'standing'> {
  return {
    enter([id, accountId, requestsPerMinute]) {
      const entered = limits.admit({ accountId, requestsPerMinute });
      if (!('leave' in entered)) {
        seat.refused.set(id, entered);
        return entered;
      }
      seat.leases.set(id, entered);
      // It leaves with the answer to the hold, which follows at once.
      seat.link.tellAlong('entered', [id, entered.headers]);
      return undefined;
    },
    standing: ([accountId, requestsPerMinute]) => limits.standing({ accountId, requestsPerMinute }),
    leave(id) {
      seat.refused.delete(id);
      seat.leases.get(id)?.leave();
      seat.leases.delete(id);
    },
  };
}

/** A name that a process has. Each of its claims that was granted keeps it, until `forgotten` is told as often. */
interface Claimed {
  readonly owner: number;
  count: number;
}

/** Of several that ask for one name, one has it; the others are told who. */
function runHandlers({ no }: Seat, seats: ReadonlyMap<number, Seat>, runs: Map<string, Claimed>): Pick<SeatHandlers, 'claim' | 'forgotten' | 'pass'> {
  return {
    claim(name) {
      const claimed = runs.get(name) ?? { owner: no, count: 0 };
      runs.set(name, claimed);
      if (claimed.owner !== no) return claimed.owner;
      claimed.count += 1;
      return undefined;
    },
    forgotten(name) {
      const claimed = runs.get(name);
      if (claimed?.owner !== no) return;
      claimed.count -= 1;
      if (claimed.count === 0) runs.delete(name);
    },
    pass([member, message]) {
      const other = seats.get(member);
      if (other !== undefined) other.link.tell('passed', [no, message]);
      else if (message.kind === 'join') seats.get(no)?.link.tell('passed', [member, { kind: 'none', hearing: message.hearing }]);
    },
  };
}

async function measured(seat: Seat): Promise<MetricsRecord | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), MEASURE_MS);
  });
  // A process that dies meanwhile has told its last.
  const told = await Promise.race([seat.link.ask('measure', undefined).catch(() => undefined), late]);
  clearTimeout(timer);
  return (seat.last = told ?? seat.last);
}

/** The health of the providers; what others must know of it is said at once. */
class SpokenHealth extends HealthBook {
  readonly #nowMs: () => number;
  readonly #say: (key: string, entry: HealthEntry) => void;

  constructor(nowMs: () => number, onCooldown: (provider: string) => void, say: (key: string, entry: HealthEntry) => void) {
    super(nowMs, onCooldown);
    this.#nowMs = nowMs;
    this.#say = say;
  }

  override observe(...[key, event]: Parameters<HealthBook['observe']>): void {
    const before = this.entries.get(key);
    super.observe(key, event);
    this.#tell(key, before);
  }

  /** The mark of one request that tries a provider which may be back; false where another has it. */
  tryReserve(key: string): boolean {
    const before = this.entries.get(key);
    if (before === undefined || before.state === 'closed') return true;
    if (isOpen(before, this.#nowMs())) return false;
    this.reserve(key);
    this.#tell(key, before);
    return true;
  }

  /** That a healthy one answered once more is no news. */
  #tell(key: string, before: HealthEntry | undefined): void {
    const entry = this.entries.get(key);
    if (entry !== undefined && !isSame(before, entry)) this.#say(key, entry);
  }
}

function isSame(before: HealthEntry | undefined, after: HealthEntry): boolean {
  if (before === undefined) return after.state === 'closed' && after.failuresInRow === 0 && after.lastFailure === '' && after.restingUntilMs === 0;
  const text = (entry: HealthEntry) => JSON.stringify({ ...entry, lastSuccessMs: 0 });
  return text(before) === text(after);
}
