import { printableLines } from './printable.ts';
import { isatty, type ReadStream, type WriteStream } from 'node:tty';

/** Where a command reads and writes. Data goes to stdout, talk to stderr; each decides on its own whether it is a terminal. */
export interface Terminal {
  /** Columns of stdout; undefined in a pipe or file, where nothing is cut. */
  readonly width: number | undefined;
  /** Whether stdout may bear colour. */
  readonly colour: boolean;
  /** Whether a question can be asked: both its ends are a terminal. */
  readonly asks: boolean;
  readonly stdin: ReadStream;
  readonly stderr: WriteStream;
  /** Writes data, with a line end. */
  print(text: string): void;
  /** Says something to a person, on stderr; what others wrote in it is made printable here. */
  note(text: string): void;
}

const WIDTH_DEFAULT = 80;

/**
 * The terminal of this process. `NO_COLOR` (not empty), `TERM=dumb` and `--no-color` take colour away, and a stdout
 * that is no terminal never has any.
 */
export function openTerminal(process: NodeJS.Process, wishes: { readonly colour: boolean }): Terminal {
  const { stdout, stderr, env } = process;
  const plain = !wishes.colour || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return {
    width: stdout.isTTY ? (stdout.columns ?? WIDTH_DEFAULT) : undefined,
    colour: stdout.isTTY && !plain,
    // Both are looked at by the few commands that ask: a short one would spend milliseconds on them.
    get asks() {
      return isatty(0) && stderr.isTTY;
    },
    get stdin() {
      return process.stdin;
    },
    stderr,
    print: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${printableLines(text)}\n`),
  };
}
