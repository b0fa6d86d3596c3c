import { Endings } from './endings.ts';
import { KeyedRuns } from './idempotency.ts';
import { Load } from './load.ts';
import { Metrics } from './metrics.ts';
import { PlayMoney } from './play.ts';
import { timedLedger } from './timed-ledger.ts';
import { createHttpSide } from './server.ts';
import { shareWithNobody } from './shared/alone.ts';
import { openNeighbours } from './shared/hearing.ts';
import { shareAtDesk } from './shared/member.ts';
import type { SharedHealth, ToMember } from './shared/types.ts';
import type { GatewayParts, Running, Timing } from './types.ts';

const TIMING: Timing = { keepAliveMs: 15_000, writeStallMs: 30_000, finishGraceMs: 5_000, progressMs: 2_000, rejoinMs: 10_000, bodyMs: 30_000 };

/** A process that serves; where only one does, that is the daemon itself. */
export interface Worker {
  readonly no: number;
  readonly pid: number;
  readonly inFlight: number;
}

/** The running HTTP API. */
export interface Gateway {
  /** Starts to listen. Port 0 picks a free one. @throws the system's error, such as EADDRINUSE */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Calls under way. */
  readonly inFlight: number;
  readonly health: SharedHealth;
  /** The processes that serve. */
  readonly workers: readonly Worker[];
  /** Readiness turns red, no new connections, running calls end by themselves or are cut off after `limitMs`; all books are closed then. */
  drain(limitMs: number): Promise<void>;
  /** Cuts off what still runs at once; all books are closed when it resolves. */
  stop(): Promise<void>;
}

/** Builds the gateway of its parts. Nothing listens, nothing ticks before `listen`. */
export function createGateway(parts: GatewayParts): Gateway {
  let isDraining = false;
  const { desk, clock } = parts;
  const metrics = new Metrics();
  const load = new Load(parts.settings.limits);
  const atDesk = desk === undefined ? undefined : shareAtDesk(desk, clock);
  const shared = atDesk ?? shareWithNobody(parts, metrics);
  const own = () => metrics.record({ inFlight: load.inFlight, loopLagMs: load.lagMs, unsentBytes: load.unsentBytes + (parts.upstream.unread ?? 0) });
  const hearing = desk === undefined ? undefined : openNeighbours(desk, () => running);
  const keyed = new KeyedRuns(undefined, hearing?.neighbours.forgotten);
  const ledger = timedLedger(parts.ledger, metrics, () => clock.monotonicMs());
  const endings = new Endings({ ledger, log: parts.log });
  const running: Running = {
    ...parts,
    timing: { ...TIMING, ...parts.timing },
    health: shared.health,
    limits: shared.limits,
    signUps: shared.signUps,
    addresses: shared.addresses,
    neighbours: hearing?.neighbours,
    keyed,
    load,
    metrics,
    described: new WeakMap(),
    streamsOnly: new WeakSet(),
    measure: () => shared.measure(own),
    workers: () => shared.workers(),
    endings,
    play: new PlayMoney(parts),
    ledger,
    isDraining: () => isDraining,
  };
  if (desk !== undefined && atDesk !== undefined && hearing !== undefined) desk.serve<ToMember>({ ...atDesk.handlers, ...hearing.handlers });
  const stopBeat = atDesk?.begin(own);
  const http = createHttpSide(running);
  const end = () => {
    load.stop();
    endings.stop();
    stopBeat?.();
  };
  return {
    listen: (host, port) => http.listen(host, port),
    health: running.health,
    get inFlight() {
      return http.inFlight;
    },
    get workers() {
      return [{ no: 1, pid: process.pid, inFlight: http.inFlight }];
    },
    drain: (limitMs) => {
      isDraining = true;
      const limit = setTimeout(() => keyed.cutOff(), limitMs);
      // Calls of other processes may still hear answers from here; that they end in time is their process's business.
      return http.drain(limitMs).then(() => hearing?.told()).finally(() => {
        clearTimeout(limit);
        end();
      });
    },
    stop: () => {
      isDraining = true;
      keyed.cutOff();
      return http.cutOff().finally(end);
    },
  };
}
