import type { Handlers, Link } from '../../crew/index.ts';
import { isOpen, type HealthEvent } from '../../routing/index.ts';
import { HealthBook } from '../health.ts';
import { limitFault, type Lease } from '../limits.ts';
import type { MetricsRecord } from '../metrics.ts';
import type { SignUpWish } from '../sign-up-limits.ts';
import type { Clock } from '../types.ts';
import type { AccountLimits, AddressGate, Shared, SharedHealth, SignUpGate, ToDesk, ToMember } from './types.ts';

/** How often the desk is told what was counted, and that a healthy provider still answers. */
const BEAT_MS = 1_000;

/** What holds for all that serve, where several do: it lies at the desk of the primary, and is asked for over the link. */
export interface SharedAtDesk extends Omit<Shared, 'neighbours'> {
  readonly handlers: Omit<Handlers<ToMember>, 'passed' | 'lost'>;
  /** Begins to tell the desk what is counted here. Returns what ends it. */
  begin(own: () => MetricsRecord): () => void;
}

export function shareAtDesk(link: Link<ToDesk>, clock: Clock): SharedAtDesk {
  const limits = new DeskLimits(link);
  const health = new DeskHealth(link, () => clock.nowMs());
  const addresses = new DeskAddresses(link);
  let measure: (() => MetricsRecord) | undefined;
  let workers = 0;
  return {
    limits,
    health,
    signUps: new DeskSignUps(link),
    addresses,
    measure: () => link.ask('measureAll', undefined),
    workers: () => workers,
    handlers: {
      entered: ([id, headers]) => limits.entered(id, headers),
      health: ([key, entry]) => health.book.set(key, entry),
      workers: (count) => void (workers = count),
      crowded: (connection) => addresses.crowded(connection),
      measure: () => {
        if (measure === undefined) throw new Error('nothing is counted yet');
        return measure();
      },
    },
    begin(own) {
      measure = own;
      const beat = setInterval(() => link.tell('beat', own()), BEAT_MS);
      beat.unref();
      return () => clearInterval(beat);
    },
  };
}

type Owner = Parameters<AccountLimits['enter']>[0];

interface DeskLease extends Lease {
  headers: Readonly<Record<string, string>>;
}

/**
 * The limits as the desk keeps them. Entering waits for nothing: the desk hears of it just before the hold, in the same breath,
 * and takes no hold for a request that did not pass. So a call asks the primary twice, to hold and to settle.
 */
class DeskLimits implements AccountLimits {
  readonly #link: Link<ToDesk>;
  readonly #leases = new Map<string, DeskLease>();

  constructor(link: Link<ToDesk>) {
    this.#link = link;
  }

  enter({ accountId, requestsPerMinute }: Owner, id: string): Lease {
    this.#link.tell('enter', [id, accountId, requestsPerMinute]);
    return this.#lease(id);
  }

  async enterWithoutHold({ accountId, requestsPerMinute }: Owner, id: string): Promise<Lease> {
    const lease = this.#lease(id);
    const refused = await this.#link.ask('enter', [id, accountId, requestsPerMinute]);
    if (refused === undefined) return lease;
    lease.leave();
    throw limitFault(refused);
  }

  standing({ accountId, requestsPerMinute }: Owner): Promise<Lease['headers']> {
    return this.#link.ask('standing', [accountId, requestsPerMinute]);
  }

  #lease(id: string): Lease {
    const lease: DeskLease = {
      headers: {},
      leave: () => {
        if (this.#leases.delete(id)) this.#link.tell('leave', id);
      },
    };
    this.#leases.set(id, lease);
    return lease;
  }

  entered(id: string, headers: Readonly<Record<string, string>>): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.headers = headers;
  }
}

/** A copy of what the desk knows of the providers. What happens here is seen here at once, and told. */
class DeskHealth implements SharedHealth {
  readonly book: HealthBook;
  readonly #link: Link<ToDesk>;
  readonly #nowMs: () => number;

  constructor(link: Link<ToDesk>, nowMs: () => number) {
    this.book = new HealthBook(nowMs);
    this.#link = link;
    this.#nowMs = nowMs;
  }

  get entries(): HealthBook['entries'] {
    return this.book.entries;
  }

  observe(key: string, event: HealthEvent): void {
    const before = this.entries.get(key);
    if (event.kind === 'answered' && before?.state === 'closed' && before.failuresInRow === 0 && before.lastFailure === '' && this.#nowMs() - before.lastSuccessMs < BEAT_MS) return;
    this.book.observe(key, event);
    this.#link.tell('observed', [key, event]);
  }

  reserve(key: string): boolean | Promise<boolean> {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.state === 'closed' || isOpen(entry, this.#nowMs())) return true;
    return this.#link.ask('reserve', key);
  }

  isDown(key: string): boolean {
    return this.book.isDown(key);
  }
}

class DeskSignUps implements SignUpGate {
  readonly #link: Link<ToDesk>;

  constructor(link: Link<ToDesk>) {
    this.#link = link;
  }

  async enter(wish: SignUpWish): Promise<void> {
    const refused = await this.#link.ask('signUp', wish);
    if (refused !== undefined) throw limitFault(refused);
  }
}

/** Connections by address, counted at the desk: the word that there are too many comes a moment after the connection. */
class DeskAddresses implements AddressGate {
  readonly #link: Link<ToDesk>;
  readonly #open = new Map<number, () => void>();
  #last = 0;

  constructor(link: Link<ToDesk>) {
    this.#link = link;
  }

  arrived(address: string, refuse: () => void): () => void {
    this.#last += 1;
    const connection = this.#last;
    this.#open.set(connection, refuse);
    this.#link.tell('arrived', [connection, address]);
    return () => {
      this.#open.delete(connection);
      this.#link.tell('parted', connection);
    };
  }

  crowded(connection: number): void {
    this.#open.get(connection)?.();
  }
}
