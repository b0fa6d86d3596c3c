import type { Call, Verb } from '../command.ts';
import type { Check } from '../doctor/check.ts';
import { EXIT } from '../failure.ts';
import { printable } from '../printable.ts';
import { renderTable, wrapped } from '../table.ts';
import type { Column, Paper } from '../table.ts';

const COLUMNS: readonly Column<Check>[] = [
  { title: 'state', text: ({ state }) => state },
  { title: 'check', text: ({ name }) => name },
  { title: 'found', text: ({ detail }) => detail },
  { title: 'mend', text: ({ mend }) => mend ?? '' },
];

export const DOCTOR: Verb = {
  usage: 'doctor',
  about: 'look at everything findtoken stands on, and say how to mend what is wrong; exit 1 where something fails',
  brief: 'find what is wrong, and say how to mend it',
  options: [
    { flags: '--deep', about: 'read every row of the database, which takes its time' },
    { flags: '--offline', about: 'ask no provider and no mail server' },
  ],
  examples: ['findtoken doctor', 'findtoken doctor --deep --json'],
  run: doctor,
};

async function doctor({ context, given }: Call): Promise<void> {
  const { examine } = await import('../doctor/run.ts');
  // As in `audit`: SQLite looks at every row in one go, in which no handler of ours would run.
  if (given.flag('deep')) context.leaveSignals();
  const checks = await examine(context, { deep: given.flag('deep'), offline: given.flag('offline') });
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length;
  const [fails, warnings] = [count('fail'), count('warn')];
  const data = checks.map(({ name, state, detail, mend }) => ({ name, state, detail, mend: mend ?? null }));
  context.show({ object: 'doctor', ok: fails === 0, fail: fails, warn: warnings, checks: data }, () => (context.terminal.width === undefined ? renderTable(checks, COLUMNS, context.terminal) : doctorText(checks, context.terminal)));
  context.terminal.note(fails + warnings === 0 ? 'Nothing to mend.' : `${fails} to mend, ${warnings} to look at, ${count('ok')} ok.`);
  if (fails > 0) process.exitCode = EXIT.failed;
}

/** The sign, the state, and the gap after them. */
const HEAD_COLUMNS = 8;
const SIGN = { ok: ['✓', '32'], warn: ['!', '33'], fail: ['✗', '31'] } as const;

/** A check and its mend below it, wrapped beside the names: a table would cut both. */
export function doctorText(checks: readonly Check[], { colour, width: columns = 80 }: Paper): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const indent = HEAD_COLUMNS + width + 2;
  const beside = (text: string) => wrapped(printable(text), Math.max(20, columns - indent)).join(`\n${' '.repeat(indent)}`);
  return checks
    .map(({ state, name, detail, mend }) => {
      const [sign, code] = SIGN[state];
      const head = `${sign} ${state.padEnd(4)}`;
      const line = `${colour ? `\x1b[${code}m${head}\x1b[39m` : head}  ${name.padEnd(width)}  ${beside(detail)}`;
      return mend === undefined ? line : `${line}\n${' '.repeat(indent)}${beside(`mend: ${mend}`)}`;
    })
    .join('\n');
}
