import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { createAccount, createKey, listKeys } from '../src/accounts/index.ts';
import { openLedger } from '../src/ledger/index.ts';
import { openHouse } from './support/house.ts';

const NOW_MS = 1_800_000_000_000;

t.test('an account has a thousand live API keys at most, however many are made at once', async (t) => {
  const house = await openHouse(t);
  const { ledger, accountId } = house;
  const make = (n: number) => ledger.createKey({ id: `key_${n}`, accountId, name: 'many', hash: createHash('sha256').update(String(n)).digest(), last4: 'abcd', nowMs: NOW_MS });
  const made = await Promise.all(Array.from({ length: 1_005 }, (_, n) => make(n)));
  t.equal(made.filter((one) => one === 'made').length, 999, 'the house has one already');
  t.equal(made.filter((one) => typeof one === 'object').length, 6);

  const over = (path: string, method: string, body?: object) => fetch(`${house.url}${path}`, { method, headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const refused = await over('/v1/user/keys', 'POST', { name: 'one more' });
  t.equal(refused.status, 400);
  t.match(await refused.json(), { error: { code: 'invalid_request', message: /1000 API keys, the most .* Revoke one .* keys revoke/ } });
  const books = await openLedger({ path: house.settings.database.path, as: 'cli' });
  t.teardown(() => books.close());
  await t.rejects(createKey({ ledger: books, nowMs: Date.now }, { accountId, name: 'by the command line' }), { code: 'invalid_request' });

  const first = await (await over('/v1/user/keys?limit=2', 'GET')).json() as { data: { id: string }[]; next: string; has_more: boolean };
  t.match(first, { has_more: true, next: first.data[1]?.id });
  const second = await (await over(`/v1/user/keys?limit=100&after=${first.next}`, 'GET')).json() as { data: { id: string }[] };
  const all = (await listKeys({ ledger }, accountId)).map(({ id }) => id);
  t.same([...first.data, ...second.data].map(({ id }) => id), all.slice(0, 102), 'pages follow upon each other');
  const last = await (await over(`/v1/user/keys?limit=100&after=${all[900]}`, 'GET')).json();
  t.match(last, { has_more: false, next: null });
  const { id: bob } = await createAccount({ ledger, nowMs: Date.now }, { email: 'bob@example.com', pending: false });
  await createKey({ ledger, nowMs: Date.now }, { accountId: bob, name: 'his' });
  const [his] = await listKeys({ ledger }, bob);
  t.equal((await over(`/v1/user/keys?after=${his?.id}`, 'GET')).status, 400, "another account's key is no place to go on from");

  t.equal((await over('/v1/user/keys/key_1', 'DELETE')).status, 200);
  t.equal((await over('/v1/user/keys', 'POST', { name: 'in its place' })).status, 201);
});

t.test('an account that goes on making keys and revoking them pays for it alone: what is asked of them does not grow', async (t) => {
  const path = join(t.testdir({}), 'a.db');
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  for (const who of ['ann', 'bob']) await ledger.createAccount({ id: `acct_${who}`, email: `${who}@example.com`, status: 'active', nowMs: NOW_MS });
  const db = new Database(path);
  t.teardown(() => db.close());
  const many = (account: number, used: number, count: number, name: string) => db.prepare(`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count})
    INSERT INTO api_keys (id, account, name, hash, last4, created_ms, last_used_ms, revoked_ms) SELECT 'key_' || ? || n, ?, ?, randomblob(32), 'abcd', 1, ?, 2 FROM c`).run(name, account, name, used);
  many(100, 0, 1_100, 'unused');
  many(100, 5, 50, 'used');
  many(101, 0, 1_010, 'his');
  const make = (n: number) => ledger.createKey({ id: `key_new_${n}`, accountId: 'acct_ann', name: 'new', hash: createHash('sha256').update(`new ${n}`).digest(), last4: 'abcd', nowMs: NOW_MS });
  const counted = async (accountId: string) => {
    const names = (await ledger.listKeys(accountId)).map(({ name }) => name);
    return Object.fromEntries([...new Set(names)].map((name) => [name, names.filter((one) => one === name).length]));
  };
  await make(0);
  t.same(await counted('acct_ann'), { new: 1, used: 50, unused: 1_092 }, 'a few go with each new one');
  for (let n = 1; n < 20; n += 1) await make(n);
  t.same(await counted('acct_ann'), { new: 20, used: 50, unused: 1_000 }, 'the newest thousand stay, and whatever was used');
  t.equal((await ledger.listKeys('acct_ann')).at(-1)?.id, 'key_unused101', 'the oldest went');
  t.same(await counted('acct_bob'), { his: 1_010 }, 'nobody else loses any');
  await ledger.revokeKey('acct_ann', 'key_new_0', NOW_MS);
  await make(20);
  t.match((await ledger.listKeys('acct_ann')).find(({ id }) => id === 'key_new_0'), { revokedMs: NOW_MS }, 'one that was revoked just now is listed');

  const plan = (sql: string) => db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().map((row) => (typeof row === 'object' && row !== null && 'detail' in row ? String(row.detail) : '')).join('; ');
  t.match(plan('SELECT count(*) FROM api_keys WHERE account = 100 AND revoked_ms = 0'), /USING COVERING INDEX api_keys_live|USING INDEX api_keys_live/);
  t.match(plan('SELECT no FROM api_keys WHERE account = 100 AND revoked_ms > 0 AND last_used_ms = 0 ORDER BY no DESC LIMIT 8 OFFSET 1000'), /USING (?:COVERING )?INDEX api_keys_unused/);
});

t.test('an account has a hundred BYOK keys at most', async (t) => {
  const house = await openHouse(t);
  const { ledger, accountId } = house;
  const save = (n: number, name = 'many') => ledger.saveByokKey({ id: `byok_${n}`, accountId, provider: 'deepseek', region: undefined, name, last4: 'abcd', sealed: new Uint8Array([1]), createdMs: NOW_MS });
  const saved = await Promise.all(Array.from({ length: 103 }, (_, n) => save(n)));
  t.equal(saved.filter((one) => one === 'saved').length, 100);
  t.equal(saved.filter((one) => typeof one === 'object').length, 3);
  t.equal(await save(7, 'sealed anew'), 'saved', 'a known one can be written');
  const refused = await house.register('deepseek', 'sk-0123456789abcdef');
  t.equal(refused.status, 400);
  t.match(await refused.json(), { error: { code: 'invalid_request', message: /100 BYOK keys, the most .* Remove one/ } });
  t.equal(await ledger.removeByokKey(accountId, 'byok_7'), true);
  t.equal((await house.register('deepseek', 'sk-0123456789abcdef')).status, 201);
});
