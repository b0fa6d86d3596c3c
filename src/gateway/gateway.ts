import { HealthBook } from './health.ts';
import { KeyedRuns } from './idempotency.ts';
import { Limits } from './limits.ts';
import { Load } from './load.ts';
import { Metrics } from './metrics.ts';
import { timedLedger } from './timed-ledger.ts';
import { createHttpSide } from './server.ts';
import { SignUpLimits } from './sign-up-limits.ts';
import type { GatewayParts, Running, Timing } from './types.ts';

const TIMING: Timing = { keepAliveMs: 15_000, writeStallMs: 30_000, finishGraceMs: 5_000, progressMs: 2_000, rejoinMs: 10_000, bodyMs: 30_000 };

/** The running HTTP API. */
export interface Gateway {
  /** Starts to listen. Port 0 picks a free one. @throws the system's error, such as EADDRINUSE */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Calls under way. */
  readonly inFlight: number;
  readonly health: HealthBook;
  /** Readiness turns red, no new connections, running calls end by themselves or are cut off after `limitMs`; all books are closed then. */
  drain(limitMs: number): Promise<void>;
  /** Cuts off what still runs at once; all books are closed when it resolves. */
  stop(): Promise<void>;
}

/** Builds the gateway of its parts. Nothing listens, nothing ticks before `listen`. */
export function createGateway(parts: GatewayParts): Gateway {
  let isDraining = false;
  const metrics = new Metrics();
  const running: Running = {
    ...parts,
    timing: { ...TIMING, ...parts.timing },
    health: new HealthBook(() => parts.clock.nowMs(), (provider) => metrics.cooledDown(provider)),
    limits: new Limits(parts.settings.limits, () => parts.clock.monotonicMs()),
    signUps: new SignUpLimits(() => parts.clock.monotonicMs()),
    keyed: new KeyedRuns(),
    load: new Load(parts.settings.limits),
    metrics,
    described: new WeakMap(),
    ledger: timedLedger(parts.ledger, metrics, () => parts.clock.monotonicMs()),
    isDraining: () => isDraining,
  };
  const http = createHttpSide(running);
  return {
    listen: (host, port) => http.listen(host, port),
    health: running.health,
    get inFlight() {
      return http.inFlight;
    },
    drain: (limitMs) => {
      isDraining = true;
      const limit = setTimeout(() => running.keyed.cutOff(), limitMs);
      return http.drain(limitMs).finally(() => {
        clearTimeout(limit);
        running.load.stop();
      });
    },
    stop: () => {
      isDraining = true;
      running.keyed.cutOff();
      return http.cutOff().finally(() => running.load.stop());
    },
  };
}
