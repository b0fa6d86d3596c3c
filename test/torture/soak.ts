/** N12: a long, even load with 5 % faults: memory and open files stay as they are, and no hold is left. */
import { call, freshAgent, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startDaemon, type Program } from './machine.ts';
import { judge, troubles } from './oracle.ts';
import { scriptYaml, startScript } from './script.ts';
import { cutAfter, json, pause, resetBeforeHead } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface SoakFigures {
  readonly requests: number;
  readonly faults: number;
  readonly requestsPerSecond: number;
  /** Of resident memory after the warm-up, per 10,000 requests. */
  readonly slopeKibPer10k: number;
  readonly rssMib: number;
  /** Between two collections. */
  readonly highestMib: number;
  readonly filesGrown: number;
  /** Resident memory at each look, after a collection of garbage, for whoever doubts the slope. */
  readonly seriesMib: readonly number[];
}

const CLIENTS = 64;
/**
 * Makes each thread of the daemon collect its garbage at SIGUSR2. What is resident between two collections rises and falls by tens of megabytes, as
 * the collector sees fit; what is left after one is what the daemon keeps.
 */
const COLLECTING = `import v8 from 'node:v8'; import vm from 'node:vm'; import { BroadcastChannel, isMainThread } from 'node:worker_threads';
v8.setFlagsFromString('--expose-gc'); const gc = vm.runInNewContext('gc'); const all = new BroadcastChannel('collect'); all.unref();
if (isMainThread) process.on('SIGUSR2', () => { all.postMessage(0); gc(); }); else all.onmessage = () => gc();`;
const COLLECTED_MS = 400;

/** Looks at memory and files, spread evenly. */
const LOOKS = 40;

export async function runSoak(program: Program, verdicts: Verdicts, dice: Dice, requests: number): Promise<SoakFigures> {
  const script = await startScript(1);
  const yaml = { ...scriptYaml(script.provider.url), routing: { retries: 0, timeout: '5s', stream_timeout: '5s', max_attempts: 1 } };
  const home = await furnish({ yaml, credit: '100000', madeBy: program });
  const daemon = await startDaemon(program, home, { env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(COLLECTING)}` } });
  const agent = freshAgent();
  const looks: { readonly at: number; readonly rssKib: number; readonly files: number }[] = [];
  const calls: Received[] = [];
  const startedMs = performance.now();
  let sent = 0;
  let faults = 0;
  const look = async (at: number) => {
    highestKib = Math.max(highestKib, daemon.vitals().rssKib);
    process.kill(daemon.pid, 'SIGUSR2');
    await pause(COLLECTED_MS);
    looks.push({ at, ...daemon.vitals() });
  };
  let highestKib = 0;
  try {
    await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
      while (sent < requests) {
        // Others go on while this one looks.
        const no = (sent += 1);
        if (no % Math.ceil(requests / LOOKS) === 0) await look(no);
        if (dice.below(100) < 5) {
          faults += 1;
          script.provider.next(dice.pick([[1, resetBeforeHead()], [1, json(500, { error: { message: 'boom' } })], [1, cutAfter(1, [{ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: null }] }])]]));
        }
        const received = await call({ url: daemon.url, agent, key: home.keys[0] ?? '', model: 'torture-chat', stream: client % 2 === 0, tag: `soak-${no}` });
        // Texts would fill this process instead of the daemon.
        calls.push({ ...received, text: received.text.slice(-400) });
      }
    }));
    const seconds = (performance.now() - startedMs) / 1000;
    agent.destroy();
    await pause(1_000);
    const end = daemon.vitals();
    await daemon.end('SIGTERM');
    // The first half is warm-up: caches fill, and the collector finds its size.
    const settled = looks.slice(Math.floor(looks.length / 2));
    const slopeKibPer10k = Math.round(slopeOf(settled.map(({ at, rssKib }) => [at, rssKib])) * 10_000);
    const filesGrown = end.files - (looks[0]?.files ?? 0);
    verdicts.equal('N12', `${sent} requests, half of them streams, ${faults} with a fault: the books`, troubles(judge(home.database, calls, script.log)).slice(0, 5).join('; ') || 'in order', 'in order');
    verdicts.that('N12', 'memory stays flat', slopeKibPer10k < 1_024, `${slopeKibPer10k} KiB per 10,000 requests after the warm-up`);
    verdicts.that('N12', 'and between two collections it stays below 350 MiB', highestKib < 350 * 1_024, `${Math.round(highestKib / 1_024)} MiB`);
    verdicts.that('N12', 'open files stay flat', filesGrown <= 8, `${filesGrown} more at the end, at rest`);
    return { requests: sent, faults, requestsPerSecond: Math.round(sent / seconds), slopeKibPer10k, rssMib: Math.round(end.rssKib / 1024), highestMib: Math.round(highestKib / 1024), filesGrown, seriesMib: looks.map(({ rssKib }) => Math.round(rssKib / 1024)) };
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
