import type { Settings } from '../settings/index.ts';
import type { Reloaded } from './live-settings.ts';
import type { DaemonLog } from './log.ts';

/** What the daemon says of its last reload, for whoever asked for it. */
export interface ReloadNews {
  readonly at_ms: number;
  readonly ok: boolean;
  readonly applied: readonly string[];
  readonly waiting: readonly string[];
  /** Why it was refused; empty where it was not. */
  readonly message: string;
}

/** Takes new settings, at once or when all have them that serve. */
interface Reloadable {
  replace(next: Settings): Reloaded | Promise<Reloaded>;
}

/**
 * Reads the settings again at each SIGHUP. Wrong ones are refused and said in the log; the daemon goes on with those it has.
 * `last` is what became of the latest; `stop` takes the signal back.
 */
export function reloadOnSignal(parts: { readonly live: Reloadable; readonly read: () => Promise<Settings>; readonly log: DaemonLog; readonly nowMs: () => number }): { readonly last: () => ReloadNews | undefined; stop(): void } {
  const { live, read, log, nowMs } = parts;
  let last: ReloadNews | undefined;
  const reload = async (): Promise<void> => {
    try {
      const { applied, waiting } = await live.replace(await read());
      last = { at_ms: nowMs(), ok: true, applied, waiting, message: '' };
      log.info('reloaded', { applied: applied.join(', ') || 'nothing', waiting_for_a_start: waiting.join(', ') || 'nothing' });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      last = { at_ms: nowMs(), ok: false, applied: [], waiting: [], message };
      log.warn('reload_refused', { reason: message });
    }
  };
  const onSignal = (): void => void reload();
  process.on('SIGHUP', onSignal);
  return { last: () => last, stop: () => void process.off('SIGHUP', onSignal) };
}
