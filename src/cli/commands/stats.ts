import type { Call, Verb } from '../command.ts';
import { EXIT, wrongUsage } from '../failure.ts';

const ONCE_SIZE = { columns: 80, rows: 40 } as const;

export const STATS: Verb = {
  usage: 'stats',
  about: 'the live screen: requests, tokens, spend, errors, latency, health, top models and keys; where there is no terminal, one frame',
  brief: 'the live screen',
  options: [
    { flags: '--once', about: 'print one frame and end' },
    { flags: '--width <n>', about: 'columns of --once (default: those of the terminal, else 80)' },
  ],
  examples: ['findtoken stats', 'findtoken stats --once --width 120', 'findtoken stats --json | jq .last_minute'],
  run: stats,
};

async function stats({ context, given }: Call): Promise<void> {
  const once = given.flag('once');
  const width = given.whole('width', { least: 20, most: 500 });
  if (width !== undefined && !once) throw wrongUsage('--width goes with --once; the live screen takes the width of the terminal.');
  const configured = [...(await context.settings()).providerKeys.keys()];
  const { StatsReader } = await import('../stats/reader.ts');
  await context.read(async ({ ledger, nowMs }) => {
    const reader = new StatsReader({ ledger, configured, nowMs });
    if (context.json) {
      const { statsDocument } = await import('../stats/document.ts');
      const document = statsDocument(await reader.look());
      return context.show(document, () => '');
    }
    const isLive = !once && context.terminal.draws && context.terminal.width !== undefined;
    // Ink's colours go by this variable alone, and NO_COLOR is none of its business.
    if (!context.terminal.colour) process.env['FORCE_COLOR'] = '0';
    const { runStats, statsText } = await import('../screens/stats-app.tsx');
    if (isLive) {
      context.leaveSignals();
      const exitCode = await runStats({ look: () => reader.look(), colour: context.terminal.colour });
      if (exitCode !== EXIT.done) process.exitCode = exitCode;
      return;
    }
    const columns = width ?? context.terminal.width ?? ONCE_SIZE.columns;
    const text = statsText(await reader.look(), { columns, rows: ONCE_SIZE.rows, colour: context.terminal.colour });
    context.terminal.print(text.split('\n').slice(0, -1).map((line) => line.trimEnd()).join('\n').trimEnd());
  });
}
