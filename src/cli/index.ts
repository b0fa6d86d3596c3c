/** The command line. `main` is the program; nothing happens before it is called. */
import type { Call, Given, Verb } from './command.ts';
import { openContext } from './context.ts';
import { EXIT, exitCodeOf, failureLine } from './failure.ts';
import { runCommandLine } from './program.ts';
import { openTerminal, STDERR, writeAll } from './terminal.ts';

/**
 * Runs one command line and sets the exit code: 0 done, 1 failed, 2 wrong usage, 3 not found, 130 interrupted.
 * Every failure is one line on stderr that says the mend; stdout bears data alone.
 * @param argv as `process.argv`: the program and the script come first.
 */
export async function main(argv: readonly string[]): Promise<void> {
  const interrupted = (): void => process.exit(EXIT.interrupted);
  process.once('SIGINT', interrupted);
  const leaveSignals = (): void => void process.removeListener('SIGINT', interrupted);
  const run = async (verb: Verb, call: Omit<Call, 'context'>, globals: Given): Promise<void> => {
    const terminal = openTerminal(process, { colour: globals.flag('color') });
    const wishes = { config: globals.text('config'), json: globals.flag('json'), yes: globals.flag('yes'), account: globals.text('account') };
    await verb.run({ ...call, context: openContext({ process, terminal, wishes, leaveSignals }) });
  };
  try {
    await runCommandLine(argv, run);
  } catch (failure) {
    // A reader that has seen enough (`| head`) is no failure.
    if (isReaderGone(failure)) return;
    writeAll(STDERR, `${failureLine(failure)}\n`);
    process.exitCode = exitCodeOf(failure);
  } finally {
    leaveSignals();
  }
}

function isReaderGone(failure: unknown): boolean {
  return failure instanceof Error && 'code' in failure && failure.code === 'EPIPE' && 'syscall' in failure && failure.syscall === 'write';
}
