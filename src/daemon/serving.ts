import { linkToPrimary } from '../crew/index.ts';
import { createGateway, limitFault, type Gateway } from '../gateway/index.ts';
import { openForwarding, type Ledger } from '../ledger/index.ts';
import type { Link } from '../crew/index.ts';
import { choosePayments } from '../payments/index.ts';
import { createSandbox } from '../sandbox/index.ts';
import type { Settings } from '../settings/index.ts';
import { createUpstream } from '../upstream/index.ts';
import { CLOCK } from './clock.ts';
import { createCredentials } from './credentials.ts';
import { EXIT, SIGNALS } from './exits.ts';
import { liveSettings, type LiveSettings } from './live-settings.ts';
import { openLog, type DaemonLog } from './log.ts';
import { vaultFor } from './open-vault.ts';
import type { Begin, ToPrimary, ToServing } from './talk.ts';

/** A process that serves, as far as it is built. */
interface Served {
  readonly live: LiveSettings;
  readonly log: DaemonLog;
  readonly gateway: Gateway;
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>;
  close(): Promise<void>;
}

export interface ServeForPrimary {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Of this process's own program: it may have been replaced since the daemon was started. */
  readonly version: string;
}

/**
 * Serves for the process that started this one, until that says otherwise or is gone. Settings, books and limits are the primary's;
 * signals are its business as well, for a terminal sends them to all.
 */
export function serveForPrimary(options: ServeForPrimary): void {
  const link = linkToPrimary<ToPrimary>();
  let served: Served | undefined;
  /** Settings that came while this process was being built. */
  let waiting: Settings | undefined;
  for (const signal of [...SIGNALS, 'SIGHUP'] as const) process.on(signal, () => undefined);
  const leave = async (code: number, end: (gateway: Gateway) => Promise<void>): Promise<void> => {
    if (served !== undefined) {
      await end(served.gateway);
      await served.close();
    }
    await link.flushed();
    process.exit(code);
  };
  const orBug = (work: Promise<void>): void => void work.catch(onBug);
  function onBug(error: Error): void {
    served?.log.error('uncaught_exception', error);
    leave(EXIT.bug, (gateway) => gateway.stop()).catch(() => process.exit(EXIT.bug));
  }
  process.on('uncaughtException', onBug);
  link.serve<ToServing>({
    begin: (begin) => orBug(open(link, begin, options).then(async (built) => {
      served = built;
      if (waiting !== undefined) built.live.replace(waiting);
      // From here on the desk tells what it knows, and the gateway hears it.
      link.tell('sit', undefined);
      link.tell('listening', await built.listen(begin.host, begin.port));
    }).catch(async (error: unknown) => {
      const { message } = error instanceof Error ? error : { message: String(error) };
      link.tell('unable', { message, code: wordOf(error, 'code'), syscall: wordOf(error, 'syscall') });
      await leave(EXIT.bug, (gateway) => gateway.stop());
    })),
    reload: (settings) => {
      const share = shareOf(settings, settings.server.workers);
      if (served === undefined) waiting = share;
      else served.live.replace(share);
    },
    drain: (limitMs) => orBug(leave(EXIT.stopped, (gateway) => gateway.drain(limitMs))),
    stop: () => orBug(leave(EXIT.stopped, (gateway) => gateway.stop())),
  });
}

async function open(link: Link<ToPrimary>, begin: Begin, options: ServeForPrimary): Promise<Served> {
  // Two versions may not mean the same by what they say to each other, and some of that is money.
  if (begin.version !== options.version) throw new Error(`findtoken ${options.version} was installed while the daemon runs ${begin.version}: restart the daemon`);
  const live = liveSettings(shareOf(begin.settings, begin.of));
  const { settings } = live;
  const log = openLog(settings.log, process.stderr.isTTY, begin.no);
  const ledger = openBooks(link, settings);
  const own = await vaultFor({ ...options, settings }, ledger, log);
  let made: Promise<void> | undefined;
  const vault = async () => {
    await (made ??= link.ask('vault', undefined).catch((error: unknown) => {
      made = undefined;
      throw error;
    }));
    return own();
  };
  const credentials = createCredentials({ settings, ledger, vault, log });
  const upstream = createUpstream({ userAgent: `findtoken/${begin.version}` });
  const sandbox = settings.sandbox ? createSandbox({ now: CLOCK.nowMs, sleep: CLOCK.sleep }) : undefined;
  const payments = choosePayments({ ...settings.stripe, sandboxUrl: settings.sandbox ? () => settings.server.publicUrl : undefined });
  await payments?.ready();
  const gateway = createGateway({ settings, ledger, upstream, sandbox, credentials, payments, vault, clock: CLOCK, log, version: begin.version, desk: link });
  return {
    live,
    log,
    gateway,
    listen: async (host, port) => {
      const { port: found } = await gateway.listen(host, port);
      live.listensAt(found);
      return found;
    },
    close: async () => {
      await upstream.close();
      await sandbox?.close();
      await ledger.close();
      await log.flush();
    },
  };
}

/** Reads of its own, writes by the primary; a hold whose request did not pass the limits is thrown as that. */
function openBooks(link: Link<ToPrimary>, { database }: Settings): Ledger {
  return openForwarding({
    path: database.path,
    carry: async (sent) => {
      const told = await link.ask('write', sent);
      if ('limited' in told) throw limitFault(told.limited);
      return told;
    },
    storage: () => link.ask('storage', undefined),
  });
}

/** Bounds that are counted in each process are its part of the whole. `shareOf(…, 4)` of 20,000 connections is 5,000. */
function shareOf(settings: Settings, of: number): Settings {
  const { limits } = settings;
  const part = (whole: number) => Math.max(1, Math.floor(whole / of));
  return { ...settings, limits: { ...limits, connections: part(limits.connections), inFlight: part(limits.inFlight) } };
}

function wordOf(error: unknown, name: 'code' | 'syscall'): string | undefined {
  const word: unknown = error instanceof Error ? Reflect.get(error, name) : undefined;
  return typeof word === 'string' ? word : undefined;
}
