/** A: another program's attacks, `slowhttptest` of Debian, while fifty ordinary streams run. It installs nothing. */
import { spawn, spawnSync } from 'node:child_process';
import { Agent } from 'node:http';
import { call, type Received } from './calls.ts';
import { furnish, startDaemon, type Daemon, type Program } from './machine.ts';
import { judge, troubles } from './oracle.ts';
import { scriptYaml, startScript } from './script.ts';
import { pause } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface AttackWish {
  /** How long each attack lasts. */
  readonly seconds: number;
  readonly connections: number;
}

interface Attack {
  readonly what: string;
  /** @param asKey an Accept header with the key behind it: slowhttptest has no option for another header, and without a key each attack ends at the door */
  readonly args: (url: string, asKey: string) => readonly string[];
}

const STREAMS = 50;
/** Says that a stream is not held up, not that it is fast: the machine may have much else to do. */
const SLOWEST_MS = 10_000;
/** The attackers come from 127.0.0.1, the others from here: for the daemon they are two addresses. */
const OTHER_ADDRESS = '127.0.0.2';

const ATTACKS: readonly Attack[] = [
  { what: 'slow heads (slowloris)', args: (url, asKey) => ['-H', '-m', asKey, '-i', '2', '-t', 'POST', '-x', '24', '-u', `${url}/v1/chat/completions`] },
  { what: 'slow bodies', args: (url, asKey) => ['-B', '-m', asKey, '-i', '2', '-s', '8192', '-t', 'POST', '-x', '10', '-f', 'application/json', '-u', `${url}/v1/chat/completions`] },
  { what: 'slow reading', args: (url, asKey) => ['-X', '-m', asKey, '-w', '64', '-y', '256', '-n', '5', '-z', '32', '-k', '3', '-u', `${url}/v1/models`] },
];

const MISSING = 'slowhttptest is missing: `apt-get install slowhttptest` (Debian, Ubuntu), `brew install slowhttptest`';

/** Each attack in turn, with as many connections as asked; beside it fifty clients take one stream after another. */
export async function runAttacks(program: Program, verdicts: Verdicts, { seconds, connections }: AttackWish): Promise<Readonly<Record<string, number>>> {
  if (spawnSync('slowhttptest', ['-h']).error !== undefined) {
    for (const { what } of ATTACKS) verdicts.skip('A', `${what} by slowhttptest`, MISSING);
    return {};
  }
  const script = await startScript(30);
  const home = await furnish({ yaml: scriptYaml(script.provider.url), credit: '10000', madeBy: program });
  const daemon = await startDaemon(program, home);
  const calls: Received[] = [];
  const figures: Record<string, number> = { connections, seconds };
  try {
    const free = await streamsFor(daemon, home.keys[0] ?? '', 'free', () => pause(3_000), calls);
    figures['free ms'] = free.medianMs;
    for (const [at, { what, args }] of ATTACKS.entries()) {
      const before = daemon.vitals();
      let told = '';
      const beside = await streamsFor(daemon, home.keys[0] ?? '', `A${at}`, async () => {
        told = await attack([...args(daemon.url, `*/*\r\nAuthorization: Bearer ${home.keys[0] ?? ''}`), '-c', String(connections), '-r', String(Math.ceil(connections / 3)), '-l', String(seconds), '-p', '5']);
      }, calls);
      const after = daemon.vitals();
      figures[`${what}: streams`] = beside.count;
      figures[`${what}: median ms`] = beside.medianMs;
      figures[`${what}: worst ms`] = beside.worstMs;
      verdicts.that('A', `${what}, ${connections} connections: every one of the streams beside them came whole`, beside.broken === '' && beside.count >= STREAMS, beside.broken || `${beside.count} streams`);
      verdicts.that('A', `${what}: none of them was held up`, beside.worstMs < SLOWEST_MS, `the worst took ${beside.worstMs} ms, the median ${beside.medianMs} ms, without attack ${free.medianMs} ms`);
      verdicts.that('A', `${what}: the attacker itself finds the service available`, /service available:\s+YES/.test(told) && !/service available:\s+NO/.test(told), told.split('\n').filter((line) => /available|error/.test(line)).slice(-3).join('; '));
      verdicts.that('A', `${what}: memory is bounded`, after.rssKib - before.rssKib < 150 * 1_024, `${Math.round((after.rssKib - before.rssKib) / 1_024)} MiB more`);
    }
    verdicts.equal('A', 'the daemon lived through all of it', await daemon.end('SIGTERM'), 0);
    verdicts.equal('A', 'the books after all attacks', troubles(judge(home.database, calls, script.log)).join('; ') || 'in order', 'in order');
    return figures;
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/** Fifty clients, one stream after another each, for as long as `during` takes. */
async function streamsFor(daemon: Daemon, key: string, tag: string, during: () => Promise<void>, calls: Received[]): Promise<{ readonly count: number; readonly broken: string; readonly medianMs: number; readonly worstMs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: STREAMS, localAddress: OTHER_ADDRESS });
  const tooks: number[] = [];
  const broken: string[] = [];
  let isOver = false;
  const clients = Array.from({ length: STREAMS }, async (_, client) => {
    for (let turn = 0; turn === 0 || !isOver; turn += 1) {
      const startedMs = performance.now();
      const received = await call({ url: daemon.url, agent, key, model: 'torture-chat', stream: true, tag: `${tag}-${client}-${turn}` });
      tooks.push(performance.now() - startedMs);
      calls.push(received);
      if (received.status !== 200 || !received.whole) broken.push(`${received.tag}: ${received.status} ${received.text.slice(0, 80)}`);
      await pause(20);
    }
  });
  await during();
  isOver = true;
  await Promise.all(clients);
  agent.destroy();
  tooks.sort((a, b) => a - b);
  return { count: tooks.length, broken: broken.slice(0, 3).join('; '), medianMs: Math.round(tooks[tooks.length >> 1] ?? 0), worstMs: Math.round(tooks.at(-1) ?? 0) };
}

function attack(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('slowhttptest', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let told = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (told += text));
    child.on('error', reject);
    // Its lines are coloured for a terminal.
    child.on('exit', () => resolve(told.replaceAll(ANSI, '')));
  });
}

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, 'g');
