import { createHash } from 'node:crypto';
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
