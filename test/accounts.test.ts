import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  accountView, activateAccount, balanceOf, createAccount, createKey, deactivateAccount, grantCredits, keyView, listByok, listKeys, listProviderKeys, listView,
  modelView, openByok, openProviderKeys, registerByok, removeByok, requestView, resolveAccount, revokeKey, rotateMasterKey, setAccountLimit, setProviderKey, testByok, utcMonth,
} from '../src/accounts/index.ts';
import type { ByokParts, KeyProbe } from '../src/accounts/index.ts';
import type { Model, Provider } from '../src/catalog/index.ts';
import { Fault } from '../src/faults.ts';
import { openLedger } from '../src/ledger/index.ts';
import type { Ledger, RequestRow } from '../src/ledger/index.ts';
import { parsePrice, USD } from '../src/money/index.ts';
import { hashKey, openVault } from '../src/vault/index.ts';

const NOON_MS = Date.UTC(2026, 10, 23, 12);
const MASTER = 'a'.repeat(64);

const provider = (id: string, rest: Partial<Provider> = {}): Provider => ({ id, name: id, baseUrl: `https://${id}.example/v1`, regions: {}, dialect: 'openai', keyFormat: '', ...rest });
const PROVIDERS = new Map(
  [provider('deepseek', { name: 'DeepSeek' }), provider('zhipu', { name: 'Zhipu', dialect: 'zhipu', regions: { china: 'https://china.example/v4' } })].map((one) => [one.id, one]),
);

/** Books on disk, a clock that stands, a vault with a master key of the environment. */
async function opened(t: Test) {
  const path = join(t.testdir(), 'books', 'findtoken.db');
  const ledger = await openLedger({ path, as: 'cli' });
  t.teardown(() => ledger.close());
  const vault = await openVault({
    source: { kind: 'env', name: 'MASTER' },
    env: { MASTER },
    home: t.testdirName,
    databasePath: path,
    notes: { get: (name) => ledger.note(name), set: (name, value) => ledger.setNote(name, value), once: (name, value) => ledger.noteOnce(name, value) },
    sealedRowsExist: async () => false,
  });
  return { ledger, vault, catalog: { providers: PROVIDERS }, nowMs: () => NOON_MS } satisfies ByokParts;
}

/** Asserts that a promise is refused with a code, and that its text says the mend. */
async function refused(t: Test, work: Promise<unknown>, code: string, says: RegExp, why: string, param?: string | null) {
  const error: unknown = await work.then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof Fault)) return t.fail(`${why}: not a Fault`, { error });
  t.equal(error.code, code, why);
  t.match(error.message, says, `${why}: the mend`);
  if (param !== undefined) t.equal(error.param, param, `${why}: the field at fault`);
}


t.test('an account opens once per address, and is found by address, by id, or by being the only one', async (t) => {
  const parts = await opened(t);
  await refused(t, resolveAccount(parts, undefined), 'not_found', /findtoken accounts create EMAIL/, 'none yet');
  const ann = await createAccount(parts, { email: '  Ann@Example.com ', pending: false });
  t.match(ann, { id: /^acct_/, email: 'ann@example.com', status: 'active', balance: 0n, held: 0n, createdMs: NOON_MS });
  t.equal((await resolveAccount(parts, undefined)).id, ann.id, 'the only one needs no name');
  t.equal((await resolveAccount(parts, 'ANN@example.com')).id, ann.id, 'an address whatever its case');
  t.equal((await resolveAccount(parts, ann.id)).id, ann.id, 'an id');
  await refused(t, createAccount(parts, { email: 'ANN@EXAMPLE.COM', pending: false }), 'invalid_request', /has an account already/, 'taken', null);
  await refused(t, resolveAccount(parts, 'bob@example.com'), 'not_found', /findtoken accounts list/, 'unknown');
  const bob = await createAccount(parts, { email: 'bob@localhost', pending: true });
  t.equal(bob.status, 'pending');
  await refused(t, resolveAccount(parts, undefined), 'invalid_request', /--account EMAIL/, 'several', 'account');
});

t.test('what is no address is refused', async (t) => {
  const parts = await opened(t);
  const cases = [
    ['', 'empty'], ['ann', 'no @'], ['@example.com', 'nothing before it'], ['ann@', 'nothing after it'], ['a@b@c', 'two of them'],
    ['an n@example.com', 'a space'], ['ann\x1b[2J@example.com', 'an escape sequence'], ['ann\u202e@example.com', 'a bidi mark'], [`${'a'.repeat(250)}@b.cd`, 'longer than mail allows'],
  ] as const;
  for (const [email, why] of cases) await refused(t, createAccount(parts, { email, pending: false }), 'invalid_request', /name@example\.com/, why, 'email');
  t.same(await parts.ledger.listAccounts(), [], 'nothing was stored');
});

t.test('an account changes its state and its limit; an unknown one is told', async (t) => {
  const parts = await opened(t);
  const { id } = await createAccount(parts, { email: 'ann@example.com', pending: true });
  t.equal((await activateAccount(parts, id)).status, 'active');
  t.equal((await deactivateAccount(parts, id)).status, 'deactivated');
  t.equal((await activateAccount(parts, id)).status, 'active', 'and comes back');
  t.equal((await setAccountLimit(parts, id, 1_200)).requestsPerMinute, 1_200);
  t.equal((await setAccountLimit(parts, id, undefined)).requestsPerMinute, undefined, 'the setting holds again');
  for (const limit of [0, -1, 1.5, Number.NaN, 1_000_001]) await refused(t, setAccountLimit(parts, id, limit), 'invalid_request', /whole number from 1/, `${limit} a minute`);
  for (const change of [activateAccount, deactivateAccount]) await refused(t, change(parts, 'acct_none'), 'not_found', /accounts list/, change.name);
  await refused(t, setAccountLimit(parts, 'acct_none', 5), 'not_found', /accounts list/, 'a limit for nobody');
});

t.test('a key is shown once, found by its hash, and ends when it is revoked', async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { id: otherId } = await createAccount(parts, { email: 'bob@example.com', pending: false });
  const made = await createKey(parts, { accountId, name: ' laptop 笔记本 ' });
  t.match(made, { id: /^key_/, name: 'laptop 笔记本', key: /^sk-ft_[0-9a-f]{64}$/ });
  t.equal((await parts.ledger.findKey(hashKey(made.key)))?.accountId, accountId);
  const [listed] = await listKeys(parts, accountId);
  t.notMatch(JSON.stringify(listed), made.key.slice(6, 40), 'the books know its hash and last four alone');
  t.same(listed && keyView(listed), { id: made.id, object: 'api_key', name: 'laptop 笔记本', key: `sk-ft_…${made.key.slice(-4)}`, created: NOON_MS / 1000, last_used: null, revoked: null });
  await refused(t, revokeKey(parts, { accountId: otherId, keyId: made.id }), 'not_found', /no API key/, "another account's key");
  await refused(t, revokeKey(parts, { accountId, keyId: 'key_none' }), 'not_found', /no API key/, 'an unknown key');
  t.ok(await parts.ledger.findKey(hashKey(made.key)), 'it still lives');
  await revokeKey(parts, { accountId, keyId: made.id });
  t.equal(await parts.ledger.findKey(hashKey(made.key)), undefined);
  const cases = [['', 'empty'], ['   ', 'blank'], ['x'.repeat(101), 'too long'], ['a\x1b[31mred', 'an escape sequence'], ['a\nb', 'a line break'], ['a\u2066b', 'a bidi mark']] as const;
  for (const [name, why] of cases) await refused(t, createKey(parts, { accountId, name }), 'invalid_request', /1 to 100 characters/, why, 'name');
  t.equal((await createKey(parts, { accountId, name: '𝒳'.repeat(100) })).name.length, 200, 'a character counts once, however it is encoded');
});

t.test('credits are given and taken back, never more than there are', async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const grant = (amount: bigint, note = 'welcome') => grantCredits(parts, { accountId, amount, note });
  t.same(await grant(20n * USD), { balance: 20n * USD });
  t.same(await grant(-5n * USD - 1n, 'one too many'), { balance: 15n * USD - 1n });
  await refused(t, grant(-16n * USD), 'invalid_request', /Only \$14\.99999999 are available/, 'more than there is', null);
  await refused(t, grant(0n), 'invalid_request', /give an amount/, 'nothing', 'amount');
  for (const amount of [1_000_000_000n * USD + 1n, -1_000_000_001n * USD]) await refused(t, grant(amount), 'invalid_request', /at most \$1000000000\.00/, 'more than sums can hold', 'amount');
  await refused(t, grant(USD, ' '), 'invalid_request', /1 to 500 characters/, 'no reason given', 'note');
  await refused(t, grantCredits(parts, { accountId: 'acct_none', amount: USD, note: 'x' }), 'not_found', /no account/, 'nobody');
  t.equal((await parts.ledger.findAccount(accountId))?.balance, 15n * USD - 1n, 'refusals changed nothing');
  t.same(await balanceOf(parts, accountId, { byokFreeRequests: 1_000_000 }), {
    object: 'balance', currency: 'usd', balance: 15, balance_exact: '14.99999999', held: 0, held_exact: '0.00000000', available: 15, available_exact: '14.99999999',
    byok: { month: '2026-11', requests: 0, free_requests: 1_000_000, remaining_free: 1_000_000 },
  }, 'shown to 6 decimals, and exact');
  await refused(t, balanceOf(parts, 'acct_none', { byokFreeRequests: 1 }), 'not_found', /no account/, 'the balance of nobody');
});

t.test('BYOK requests are counted by the month of UTC', async (t) => {
  t.equal(utcMonth(Date.UTC(2026, 10, 30, 23, 59, 59, 999)), '2026-11', 'the last millisecond');
  t.equal(utcMonth(Date.UTC(2026, 11, 1)), '2026-12', 'the first');
});

t.test('a registered key is sealed, masked, opened for its own row alone, and forgotten', async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { id: otherId } = await createAccount(parts, { email: 'bob@example.com', pending: false });
  const apiKey = 'abcdef0123456789.Zhipu5678';
  const view = await registerByok(parts, { accountId, provider: 'zhipu', apiKey: ` ${apiKey}\n`, name: 'work', region: 'china' });
  t.match(view, { id: /^byok_/, object: 'byok_key', provider: 'zhipu', name: 'work', region: 'china', key: 'sk-…5678', created: NOON_MS / 1000 });
  t.same(await listByok(parts, accountId), [view]);
  t.same(await listByok(parts, otherId), []);
  const [row] = await parts.ledger.listByokKeys(accountId);
  t.notMatch(Buffer.from(row?.sealed ?? []).toString('latin1'), apiKey, 'the books hold an envelope');
  t.same(await openByok(parts, { accountId, provider: 'zhipu' }), { provider: 'zhipu', baseUrl: 'https://china.example/v4', apiKey });
  t.equal(await openByok(parts, { accountId: otherId, provider: 'zhipu' }), undefined);
  await refused(t, removeByok(parts, { accountId: otherId, id: view.id }), 'not_found', /byok list/, "another account's key");
  await removeByok(parts, { accountId, id: view.id });
  await refused(t, removeByok(parts, { accountId, id: view.id }), 'not_found', /byok list/, 'forgotten already');
});

t.test('a key that cannot be one is refused before it is stored, and never repeated', async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const cases = [
    ['deepseek', '', undefined, /empty/, 'api_key', 'nothing'],
    ['deepseek', 'sk-one two', undefined, /spaces/, 'api_key', 'a space inside'],
    ['deepseek', 'sk-a\nsk-b', undefined, /line breaks/, 'api_key', 'two lines'],
    ['deepseek', 'sk-\x1b[31m', undefined, /characters that no key has/, 'api_key', 'an escape sequence'],
    ['deepseek', 'sk-ключ', undefined, /characters that no key has/, 'api_key', 'letters that no header carries'],
    ['deepseek', `sk-ft_${'0'.repeat(64)}`, undefined, /findtoken key/, 'api_key', 'our own key'],
    ['deepseek', 'x'.repeat(5_000), undefined, /longer than/, 'api_key', 'a file'],
    ['zhipu', 'nodot', undefined, /id\.secret/, 'api_key', 'one half'],
    ['zhipu', 'a.', undefined, /id\.secret/, 'api_key', 'an empty half'],
    ['zhipu', 'a.b.c', undefined, /id\.secret/, 'api_key', 'two dots'],
    ['zhipu', 'a.b', 'mars', /choose one of china/, 'region', 'an unknown region'],
    ['zhipu', 'a.b', 'https://evil.example', /choose one of china/, 'region', 'a URL for a region'],
    ['zhipu', 'a.b', 'constructor', /choose one of china/, 'region', 'a name every object has'],
    ['deepseek', 'sk-good', 'china', /leave the region out/, 'region', 'a region where there is none'],
    ['evil', 'sk-good', undefined, /known are deepseek, zhipu/, 'provider', 'an unknown provider'],
  ] as const;
  for (const [to, apiKey, region, says, param, why] of cases) {
    const work = registerByok(parts, { accountId, provider: to, apiKey, name: 'n', region });
    await refused(t, work, 'invalid_request', says, why, param);
    if (apiKey.length > 5) await work.catch((error: unknown) => t.notOk(String(error).includes(apiKey), `${why}: the key is not repeated`));
  }
  t.same(await parts.ledger.listByokKeys(accountId), []);
});

t.test("a test tells a good key from a refused one, and from a provider that does not tell", async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { id } = await registerByok(parts, { accountId, provider: 'zhipu', apiKey: 'a.b', name: 'n', region: 'china' });
  const whole = (status: number): Awaited<ReturnType<KeyProbe>> => ({ kind: 'whole', status, headers: {}, text: '' });
  const cases = [
    [whole(200), 'good', 200, /accepts/],
    [whole(401), 'refused', 401, /another region.*china/],
    [whole(403), 'refused', 403, /refuses/],
    [whole(500), 'unknown', 500, /says nothing of the key/],
    [whole(404), 'unknown', 404, /says nothing of the key/],
    [{ kind: 'failed', failure: 'dns', sent: false }, 'unknown', 0, /could not be reached \(dns\)/],
  ] as const;
  for (const [reply, verdict, status, detail] of cases) {
    const asked: unknown[] = [];
    const probe: KeyProbe = async (target) => (asked.push(target), reply);
    t.match(await testByok({ ...parts, probe }, { accountId, id }), { object: 'key_check', provider: 'zhipu', verdict, status, detail });
    t.match(asked, [{ provider: 'zhipu', baseUrl: 'https://china.example/v4', apiKey: 'a.b' }], 'asked where the key belongs');
  }
  await refused(t, testByok({ ...parts, probe: async () => whole(200) }, { accountId, id: 'byok_none' }), 'not_found', /byok list/, 'an unknown key');
});

t.test("the operator's key of a provider replaces the one before", async (t) => {
  const parts = await opened(t);
  await setProviderKey(parts, { provider: 'deepseek', apiKey: 'sk-first-key-0001' });
  const view = await setProviderKey({ ...parts, nowMs: () => NOON_MS + 1_000 }, { provider: 'deepseek', apiKey: 'sk-second-key-0002' });
  t.same(view, { object: 'provider_key', provider: 'deepseek', key: 'sk-…0002', updated: NOON_MS / 1000 + 1 });
  t.same(await listProviderKeys(parts), [view]);
  t.same([...(await openProviderKeys(parts))], [['deepseek', 'sk-second-key-0002']]);
  const [stored] = await parts.ledger.listProviderKeys();
  if (stored === undefined) return t.fail('a key is stored');
  await parts.ledger.saveProviderKey({ ...stored, provider: 'qwen' });
  await t.rejects(openProviderKeys(parts), /VaultError|sealed|row/i, 'a row that was moved does not open');
  const unreadable: string[] = [];
  t.same([...(await openProviderKeys(parts, (provider) => unreadable.push(provider)))], [['deepseek', 'sk-second-key-0002']], 'and stops no other provider');
  t.same(unreadable, ['qwen']);
  t.equal((await setProviderKey(parts, { provider: 'deepseek', apiKey: 'short' })).key, 'sk-…', 'of a short key nothing is shown');
  await refused(t, setProviderKey(parts, { provider: 'nobody', apiKey: 'sk-x' }), 'invalid_request', /known are/, 'an unknown provider', 'provider');
});

t.test('a key that is saved while the master key is being changed is not kept under the old one', async (t) => {
  const parts = await opened(t);
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  const { ledger } = parts;
  const inForce = (await ledger.note('master_key')) ?? '';
  const changed = () => ledger.setNote('master_key', `${'0'.repeat(16)} env:MASTER`);
  const meddled: Ledger = {
    ...ledger,
    saveProviderKey: async (...args) => (await changed(), ledger.saveProviderKey(...args)),
    saveByokKey: async (...args) => (await changed(), ledger.saveByokKey(...args)),
  };
  await refused(t, setProviderKey({ ...parts, ledger: meddled }, { provider: 'deepseek', apiKey: 'sk-first-key-0001' }), 'overloaded', /changed at this very moment, and nothing was kept/, "the operator's");
  await ledger.setNote('master_key', inForce);
  await refused(t, registerByok({ ...parts, ledger: meddled }, { accountId, provider: 'deepseek', apiKey: 'sk-first-key-0001', name: 'n', region: undefined }), 'overloaded', /nothing was kept/, "an account's own");
  t.same([await ledger.listProviderKeys(), await ledger.listByokKeys(accountId)], [[], []], 'nothing would open them');
  await ledger.setNote('master_key', inForce);
  t.match(await setProviderKey(parts, { provider: 'deepseek', apiKey: 'sk-first-key-0001' }), { key: 'sk-…0001' });

  await refused(t, setProviderKey({ ...parts, ledger: meddled }, { provider: 'deepseek', apiKey: 'sk-second-key-0002' }), 'overloaded', /nothing was kept/, 'a second one');
  await refused(t, setProviderKey(parts, { provider: 'deepseek', apiKey: 'sk-second-key-0002' }), 'overloaded', /nothing was kept/, 'and one whose master key was changed before');
  t.match(await listProviderKeys(parts), [{ provider: 'deepseek', key: 'sk-…0001' }], 'the earlier one is still there');
  await ledger.setNote('master_key', inForce);
  t.same([...(await openProviderKeys(parts))], [['deepseek', 'sk-first-key-0001']], 'and opens');
});

t.test("a key that takes another's place while all are sealed anew is sealed anew as well", async (t) => {
  const { ledger, vault, ...parts } = await opened(t);
  const next = 'b'.repeat(64);
  const notes = { get: (name: string) => ledger.note(name), set: (name: string, value: string) => ledger.setNote(name, value), once: (name: string, value: string) => ledger.noteOnce(name, value) };
  const under = (MASTER_KEYS: string) => openVault({ source: { kind: 'env', name: 'MASTER_KEYS' }, env: { MASTER_KEYS }, home: '/home/ann', databasePath: '/data/findtoken.db', notes, sealedRowsExist: async () => true });
  await setProviderKey({ ...parts, ledger, vault }, { provider: 'deepseek', apiKey: 'sk-first-key-0001' });
  const other = vault.seal('sk-other-key-0002', { table: 'provider', rowId: 'deepseek', accountId: '', provider: 'deepseek' });
  let saved: Promise<unknown> | undefined;
  const meddled: Ledger = {
    ...ledger,
    resealAll: (reseal) => ledger.resealAll({
      ...reseal,
      provider: (row) => {
        saved ??= ledger.saveProviderKey({ provider: 'deepseek', last4: '0002', sealed: other, updatedMs: NOON_MS });
        return reseal.provider(row);
      },
    }),
  };
  t.match(await rotateMasterKey({ ledger: meddled, vault: await under(`${MASTER},${next}`) }, { forgetOld: true }), { resealed: 1 });
  await saved;
  t.same(await openProviderKeys({ ledger, vault: await under(next) }), new Map([['deepseek', 'sk-other-key-0002']]), 'the old master key is needed for nothing more');
});

t.test('the shapes in JSON are those of the contract', async (t) => {
  t.same(listView([1, 2], '7'), { object: 'list', data: [1, 2], has_more: true, next: '7' });
  t.same(listView([], undefined), { object: 'list', data: [], has_more: false, next: null });
  const row: RequestRow = {
    id: 'req_1', createdMs: NOON_MS + 999, accountId: 'acct_1', keyId: 'key_1', model: 'deepseek-chat', requestedModel: 'deepseek-chat:cheapest', provider: 'deepseek',
    mode: 'standard', stream: true, status: 'ok', promptTokens: 1_900, cachedTokens: 1_200, completionTokens: 130, reasoningTokens: 0, usageOrigin: 'reported',
    cost: 14_534n, providerCost: 13_776n, fee: 758n, shortfall: 0n, latencyMs: 812, firstByteMs: undefined, attempts: 2,
  };
  t.same(requestView(row), {
    id: 'req_1', object: 'billing_log', created: NOON_MS / 1000, model: 'deepseek-chat', requested_model: 'deepseek-chat:cheapest', provider: 'deepseek', mode: 'standard',
    stream: true, status: 'ok', prompt_tokens: 1_900, cached_tokens: 1_200, completion_tokens: 130, total_tokens: 2_030, usage_origin: 'reported', cost: 0.000145,
    cost_exact: '0.00014534', latency_ms: 812, first_byte_ms: null, attempts: 2, key_id: 'key_1',
  });
  const account = { id: 'acct_1', email: 'a@b', status: 'active', frozen: true, balance: -5n * USD, held: 1n, requestsPerMinute: undefined, createdMs: 1_999, activityMs: 2_000 } as const;
  t.same(accountView(account), {
    id: 'acct_1', object: 'account', email: 'a@b', status: 'active', frozen: true, balance: -5, balance_exact: '-5.00000000', held: 0, held_exact: '0.00000001',
    available: -5, available_exact: '-5.00000001', requests_per_minute: null, created: 1, last_activity: 2,
  });
});

t.test('a model shows its price per token exactly, and what it takes', async (t) => {
  const model: Model = {
    id: 'deepseek-chat', name: 'DeepSeek Chat', provider: 'deepseek', upstream: 'deepseek-flash', force: {}, drop: ['temperature'], contextWindow: 131_072, maxOutput: 8_192,
    price: { input: parsePrice('0.14'), cachedInput: parsePrice('0.0028'), output: parsePrice('28') }, cost: undefined, priced: '2026-11-23', capabilities: ['tools', 'json_object', 'vision'],
    source: '', sandbox: false,
  };
  const equivalents = new Map([['deepseek-chat', ['qwen-max', 'glm-4-plus']]]);
  t.same(modelView(model, { equivalents }, 0), {
    id: 'deepseek-chat', object: 'model', created: Date.UTC(2026, 10, 23) / 1000, owned_by: 'deepseek', name: 'DeepSeek Chat', provider: 'deepseek', context_length: 131_072,
    pricing: { prompt: '0.00000014', completion: '0.000028', input_cache_read: '0.0000000028' },
    architecture: { modality: 'text+image->text', input_modalities: ['text', 'image'], output_modalities: ['text'] },
    top_provider: { context_length: 131_072, max_completion_tokens: 8_192 },
    supported_parameters: ['max_tokens', 'top_p', 'stop', 'frequency_penalty', 'presence_penalty', 'tools', 'tool_choice', 'response_format'],
    equivalents: ['qwen-max', 'glm-4-plus'],
  });
  const bare = modelView({ ...model, id: 'lone', priced: '', sandbox: true, price: { input: 0n, cachedInput: 1_000_000_000_000n, output: 1n } }, { equivalents }, 0);
  t.match(bare, { created: 0, sandbox: true, equivalents: [], pricing: { prompt: '0', input_cache_read: '1', completion: '0.000000000001' } });
});
