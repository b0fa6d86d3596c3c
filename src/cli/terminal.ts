import { fstatSync, statSync, writeSync } from 'node:fs';
import { isatty, type ReadStream, type WriteStream } from 'node:tty';
import { printableLines } from './printable.ts';

/** Where a command reads and writes. Data goes to stdout, talk to stderr; each decides on its own whether it is a terminal. */
export interface Terminal {
  /** Columns of stdout; undefined in a pipe or file, where nothing is cut. */
  readonly width: number | undefined;
  /** Whether stdout may bear colour. */
  readonly colour: boolean;
  /** Whether a question can be asked: both its ends are a terminal. */
  readonly asks: boolean;
  /** Whether a screen can be drawn: where somebody can be asked, on a terminal whose cursor can be moved. `TERM=dumb` has none. */
  readonly draws: boolean;
  readonly stdin: ReadStream;
  readonly stderr: WriteStream;
  /** Writes data, with a line end. @throws Error with the code EPIPE where nobody reads any more */
  print(text: string): void;
  /** The same without a line end. */
  write(text: string): void;
  /** Says something to a person, on stderr; what others wrote in it is made printable here. */
  note(text: string): void;
}

const WIDTH_DEFAULT = 80;

/**
 * The terminal of this process. `NO_COLOR` (not empty), `TERM=dumb` and `--no-color` take colour away, and a stdout
 * that is no terminal never has any.
 */
export function openTerminal(process: NodeJS.Process, wishes: { readonly colour: boolean }): Terminal {
  const { env } = process;
  const plain = !wishes.colour || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  const isShown = isTerminal(STDOUT);
  return {
    // A terminal that nobody has told its size says 0.
    width: isShown ? process.stdout.columns || WIDTH_DEFAULT : undefined,
    colour: isShown && !plain,
    // Both are looked at by the few commands that ask: a short one would spend milliseconds on them.
    get asks() {
      return isTerminal(STDIN) && isTerminal(STDERR);
    },
    get draws() {
      return env['TERM'] !== 'dumb' && this.asks;
    },
    get stdin() {
      return process.stdin;
    },
    get stderr() {
      return process.stderr;
    },
    print: (text) => writeAll(STDOUT, `${text}\n`),
    write: (text) => writeAll(STDOUT, text),
    note: (text) => writeAll(STDERR, `${printableLines(text)}\n`),
  };
}

export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
const NOWHERE = '/dev/null';
const PAUSE_MS = 2;

/**
 * Writes a text, all of it, before it returns. Node's own streams do the same, and take a short command several milliseconds to load.
 * @throws Error as writeSync does, such as EPIPE; a reader that is slow is waited for
 */
export function writeAll(file: typeof STDOUT | typeof STDERR, text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(file, rest));
    } catch (error) {
      // Whoever started this may have made its end of the pipe one that does not block, and it is full.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}

/** Pipes, files and /dev/null are told apart without `node:tty`, which brings Node's sockets with it. */
function isTerminal(file: number): boolean {
  const found = fstatSync(file);
  return found.isCharacterDevice() && found.rdev !== statSync(NOWHERE, { throwIfNoEntry: false })?.rdev && isatty(file);
}
