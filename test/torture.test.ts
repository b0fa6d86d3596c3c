/**
 * The short form of the torture suite: a few kills, every fault of a provider, every odd client, each once. The long form is
 * `node test/torture/run.mjs`; a seed that failed is tried again with FINDTOKEN_TORTURE_SEED.
 */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { SEEDED, tryAgain, type FailedSeed } from './torture/again.ts';
import { runAttacks } from './torture/attacks.ts';
import { runClientFaults } from './torture/client-faults.ts';
import { zones } from './torture/clock.ts';
import { besideTheCommandLine, dearerStandIn, poor } from './torture/concurrency.ts';
import { runConformance } from './torture/conformance.ts';
import { throwDice } from './torture/dice.ts';
import { runFsyncs } from './torture/fsyncs.ts';
import { runKills } from './torture/kills.ts';
import { buildProgram } from './torture/machine.ts';
import { runStorage } from './torture/storage.ts';
import { runUpstreamFaults } from './torture/upstream-faults.ts';
import { Verdicts } from './torture/verdict.ts';
import { runWorkerKills } from './torture/workers.ts';

// Against a hang; it takes two minutes where nothing else runs.
t.setTimeout(600_000);

const seed = Number(process.env['FINDTOKEN_TORTURE_SEED'] ?? Date.now() % 1_000_000_000);
const program = buildProgram();
t.teardown(() => program.remove());
t.comment(`seed ${seed}`);

/** Every verdict as a line of the test. */
function told(t: Test): Verdicts {
  return new Verdicts(({ id, what, outcome, detail }) => (outcome === 'skipped' ? t.comment(`skipped: ${id} ${what}: ${detail}`) : void t.ok(outcome === 'held', `${id} ${what}`, { diagnostic: outcome !== 'held', detail, seed })));
}

t.test('K: killed at any moment, nothing that came whole is lost, doubled or wrong', async (t) => {
  const figures = await runKills(program, { kills: 10, dice: throwDice(seed).fork('K'), verdicts: told(t) });
  t.comment(JSON.stringify(figures));
  t.ok(figures.answers > 0, 'there were answers to lose');
  await runFsyncs(program, told(t));
});

t.test('K: the same with two workers, of which one dies, or with them their primary', async (t) => {
  t.comment(JSON.stringify(await runWorkerKills(program, { kills: 4, dice: throwDice(seed).fork('workers'), verdicts: told(t) })));
});

t.test('seeds that once broke something, of every part that takes one', async (t) => {
  const seeds = JSON.parse(readFileSync(new URL('./torture/failed-seeds.json', import.meta.url), 'utf8')) as readonly FailedSeed[];
  for (const failed of seeds) await tryAgain(program, told(t), failed);
  t.comment(`${seeds.length} seeds`);
  t.same(seeds.filter(({ part }) => !SEEDED.includes(part)), [], 'none is kept of a part that takes none');
  const run = readFileSync(new URL('./torture/run.ts', import.meta.url), 'utf8');
  const given = [...run.matchAll(/^ {2}(\w+): (?:async )?\(program, verdicts, dice/gm)].map(([, part]) => part);
  t.same(new Set(given), new Set(SEEDED), 'each part that the long form gives dice can be tried again');
  await t.rejects(tryAgain(program, told(t), { part: 'U', seed: 1, commit: '' }), /takes no seed/);
});

t.test('U: every fault of a provider has its end and its price', async (t) => {
  const { faults, calls } = await runUpstreamFaults(program, told(t));
  t.comment(`${faults} faults, ${calls} calls`);
});

t.test('E: every client that leaves, stalls or lies', async (t) => {
  await runClientFaults(program, told(t), false);
});

t.test('H: malformed HTTP/1.1 is refused, and nothing hides in it', async (t) => {
  await runConformance(program, told(t));
});

t.test('A: another program\'s attacks beside fifty streams', async (t) => {
  t.comment(JSON.stringify(await runAttacks(program, told(t), { seconds: 6, connections: 200 })));
});

t.test('S: a disk that fails, and damage to the files', async (t) => {
  t.comment(JSON.stringify(await runStorage(program, { copies: 6, dice: throwDice(seed).fork('S'), verdicts: told(t) })));
});

t.test('N: many at once, beside another process', async (t) => {
  await poor(program, told(t), { parallel: 200 });
  await besideTheCommandLine(program, told(t));
  await dearerStandIn(program, told(t));
});

t.test('C: months are UTC\'s in every zone', async (t) => {
  zones(told(t));
});

t.test('the figures that the docs show are those of the last run', async (t) => {
  const { reliabilityPage, securityPage } = await import('./torture/docs.ts');
  const figures = JSON.parse(readFileSync(new URL('./torture/last-run.json', import.meta.url), 'utf8')) as Parameters<typeof reliabilityPage>[0];
  t.equal(readFileSync(new URL('../docs/reliability.md', import.meta.url), 'utf8'), reliabilityPage(figures));
  t.equal(readFileSync(new URL('../docs/SECURITY.md', import.meta.url), 'utf8'), securityPage(figures));
});
