// What a start costs: a command and the daemon beside an empty Node, in turns, and the RAM of a daemon that rests.
// Time on the clock, as a person or a supervisor waits for it; CPU time beside it, for a busy machine makes the clock tell tales.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cpuUs, median, rssMib, table } from './figures.mjs';
import { freePort } from './rig.mjs';
import { furnish } from './servers.mjs';

const PROGRAM = fileURLToPath(new URL('../../bin/findtoken.js', import.meta.url));
const MS = 1000;
const REST_MS = 3_000;

export async function measureStart({ rig, plan, say, origins }) {
  const rounds = plan.isQuick ? 5 : 21;
  const port = await freePort();
  const { config } = await furnish(rig, port, await origins(), { name: 'start' });
  const runs = { empty: [], help: [], ready: [] };
  let resting = Number.NaN;
  const takes = {
    empty: async () => commandMs(['-e', '0']),
    help: async () => commandMs([PROGRAM, '--help']),
    ready: async () => {
      const { ms, cpuMs, restingMib } = await daemonMs(config, runs.ready.length === 0 ? REST_MS : 0);
      if (restingMib !== undefined) resting = restingMib;
      return { ms, cpuMs };
    },
  };
  for (const take of Object.values(takes)) await take();
  for (let round = 0; round < rounds; round += 1) {
    const names = Object.keys(takes);
    for (const name of round % 2 === 0 ? names : names.toReversed()) runs[name].push(await takes[name]());
  }
  const ratio = (name, field = 'ms') => median(runs[name].map((run, round) => run[field] / runs.empty[round][field]));
  say(`\nStarts, in turns, ${rounds} rounds; the daemon rests at ${resting.toFixed(0)} MiB\n`);
  say(table([
    ['start', 'ms median', 'ms least', '× empty Node', 'CPU ms', '× CPU'],
    ...Object.entries({ empty: 'empty Node', help: '`--help`', ready: 'daemon until it listens' }).map(([name, what]) => [
      what, median(runs[name].map(({ ms }) => ms)).toFixed(0), Math.min(...runs[name].map(({ ms }) => ms)).toFixed(0), ratio(name).toFixed(2),
      median(runs[name].map(({ cpuMs }) => cpuMs)).toFixed(0), ratio(name, 'cpuMs').toFixed(2),
    ]),
  ]));
  return { measures: { help: ratio('help'), ready: ratio('ready'), resting } };
}

/** A program from its start to its end; its CPU time from a second run, in a shell, for Node does not tell what a child has cost. */
function commandMs(args) {
  const startedMs = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  const ms = performance.now() - startedMs;
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`);
  const { stdout } = spawnSync('bash', ['-c', '"$@" >/dev/null 2>&1 </dev/null; times', 'bash', process.execPath, ...args], { encoding: 'utf8' });
  const times = [...stdout.trim().split('\n').at(-1).matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60 * MS + Number(seconds) * MS);
  return { ms, cpuMs: times.reduce((sum, one) => sum + one, 0) };
}

/** The daemon from its start until it says that it listens; then, once, a rest and a look at its RAM. */
async function daemonMs(config, restMs) {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [PROGRAM, 'serve', '--config', config], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => (String(text).includes('listening') ? resolve() : undefined));
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)));
  });
  const ms = performance.now() - startedMs;
  const cpuMs = cpuUs(child.pid) / MS;
  if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
  const restingMib = restMs > 0 ? rssMib(child.pid) : undefined;
  child.removeAllListeners('exit');
  child.kill('SIGTERM');
  await ended;
  return { ms, cpuMs, restingMib };
}
