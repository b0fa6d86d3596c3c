import type { Context } from './context.ts';
import { EXIT, failureLine, Refusal } from './failure.ts';
import type { Terminal } from './terminal.ts';

/** One thing that a command does. Sign and word both tell how it stands. */
export interface Step {
  readonly name: string;
  readonly state: 'waiting' | 'running' | 'done' | 'warned' | 'failed';
  readonly note?: string | undefined;
  /** How long it has been going on. */
  readonly forMs?: number | undefined;
}

/** All that is on the stage. */
export interface StageState {
  readonly title: string;
  /** Labels and values. */
  readonly facts: readonly (readonly [string, string])[];
  /** Lines for a telephone's camera; left out where they do not fit. */
  readonly picture?: string | undefined;
  readonly steps: readonly Step[];
  /** A secret that is asked for. Neither it nor its length is shown. */
  readonly asking?: { readonly what: string; readonly isTyping: boolean } | undefined;
  readonly hint?: string | undefined;
}

/** A command's screen while it works. Its last state stays on the terminal when it is left. */
export interface Stage {
  show(change: Partial<StageState>): void;
  /** Changes one step, by its name. */
  step(name: string, change: Partial<Omit<Step, 'name'>>): void;
  /** Asks for a secret. @throws Refusal (130) on Ctrl-C */
  ask(what: string): Promise<string>;
  /** Rejects with a Refusal (130) when Ctrl-C or a signal ends the command; never resolves. */
  readonly interrupted: Promise<never>;
  /** Leaves the terminal as it was, but for the last state. Calling it twice changes nothing. */
  leave(): Promise<void>;
}

/**
 * Runs work on a stage where a person watches, and without one where nobody does or none can be drawn: in a pipe, with `--json`, without a
 * terminal to type at, on a dumb one.
 * The work hears undefined then, and says what it says in words.
 * @param work is handed the context to work with: what it notes while the stage is up stands below it afterwards
 */
export async function onStage<T>(context: Context, first: StageState, work: (stage: Stage | undefined, context: Context) => Promise<T>): Promise<T> {
  if (context.json || !context.terminal.draws) return work(undefined, context);
  const { openStage } = await import('./screens/stage.tsx');
  context.leaveSignals();
  const stage = openStage(context.terminal, first);
  const notes: string[] = [];
  const terminal: Terminal = Object.create(context.terminal, { note: { value: (text: string) => void notes.push(text) } });
  const quiet: Context = Object.create(context, { terminal: { value: terminal } });
  try {
    return await Promise.race([work(stage, quiet), stage.interrupted]);
  } catch (failure) {
    if (!(failure instanceof Refusal) || failure.exitCode !== EXIT.interrupted) throw failure;
    await stage.leave();
    context.terminal.note(failureLine(failure));
    // The work may still be waiting for something, and nobody waits for the work any more.
    return process.exit(EXIT.interrupted);
  } finally {
    await stage.leave();
    for (const note of notes) context.terminal.note(note);
  }
}
