/** K: the daemon is killed at any moment and at chosen ones, under load, again and again; then the books are laid beside what was seen. */
import { rmSync, statSync } from 'node:fs';
import { call, freshAgent, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startCommand, startDaemon, type Daemon, type Home, type Program } from './machine.ts';
import { judge, readBooks, troubles, type Judgement } from './oracle.ts';
import { scriptYaml, startScript, type Script, type Stage } from './script.ts';
import type { Verdicts } from './verdict.ts';

export interface KillFigures {
  readonly kills: number;
  readonly byPoint: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly answers: number;
  readonly lost: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly invariantBreaks: number;
  readonly cutOff: number;
  readonly recovered: number;
  readonly released: number;
  readonly neverSent: number;
  /** Milliseconds from the start of the process until it listens, after a kill. */
  readonly readyMs: { readonly median: number; readonly worst: number };
}

interface Point {
  readonly id: string;
  readonly what: string;
  /** Every eighth client asks for streams so slow that their progress is noted in the books. */
  readonly slow?: true;
  /** Resolves at the moment to kill. */
  readonly moment: (scene: Scene) => Promise<void>;
}

interface Scene {
  readonly dice: Dice;
  readonly script: Script;
  readonly home: Home;
}

const CLIENTS = 64;
const MOMENT_LIMIT_MS = 4_000;

/** Chosen moments, hit by watching the provider or the files; what cannot be seen from outside is hit by chance, and counted afterwards. */
const POINTS: readonly (readonly [weight: number, Point])[] = [
  [40, { id: 'K1', what: 'any moment', moment: async (scene) => { await stage(scene, 'asked', 1); await wait(20 + scene.dice.below(480)); } }],
  [15, { id: 'K2', what: 'between the hold and the sending', moment: async ({ dice }) => wait(dice.below(25)) }],
  [10, { id: 'K3', what: 'the head has come, nothing was passed on', moment: (scene) => stage(scene, 'head', 40) }],
  [10, { id: 'K4', what: 'in the middle of a stream', moment: (scene) => stage(scene, 'words', 200) }],
  [4, { id: 'K4', what: 'in the middle of a stream', slow: true, moment: async (scene) => { await stage(scene, 'asked', 1); await wait(2_100 + scene.dice.below(900)); } }],
  [18, { id: 'K5', what: 'between the settlement and the last byte', moment: async (scene) => { await stage(scene, 'said', 60); await wait(scene.dice.below(5)); } }],
  [2, { id: 'K6', what: 'while the journal is folded into the file', moment: checkpoint }],
];

/** Runs `kills` rounds and judges all of them at the end, and after every tenth. */
export async function runKills(program: Program, wish: { readonly kills: number; readonly dice: Dice; readonly verdicts: Verdicts; /** This point and no other. */ readonly only?: string; readonly onRound?: (round: number) => void }): Promise<KillFigures> {
  const { dice, verdicts, kills } = wish;
  const script = await startScript();
  const home = await furnish({ yaml: scriptYaml(script.provider.url), credit: '10000', madeBy: program });
  const calls: Received[] = [];
  const byPoint: Record<string, number> = {};
  const readyMs: number[] = [];
  const broken = new Map<string, string>();
  const note = (judged: Judgement, round: number) => troubles(judged).forEach((trouble) => broken.has(trouble) || broken.set(trouble, `${trouble} (seen after kill ${round})`));
  try {
    for (let round = 1; round <= kills; round += 1) {
      if (round > 1 && dice.below(100) < 6) await killInRecovery(program, home, { dice, byPoint, readyMs: readyMs.at(-1) ?? 400 });
      const daemon = await startDaemon(program, home);
      readyMs.push(daemon.readyMs);
      const point = dice.pick(POINTS.filter(([, { id }]) => wish.only === undefined || id === wish.only));
      byPoint[point.id] = (byPoint[point.id] ?? 0) + 1;
      await load({ dice, script, home }, daemon, point, calls, round);
      wish.onRound?.(round);
      if (round % (wish.only === undefined ? 10 : 4) === 0 || round === kills) {
        await settleDown(program, home);
        note(judge(home.database, calls, script.log), round);
        // What a planted bug has broken is proof enough.
        if (wish.only !== undefined && broken.size > 0) break;
      }
    }
    const last = judge(home.database, calls, script.log);
    for (const [, point] of POINTS) if (point.id in byPoint && point.slow === undefined) verdicts.equal(point.id, `killed ${byPoint[point.id]} times: ${point.what}`, brief(broken), 'nothing');
    if ('K7' in byPoint) verdicts.equal('K7', `killed ${byPoint['K7']} times while a start was closing what a dead process left open`, brief(broken), 'nothing');
    readyMs.sort((a, b) => a - b);
    return {
      kills, byPoint, calls: calls.length, answers: last.answers, lost: last.lost.length, doubled: last.doubled.length, wrong: last.wrong.length + last.overcharged.length,
      invariantBreaks: last.breaks.length, cutOff: last.cutOff, recovered: last.recovered, released: last.released, neverSent: last.neverSent,
      readyMs: { median: Math.round(readyMs[readyMs.length >> 1] ?? 0), worst: Math.round(readyMs.at(-1) ?? 0) },
    };
  } finally {
    await script.close();
    home.remove();
  }
}

/** 64 clients, half of them streaming, until the process is gone. */
async function load(scene: Scene, daemon: Daemon, point: Point, calls: Received[], round: number): Promise<void> {
  const agent = freshAgent();
  const { home } = scene;
  const [key = ''] = home.keys;
  let dying = false;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let turn = 0; !dying; turn += 1) {
      const received = await call({ url: daemon.url, key, agent, model: 'torture-chat', stream: client % 2 === 0, tag: `K${round}-${client}-${turn}${point.slow === true && client % 8 === 0 ? '-slow' : ''}` });
      calls.push(received);
      if (received.broke) return;
    }
  });
  await Promise.race([point.moment(scene), wait(MOMENT_LIMIT_MS)]);
  scene.script.onStage = () => undefined;
  await daemon.end('SIGKILL');
  dying = true;
  await Promise.all(clients);
  agent.destroy();
}

/** K7: a start that recovers is killed before it listens; the next one must do all of it, once. */
async function killInRecovery(program: Program, home: Home, at: { readonly dice: Dice; readonly byPoint: Record<string, number>; readonly readyMs: number }): Promise<void> {
  at.byPoint['K7'] = (at.byPoint['K7'] ?? 0) + 1;
  const afterMs = at.readyMs * (0.5 + at.dice.below(50) / 100);
  await startDaemon(program, home, { onSpawn: (child) => setTimeout(() => child.kill('SIGKILL'), afterMs) }).then(
    (daemon) => daemon.end('SIGKILL'),
    (error: unknown) => {
      // It died before it listened, as it should.
      if (!(error instanceof Error && error.message.includes('SIGKILL'))) throw error;
    },
  );
}

/** One start and one proper end: nothing may be open afterwards. */
async function settleDown(program: Program, home: Home): Promise<void> {
  const daemon = await startDaemon(program, home);
  await daemon.end('SIGTERM');
}

/** K8: killed while it makes or changes the schema; K10: the command line killed while it books. */
export async function runOtherKills(program: Program, wish: { readonly rounds: number; readonly dice: Dice; readonly verdicts: Verdicts }): Promise<void> {
  const { dice, verdicts, rounds } = wish;
  const seen: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const home = await furnishWithoutBooks();
    await startDaemon(program, home, { onSpawn: (child) => setTimeout(() => child.kill('SIGKILL'), 70 + dice.below(120)) }).then((daemon) => daemon.end('SIGKILL'), () => undefined);
    const daemon = await startDaemon(program, home).catch((error: unknown) => String(error));
    if (typeof daemon === 'string') seen.push(daemon.slice(0, 200));
    else await daemon.end('SIGTERM');
    seen.push(...readBooks(home.database).breaks);
    home.remove();
  }
  verdicts.equal('K8', `killed ${rounds} times while the books were made`, seen.join('; ') || 'nothing', 'nothing');

  const home = await furnish({ yaml: scriptYaml('http://127.0.0.1:9/v1'), credit: '0' });
  const amounts: bigint[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = readBooks(home.database).wallets.get(home.accountId)?.balance ?? 0n;
    const child = startCommand(program, home, ['credits', 'grant', '1', '--note', 'torture']);
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await wait(120 + dice.below(400));
    child.kill('SIGKILL');
    await ended;
    amounts.push((readBooks(home.database).wallets.get(home.accountId)?.balance ?? 0n) - before);
  }
  const odd = amounts.filter((amount) => amount !== 0n && amount !== 100_000_000n);
  verdicts.equal('K10', `the command line killed ${rounds} times while it booked a credit (${amounts.filter((amount) => amount > 0n).length} had been booked)`, [...odd.map(String), ...readBooks(home.database).breaks].join('; ') || 'nothing', 'nothing');
  home.remove();
}

/** The books that `furnish` made go again: a start has to make them anew. */
async function furnishWithoutBooks(): Promise<Home> {
  const home = await furnish({ yaml: scriptYaml('http://127.0.0.1:9/v1'), credit: '0' });
  for (const ending of ['', '-wal', '-shm', '.lock']) rmSync(`${home.database}${ending}`, { force: true });
  return home;
}

/** Resolves when some answer is at this stage for the n-th time, n by chance. */
function stage({ dice, script }: Scene, wanted: Stage, within: number): Promise<void> {
  let left = 1 + dice.below(within);
  return new Promise((resolve) => {
    script.onStage = (reached) => {
      if (reached === wanted && (left -= 1) === 0) resolve();
    };
  });
}

/** The main file changes only when the journal is folded into it. */
async function checkpoint({ home }: Scene): Promise<void> {
  const before = statSync(home.database, { bigint: true }).mtimeNs;
  const untilMs = performance.now() + MOMENT_LIMIT_MS;
  while (statSync(home.database, { bigint: true }).mtimeNs === before && performance.now() < untilMs) await wait(1);
}

function brief(broken: ReadonlyMap<string, string>): string {
  const all = [...broken.values()];
  return all.length === 0 ? 'nothing' : `${all.slice(0, 5).join('; ')}${all.length > 5 ? `; and ${all.length - 5} more` : ''}`;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
