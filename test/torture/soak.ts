/** N12: a long, even load with 5 % faults: memory and open files stay as they are, and no hold is left. */
import { call, freshAgent, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startDaemon, type Daemon, type Program } from './machine.ts';
import { judge, troubles } from './oracle.ts';
import { scriptYaml, startScript } from './script.ts';
import { cutAfter, json, pause, resetBeforeHead } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface SoakFigures {
  /** Those that were measured; half as many came before, as warm-up. */
  readonly requests: number;
  readonly warmUp: number;
  readonly faults: number;
  readonly requestsPerSecond: number;
  /** Of resident memory, as the system tells it and the product runs, per 10,000 requests. */
  readonly slopeKibPer10k: number;
  readonly rssMib: number;
  readonly highestMib: number;
  readonly filesGrown: number;
  /** Of what is resident after a collection of garbage that was forced upon both threads, in a run of its own; undefined where that was too short to be judged. */
  readonly keptKibPer10k: number | undefined;
  /** Resident memory of the plain run at every tenth look, warm-up included, for whoever doubts the slope. */
  readonly seriesMib: readonly number[];
}

const CLIENTS = 64;

/**
 * V8 lets its heap grow until its first large collection, which under this load comes after some 25,000 requests, and each SQLite connection
 * fills its page cache once. What is measured begins well after both.
 */
const WARM_UP_PART = 0.5;
/** In fewer requests than this the collector's waves are larger than any slope: then memory is not judged. */
const JUDGED_FROM = 50_000;
/** Looks at memory and files in the measured part, spread evenly: enough for each wave of the collector to be seen many times. */
const LOOKS = 200;

/**
 * Makes each thread of the daemon collect its garbage at SIGUSR2. The plain run does without; this one tells what the daemon keeps, apart from what
 * the collector has not fetched yet.
 */
const COLLECTING = `import v8 from 'node:v8'; import vm from 'node:vm'; import { BroadcastChannel, isMainThread } from 'node:worker_threads';
v8.setFlagsFromString('--expose-gc'); const gc = vm.runInNewContext('gc'); const all = new BroadcastChannel('collect'); all.unref();
if (isMainThread) process.on('SIGUSR2', () => { all.postMessage(0); gc(); }); else all.onmessage = () => gc();`;
const COLLECTED_MS = 400;
const LOOKS_COLLECTED = 20;

/** The provider's log of bodies would fill this process. */
const FORGET_AFTER = 2_000;

export async function runSoak(program: Program, verdicts: Verdicts, dice: Dice, requests: number): Promise<SoakFigures> {
  const warmUp = Math.round(requests * WARM_UP_PART);
  const plain = await load(program, dice.fork('plain'), { warmUp, requests, looks: LOOKS, before: async () => undefined, env: {} });
  const isJudged = requests >= JUDGED_FROM;
  // Half as long: a slope of what is kept has no waves.
  const half = { warmUp, requests: Math.round(requests / 2) };
  const collected = !isJudged ? undefined : await load(program, dice.fork('collected'), {
    ...half, looks: LOOKS_COLLECTED, env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(COLLECTING)}` },
    before: async (daemon) => {
      process.kill(daemon.pid, 'SIGUSR2');
      await pause(COLLECTED_MS);
    },
  });
  const slope = (run: Run | undefined) => run && Math.round(slopeOf(run.looks.map(({ at, rssKib }) => [at, rssKib])) * 10_000);
  const [slopeKibPer10k = 0, keptKibPer10k] = [slope(plain), slope(collected)];
  const highestMib = Math.round(Math.max(...plain.looks.map(({ rssKib }) => rssKib)) / 1_024);
  verdicts.equal('N12', `${warmUp + requests} requests, half of them streams, ${plain.faults} with a fault: the books`, plain.troubles, 'in order');
  if (keptKibPer10k === undefined) verdicts.skip('N12', 'memory stays flat', `judged from ${JUDGED_FROM} requests on`);
  else {
    verdicts.that('N12', `memory stays flat over ${requests} requests after a warm-up of ${warmUp}`, slopeKibPer10k < 1_024, `${slopeKibPer10k} KiB per 10,000 requests, nothing forced`);
    verdicts.that('N12', 'and so does what is left of it after a forced collection', keptKibPer10k < 1_024, `${keptKibPer10k} KiB per 10,000 requests`);
  }
  verdicts.that('N12', 'it stays below 350 MiB', highestMib < 350, `${highestMib} MiB`);
  verdicts.that('N12', 'open files stay flat', plain.filesGrown <= 8, `${plain.filesGrown} more in the second half than in the first`);
  return {
    requests, warmUp, faults: plain.faults, requestsPerSecond: plain.requestsPerSecond, slopeKibPer10k, rssMib: plain.rssMib, highestMib,
    filesGrown: plain.filesGrown, keptKibPer10k, seriesMib: plain.seriesMib,
  };
}

interface Look {
  readonly at: number;
  readonly rssKib: number;
  readonly files: number;
}

interface Run {
  /** After the warm-up. */
  readonly looks: readonly Look[];
  readonly faults: number;
  readonly requestsPerSecond: number;
  /** `in order`, or what is wrong in the books. */
  readonly troubles: string;
  readonly filesGrown: number;
  readonly rssMib: number;
  readonly seriesMib: readonly number[];
}

interface LoadWish {
  readonly warmUp: number;
  readonly requests: number;
  /** In the measured part. */
  readonly looks: number;
  /** Done before each look; the load goes on meanwhile. */
  readonly before: (daemon: Daemon) => Promise<void>;
  readonly env: Readonly<Record<string, string>>;
}

async function load(program: Program, dice: Dice, { warmUp, requests, looks: wanted, before, env }: LoadWish): Promise<Run> {
  const script = await startScript(1);
  const yaml = { ...scriptYaml(script.provider.url), routing: { retries: 0, timeout: '5s', stream_timeout: '5s', max_attempts: 1 } };
  const home = await furnish({ yaml, credit: '100000', madeBy: program });
  const daemon = await startDaemon(program, home, { env });
  const agent = freshAgent();
  const looks: Look[] = [];
  const calls: Received[] = [];
  const startedMs = performance.now();
  const every = Math.ceil(requests / wanted);
  let sent = 0;
  let faults = 0;
  try {
    await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
      while (sent < warmUp + requests) {
        // Others go on while this one looks.
        const no = (sent += 1);
        if (no % every === 0) {
          await before(daemon);
          looks.push({ at: no, ...daemon.vitals() });
        }
        if (no % FORGET_AFTER === 0) script.provider.requests.splice(0);
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
    const { rssKib } = daemon.vitals();
    await daemon.end('SIGTERM');
    const measured = looks.filter(({ at }) => at > warmUp);
    const middle = Math.floor(measured.length / 2);
    const files = (some: readonly Look[]) => Math.max(...some.map((look) => look.files));
    return {
      looks: measured, faults, requestsPerSecond: Math.round(sent / seconds),
      troubles: troubles(judge(home.database, calls, script.log)).slice(0, 5).join('; ') || 'in order',
      filesGrown: files(measured.slice(middle)) - files(measured.slice(0, middle)),
      rssMib: Math.round(rssKib / 1024),
      seriesMib: looks.filter((_, at) => at % 10 === 0).map((look) => Math.round(look.rssKib / 1024)),
    };
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/**
 * Theil and Sen: the median of the slopes between all pairs of points. What the collector lets stand between two of its rounds pulls a line of least
 * squares up or down, according to where the run happens to end; the median heeds no single wave.
 */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const slopes: number[] = [];
  points.forEach(([x, y], at) => {
    for (const [laterX, laterY] of points.slice(at + 1)) if (laterX > x) slopes.push((laterY - y) / (laterX - x));
  });
  slopes.sort((one, other) => one - other);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}
