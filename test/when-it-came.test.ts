import t from 'tap';
import { grantCredits } from '../src/accounts/index.ts';
import type { HoldRequest } from '../src/ledger/index.ts';
import { byokFee, charge, formatUsdExact, priceAt, type Tokens } from '../src/money/index.ts';
import { openHouse, type House } from './support/house.ts';
import { echo, hang, json, startProvider, until } from './support/provider.ts';

/** A request costs what it did when it came, whatever is read from the settings while it runs, and the books say when that was. */

const TOKENS: Tokens = { prompt: 1_000, cached: 0, completion: 1_000 };
const USAGE = { prompt_tokens: TOKENS.prompt, completion_tokens: TOKENS.completion };
const USUAL = { input: 0.15, cached_input: 0.003, output: 0.6 };
const PEAK = { hours: ['01:00-04:00'], input: 0.3, cached_input: 0.006, output: 1.2 };
const MODELS = { x: { provider: 'acme', price: { ...USUAL, peak: PEAK } } };
const ask = (more: object = {}) => ({ model: 'x', messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 1_000, ...more });

/** What the daemon does at a reload: the objects stay, their fields change. */
const reload = (house: House, billing: Partial<House['settings']['billing']>): void => void Object.assign(house.settings.billing, billing);

t.test('the usage fee of a call that runs is the one it was held for', async (t) => {
  const acme = await startProvider();
  t.teardown(() => acme.close());
  const nowMs = Date.parse('2026-11-30T12:00:00Z');
  const house = await openHouse(t, { providers: { acme: acme.url }, yaml: { models: MODELS }, clock: { nowMs: () => nowMs } });
  acme.usage = USAGE;
  const price = priceAt(house.settings.catalog.models.get('x')!.price, nowMs);
  for (const stream of [false, true]) {
    reload(house, { usageFee: 55_000n });
    acme.next((request, response) => {
      reload(house, { usageFee: 300_000n });
      return echo(USAGE)(request, response);
    });
    const answer = await house.post(ask({ stream }));
    await answer.text();
    t.equal(formatUsdExact((await house.lastRow()).cost), formatUsdExact(charge(TOKENS, price, 55_000n).total), stream ? 'a stream' : 'a whole answer');
  }
  const next = await house.post(ask());
  await next.text();
  t.equal(formatUsdExact((await house.lastRow()).cost), formatUsdExact(charge(TOKENS, price, 300_000n).total), 'the next one bears the new');
  t.same((await house.ledger.audit()).findings, []);
});

t.test('so is the fee of a BYOK call', async (t) => {
  const acme = await startProvider();
  t.teardown(() => acme.close());
  const nowMs = Date.parse('2026-11-30T01:00:00Z');
  const house = await openHouse(t, { providers: { acme: acme.url }, yaml: { models: MODELS, billing: { byok_free_requests: 0 } }, clock: { nowMs: () => nowMs } });
  t.equal((await house.register('acme', 'sk-mine')).status, 201);
  acme.next((request, response) => {
    reload(house, { byokFee: 500_000n });
    return echo(USAGE)(request, response);
  });
  const answer = await house.post(ask());
  await answer.text();
  const { peak } = house.settings.catalog.models.get('x')!.price;
  t.equal(answer.headers.get('x-findtoken-mode'), 'byok');
  t.equal(formatUsdExact((await house.lastRow()).cost), formatUsdExact(byokFee(TOKENS, peak!.price, 50_000n).total), 'of the price of peak hours');
  t.same((await house.ledger.audit()).findings, []);
});

t.test('the row begins at the moment by which it is priced', async (t) => {
  const acme = await startProvider();
  t.teardown(() => acme.close());
  acme.usage = USAGE;
  const hour = Date.parse('2026-11-30T04:00:00Z');
  // Each look at the clock is a millisecond later: of several looks at the end of the peak hours some fall before it.
  let nowMs = hour;
  const house = await openHouse(t, { providers: { acme: acme.url }, yaml: { models: MODELS }, credit: '0.001', clock: { nowMs: () => nowMs++ } });
  const { price } = house.settings.catalog.models.get('x')!;
  const seen = new Set<boolean>();
  for (let before = 1; before <= 12; before += 1) {
    nowMs = hour - before;
    const answer = await house.post(ask());
    await answer.text();
    t.equal(answer.status, 200);
    const { createdMs, promptTokens, cachedTokens, completionTokens, cost, shortfall } = await house.lastRow();
    t.equal(formatUsdExact(cost + shortfall), formatUsdExact(charge({ prompt: promptTokens, cached: cachedTokens, completion: completionTokens }, priceAt(price, createdMs), 55_000n).total), new Date(createdMs).toISOString());
    seen.add(createdMs < hour);
    await grantCredits({ ledger: house.ledger, nowMs: () => nowMs }, { accountId: house.accountId, amount: cost, note: 'again' });
  }
  t.same(seen, new Set([true, false]), 'on both sides of the hour');
});

t.test('a call that nobody ended stands in the books as its first candidate, model and provider', async (t) => {
  const [acme, beta] = [await startProvider(), await startProvider()];
  t.teardown(() => Promise.all([acme.close(), beta.close()]));
  const yaml = { models: { x: { provider: 'acme', price: USUAL }, y: { provider: 'beta', price: USUAL } }, equivalents: { x: ['y'] }, routing: { retries: 0 } };
  const house = await openHouse(t, { providers: { acme: acme.url, beta: beta.url }, yaml });
  acme.next(json(500, {}));
  await (await house.post(ask())).text();
  // Now acme rests, and y at beta is whom the next one asks first.
  beta.always(hang());
  const ids: string[] = [];
  const { hold } = house.ledger;
  Object.assign(house.ledger, { hold: (request: HoldRequest) => {
    ids.push(request.id);
    return hold(request);
  } });
  const gone = new AbortController();
  const held = fetch(`${house.url}/v1/chat/completions`, { method: 'POST', signal: gone.signal, headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' }, body: JSON.stringify(ask()) }).catch(() => undefined);
  t.ok(await until(() => beta.requests.length === 2, 5_000));
  t.match(await house.ledger.findRequest(ids[0] ?? ''), { status: 'open', model: 'y', provider: 'beta', requestedModel: 'x' });
  gone.abort();
  await held;
});
