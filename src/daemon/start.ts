import { createGateway, type Gateway } from '../gateway/index.ts';
import { openLedger, type Ledger } from '../ledger/index.ts';
import { choosePayments } from '../payments/index.ts';
import { createSandbox } from '../sandbox/index.ts';
import { checkSettings } from '../settings/index.ts';
import type { Settings } from '../settings/index.ts';
import { createUpstream } from '../upstream/index.ts';
import { keepAnchor } from './anchor.ts';
import { CLOCK } from './clock.ts';
import { createCredentials } from './credentials.ts';
import { openCrew } from './crew.ts';
import { EXIT, SIGNALS } from './exits.ts';
import { startJobs } from './jobs.ts';
import { liveSettings } from './live-settings.ts';
import { openLog, type DaemonLog } from './log.ts';
import { vaultFor } from './open-vault.ts';
import { reloadOnSignal } from './reload.ts';
import { SPACE } from './space.ts';
import { urlOf } from './url.ts';
import { prepareSandbox, welcomeDocument, welcomeLines } from './welcome.ts';

export interface StartDaemon {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly version: string;
  /** Reads the settings again, at a SIGHUP; without it, that signal is ignored. */
  readonly reload?: () => Promise<Settings>;
  /** Serves from a book that is older than it was; see `keepAnchor`. */
  readonly acceptRollback?: boolean;
  /** Says the welcome to people or to programs, in one write: standard output. */
  readonly print: (welcome: Welcome) => void;
}

/** What is said once when the daemon is up: the same for people and for programs. */
interface Welcome {
  readonly text: string;
  readonly document: unknown;
}

/** A running daemon. */
export interface Daemon {
  readonly url: string;
  /** Resolves with the exit code when everything is closed. */
  readonly stopped: Promise<number>;
  /** Drains and closes; a second call cuts off what still runs. */
  stop(): Promise<void>;
}

/**
 * Starts the daemon: opens the books, closes what a dead process left open in them, then listens.
 * SIGTERM and SIGINT drain; a second one cuts off at once, and still every hold is closed. SIGHUP reads the settings again.
 * @throws what the parts throw, each with its mend: a wrong catalogue, another daemon on the database, a port in use, a wrong master key.
 */
export async function startDaemon(options: StartDaemon): Promise<Daemon> {
  const { version } = options;
  // A wrong model would be an error at every call. What is built in needs no check, and takes longer to read than the rest of a start.
  if (options.settings.hasOwnCatalog === true) checkSettings(options.settings);
  const live = liveSettings(options.settings);
  const { settings } = live;
  const log = openLog(settings.log, process.stderr.isTTY);
  const ledger = await openLedger({
    path: settings.database.path, as: 'daemon', space: SPACE,
    onOlder: ({ schema, needed }) => log.warn('bringing_books_forward', { schema, needed, note: 'takes a while where the database is large; a step that is ended is taken anew at the next start' }),
  });
  let stopAnchor: (() => Promise<void>) | undefined;
  /** Since it listens: a start that fails then leaves nobody who would be answered from closed books. */
  let takeBack: (() => Promise<void>) | undefined;
  try {
    const { anchors: folder, path: databasePath } = settings.database;
    stopAnchor = await keepAnchor({ folder, databasePath, ledger, acceptRollback: options.acceptRollback === true, isRehearsal: settings.sandbox, log });
    const recovered = await ledger.recover(CLOCK.nowMs());
    if (recovered.released + recovered.settled > 0) log.info('recovered', recovered);
    const vault = await vaultFor(options, ledger, log);
    const credentials = createCredentials({ settings, ledger, vault, log });
    const upstream = createUpstream({ userAgent: `findtoken/${version}` });
    const sandbox = settings.sandbox ? createSandbox({ now: CLOCK.nowMs, sleep: CLOCK.sleep }) : undefined;
    const payments = choosePayments({ ...settings.stripe, sandboxUrl: settings.sandbox ? () => settings.server.publicUrl : undefined });
    const { workers } = settings.server;
    const crew = workers === 1 ? undefined : openCrew({ live, ledger, vault, clock: CLOCK, log, version, env: options.env });
    const gateway = crew ?? createGateway({ settings, ledger, upstream, sandbox, credentials, payments, vault, clock: CLOCK, log, version });
    // A payment package that cannot be loaded is found here, and not by the first customer.
    await payments?.ready();
    const { host } = settings.server;
    const { port } = await gateway.listen(host, settings.server.port);
    live.listensAt(port);
    const url = urlOf(host, port);
    const reloads = reloadOnSignal({ live: crew ?? live, read: options.reload ?? (async () => options.settings), file: settings.file, log, nowMs: CLOCK.nowMs });
    const stopJobs = startJobs({ settings, lastReload: reloads.last, ledger, upstream, gateway, credentials, payments, log, nowMs: CLOCK.nowMs, about: { version, url, startedMs: CLOCK.nowMs() } });
    const close = async () => {
      reloads.stop();
      await stopJobs().catch((error: unknown) => log.error('last_beat_failed', error));
      await upstream.close();
      await sandbox?.close();
      await stopAnchor?.().catch((error: unknown) => log.error('last_anchor_failed', error));
      await ledger.close();
      await log.flush();
    };
    takeBack = async () => {
      await gateway.stop();
      await close();
    };
    const ready = settings.sandbox ? await prepareSandbox({ ledger, nowMs: CLOCK.nowMs }) : undefined;
    const providers = [...(await credentials.operatorProviders())].sort();
    // Started by npm, the program is not on the PATH under its own name.
    const program = options.env['npm_lifecycle_event'] === undefined ? 'findtoken' : 'node bin/findtoken.js';
    const up = { url, version, settings, providers, sandbox: ready, program };
    const running = runUntilStopped({ settings, gateway, ledger, log, close });
    // Last: who reads it may stop the daemon at once, and is obeyed in order.
    tell({ text: welcomeLines(up).join('\n'), document: welcomeDocument(up) }, options.print, log);
    return { url, ...running };
  } catch (error) {
    if (takeBack !== undefined) {
      await takeBack().catch((failure: unknown) => log.error('stop_failed', failure));
      throw error;
    }
    await stopAnchor?.().catch((failure: unknown) => log.error('last_anchor_failed', failure));
    await ledger.close();
    throw error;
  }
}

/** Serving does not hang on whether somebody reads the welcome: its pipe may be closed, its disk full. */
function tell(welcome: Welcome, print: StartDaemon['print'], log: DaemonLog): void {
  try {
    print(welcome);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    log.warn('welcome_not_printed', { reason: error.message });
  }
}

function runUntilStopped({ settings, gateway, ledger, log, close }: { readonly settings: Settings; readonly gateway: Gateway; readonly ledger: Ledger; readonly log: DaemonLog; readonly close: () => Promise<void> }): Pick<Daemon, 'stopped' | 'stop'> {
  let stopping: Promise<void> | undefined;
  let finish: (code: number) => void = () => undefined;
  const stopped = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const end = async (code: number, work: Promise<void>) => {
    await work;
    await close();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off('uncaughtException', onBug);
    finish(code);
  };
  /** Without a writer nothing can be served; whoever runs the daemon starts it again, and its start closes what is open. */
  const onBooksLost = (error: Error) => {
    log.error('books_lost', error);
    end(EXIT.books, gateway.stop()).catch((failure: unknown) => {
      log.error('stop_failed', failure);
      finish(EXIT.books);
    });
  };
  ledger.failed?.then(onBooksLost, onBooksLost);
  const stop = async () => {
    if (stopping !== undefined) return gateway.stop();
    log.info('draining', { in_flight: gateway.inFlight, limit_ms: settings.server.drainMs });
    stopping = end(EXIT.stopped, gateway.drain(settings.server.drainMs));
    return stopping;
  };
  const onSignal = () => {
    stop().catch((error: unknown) => {
      log.error('stop_failed', error);
      finish(EXIT.books);
    });
  };
  /** A bug outside any request: the books of what runs are closed, then the process ends, for its state can no longer be trusted. */
  const onBug = (error: Error) => {
    log.error('uncaught_exception', error);
    end(EXIT.bug, gateway.stop()).catch((failure: unknown) => {
      log.error('stop_failed', failure);
      finish(EXIT.bug);
    });
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on('uncaughtException', onBug);
  return { stopped, stop };
}
