// The books alone: durable writes a second and the time of a commit, beside what the disk itself can do.
import { join } from 'node:path';
import { bundle } from './bookless.mjs';
import { median, table } from './figures.mjs';
import { run } from './load.mjs';
import { freePort } from './rig.mjs';
import { furnish } from './servers.mjs';

const BATCHES = [1, 64, 512];

export async function measureLedger({ rig, plan, say, origins }) {
  const { database, command } = await furnish(rig, await freePort(), await origins(), { name: 'ledger' });
  const accountId = await accountOf(command);
  const rounds = plan.isQuick ? 2 : 7;
  const found = await runAlone(rig, { path: database, accountId, rounds, seconds: plan.isQuick ? 0.4 : 1, batches: BATCHES, disk: join(rig.folder, 'appends') });
  const of = (batch, field) => found.map((round) => round.batches.find((one) => one.batch === batch)[field]);
  const toDisk = (batch) => median(of(batch, 'perS').map((perS, round) => perS / found[round].appendsPerS));
  say(`\nThe books alone, one connection, \`synchronous=FULL\`: ${rounds} rounds. A write is a hold or a settlement; the disk itself: ${median(found.map(({ appendsPerS }) => appendsPerS)).toFixed(0)} appends of 4 KiB with fdatasync a second\n`);
  say(table([
    ['writes in a commit', 'durable writes/s', '× the disk', 'commit p50 µs', 'commit p99 µs'],
    ...BATCHES.map((batch) => [batch, median(of(batch, 'perS')).toFixed(0), toDisk(batch).toFixed(1), median(of(batch, 'p50Us')).toFixed(0), median(of(batch, 'p99Us')).toFixed(0)]),
  ]));
  return { measures: { 'ledger/disk': toDisk(64) } };
}

/** The id of the bench's one account. */
export async function accountOf(command) {
  const [{ id }] = JSON.parse(await command('accounts', 'list', '--json')).data;
  return id;
}

/** Runs `ledger-alone.ts` on the server's core and returns its rounds. */
export async function runAlone(rig, order) {
  const program = await bundle(join(rig.folder, 'ledger-alone'), 'alone.mjs', `import './test/bench/ledger-alone.ts';\n`);
  return JSON.parse(await run(rig.pinned(rig.serverCore, process.execPath, [program, JSON.stringify(order)])));
}
