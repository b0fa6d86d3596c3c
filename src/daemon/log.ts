import { pino } from 'pino';
import type { AccessLine, Log } from '../gateway/index.ts';
import type { Settings } from '../settings/index.ts';
import { accessWriter } from './access-line.ts';

/** So many bytes of log are written at once, or what there is of them after so long; a warning does not wait. */
const BUFFER_BYTES = 12_288;
/** What a pipe takes in one piece, where others write into it too. */
const PIPE_BYTES = 4_096;
const FLUSH_MS = 1_000;

/** How long the end waits for a reader of the log that does not read. */
const LAST_FLUSH_MS = 1_000;

/** The daemon's log, and its end: what is buffered is written before the process goes. */
export interface DaemonLog extends Log {
  info(event: string, detail: Readonly<Record<string, string | number>>): void;
  /** Writes what is buffered; resolves when it is written, or when nobody takes it: never rejects, and never waits for long. */
  flush(): Promise<void>;
}

/**
 * Opens the log on standard error: JSON lines, or short ones for people on a terminal. A request is one line.
 * Of several processes that serve, each line bears the number of its own; each line is written whole, for they share the pipe.
 * A log that cannot be written (a closed pipe, a full disk) is dropped: answering goes on.
 */
export function openLog(settings: Settings['log'], isTerminal: boolean, worker?: number): DaemonLog {
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && isTerminal);
  // A length of 0 would make its `flush` say that all is written while a write is still under way.
  const destination = pino.destination({ dest: 2, sync: isPretty, minLength: isPretty ? 0 : 1, ...(worker === undefined ? {} : { maxWrite: PIPE_BYTES }) });
  // What was destroyed throws at whoever goes on to use it.
  let isGone = false;
  const drop = () => {
    isGone = true;
    destination.destroy();
  };
  const { gather, handOver } = gathering(destination, worker === undefined ? BUFFER_BYTES : PIPE_BYTES);
  const flushNow = () => {
    if (isGone) return;
    handOver();
    destination.flush();
  };
  if (!isPretty) setInterval(flushNow, FLUSH_MS).unref();
  destination.on('error', drop);
  // Whoever exits without the last flush: the destination hears of the exit too, after this, and writes what it has.
  process.prependListener('exit', () => {
    if (!isGone) handOver();
  });
  const logger = pino({ level: settings.level, base: worker === undefined ? null : { worker }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, destination);
  const short = isPretty ? (text: string) => void destination.write(worker === undefined ? `${text}\n` : `[${worker}] ${text}\n`) : undefined;
  const written = accessWriter(worker === undefined ? '' : `,"worker":${worker}`);
  const stamp = createStamp();
  const tells = (level: 'info' | 'warn' | 'error') => !isGone && logger.isLevelEnabled(level);
  const tell = (level: 'info' | 'warn' | 'error', detail: object, event: string) => {
    handOver();
    logger[level](detail, event);
  };
  return {
    access: (line) => {
      if (!tells('info')) return;
      if (short === undefined) gather(written(line, stamp(Date.now())));
      else short(shortAccess(line));
    },
    info: (event, detail) => {
      if (!tells('info')) return;
      if (short === undefined) tell('info', detail, event);
      else short(`${clock()} ${event} ${pairs(detail)}`);
    },
    warn: (event, detail) => {
      if (!tells('warn')) return;
      if (short === undefined) {
        tell('warn', detail, event);
        flushNow();
      } else short(`${clock()} warning: ${event} ${pairs(detail)}`);
    },
    error: (event, error) => {
      if (!tells('error')) return;
      const { name, stack } = error instanceof Error ? error : { name: 'unknown', stack: String(error) };
      if (short === undefined) {
        tell('error', { error: name, stack }, event);
        flushNow();
      } else short(`${clock()} error: ${event} ${stack ?? name}`);
    },
    flush: () => {
      if (isGone) return Promise.resolve();
      handOver();
      return lastWrite(destination, drop);
    },
  };
}

/** Keeps lines until there are many: the destination measures all that it keeps anew with each that comes. */
function gathering(destination: { write(text: string): boolean }, mostBytes: number): { readonly gather: (line: string) => void; readonly handOver: () => void } {
  let gathered = '';
  let gatheredBytes = 0;
  const handOver = () => {
    if (gatheredBytes > 0) destination.write(gathered);
    gathered = '';
    gatheredBytes = 0;
  };
  const gather = (line: string) => {
    const bytes = Buffer.byteLength(line);
    if (gatheredBytes + bytes > mostBytes) handOver();
    gathered += line;
    gatheredBytes += bytes;
  };
  return { gather, handOver };
}

/**
 * The last lines. Not `flushSync`, which tries for ever where nobody reads or the pipe is closed; and a destination that did not take
 * them in time is given up, for Node would try once more at its exit.
 */
async function lastWrite(destination: ReturnType<typeof pino.destination>, drop: () => void): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      drop();
      resolve();
    }, LAST_FLUSH_MS);
    destination.flush(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Times in ISO 8601, each written out once for all lines of its millisecond. */
function createStamp(): (nowMs: number) => string {
  let lastMs = Number.NaN;
  let last = '';
  return (nowMs) => {
    if (nowMs !== lastMs) last = new Date(nowMs).toISOString();
    lastMs = nowMs;
    return last;
  };
}

function shortAccess(line: AccessLine): string {
  const head = `${clock()} ${line.status} ${line.method} ${line.path}`;
  const { chat } = line;
  if (chat === undefined) return `${head} ${line.dur_ms} ms`;
  const served = chat.model_used === '' ? chat.model_requested : chat.model_used;
  return `${head} ${served} by ${chat.provider} ${chat.in_tok}+${chat.out_tok} tokens $${chat.cost} ${line.dur_ms} ms${chat.end === 'ok' ? '' : ` (${chat.end})`}`;
}

function clock(): string {
  return new Date().toISOString().slice(11, 19);
}

function pairs(detail: Readonly<Record<string, string | number>>): string {
  return Object.entries(detail).map(([name, value]) => `${name}=${value}`).join(' ');
}
