/** K with several processes: a worker or the primary is killed, or a worker stands still, under load; then the books are laid beside what was seen. */
import { existsSync, readFileSync } from 'node:fs';
import { call, freshAgent, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startDaemon, type Daemon, type Home, type Program } from './machine.ts';
import { judge, readBooks, troubles } from './oracle.ts';
import { scriptYaml, startScript, type Script } from './script.ts';
import { pause, until } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface WorkerKillFigures {
  readonly kills: number;
  readonly primaries: number;
  readonly calls: number;
  readonly answers: number;
  readonly lost: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly invariantBreaks: number;
  /** Milliseconds from a worker's death until none of its holds is open. */
  readonly worstClosedMs: number;
}

const WORKERS = 2;
const CLIENTS = 64;
/** Before a kill, and after one that the others survive. */
const LEAD_MS = 20;
const SPREAD_MS = 480;
const GOES_ON_MS = 400;
/** Against a hang: what is waited for takes a fraction of it. */
const LIMIT_MS = 15_000;

interface Scene {
  readonly program: Program;
  readonly home: Home;
  readonly script: Script;
  readonly dice: Dice;
  readonly verdicts: Verdicts;
  readonly calls: Received[];
  readonly closedMs: number[];
  readonly seen: string[];
}

/** Half of the rounds kill a worker and go on, half the primary; every eighth call is so slow a stream that its progress is noted. */
export async function runWorkerKills(program: Program, wish: { readonly kills: number; readonly dice: Dice; readonly verdicts: Verdicts }): Promise<WorkerKillFigures | undefined> {
  const { dice, verdicts, kills } = wish;
  if (!existsSync('/proc/self/task')) {
    verdicts.skip('K1', 'workers and their primary killed', 'needs Linux’s /proc to find the workers');
    return undefined;
  }
  const script = await startScript();
  const home = await furnish({ yaml: { ...scriptYaml(script.provider.url), server: { port: 0, drain: '20s', workers: WORKERS } }, credit: '10000', madeBy: program });
  const scene: Scene = { program, home, script, dice, verdicts, calls: [], closedMs: [], seen: [] };
  let primaries = 0;
  try {
    for (let round = 1; round <= kills; round += 1) {
      const isPrimary = dice.below(2) === 0;
      primaries += isPrimary ? 1 : 0;
      await (isPrimary ? killPrimary(scene, round) : killWorker(scene, round));
    }
    const daemon = await startDaemon(program, home);
    await daemon.end('SIGTERM');
    const last = judge(home.database, scene.calls, script.log);
    verdicts.equal('K1', `with ${WORKERS} workers: ${kills - primaries} workers and ${primaries} primaries killed under load: the books`, troubles(last).slice(0, 5).join('; ') || 'nothing', 'nothing');
    verdicts.equal('K1', 'with workers: those that are left go on, the one that died is replaced, none outlives its primary', scene.seen.slice(0, 5).join('; ') || 'as expected', 'as expected');
    return {
      kills, primaries, calls: scene.calls.length, answers: last.answers, lost: last.lost.length, doubled: last.doubled.length,
      wrong: last.wrong.length + last.overcharged.length, invariantBreaks: last.breaks.length, worstClosedMs: Math.round(Math.max(0, ...scene.closedMs)),
    };
  } finally {
    await script.close();
    home.remove();
  }
}

async function killPrimary(scene: Scene, round: number): Promise<void> {
  const daemon = await startDaemon(scene.program, scene.home);
  const workers = childrenOf(daemon.pid);
  if (workers.length !== WORKERS) scene.seen.push(`round ${round}: ${workers.length} workers`);
  const load = startLoad(scene, daemon, round);
  await pause(LEAD_MS + scene.dice.below(SPREAD_MS));
  await daemon.end('SIGKILL');
  await load.end();
  if (!(await until(() => workers.every((pid) => !isAlive(pid)), LIMIT_MS))) scene.seen.push(`round ${round}: a worker outlived its primary`);
}

async function killWorker(scene: Scene, round: number): Promise<void> {
  const { dice, home } = scene;
  const daemon = await startDaemon(scene.program, home);
  const workers = childrenOf(daemon.pid);
  const victim = workers[dice.below(workers.length)] ?? -1;
  const load = startLoad(scene, daemon, round);
  await pause(LEAD_MS + dice.below(SPREAD_MS));
  process.kill(victim, 'SIGKILL');
  await pause(GOES_ON_MS);
  await load.end();
  const endedMs = performance.now();
  if (!(await until(() => readBooks(home.database).openHolds === 0, LIMIT_MS))) scene.seen.push(`round ${round}: holds of a dead worker stayed open`);
  scene.closedMs.push(performance.now() - endedMs);
  if (!(await until(() => childrenOf(daemon.pid).filter((pid) => !workers.includes(pid)).length === 1, LIMIT_MS))) scene.seen.push(`round ${round}: nobody took the dead worker’s place`);
  if (load.answersAfter(endedMs - GOES_ON_MS) === 0) scene.seen.push(`round ${round}: no answer while one worker was left`);
  await daemon.end(dice.below(2) === 0 ? 'SIGTERM' : 'SIGKILL');
  await until(() => childrenOf(daemon.pid).length === 0 && workers.every((pid) => !isAlive(pid)), LIMIT_MS);
}

/** 64 clients, half of them streaming; one whose connection broke calls again until the load ends. */
function startLoad({ home, calls, seen }: Scene, daemon: Daemon, round: number): { end(): Promise<void>; answersAfter(ms: number): number } {
  const agent = freshAgent();
  const [key = ''] = home.keys;
  const times: number[] = [];
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let turn = 0; !isOver && daemon.ended() === undefined; turn += 1) {
      const askedMs = performance.now();
      const received = await call({ url: daemon.url, key, agent, signal: AbortSignal.timeout(LIMIT_MS), model: 'torture-chat', stream: client % 2 === 0, tag: `W${round}-${client}-${turn}${client % 8 === 0 && turn === 0 ? '-slow' : ''}` });
      calls.push(received);
      if (received.whole && received.status === 200) times.push(performance.now());
      if (performance.now() - askedMs > LIMIT_MS) seen.push(`round ${round}: a call that nobody answered and nobody broke off`);
      if (received.broke) await pause(LEAD_MS);
    }
  });
  return {
    end: async () => {
      isOver = true;
      await Promise.all(clients);
      agent.destroy();
    },
    answersAfter: (ms) => times.filter((time) => time > ms).length,
  };
}

/** The processes that this one has begun. */
export function childrenOf(pid: number): readonly number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, 'utf8').split(' ').filter((part) => part !== '').map(Number) : [];
}

/** A process that has ended and waits to be seen off by its parent is none any more. */
export function isAlive(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) [ZX] /.test(readFileSync(path, 'utf8'));
}
