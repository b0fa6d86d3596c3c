import { setTimeout as wait } from 'node:timers/promises';
import type { Call, Verb } from '../command.ts';
import type { Books } from '../context.ts';
import { readNews } from '../daemon-news.ts';
import { Refusal } from '../failure.ts';
import { renderRecord } from '../table.ts';

const ASK_EVERY_MS = 100;
/** The daemon publishes once a second; a worker of it that stands still has not taken the settings before it is ended, after ten. */
const PATIENCE_MS = 15_000;

export const RELOAD: Verb = {
  usage: 'reload',
  about: 'have the running daemon read findtoken.yaml again; where it is wrong, the daemon goes on with what it has',
  brief: 'have the running daemon read its settings again',
  examples: ['findtoken reload'],
  run: reload,
};

/** The daemon's own word on its last reload. */
interface Outcome {
  readonly atMs: number;
  readonly ok: boolean;
  readonly applied: readonly string[];
  readonly waiting: readonly string[];
  readonly message: string;
}

async function reload({ context }: Call): Promise<void> {
  const settings = await context.settings();
  const { checkSettings } = await import('../../settings/index.ts');
  checkSettings(settings);
  const outcome = await context.read(ask);
  if (!outcome.ok) throw new Refusal(`the daemon refused: ${outcome.message}`);
  const { applied, waiting } = outcome;
  context.show({ object: 'reload', ok: true, applied, waiting }, () =>
    renderRecord([['in force now', applied.join(', ') || 'nothing changed'], ['from the next start', waiting.join(', ') || 'nothing']], context.terminal));
}

async function ask({ ledger, nowMs }: Books): Promise<Outcome> {
  const news = await readNews(ledger, nowMs());
  if (news === undefined) throw new Refusal('the daemon is not running; its next start reads the settings anyway.');
  const { pid } = news.state;
  // Its number is somebody else's here.
  if (news.place === 'elsewhere') throw new Refusal(`the daemon (pid ${pid}) runs in another container; run this there, or send it SIGHUP from outside (\`docker kill --signal HUP CONTAINER\`).`);
  const before = readOutcome(news.state.detail)?.atMs;
  signal(pid);
  for (const endMs = nowMs() + PATIENCE_MS; nowMs() < endMs; ) {
    await wait(ASK_EVERY_MS);
    const outcome = readOutcome((await ledger.daemonState())?.detail ?? '');
    // Another moment, not a later one: the clock may have been set back.
    if (outcome !== undefined && outcome.atMs !== before) return outcome;
  }
  throw new Refusal('the daemon did not say what became of it; look at its log.');
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new Refusal(code === 'EPERM' ? `the daemon (pid ${pid}) is another user's; run this as that user.` : `the daemon (pid ${pid}) cannot be reached (${code}).`);
  }
}

function readOutcome(detail: string): Outcome | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(detail);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const reload: unknown = typeof parsed === 'object' && parsed !== null && 'reload' in parsed ? parsed.reload : undefined;
  if (typeof reload !== 'object' || reload === null || !('at_ms' in reload) || typeof reload.at_ms !== 'number' || !('ok' in reload)) return undefined;
  const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);
  return {
    atMs: reload.at_ms,
    ok: reload.ok === true,
    applied: texts('applied' in reload ? reload.applied : []),
    waiting: texts('waiting' in reload ? reload.waiting : []),
    message: 'message' in reload ? String(reload.message) : '',
  };
}
