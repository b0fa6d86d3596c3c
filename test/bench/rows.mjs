// What grows with the books, and what must not: the same commands, calls, writes and reads on few rows and on many.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { requestBody } from './canned.mjs';
import { median, table } from './figures.mjs';
import { fill } from './fill.mjs';
import { accountOf, runAlone } from './ledger.mjs';
import { freePort } from './rig.mjs';
import { furnish, serve } from './servers.mjs';

const PROGRAM = fileURLToPath(new URL('../../bin/findtoken.js', import.meta.url));
/** Daemon and commands are compared at the first and the last, the books alone at the middle and the last. */
const ROWS = { few: 100_000, some: 1_000_000, many: 10_000_000 };
const QUICK_ROWS = { few: 5_000, some: 20_000, many: 50_000 };
const CALLS = 200;
const STARTS = 2;
/** A shell adds up what its children cost. */
const LOOP = 'i=0; n=$1; shift; while [ $i -lt $n ]; do "$@" >/dev/null 2>&1 </dev/null || exit 1; i=$((i+1)); done; times';
const agent = new Agent({ keepAlive: true });

export async function measureRows(bench) {
  const { plan, say } = bench;
  const counts = plan.isQuick ? QUICK_ROWS : { ...ROWS, ...(plan.rows === undefined ? {} : { many: plan.rows }) };
  const homes = {};
  for (const [name, count] of Object.entries(counts)) homes[name] = await openHome(bench, name, count);
  const alone = await measureAlone(bench, homes);
  await bench.rig.remove(homes.some.folder);
  const told = await measureDaemons(bench, homes);
  const label = (count) => count.toLocaleString('en');
  say(`\nRequest rows: ${label(counts.few)}, ${label(counts.some)} and ${label(counts.many)}; the last file has ${(homes.many.bytes / 1e6).toFixed(0)} MB\n`);
  say(table([
    ['what', `at ${label(counts.few)}`, `at ${label(counts.some)}`, `at ${label(counts.many)}`, 'ratio'],
    ...alone.rows.map(({ what, unit, some, many, ratio }) => [what, '', `${some.toFixed(0)} ${unit}`, `${many.toFixed(0)} ${unit}`, ratio.toFixed(2)]),
    ...told.map(({ what, unit, few, many, ratio }) => [what, `${few.toFixed(0)} ${unit}`, '', `${many.toFixed(0)} ${unit}`, ratio.toFixed(2)]),
  ]));
  return { measures: { ...alone.measures, 'rows-all': Math.max(...told.map(({ ratio }) => ratio)) } };
}

/** Writes, pages and balances without a daemon, in turns. */
async function measureAlone({ rig, plan }, { some, many }) {
  const rounds = plan.isQuick ? 1 : 5;
  const alone = async ({ database, accountId }) => {
    const [{ batches: [{ perS }], pageUs, deepUs, balanceUs }] = await runAlone(rig, { path: database, accountId, rounds: 1, seconds: plan.isQuick ? 0.4 : 1, batches: [64] });
    return { perS, pageUs, deepUs, balanceUs };
  };
  for (const home of [some, many]) await alone(home);
  const pairs = await inTurns(rounds, () => alone(some), () => alone(many));
  const row = (what, field, unit) => ({
    what, unit, some: median(pairs.map(([one]) => one[field])), many: median(pairs.map(([, other]) => other[field])), ratio: median(pairs.map(([one, other]) => other[field] / one[field])),
  });
  const rows = [row('durable writes/s, 64 in a commit', 'perS', ''), row('a page of 50 rows, the newest', 'pageUs', 'µs'), row('a page of 50 rows, a deep one', 'deepUs', 'µs'), row('a balance', 'balanceUs', 'µs')];
  return { rows, measures: { 'rows-writes': rows[0].ratio, 'rows-page': Math.max(rows[1].ratio, rows[2].ratio), 'rows-balance': rows[3].ratio } };
}

/** What people and clients do, with a daemon on either database. */
async function measureDaemons({ rig, plan }, { few, many }) {
  const rounds = plan.isQuick ? 2 : 7;
  const pids = [await serve(rig, few), await serve(rig, many)];
  const rows = [];
  const row = (what, unit, pairs) => rows.push({ what, unit, few: median(pairs.map(([one]) => one)), many: median(pairs.map(([, other]) => other)), ratio: median(pairs.map(([one, other]) => other / one)) });
  for (const args of [['stats', '--once'], ['usage', '--by', 'model'], ['logs']]) row(`\`${args.join(' ')}\`, CPU time`, 'ms', await inTurns(rounds, () => cpuMs(few, args), () => cpuMs(many, args)));
  for (const { what, path, body } of [{ what: 'a page of billing logs', path: '/v1/user/billing-logs?limit=50' }, { what: 'a chat call', path: '/v1/chat/completions', body: requestBody('json') }]) {
    for (const home of [few, many]) await p50Us(home, path, body);
    row(what, 'µs', await inTurns(rounds, () => p50Us(few, path, body), () => p50Us(many, path, body)));
  }
  agent.destroy();
  for (const pid of pids) await rig.end(pid);
  return rows;
}

async function inTurns(rounds, one, other) {
  const pairs = [];
  for (let round = 0; round < rounds; round += 1) {
    const first = await (round % 2 === 0 ? one : other)();
    const second = await (round % 2 === 0 ? other : one)();
    pairs.push(round % 2 === 0 ? [first, second] : [second, first]);
  }
  return pairs;
}

/** A home with that many ended requests. */
async function openHome({ rig, say, origins }, name, count) {
  const home = await furnish(rig, await freePort(), await origins(), { name: `rows-${name}` });
  const accountId = await accountOf(home.command);
  const startedMs = performance.now();
  fill(home.database, count);
  const bytes = statSync(home.database).size;
  say(`- ${count.toLocaleString('en')} request rows written in ${((performance.now() - startedMs) / 1000).toFixed(0)} s, ${(bytes / 1e6).toFixed(0)} MB`);
  return { ...home, accountId, bytes };
}

function cpuMs({ config }, args) {
  const told = execFileSync('bash', ['-c', LOOP, 'bash', String(STARTS), process.execPath, PROGRAM, ...args, '--config', config], { env: { ...process.env, LC_ALL: 'C' }, encoding: 'utf8' });
  const times = [...told.trim().split('\n').at(-1).matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1_000);
  return times.reduce((sum, ms) => sum + ms, 0) / STARTS;
}

async function p50Us({ port, headers }, path, body) {
  const times = [];
  for (let call = 0; call < CALLS; call += 1) {
    const startedMs = performance.now();
    await ask({ port, headers, path, body });
    times.push((performance.now() - startedMs) * 1_000);
  }
  return median(times);
}

function ask({ port, headers, path, body }) {
  return new Promise((resolve, reject) => {
    const asked = request({ agent, port, path, host: '127.0.0.1', method: body === undefined ? 'GET' : 'POST', headers: { 'content-type': 'application/json', ...headers } }, (answer) => {
      answer.resume().on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${path} answers ${answer.statusCode}`))));
    });
    asked.on('error', reject).end(body);
  });
}
