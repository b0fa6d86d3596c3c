import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { programOf } from './program.ts';

/** A daemon as users run it: a process of its own, the built program, an environment with nothing but a home. */
export interface DaemonProcess {
  readonly child: ChildProcess;
  readonly url: string;
  /** Everything it printed so far. */
  output(): string;
  /** Sends a signal and waits for the end; resolves with the exit code, or the signal's name. */
  end(signal: NodeJS.Signals): Promise<number | string>;
}

/** Starts `findtoken serve` in a home and waits until it listens. */
export async function startServe(home: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<DaemonProcess> {
  const program = programOf(['serve', ...args]);
  const child = spawn(program.file, program.args, { cwd: home, env: { ...environment(home), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<number | string>((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal ?? -1)));
  for (;;) {
    const url = /is listening on (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) {
      return {
        child,
        url,
        output: () => output,
        end: (signal) => {
          child.kill(signal);
          return ended;
        },
      };
    }
    const early = await Promise.race([ended, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 5))]);
    if (early !== undefined) throw new Error(`serve ended with ${early}:\n${output}`);
  }
}

/** Runs one command to its end. */
export function runCommand(home: string, args: readonly string[], options: { readonly input?: string; readonly env?: Record<string, string> } = {}): { readonly code: number; readonly stdout: string; readonly stderr: string } {
  const program = programOf(args);
  const done = spawnSync(program.file, program.args, { cwd: home, env: { ...environment(home), ...options.env }, input: options.input ?? '', encoding: 'utf8', timeout: 60_000 });
  return { code: done.status ?? -1, stdout: done.stdout, stderr: done.stderr };
}

function environment(home: string): Record<string, string> {
  return { HOME: home, PATH: process.env['PATH'] ?? '', NO_COLOR: '1' };
}
