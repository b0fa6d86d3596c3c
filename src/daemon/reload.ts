import { isThere } from '../disk.ts';
import { SettingsError } from '../settings/index.ts';
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

export interface ReloadParts {
  readonly live: Reloadable;
  readonly read: () => Promise<Settings>;
  /** The file that was read at the start; undefined: there was none. */
  readonly file: string | undefined;
  readonly log: Pick<DaemonLog, 'info' | 'warn'>;
  readonly nowMs: () => number;
}

/**
 * Reads the settings again at each SIGHUP. Wrong ones are refused and said in the log, and so are others that are found because the
 * file is gone; the daemon goes on with those it has. `last` is what became of the latest; `stop` takes the signal back.
 */
export function reloadOnSignal({ live, read, file: atStart, log, nowMs }: ReloadParts): { readonly last: () => ReloadNews | undefined; stop(): void } {
  let last: ReloadNews | undefined;
  let file = atStart;
  const reload = async (): Promise<void> => {
    try {
      const next = await read();
      // Nobody asked for the defaults, nor for a file of somewhere else, by taking this one away: fees and models would change unseen.
      if (file !== undefined && next.file !== file && !isThere(file)) {
        throw new SettingsError(`${file}: this file, from which the settings came, is gone. Put it back, or start the daemon again without it.`);
      }
      const { applied, waiting } = await live.replace(next);
      file = next.file;
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
