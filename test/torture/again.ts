/** Parts whose course the dice decide, each as short as a second look at a seed may be. What takes no dice runs the same way every time. */
import { throwDice, type Dice } from './dice.ts';
import { runKills } from './kills.ts';
import type { Program } from './machine.ts';
import { runSoak } from './soak.ts';
import { runStorage } from './storage.ts';
import type { Verdicts } from './verdict.ts';
import { runWorkerKills } from './workers.ts';

export interface FailedSeed {
  readonly part: string;
  readonly seed: number;
  readonly commit: string;
}

const AGAIN: Readonly<Record<string, (program: Program, verdicts: Verdicts, dice: Dice) => Promise<unknown>>> = {
  K: (program, verdicts, dice) => runKills(program, { kills: 5, dice, verdicts }),
  S: (program, verdicts, dice) => runStorage(program, { copies: 6, dice, verdicts }),
  workers: (program, verdicts, dice) => runWorkerKills(program, { kills: 4, dice, verdicts }),
  soak: (program, verdicts, dice) => runSoak(program, verdicts, dice, 2_000),
};

/** The names of the parts that take a seed. */
export const SEEDED: readonly string[] = Object.keys(AGAIN);

/** Runs a part's beginning with the dice that broke something. @throws Error where the part takes no seed */
export async function tryAgain(program: Program, verdicts: Verdicts, { part, seed }: FailedSeed): Promise<void> {
  const again = AGAIN[part];
  if (again === undefined) throw new Error(`part ${part} takes no seed; those that do are ${SEEDED.join(', ')}`);
  await again(program, verdicts, throwDice(seed).fork(part));
}
