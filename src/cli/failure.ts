import { Fault } from '../faults.ts';
import { printable } from './printable.ts';

/** What a shell learns of a command. Source: CONTRACT section 4. */
export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, interrupted: 130 } as const;

/** The signals that end a command, with the exit codes that shells know them by. */
export const ENDINGS = [['SIGINT', EXIT.interrupted], ['SIGTERM', 143], ['SIGHUP', 129]] as const;

/** A command that cannot go on. The message says what is wrong and the mend; it ends on stderr as one line. */
export class Refusal extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.name = 'Refusal';
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong: exit 2. */
export function wrongUsage(message: string): Refusal {
  return new Refusal(message, EXIT.usage);
}

/**
 * The exit code of a failure. A `Fault` that names the field at fault is the caller's wrong word, any other one a failure.
 * `exitCodeOf(new Fault('not_found'))` is 3.
 */
export function exitCodeOf(failure: unknown): number {
  if (failure instanceof Refusal) return failure.exitCode;
  // Settings that an option of this command line made wrong; their room is not loaded for every failure.
  if (failure instanceof Error && 'option' in failure && typeof failure.option === 'string') return EXIT.usage;
  if (!(failure instanceof Fault)) return EXIT.failed;
  if (failure.status === 404) return EXIT.notFound;
  return failure.code === 'invalid_request' && failure.param !== null ? EXIT.usage : EXIT.failed;
}

/** Words that begin a sentence of ours and are no names: after `findtoken:` they go on in small letters. */
const BEGINNINGS = /^(?:An?|Another|Incorrect|Insufficient|No|Nothing|One|Only|Requests|Something|That|The|There|This|Your)(?=[ ,])/;

/** The one line that a failure leaves on stderr, whatever it is; never more than one, never a control character. */
export function failureLine(failure: unknown): string {
  const message = sqliteMissing(failure) ?? (failure instanceof Error ? failure.message : String(failure));
  const line = message.split(/\s*\n\s*/).filter((part) => part !== '').join(' ');
  return `findtoken: ${printable(line === '' ? 'it failed without a word; this is a bug.' : line.replace(BEGINNINGS, (word) => word.toLowerCase()))}`;
}

/**
 * SQLite comes as a native module. npm leaves it out where it can neither download nor build it, or runs no install scripts; and one
 * that was built for another Node does not load. Its loaders' own messages are a page long and name no mend of ours.
 */
function sqliteMissing(failure: unknown): string | undefined {
  if (!(failure instanceof Error) || !/better[-_]sqlite3/.test(failure.message)) return undefined;
  const code = 'code' in failure ? failure.code : undefined;
  const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND' || failure.message.startsWith('Could not locate the bindings file');
  if (!isMissing && code !== 'ERR_DLOPEN_FAILED') return undefined;
  const found = isMissing ? 'was not built when findtoken was installed' : `does not fit this Node (${process.version})`;
  return `SQLite's native module better-sqlite3 ${found}. Install a C++ compiler, make and python3, then findtoken again with \`npm install --foreground-scripts\`, which shows what stops it; or take the single executable, which needs none of these. docs/install.md tells both.`;
}
