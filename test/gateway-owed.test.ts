import Database from 'better-sqlite3';
import t from 'tap';
import { Endings } from '../src/gateway/endings.ts';
import { StorageFault, type Receipt, type RequestEnd } from '../src/ledger/index.ts';
import { openHouse } from './support/house.ts';
import { json, pause, sse, startProvider, textChunks, until } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }], stream: true };
const HEAD = { id: 'chatcmpl-fake', created: 1_700_000_000, model: 'deepseek-flash' };

t.test('holds that cannot be closed, for another process keeps the books, are closed when it lets go', { timeout: 90_000 }, async (t) => {
  const provider = await startProvider(sse(textChunks(HEAD, 'one two three four five six seven eight nine ten'), { gapMs: 100 }));
  t.teardown(() => provider.close());
  const house = await openHouse(t, { providers: { deepseek: provider.url } });
  const before = await house.balance();
  const staying = await house.post(HELLO);
  const leaver = new AbortController();
  const leaving = await fetch(`${house.url}/v1/chat/completions`, {
    method: 'POST', signal: leaver.signal, body: JSON.stringify(HELLO), headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
  });
  await leaving.body?.getReader().read();
  const other = new Database(house.settings.database.path);
  t.teardown(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  leaver.abort();
  const answer = await staying.text();
  t.match(answer, /"code":"storage_unavailable"/, 'who stayed is told that it failed');
  t.notMatch(answer, /\[DONE\]/);
  t.ok(await until(() => house.lines.length === 2, 10_000));
  t.equal((await house.ledger.audit()).openHolds, 2, 'nothing could be written');
  // A slow stream may have noted its progress in vain meanwhile.
  const told = (): readonly string[] => house.logged.filter((line) => line.startsWith('endings_'));
  t.match(told(), [/^endings_delayed .*SQLITE_BUSY/]);
  other.exec('ROLLBACK');
  t.ok(await until(() => told().length === 2, 20_000));
  t.match(told()[1], /^endings_written \{"count":2\}/);
  const report = await house.ledger.audit();
  t.equal(report.openHolds, 0, 'no hold is left, and nothing was restarted');
  t.same(report.findings, []);
  const { rows } = await house.ledger.listRequests({ accountId: house.accountId }, { limit: 2 });
  const left = rows.find(({ status }) => status === 'aborted');
  t.ok((left?.cost ?? 0n) > 0n, 'who hung up pays for what came until then');
  t.match(rows.find(({ status }) => status === 'storage_unavailable'), { cost: 0n }, 'who stayed pays nothing');
  t.equal(before - (await house.balance()), left?.cost);
  t.match(await (await house.get('/metrics')).text(), /findtoken_cost_usd_total\{mode="standard",provider="deepseek",model="deepseek-chat"\} 0\.0/, 'the late charge is counted');
});

t.test('a repeat of a call whose release is owed is served when that is written, and told to come back before', async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: provider.url } });
  const release = house.ledger.release.bind(house.ledger);
  let isFull = true;
  Object.assign(house.ledger, { release: async (end: RequestEnd) => {
    if (isFull) throw new StorageFault('SQLITE_FULL');
    return release(end);
  } });
  const ask = (more: object = {}) => house.post({ ...HELLO, stream: false, ...more }, { 'idempotency-key': 'owed' });
  provider.next(json(400, { error: { message: 'no', type: 'invalid_request_error' } }));
  const first = await ask();
  t.equal(first.status, 400);
  const second = await ask();
  t.equal(second.status, 503, 'whether its key is free is not in the books yet');
  t.equal(second.headers.get('retry-after'), '5');
  t.match(await second.json(), { error: { code: 'overloaded', message: new RegExp(`Request ${first.headers.get('x-request-id')} `) } });
  t.equal((await ask({ temperature: 1 })).status, 422, 'another body is another body');
  isFull = false;
  const third = await ask();
  t.equal(third.status, 200, 'the books take it again: nobody waits for the next try');
  t.equal((await ask()).headers.get('idempotent-replayed'), 'true');
  t.equal(provider.requests.length, 2);
  const report = await house.ledger.audit();
  t.same([report.openHolds, report.findings], [0, []]);
});

t.test('ends that are owed are tried ever more rarely, each until it is written, and are bounded', async (t) => {
  const tries: string[] = [];
  let refusal: Error | undefined = new StorageFault('SQLITE_BUSY');
  const release = async ({ id }: RequestEnd): Promise<Receipt> => {
    tries.push(id);
    if (refusal !== undefined) throw refusal;
    return { id, first: true, cost: 0n, shortfall: 0n, balance: 0n, held: 0n };
  };
  const logged: string[] = [];
  const log = { warn: (event: string) => void logged.push(event), error: (event: string) => void logged.push(event) };
  const endings = new Endings({ ledger: { release, settle: release }, log, firstMs: 20, keptMax: 2 });
  t.teardown(() => endings.stop());
  const end = (id: string): RequestEnd => ({
    id, status: 'x', model: '', provider: '', promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0, usageOrigin: 'unknown', latencyMs: 0, firstByteMs: undefined, attempts: 0, nowMs: 0, price: undefined,
  });
  t.equal(endings.owe({ kind: 'release', end: end('a') }, new Error('a bug')), false, 'a bug is not waited for');
  for (const id of ['a', 'b', 'c', 'd']) t.equal(endings.owe({ kind: 'release', end: end(id) }, refusal), true);
  t.equal(endings.owed, 2);
  t.same(logged, ['endings_delayed', 'endings_dropped'], 'each is told once');
  await pause(400);
  t.ok(tries.length >= 2 && tries.length <= 5, `the wait doubles: ${tries.length} tries`);
  t.ok(tries.every((id) => id === 'a'), 'while the first is refused the others are not tried');
  refusal = undefined;
  t.ok(await until(() => endings.owed === 0, 2_000));
  t.same(tries.slice(-2), ['a', 'b']);
  t.same(logged.slice(2), ['endings_written']);

  refusal = new StorageFault('SQLITE_FULL');
  for (const id of ['g', 'h']) endings.owe({ kind: 'release', end: end(id) }, refusal);
  t.equal(await endings.hurry('h'), false, 'one that somebody waits for is tried at once');
  refusal = undefined;
  t.same([await endings.hurry('h'), await endings.hurry('h'), endings.owed], [true, false, 1], 'and is written once');
  t.ok(await until(() => endings.owed === 0, 2_000));
  t.ok(await until(() => logged.at(-1) === 'endings_written', 2_000));

  refusal = new Error('a bug');
  endings.owe({ kind: 'release', end: end('e') }, new StorageFault('SQLITE_FULL'));
  t.ok(await until(() => endings.owed === 0, 2_000), 'what no waiting mends is given up, and told');
  t.equal(logged.includes('ending_failed'), true);
  endings.stop();
  const { length } = tries;
  endings.owe({ kind: 'release', end: end('f') }, new StorageFault('SQLITE_FULL'));
  await pause(60);
  t.equal(tries.length, length, 'a gateway that has stopped tries no more');
});
