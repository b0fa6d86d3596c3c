import t, { type Test } from 'tap';
import { createAccount, createKey, grantCredits, SANDBOX_EMAIL } from '../src/accounts/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { handClock, openHouse, type House } from './support/house.ts';
import { json, startProvider, type FakeProvider } from './support/provider.ts';

const HELLO = { model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] };
const RETURN = { success_url: 'http://localhost:3000/ok', cancel_url: 'http://localhost:3000/no' };

async function provider(t: Test): Promise<FakeProvider> {
  const made = await startProvider();
  t.teardown(() => made.close());
  return made;
}

/** The account of `serve --sandbox` in a house of its own, with play money and a key. */
async function playIn({ ledger, url }: House): Promise<{ readonly accountId: string; ask(path: string, body: unknown): Promise<Response> }> {
  const parts = { ledger, nowMs: () => Date.now() };
  const { id: accountId } = await createAccount(parts, { email: SANDBOX_EMAIL, pending: false });
  await grantCredits(parts, { accountId, amount: parseUsd('10'), note: 'play money' });
  const { key } = await createKey(parts, { accountId, name: 'sandbox' });
  return {
    accountId,
    ask: (path, body) => fetch(`${url}${path}`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  };
}

t.test('play money is good while the sandbox is on', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { sandbox: true, books: 'cli', providers: { deepseek: deepseek.url } });
  const play = await playIn(house);
  for (const [model, served] of [['deepseek-chat', 'deepseek'], ['qwen-max', 'sandbox']] as const) {
    const played = await play.ask('/v1/chat/completions', { ...HELLO, model });
    t.match([played.status, played.headers.get('x-findtoken-provider')], [200, served], model);
  }
});

t.test('what the sandbox makes up stands in for no real provider, nor is it cheaper than one', async (t) => {
  const deepseek = await provider(t);
  const clock = handClock();
  const house = await openHouse(t, { sandbox: true, books: 'cli', clock, providers: { deepseek: deepseek.url } });
  const cheapest = await house.post({ ...HELLO, routing: 'cheapest' });
  t.match([cheapest.status, cheapest.headers.get('x-findtoken-provider')], [200, 'deepseek'], 'its equivalents have a lower price, and nobody real to answer');
  const before = await house.balance();
  deepseek.always(json(500, { error: { message: 'down' } }));
  for (const routing of ['auto', 'cheapest', 'fallback']) {
    const refused = await house.post({ ...HELLO, routing });
    t.equal(refused.status, 503, routing);
    clock.advance(600_000);
  }
  t.equal(await house.balance(), before, 'and nobody pays for it');
  const played = await house.post({ ...HELLO, model: 'qwen-max' });
  t.match([played.status, played.headers.get('x-findtoken-provider')], [200, 'sandbox'], 'a model without a key is rehearsed with as before');
});

t.test('where the sandbox is off, its account is told so, whatever is left in it', async (t) => {
  const deepseek = await provider(t);
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: deepseek.url } });
  const play = await playIn(house);
  const refused = await play.ask('/v1/chat/completions', HELLO);
  t.equal(refused.status, 403);
  t.match(await refused.json(), { error: { code: 'account_inactive', message: /sandbox's: its credits are play money.*key of another account.*--sandbox/ } });
  t.equal(deepseek.requests.length, 0);
  t.equal((await house.post(HELLO)).status, 200);
  const own = await play.ask('/v1/chat/completions', { ...HELLO, provider_key: { provider: 'deepseek', api_key: 'sk-of-somebody-0123456789' } });
  t.match([own.status, own.headers.get('x-findtoken-mode')], [200, 'byok'], 'a key of its own is nobody else\'s money');
  t.strictSame((await house.ledger.audit()).findings, []);
});

t.test('payments are rehearsed only where play money buys nothing real', async (t) => {
  const deepseek = await provider(t);
  let keyed = new Set<string>();
  const house = await openHouse(t, { sandbox: true, books: 'cli', credit: '0', providers: { deepseek: deepseek.url }, keyed: () => keyed });
  const play = await playIn(house);
  const ask = () => fetch(`${house.url}/v1/user/credits`, { method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ amount: 10, ...RETURN }) });
  const pay = (url: string) => fetch(url, { method: 'POST', headers: { origin: house.url } });
  const open = async (asked: Response): Promise<string> => {
    const body: unknown = await asked.json();
    if (typeof body !== 'object' || body === null || !('checkout_url' in body)) throw new Error(`no checkout: ${JSON.stringify(body)}`);
    return String(body.checkout_url);
  };
  const [first, second] = [await open(await ask()), await open(await ask())];
  t.equal((await pay(first)).status, 200, 'while nobody has a key, every account rehearses');
  t.equal(await house.balance(), parseUsd('9.45'));

  keyed = new Set(['deepseek']);
  const refused = await pay(second);
  t.equal(refused.status, 503);
  t.match(await refused.json(), { error: { code: 'payments_unavailable', message: /^Play money is not taken while a provider has a real key/ } });
  t.equal(await house.balance(), parseUsd('9.45'));
  t.equal((await pay(await open(await play.ask('/v1/user/credits', { amount: 10, ...RETURN })))).status, 200, "the sandbox's own account rehearses on");
});
