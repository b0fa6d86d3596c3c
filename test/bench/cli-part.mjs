// The command line's CPU time, as rows of this bench.
import { measureCli } from './cli.mjs';

export async function measureCliPart({ plan, say }) {
  say('\nCommands, CPU time in turns with what cannot be less\n');
  const rows = await measureCli({ rounds: plan.isQuick ? 2 : 9, say: (line) => say(`- ${line}`) });
  for (const { what, reached, must, unit } of rows) say(`- ${reached <= must ? 'met' : 'MISSED'}: ${what} is ${reached.toFixed(2)} ${unit} (must ≤ ${must})`);
  return { measures: { cli: rows.filter(({ reached, must }) => reached <= must).length / rows.length } };
}
