/** The suite's own proof: twelve bugs are planted in copies of the sources, one each, and each must be caught. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { besideTheCommandLine, dearerStandIn, poor } from './concurrency.ts';
import type { Dice } from './dice.ts';
import { runFsyncs } from './fsyncs.ts';
import { runKills } from './kills.ts';
import { buildProgram, type Patch, type Program } from './machine.ts';
import { runUpstreamFaults } from './upstream-faults.ts';
import { Verdicts } from './verdict.ts';

interface Control {
  readonly bug: string;
  readonly patches: readonly Patch[];
  /** What else the copy needs beside the sources. */
  readonly more?: readonly string[];
  /** The part that must catch it. */
  readonly part: string;
  readonly run: (program: Program, verdicts: Verdicts, dice: Dice) => Promise<unknown>;
}

export interface Caught {
  readonly bug: string;
  readonly part: string;
  readonly isCaught: boolean;
  /** The first verdict that broke. */
  readonly by: string;
  readonly ms: number;
}

const CONTROLS: readonly Control[] = [
  {
    bug: 'settles after the last byte has left',
    patches: [
      { file: 'src/gateway/relay.ts', from: "const receipt = await settle(booked, served, usage, 'ok');\n    mouth.finish(answer.close({ usage, cost: usdNumber(receipt.cost) }), receipt.cost, byok ? undefined : receipt.balance);", to: "const soon = settlementOf(booked, served, usage, 'ok').charge.total;\n    mouth.finish(answer.close({ usage, cost: usdNumber(soon) }), soon, byok ? undefined : 0n);\n    const receipt = await settle(booked, served, usage, 'ok');" },
    ],
    part: 'K5', run: (program, verdicts, dice) => runKills(program, { kills: 25, dice, verdicts, only: 'K5' }),
  },
  {
    bug: 'takes a hold without asking what is available',
    patches: [
      { file: 'src/ledger/holds.ts', from: 'const refused = refusal(purse, amount);', to: 'const refused: HoldResult | undefined = undefined;' },
      { file: 'src/ledger/schema.ts', from: 'CHECK (may_overdraw = 1 OR balance - held >= 0)', to: 'CHECK (balance = balance)' },
    ],
    part: 'N1, N2', run: (program, verdicts) => poor(program, verdicts, { parallel: 400 }),
  },
  {
    bug: 'notes a payment’s event before it knows whether it is new',
    patches: [{ file: 'src/ledger/recharges.ts', from: 'const isRepeated = means.isKnown(eventId);\n    means.note(eventId, nowMs);', to: 'means.note(eventId, nowMs);\n    const isRepeated = means.isKnown(eventId);' }],
    more: ['test', 'docs'], part: 'W1', run: testFile('webhooks'),
  },
  {
    bug: 'commits without waiting for the disk',
    patches: [{ file: 'src/ledger/connection.ts', from: "['synchronous', 'FULL', '2']", to: "['synchronous', 'NORMAL', '1']" }],
    part: 'K11', run: runFsyncs,
  },
  {
    bug: 'releases a hold after a timeout only',
    patches: [{ file: 'src/gateway/settle.ts', from: 'return booked.running.ledger.release(', to: "if (status !== 'request_timeout') return { id: booked.call.id, first: true, cost: 0n, shortfall: 0n, balance: 0n, held: 0n };\n  return booked.running.ledger.release(" }],
    part: 'U13', run: (program, verdicts) => runUpstreamFaults(program, verdicts, ['U13', 'U36']),
  },
  {
    bug: 'does not ask the provider for the usage of a stream',
    patches: [{ file: 'src/wire/outbound.ts', from: "{ ...fieldsOf(options), include_usage: true };", to: '{ ...fieldsOf(options) };' }],
    part: 'K1', run: (program, verdicts, dice) => runKills(program, { kills: 4, dice, verdicts, only: 'K5' }),
  },
  {
    bug: 'takes sealed secrets whose seal is 4 bytes long',
    patches: [{ file: 'src/vault/envelope.ts', from: 'const TAG_BYTES = 16;', to: 'const TAG_BYTES = 4;' }],
    more: ['test'], part: 'vault.test.ts', run: testFile('vault'),
  },
  {
    bug: 'follows redirects',
    patches: [
      { file: 'src/upstream/sockets.ts', from: "import { buildConnector, Pool } from 'undici';", to: "import { buildConnector, interceptors, Pool } from 'undici';" },
      { file: 'src/upstream/sockets.ts', from: '    headersTimeout: 0,\n    bodyTimeout: 0,\n  });', to: '    headersTimeout: 0,\n    bodyTimeout: 0,\n  }).compose(interceptors.redirect({ maxRedirections: 3 }));' },
    ],
    part: 'U36', run: (program, verdicts) => runUpstreamFaults(program, verdicts, ['U36']),
  },
  {
    bug: 'reads before it takes the write lock',
    patches: [{ file: 'src/ledger/books.ts', from: "'BEGIN IMMEDIATE'", to: "'BEGIN DEFERRED'" }],
    part: 'N3', run: besideTheCommandLine,
  },
  {
    bug: 'reckons a charge in floating point',
    patches: [{ file: 'src/money/charge.ts', from: 'const total = divideHalfUp(pico * (MILLION + usageFee), MILLION * PICO_PER_E8);', to: 'const total = BigInt(Math.round((Number(pico) / 1e12) * (1 + Number(usageFee) / 1e6) * 1e8));' }],
    more: ['test'], part: 'money.test.ts', run: testFile('money'),
  },
  {
    bug: 'counts months by the machine’s own zone',
    patches: [{ file: 'src/accounts/credits.ts', from: 'return new Date(nowMs).toISOString().slice(0, 7);', to: "const at = new Date(nowMs);\n  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}`;" }],
    more: ['test'], part: 'C3',
    run: async (program, verdicts) => {
      // The copy's own module: it reads the copy's sources.
      const copy: unknown = await import(pathToFileURL(join(program.root, 'test', 'torture', 'clock.ts')).href);
      if (typeof copy === 'object' && copy !== null && 'zones' in copy && typeof copy.zones === 'function') copy.zones(verdicts);
    },
  },
  {
    bug: 'holds for the cheapest who may answer',
    patches: [{ file: 'src/gateway/holds.ts', from: 'if (ceiling > dearest) dearest = ceiling;', to: 'if (dearest === 0n || ceiling < dearest) dearest = ceiling;' }],
    part: 'N5', run: dearerStandIn,
  },
];

/**
 * Plants the bugs in turn and tells which part caught each.
 * @param wanted a part of the bug's name; empty: all twelve
 * @param known bugs that were caught already, and are left out
 */
export async function runControls(dice: Dice, wanted: string, known: readonly string[], tell: (caught: Caught) => void): Promise<readonly Caught[]> {
  const all: Caught[] = [];
  for (const { bug, patches, more = [], part, run } of CONTROLS.filter((control) => control.bug.includes(wanted) && !known.includes(control.bug))) {
    const startedMs = performance.now();
    const verdicts = new Verdicts();
    const program = buildProgram(patches, more);
    try {
      await run(program, verdicts, dice.fork(bug));
    } finally {
      program.remove();
    }
    const [first] = verdicts.broken;
    const caught = { bug, part, isCaught: first !== undefined, by: first === undefined ? 'nothing' : `${first.id}: ${first.what}: ${first.detail.slice(0, 160)}`, ms: Math.round(performance.now() - startedMs) };
    tell(caught);
    all.push(caught);
  }
  return all;
}

/** A test of the house itself, run within the copy. */
function testFile(name: string): Control['run'] {
  return async (program, verdicts) => {
    const ran = spawnSync(process.execPath, ['--import', '@tapjs/typescript/import', join('test', `${name}.test.ts`)], {
      cwd: program.root, encoding: 'utf8', env: { ...process.env, TS_NODE_TRANSPILE_ONLY: '1', TAP: '1' }, timeout: 120_000,
    });
    const failed = /^\s*not ok \d+ - (.*)$/m.exec(ran.stdout)?.[1];
    const isRun = /^\s*ok \d+/m.test(ran.stdout);
    if (!isRun) throw new Error(`${name}.test.ts did not run:\n${ran.stdout.slice(-500)}${ran.stderr.slice(-1_000)}`);
    verdicts.that(`${name}.test.ts`, 'passes', ran.status === 0 && failed === undefined, failed ?? `exit ${String(ran.status)}`);
  };
}
