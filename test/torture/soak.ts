/** N12: a long, even load with 5 % faults: memory and open files stay as they are, and no hold is left. */
import { call, freshAgent, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startDaemon, type Program } from './machine.ts';
import { judge, troubles } from './oracle.ts';
import { scriptYaml, startScript } from './script.ts';
import { cutAfter, json, resetBeforeHead } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface SoakFigures {
  readonly requests: number;
  readonly faults: number;
  readonly requestsPerSecond: number;
  /** Of resident memory after the warm-up, per 10,000 requests. */
  readonly slopeKibPer10k: number;
  readonly rssMib: number;
  readonly filesGrown: number;
  /** Resident memory at each look, for whoever doubts the slope. */
  readonly seriesMib: readonly number[];
}

const CLIENTS = 64;
/** Looks at memory and files, spread evenly. */
const LOOKS = 40;

export async function runSoak(program: Program, verdicts: Verdicts, dice: Dice, requests: number): Promise<SoakFigures> {
  const script = await startScript(1);
  const yaml = { ...scriptYaml(script.provider.url), routing: { retries: 0, timeout: '5s', stream_timeout: '5s', max_attempts: 1 } };
  const home = await furnish({ yaml, credit: '100000', madeBy: program });
  const daemon = await startDaemon(program, home);
  const agent = freshAgent();
  const looks: { readonly at: number; readonly rssKib: number; readonly files: number }[] = [];
  const calls: Received[] = [];
  const startedMs = performance.now();
  let sent = 0;
  let faults = 0;
  try {
    await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
      while (sent < requests) {
        sent += 1;
        if (sent % Math.ceil(requests / LOOKS) === 0) looks.push({ at: sent, ...daemon.vitals() });
        if (dice.below(100) < 5) {
          faults += 1;
          script.provider.next(dice.pick([[1, resetBeforeHead()], [1, json(500, { error: { message: 'boom' } })], [1, cutAfter(1, [{ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: null }] }])]]));
        }
        const received = await call({ url: daemon.url, agent, key: home.keys[0] ?? '', model: 'torture-chat', stream: client % 2 === 0, tag: `soak-${sent}` });
        // Texts would fill this process instead of the daemon.
        calls.push({ ...received, text: received.text.slice(-400) });
      }
    }));
    const seconds = (performance.now() - startedMs) / 1000;
    agent.destroy();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const end = daemon.vitals();
    await daemon.end('SIGTERM');
    // The first half is warm-up: caches fill, and the collector finds its size.
    const settled = looks.slice(Math.floor(looks.length / 2));
    const slopeKibPer10k = Math.round(slopeOf(settled.map(({ at, rssKib }) => [at, rssKib])) * 10_000);
    const filesGrown = end.files - (looks[0]?.files ?? 0);
    verdicts.equal('N12', `${sent} requests, half of them streams, ${faults} with a fault: the books`, troubles(judge(home.database, calls, script.log)).slice(0, 5).join('; ') || 'in order', 'in order');
    verdicts.that('N12', 'memory stays flat', slopeKibPer10k < 1_024, `${slopeKibPer10k} KiB per 10,000 requests after the warm-up`);
    verdicts.that('N12', 'open files stay flat', filesGrown <= 8, `${filesGrown} more at the end, at rest`);
    return { requests: sent, faults, requestsPerSecond: Math.round(sent / seconds), slopeKibPer10k, rssMib: Math.round(end.rssKib / 1024), filesGrown, seriesMib: looks.map(({ rssKib }) => Math.round(rssKib / 1024)) };
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/** The slope of the line through these points that errs least. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (pick: 0 | 1) => points.reduce((sum, point) => sum + point[pick], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
}
