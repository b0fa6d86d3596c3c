/** N: many at once against little money, changed keys and a second process on the same books. */
import Database from 'better-sqlite3';
import { call, codeOf, freshAgent, type Received } from './calls.ts';
import { furnish, startDaemon, type Daemon, type Home, type HomeWish, type Program } from './machine.ts';
import { judge, readBooks, troubles } from './oracle.ts';
import { costOf, PRICE, scriptYaml, startScript, tokensFor, usageBody, type Script } from './script.ts';
import { json, pause, startProvider } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

interface Scene {
  readonly daemon: Daemon;
  readonly home: Home;
  readonly script: Script;
}

/** Fewer in the short form: the machine is shared. */
export interface ConcurrencyWish {
  readonly parallel: number;
  readonly revocations: number;
  readonly openHolds: number;
}

export async function runConcurrency(program: Program, verdicts: Verdicts, wish: ConcurrencyWish): Promise<{ readonly readyWithHoldsMs: number }> {
  await poor(program, verdicts, wish);
  await besideTheCommandLine(program, verdicts);
  await dearerStandIn(program, verdicts);
  await sameKey(program, verdicts);
  await revoked(program, verdicts, wish);
  await lastFreeOnes(program, verdicts);
  await readAnew(program, verdicts);
  return { readyWithHoldsMs: await manyOpenHolds(program, verdicts, wish) };
}

/** Opens a home with a scripted provider, and closes everything afterwards. */
async function staged<T>(program: Program, wish: Partial<HomeWish>, play: (scene: Scene) => Promise<T>): Promise<T> {
  const script = await startScript(3);
  const home = await furnish({ yaml: scriptYaml(script.provider.url), madeBy: program, ...wish, ...(wish.yaml === undefined ? {} : { yaml: { ...scriptYaml(script.provider.url), ...wish.yaml } }) });
  const daemon = await startDaemon(program, home);
  try {
    return await play({ daemon, home, script });
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/** N1, N2, N4: a thousand calls over four keys of one account with a cent; half of them streams without a limit of their own. */
export async function poor(program: Program, verdicts: Verdicts, { parallel }: Pick<ConcurrencyWish, 'parallel'>): Promise<void> {
  await staged(program, { credit: '0.01', keys: 4 }, async ({ daemon, home, script }) => {
    const agent = freshAgent();
    const watch = watchAvailable(home);
    const calls = await Promise.all(Array.from({ length: parallel }, (_, at) => call({
      url: daemon.url, agent, key: home.keys[at % 4] ?? '', model: 'torture-chat', stream: at % 2 === 0, tag: `N1-${at}`, ...(at % 4 === 0 ? { body: { max_tokens: undefined } } : {}),
    })));
    agent.destroy();
    const { least, looks } = watch.stop();
    await daemon.end('SIGTERM');
    const answered = calls.filter(({ status }) => status === 200).length;
    verdicts.equal('N1', `${parallel} calls at once on $0.01, over 4 keys: each is answered or refused for want of money`, tellOthers(calls, [200, 402]), 'no other status');
    verdicts.that('N1', 'some are answered and some refused', answered > 0 && answered < parallel, `${answered} answered`);
    verdicts.that('N2', `what is available never falls below 0 (${looks} looks)`, least >= 0n && looks > 10, `least ${least}`);
    verdicts.equal('N4', 'streams that set no limit stay within what there is', troubles(judge(home.database, calls, script.log)).join('; ') || 'in order', 'in order');
  });
}

/** N3, N10: another process takes and gives credit all the while. */
export async function besideTheCommandLine(program: Program, verdicts: Verdicts): Promise<void> {
  await staged(program, { credit: '1' }, async ({ daemon, home, script }) => {
    const cli = await home.asCli();
    let storming = true;
    let booked = 0;
    const refused = new Map<string, number>();
    const booking = (async () => {
      for (let turn = 0; storming && turn < 2_000; turn += 1) {
        const done = await cli.grant({ accountId: home.accountId, amount: turn % 2 === 0 ? 1_000n : -1_000n, reference: `N10-${turn}`, note: 'torture', nowMs: Date.now() }).catch((error: unknown) => String(error));
        if (typeof done === 'string') refused.set(done, (refused.get(done) ?? 0) + 1);
        else booked += 1;
        await pause(1);
      }
    })();
    const agent = freshAgent();
    const calls: Received[] = [];
    await Promise.all(Array.from({ length: 32 }, async (_, client) => {
      for (let turn = 0; turn < 25; turn += 1) calls.push(await call({ url: daemon.url, agent, key: home.keys[0] ?? '', model: 'torture-chat', stream: client % 2 === 0, tag: `N3-${client}-${turn}`, signal: AbortSignal.timeout(20_000) }));
    }));
    storming = false;
    await booking;
    agent.destroy();
    await cli.close();
    await daemon.end('SIGTERM');
    verdicts.equal('N3', `800 calls while another process books ${booked} times: every call is answered or refused for want of money`, tellOthers(calls, [200, 402]), 'no other status');
    verdicts.equal('N10', 'and every booking is taken or refused for want of money', [...refused.keys()].filter((why) => why !== 'insufficient_credits').join('; ') || 'so it was', 'so it was');
    verdicts.equal('N3', 'the books afterwards', troubles(judge(home.database, calls, script.log)).join('; ') || 'in order', 'in order');
  });
}

/** N5: the cheap one fails, a dearer one answers at length; with money for the cheap one only. */
export async function dearerStandIn(program: Program, verdicts: Verdicts): Promise<void> {
  const cheap = await startProvider(json(400 + 4, { error: { message: 'gone', code: 'model_not_found' } }));
  const tokens = { prompt: 1_300, cached: 0, completion: 390 };
  const dear = await startProvider(json(200, { id: 'd', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'dear' }, finish_reason: 'stop' }], usage: usageBody(tokens) }));
  const yaml = {
    providers: { cheap: { base_url: cheap.url, api_key: 'good-key' }, dear: { base_url: dear.url, api_key: 'good-key' } },
    models: { 'cheap-chat': { provider: 'cheap', upstream: 'm', price: PRICE }, 'dear-chat': { provider: 'dear', upstream: 'm', price: { input: 1.37, cached_input: 1.37, output: 4.11 } } },
    equivalents: { 'cheap-chat': ['dear-chat'] },
  };
  try {
    await staged(program, { credit: '0.02', yaml }, async ({ daemon, home }) => {
      const calls = await Promise.all(Array.from({ length: 100 }, (_, at) => call({ url: daemon.url, key: home.keys[0] ?? '', model: 'cheap-chat', stream: false, tag: `N5-${at}` })));
      await daemon.end('SIGTERM');
      const books = readBooks(home.database);
      const short = [...books.rows.values()].filter(({ shortfall }) => shortfall > 0n).length;
      const due = costOf(tokens, { input: 1_370_000n, cached: 1_370_000n, output: 4_110_000n });
      const wrong = calls.filter(({ status, id }) => status === 200 && books.rows.get(id)?.cost !== due).length;
      verdicts.equal('N5', 'the hold covers the dearest who may answer, and the price is that of who did', `${tellOthers(calls, [200, 402])}, ${short} short, ${wrong} at another price, ${books.breaks.slice(0, 2).join('; ') || 'books in order'}`, 'no other status, 0 short, 0 at another price, books in order');
    });
  } finally {
    await Promise.all([cheap.close(), dear.close()]);
  }
}

/** N6: a hundred times the same call, with one Idempotency-Key. */
async function sameKey(program: Program, verdicts: Verdicts): Promise<void> {
  for (const stream of [false, true]) {
    await staged(program, {}, async ({ daemon, home, script }) => {
      const calls = await Promise.all(Array.from({ length: 100 }, () => call({ url: daemon.url, key: home.keys[0] ?? '', model: 'torture-chat', stream, tag: 'N6', headers: { 'idempotency-key': 'once' } })));
      await daemon.end('SIGTERM');
      const rows = [...readBooks(home.database).rows.values()];
      const paid = rows.reduce((sum, { cost }) => sum + cost, 0n);
      verdicts.equal('N6', `100 equal ${stream ? 'streams' : 'calls'} with one Idempotency-Key: one is sent and one is charged`,
        `${calls.filter(({ status, whole }) => status === 200 && whole).length} answers, ${script.log.length} sent, ${paid} paid`, `100 answers, 1 sent, ${costOf(tokensFor('N6'))} paid`);
    });
  }
}

/** N7: a key revoked in mid-stream ends nothing and opens nothing; N9: the same of a provider key. */
async function revoked(program: Program, verdicts: Verdicts, { revocations }: ConcurrencyWish): Promise<void> {
  await staged(program, { keys: revocations + 1 }, async ({ daemon, home }) => {
    const cli = await home.asCli();
    const keys = await cli.listKeys(home.accountId);
    const ask = (key: string, tag: string, headers = {}) => call({ url: daemon.url, key, model: 'torture-chat', stream: true, tag, headers });
    const [first = '', second = ''] = home.keys;
    const running = ask(first, 'N7-slow');
    await pause(600);
    await cli.revokeKey(home.accountId, keys.find(({ last4 }) => first.endsWith(last4))?.id ?? '', Date.now());
    const after = await ask(first, 'N7-after');
    verdicts.equal('N7', 'a key revoked in mid-stream: the stream ends well, the next call is refused', `${(await running).whole ? 'whole' : 'cut'}, then ${after.status}`, 'whole, then 401');

    let late = 0;
    for (const key of home.keys.slice(2)) {
      const id = keys.find(({ last4, name }) => name === `key ${home.keys.indexOf(key)}` && key.endsWith(last4))?.id ?? '';
      await ask(key, 'N7-before');
      await cli.revokeKey(home.accountId, id, Date.now());
      if ((await ask(key, 'N7-late')).status !== 401) late += 1;
    }
    verdicts.equal('N7', `${revocations - 1} keys revoked by another process, each refused at the very next request`, late, 0);

    await register(daemon, second);
    const byok = ask(second, 'N9-slow', { 'x-findtoken-mode': 'byok' });
    await pause(600);
    const [registered] = await cli.listByokKeys(home.accountId);
    await cli.removeByokKey(home.accountId, registered?.id ?? '');
    const next = await ask(second, 'N9-after', { 'x-findtoken-mode': 'byok' });
    verdicts.equal('N9', 'a provider key removed in mid-stream: the stream ends well, the next call is told so', `${(await byok).whole ? 'whole' : 'cut'}, then ${next.status}`, 'whole, then 400');
    await cli.close();
  });
}

/** N11: SIGHUP two hundred times under load. */
async function readAnew(program: Program, verdicts: Verdicts): Promise<void> {
  await staged(program, {}, async ({ daemon, home, script }) => {
    let isLoaded = true;
    const reading = (async () => {
      for (let times = 0; times < 200 && isLoaded; times += 1) {
        process.kill(daemon.pid, 'SIGHUP');
        await pause(5);
      }
    })();
    const agent = freshAgent();
    const calls = await Promise.all(Array.from({ length: 300 }, (_, at) => call({ url: daemon.url, agent, key: home.keys[0] ?? '', model: 'torture-chat', stream: at % 2 === 0, tag: `N11-${at}` })));
    await reading;
    isLoaded = false;
    agent.destroy();
    const exit = await daemon.end('SIGTERM');
    verdicts.equal('N11', '200 times SIGHUP under 300 calls', `${tellOthers(calls, [200])}, ${troubles(judge(home.database, calls, script.log)).join('; ') || 'in order'}, exit ${exit}`, 'no other status, in order, exit 0');
  });
}

/** N8: a hundred at once at the border of the free requests. */
async function lastFreeOnes(program: Program, verdicts: Verdicts): Promise<void> {
  await staged(program, { yaml: { billing: { byok_free_requests: 10 } } }, async ({ daemon, home }) => {
    const [key = ''] = home.keys;
    await register(daemon, key);
    const calls = await Promise.all(Array.from({ length: 100 }, (_, at) => call({ url: daemon.url, key, model: 'torture-chat', stream: at % 2 === 0, tag: `N8-${at}`, headers: { 'x-findtoken-mode': 'byok' } })));
    await daemon.end('SIGTERM');
    const rows = [...readBooks(home.database).rows.values()];
    verdicts.equal('N8', '100 at once with 10 free ones left', `${calls.filter(({ whole }) => whole).length} answered, ${rows.filter(({ cost }) => cost === 0n).length} free`, '100 answered, 10 free');
  });
}

async function register(daemon: Daemon, key: string): Promise<void> {
  const answer = await fetch(`${daemon.url}/v1/user/byok/register`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify({ provider: 'torture', api_key: 'own-key', name: 'mine', verify: false }) });
  if (answer.status !== 201) throw new Error(`not registered: ${await answer.text()}`);
}

/** P10: killed with a thousand holds open, it is ready again soon, and all of them are closed. */
async function manyOpenHolds(program: Program, verdicts: Verdicts, { openHolds }: ConcurrencyWish): Promise<number> {
  return staged(program, {}, async ({ daemon, home, script }) => {
    script.provider.always(() => undefined);
    const agent = freshAgent();
    const calls = Array.from({ length: openHolds }, (_, at) => call({ url: daemon.url, agent, key: home.keys[0] ?? '', model: 'torture-chat', stream: at % 2 === 0, tag: `P10-${at}` }));
    while (readBooks(home.database).openHolds < openHolds) await pause(50);
    await daemon.end('SIGKILL');
    await Promise.all(calls);
    agent.destroy();
    const again = await startDaemon(program, home);
    const { openHolds: left, breaks } = readBooks(home.database);
    await again.end('SIGTERM');
    verdicts.equal('P10', `killed with ${openHolds} holds open: all are closed when it listens again`, `${left} open, ${breaks.join('; ') || 'in order'}`, '0 open, in order');
    return Math.round(again.readyMs);
  });
}

/** Looks at the account's available balance for as long as it may, from a connection of its own. */
function watchAvailable(home: Home): { stop(): { readonly least: bigint; readonly looks: number } } {
  const db = new Database(home.database, { readonly: true }).defaultSafeIntegers(true);
  const look = db.prepare('SELECT balance - held FROM wallets WHERE name = ?').pluck();
  let least: bigint | undefined;
  let looks = 0;
  const timer = setInterval(() => {
    const available = look.get(home.accountId);
    looks += 1;
    if (typeof available === 'bigint' && (least === undefined || available < least)) least = available;
  }, 1);
  return {
    stop: () => {
      clearInterval(timer);
      db.close();
      return { least: least ?? 0n, looks };
    },
  };
}

function tellOthers(calls: readonly Received[], right: readonly number[]): string {
  const others = new Map<string, number>();
  for (const one of calls) {
    if (right.includes(one.status) && (one.status !== 200 || one.whole)) continue;
    const name = `${one.status} ${codeOf(one)}`;
    others.set(name, (others.get(name) ?? 0) + 1);
  }
  return [...others].map(([name, times]) => `${times} × ${name}`).join(', ') || 'no other status';
}
