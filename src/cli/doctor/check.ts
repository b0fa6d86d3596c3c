/** One thing that was looked at. */
export interface Check {
  /** Stable; scripts know it by this. */
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  /** What was found. */
  readonly detail: string;
  /** The command or step that mends it; only where something is wrong. */
  readonly mend?: string;
}

export const ok = (name: string, detail: string): Check => ({ name, state: 'ok', detail });
export const warn = (name: string, detail: string, mend: string): Check => ({ name, state: 'warn', detail, mend });
export const fail = (name: string, detail: string, mend: string): Check => ({ name, state: 'fail', detail, mend });

/** What an error says, on one line. */
export function saidBy(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

/** Runs a look; what it throws is a failure with the error's own words, for each refusal of findtoken names its mend. */
export async function guarded(name: string, look: () => Promise<readonly Check[]>): Promise<readonly Check[]> {
  try {
    return await look();
  } catch (error) {
    return [fail(name, saidBy(error), 'the message says how')];
  }
}
