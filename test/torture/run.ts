/** The torture suite's command: parts, seed and size by arguments; what came of it as text, and as figures for the docs. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SEEDED, type FailedSeed } from './again.ts';
import { runAttacks } from './attacks.ts';
import { runClientFaults } from './client-faults.ts';
import { runClock } from './clock.ts';
import { runConformance } from './conformance.ts';
import { runConcurrency } from './concurrency.ts';
import { runControls, type Caught } from './controls.ts';
import { throwDice, type Dice } from './dice.ts';
import { runFsyncs } from './fsyncs.ts';
import { runKills, runOtherKills } from './kills.ts';
import { buildProgram, type Program } from './machine.ts';
import { writeDocs } from './docs.ts';
import { runSoak } from './soak.ts';
import { runStorage } from './storage.ts';
import { runUpstreamFaults } from './upstream-faults.ts';
import { Verdicts, type Verdict } from './verdict.ts';
import { runWorkerKills } from './workers.ts';

/** What a part came to, as it is kept beside this file. */
export interface PartRecord {
  readonly seed: number;
  readonly commit: string;
  readonly node: string;
  readonly cores: number;
  readonly seconds: number;
  /** The long form of the part; left out by older runs. */
  readonly isPatient?: boolean;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly verdicts: readonly Verdict[];
}

export interface Figures {
  readonly parts: Readonly<Record<string, PartRecord>>;
  readonly controls: { readonly seed: number; readonly commit: string; readonly caught: readonly Caught[] } | undefined;
}

interface Wish {
  readonly kills: number;
  readonly requests: number;
  readonly isPatient: boolean;
  /** Leaves out what held at this commit in an earlier run of at least this size. */
  readonly isResumed: boolean;
}

const USUAL_PARTS = 'K,workers,U,E,N,C,S,H,A';

const FAILED_SEEDS = fileURLToPath(new URL('./failed-seeds.json', import.meta.url));
const LAST_RUN = fileURLToPath(new URL('./last-run.json', import.meta.url));

const PARTS: Readonly<Record<string, (program: Program, verdicts: Verdicts, dice: Dice, wish: Wish) => Promise<unknown>>> = {
  K: async (program, verdicts, dice, { kills }) => {
    const figures = await runKills(program, { kills, dice, verdicts, onRound: (round) => { if (round % 25 === 0) console.log(`     ${round} of ${kills} kills`); } });
    await runOtherKills(program, { rounds: Math.min(20, Math.max(3, Math.round(kills / 20))), dice, verdicts });
    await runFsyncs(program, verdicts);
    verdicts.skip('K9', 'killed inside the webhook’s transaction', 'test/webhooks.test.ts tells it, as W16');
    return figures;
  },
  workers: (program, verdicts, dice, { kills }) => runWorkerKills(program, { kills: Math.max(4, Math.round(kills / 10)), dice, verdicts }),
  U: (program, verdicts) => runUpstreamFaults(program, verdicts),
  E: (program, verdicts, _dice, { isPatient }) => runClientFaults(program, verdicts, isPatient),
  N: (program, verdicts, _dice, { isPatient }) => runConcurrency(program, verdicts, { parallel: 1_000, revocations: isPatient ? 1_001 : 101, openHolds: 1_000 }),
  C: (_program, verdicts) => runClock(verdicts),
  S: (program, verdicts, dice, { isPatient }) => runStorage(program, { copies: isPatient ? 200 : 20, dice, verdicts }),
  H: (program, verdicts) => runConformance(program, verdicts),
  A: (program, verdicts, _dice, { isPatient }) => runAttacks(program, verdicts, isPatient ? { seconds: 60, connections: 1_000 } : { seconds: 15, connections: 500 }),
  soak: (program, verdicts, dice, { requests }) => runSoak(program, verdicts, dice, requests),
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' }, kills: { type: 'string' }, minutes: { type: 'string' }, requests: { type: 'string' }, soak: { type: 'string' }, resume: { type: 'boolean', default: false },
      only: { type: 'string' }, long: { type: 'boolean', default: false }, controls: { type: 'boolean', default: false }, bug: { type: 'string', default: '' }, write: { type: 'boolean', default: false },
    },
  });
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
  const isOnlyWriting = values.write && process.argv.length === 3;
  const isOnlyControls = values.controls && values.only === undefined && values.kills === undefined && values.soak === undefined;
  console.log(`seed ${seed} (the same seed chooses the same points, delays and tags; the system decides who runs when)`);
  let isBroken = false;
  if (!isOnlyControls && !isOnlyWriting) {
    const only = [...new Set([...(values.only ?? USUAL_PARTS).split(','), ...(values.soak === undefined ? [] : ['soak'])])];
    const wish: Wish = { kills: Number(values.kills ?? 100), requests: Number(values.soak ?? values.requests ?? 10_000), isPatient: values.long, isResumed: values.resume };
    const untilMs = performance.now() + Number(values.minutes ?? 0) * 60_000;
    for (let turn = 0; turn === 0 || performance.now() < untilMs; turn += 1) isBroken = (await torture(seed + turn, only, wish)) || isBroken;
  }
  if (values.controls) isBroken = (await control(seed, values.bug, values.resume)) || isBroken;
  if (values.write) writeDocs(readFigures());
  process.exitCode = isBroken ? 1 : 0;
}

/** Runs the parts and keeps what they came to; true where something broke. */
async function torture(seed: number, only: readonly string[], wish: Wish): Promise<boolean> {
  const program = buildProgram();
  const built = commit();
  let isBroken = false;
  try {
    for (const name of only) {
      const part = PARTS[name];
      if (part === undefined) throw new Error(`there is no part ${name}; the parts are ${Object.keys(PARTS).join(', ')}`);
      if (wish.isResumed && hasHeld(readFigures().parts[name], name, built, wish)) {
        console.log(`${name}: held at ${built} already\n`);
        continue;
      }
      const startedMs = performance.now();
      const verdicts = new Verdicts(({ id, what, outcome, detail }) => console.log(`${outcome === 'held' ? ' ok ' : outcome === 'skipped' ? 'skip' : 'FAIL'} ${id.padEnd(4)} ${what}${outcome === 'held' ? '' : `: ${detail}`}`));
      const figures = await part(program, verdicts, throwDice(seed).fork(name), wish).catch((error: unknown) => {
        verdicts.that(name, 'the part came to its end', false, error instanceof Error ? (error.stack ?? error.message) : String(error));
      });
      const seconds = Math.round((performance.now() - startedMs) / 1000);
      console.log(`${name}: seed ${seed}, ${seconds} s, ${verdicts.all.length - verdicts.broken.length} of ${verdicts.all.length} held or skipped ${figures === undefined ? '' : JSON.stringify(figures)}\n`);
      keep({ ...readFigures(), parts: { ...readFigures().parts, [name]: { seed, commit: built, isPatient: wish.isPatient, node: process.version, cores: cpus().length, seconds, figures: recordOf(figures), verdicts: verdicts.all } } });
      if (verdicts.broken.length > 0 && SEEDED.includes(name)) keepSeed({ part: name, seed, commit: built });
      isBroken ||= verdicts.broken.length > 0;
    }
  } finally {
    program.remove();
  }
  return isBroken;
}

/** Held at this commit, and was as large and as patient as is wished now. */
function hasHeld(record: PartRecord | undefined, name: string, built: string, { kills, requests, isPatient }: Wish): boolean {
  if (record === undefined || record.commit !== built || built.endsWith('+') || record.verdicts.some(({ outcome }) => outcome === 'broken')) return false;
  const size = (figure: string) => Number(record.figures[figure] ?? 0);
  if (name === 'K') return size('kills') >= kills;
  if (name === 'workers') return size('kills') >= Math.round(kills / 10);
  if (name === 'soak') return size('requests') >= requests;
  return record.isPatient === true || !isPatient;
}

/** A seed that broke something is tried again by the short form, for ever. */
function keepSeed(failed: FailedSeed): void {
  const known = JSON.parse(readFileSync(FAILED_SEEDS, 'utf8')) as FailedSeed[];
  writeFileSync(FAILED_SEEDS, `${JSON.stringify([...known, failed], undefined, 1)}\n`);
  console.log(`seed ${failed.seed} of ${failed.part} is kept in test/torture/failed-seeds.json`);
}

async function control(seed: number, wanted: string, isResumed: boolean): Promise<boolean> {
  const before = readFigures().controls;
  const known = isResumed && before?.commit === commit() ? before.caught.filter(({ isCaught }) => isCaught).map(({ bug }) => bug) : [];
  const caught = await runControls(throwDice(seed).fork('controls'), wanted, known, (one) => {
    console.log(`${one.isCaught ? 'caught' : 'MISSED'} ${one.bug} (${one.part}, ${Math.round(one.ms / 100) / 10} s): ${one.by}`);
    const others = readFigures().controls?.caught.filter(({ bug }) => bug !== one.bug) ?? [];
    keep({ ...readFigures(), controls: { seed, commit: commit(), caught: [...others, one] } });
  });
  console.log(`${caught.filter(({ isCaught }) => isCaught).length} of ${caught.length} planted bugs caught`);
  return caught.some(({ isCaught }) => !isCaught);
}

function readFigures(): Figures {
  if (!existsSync(LAST_RUN)) return { parts: {}, controls: undefined };
  return JSON.parse(readFileSync(LAST_RUN, 'utf8')) as Figures;
}

function keep(figures: Figures): void {
  writeFileSync(LAST_RUN, `${JSON.stringify(figures, (_name, part: unknown) => (typeof part === 'bigint' ? String(part) : part), 1)}\n`);
}

/** The commit that is checked out, with a `+` where its sources were changed since. */
function commit(): string {
  const git = (...args: readonly string[]) => execFileSync('git', args, { cwd: fileURLToPath(new URL('../../', import.meta.url)), encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'src') === '' ? '' : '+'}`;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

await main();
