import t from 'tap';
import { mergeCatalogData, parseCatalog, soldBelowCost } from '../src/catalog/index.ts';
import { byokFee, ceilingFor, charge, formatUsdExact, parsePrice, type Price, type PriceList } from '../src/money/index.ts';
import { openHouse } from './support/house.ts';
import { startProvider } from './support/provider.ts';

/** Prices of long prompts: from the file to the hold, the charge and the books. Above 100 tokens everything costs ten times as much. */

const TIERED: Price = { input: 1_000n, cachedInput: 100n, output: 4_000n, longPrompt: { above: 100, input: 10_000n, cachedInput: 1_000n, output: 40_000n } };
const PROVIDERS = { acme: { base_url: 'https://api.acme.test/v1' } };
const parts = (price: object, more: object = {}) => ({ providers: PROVIDERS, models: { x: { provider: 'acme', price, ...more } }, equivalents: undefined });
const priceOf = (price: object): PriceList | undefined => parseCatalog(parts(price)).models.get('x')?.price;

t.test('a long prompt changes the price of the whole request', async (t) => {
  const pico = (prompt: number, cached: number, completion: number): bigint => charge({ prompt, cached, completion }, TIERED, 9_999_000_000n).total;
  // A fee of 999,900 % makes one step of the books of one of 1e-12 dollars, so that nothing is rounded away.
  t.equal(pico(100, 60, 10), 40n * 1_000n + 60n * 100n + 10n * 4_000n, 'at the border: short');
  t.equal(pico(101, 60, 10), 41n * 10_000n + 60n * 1_000n + 10n * 40_000n, 'one more: all of it is dearer, cached tokens and the answer too');
  t.equal(pico(200, 200, 0), 200n * 1_000n, 'cached tokens are part of the length');
  t.equal(pico(100, 0, 1_000), 100n * 1_000n + 1_000n * 4_000n, 'the answer is not');
  t.equal(byokFee({ prompt: 101, cached: 0, completion: 0 }, TIERED, 1_000_000n).total, 101n, 'a BYOK fee is taken of what the provider takes');
});

t.test('a ceiling covers both sides of the border', async (t) => {
  t.equal(ceilingFor({ prompt: 100, completion: 10 }, TIERED, 1_000_000n), 14n, 'a bound at the border: no request can pass it');
  t.equal(ceilingFor({ prompt: 101, completion: 10 }, TIERED, 1_000_000n), 141n, 'a bound above it: the dear prices');
  const cheaper: Price = { ...TIERED, longPrompt: { above: 100, input: 500n, cachedInput: 500n, output: 0n } };
  for (const prompt of [0, 1, 99, 100, 101, 150]) {
    for (const cached of [0, prompt]) {
      const cost = charge({ prompt, cached, completion: 10 }, cheaper, 0n).total;
      t.ok(ceilingFor({ prompt: 150, completion: 10 }, cheaper, 1_000_000n) >= cost, `a bound of 150 covers ${prompt}, ${cached} of them cached, where long prompts are cheaper`);
    }
  }
});

t.test('the catalogue reads it, and refuses what is not whole', async (t) => {
  const long = { above: 200_000, input: 2, output: 6 };
  t.same(priceOf({ input: 0.5, output: 3, long_prompt: long }), {
    input: 500_000n, cachedInput: 500_000n, output: 3_000_000n, longPrompt: { above: 200_000, input: 2_000_000n, cachedInput: 2_000_000n, output: 6_000_000n },
  });
  t.same(priceOf({ input: 0.5, output: 3, long_prompt: null }), { input: 500_000n, cachedInput: 500_000n, output: 3_000_000n }, 'nothing written is nothing');
  const cases: [object, string, RegExp][] = [
    [{ input: 2, output: 6 }, 'above', /above: 262144/],
    [{ above: 0, input: 2, output: 6 }, 'above', /whole number of tokens/],
    [{ above: 200_000, output: 6 }, 'input', /no price/],
    [{ above: 200_000, input: 2 }, 'output', /no price/],
    [{ ...long, below: 3 }, 'below', /unknown key/],
  ];
  for (const [long_prompt, field, text] of cases) {
    const path = `models.x.price.long_prompt.${field}`;
    t.throws(() => parseCatalog(parts({ input: 0.5, output: 3, long_prompt })), { name: 'CatalogError', path: path.split('.'), text }, path);
  }
  const free = { providers: PROVIDERS, models: { free: { provider: 'acme', price: { input: 0, output: 0 } }, trap: { provider: 'acme', price: { input: 0, output: 0, long_prompt: long } } }, equivalents: { free: ['trap'] } };
  t.throws(() => parseCatalog(free), /free is free and trap is paid/, 'free only for short prompts is not free');
});

t.test('an operator who names an input sells long prompts at it', async (t) => {
  const base = parts({ input: 0.5, output: 3, long_prompt: { above: 200_000, input: 2, output: 6 } });
  const over = (price: object): PriceList | undefined => parseCatalog(mergeCatalogData(base, { providers: undefined, models: { x: { price } }, equivalents: undefined })).models.get('x')?.price;
  t.equal(over({ input: 0.6 })?.longPrompt, undefined, 'no price that nobody set');
  t.equal(over({ output: 4 })?.longPrompt?.input, 2_000_000n, 'what is not named stays');
  t.match(over({ input: 0.6, long_prompt: { above: 100_000, input: 3, output: 7 } })?.longPrompt, { above: 100_000, input: 3_000_000n }, 'their own');
  t.throws(() => over({ long_prompt: { above: 100_000 } }), /no price/, 'a price for long prompts is replaced as a whole');
});

t.test('a model that loses money on long prompts alone is named', async (t) => {
  const cost: Price = { input: 500n, cachedInput: 50n, output: 3_000n, longPrompt: { above: 200, input: 2_000n, cachedInput: 50n, output: 3_000n } };
  t.same(soldBelowCost({ price: { input: 500n, cachedInput: 50n, output: 3_000n }, cost }), ['input']);
  t.same(soldBelowCost({ price: { ...cost, longPrompt: { above: 300, input: 9_000n, cachedInput: 50n, output: 3_000n } }, cost }), ['input'], 'between two borders');
  t.same(soldBelowCost({ price: cost, cost }), []);
});

t.test('it is held, charged, written down and audited at the price of its length', async (t) => {
  const qwen = await startProvider();
  t.teardown(() => qwen.close());
  const house = await openHouse(t, { providers: { qwen: qwen.url } });
  const ask = { model: 'qwen3.7-plus', messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 1_000 };
  const short = { input: parsePrice('0.5'), cachedInput: parsePrice('0.1'), output: parsePrice('3') };
  const long = { input: parsePrice('2'), cachedInput: parsePrice('0.4'), output: parsePrice('6') };
  for (const [prompt, exact] of [[262_144, '0.05704596'], [262_145, '0.22185595']] as const) {
    qwen.usage = { prompt_tokens: prompt, completion_tokens: 1_000, prompt_tokens_details: { cached_tokens: 200_000 } };
    const answer = await house.post(ask);
    t.equal(answer.status, 200);
    await answer.json();
    const row = await house.lastRow();
    t.equal(formatUsdExact(row.cost), exact);
  }
  t.same((await house.ledger.audit()).findings, [], 'the price that was taken stands in each row, for the audit reckons with it');

  const balance = await house.balance();
  const held = ceilingFor({ prompt: 300_100, completion: 1_000 }, { ...short, longPrompt: { above: 262_144, ...long } }, 1_055_000n);
  t.equal(formatUsdExact(held), '0.63954100');
  t.ok(balance > held);
  qwen.usage = { prompt_tokens: 299_000, completion_tokens: 1_000 };
  const dear = await house.post({ ...ask, messages: [{ role: 'user', content: 'x'.repeat(300_000) }] });
  t.equal(dear.headers.get('x-findtoken-cost'), '0.63722');
  await dear.json();
});

t.test('a purse that covers the short price alone is not overdrawn by a long prompt', async (t) => {
  const qwen = await startProvider();
  t.teardown(() => qwen.close());
  const house = await openHouse(t, { providers: { qwen: qwen.url }, credit: '0.30' });
  const refused = await house.post({ model: 'qwen3.7-plus', messages: [{ role: 'user', content: 'x'.repeat(300_000) }], max_tokens: 10, routing: 'auto' });
  t.equal(refused.status, 402, 'at 0.5 a million it would be $0.158, at 2 a million $0.633');
  t.equal(qwen.requests.length, 0);
  await refused.json();
});

t.test('models and their prices are shown', async (t) => {
  const house = await openHouse(t, {});
  const shown: unknown = await (await fetch(`${house.url}/v1/models/qwen3.7-plus`, { headers: { authorization: `Bearer ${house.key}` } })).json();
  t.match(shown, { pricing: { prompt: '0.0000005', overrides: [{ min_prompt_tokens: 262_144, prompt: '0.000002', completion: '0.000006', input_cache_read: '0.0000004' }] } });
  const plain: unknown = await (await fetch(`${house.url}/v1/models/qwen-max`, { headers: { authorization: `Bearer ${house.key}` } })).json();
  t.notMatch(plain, { pricing: { overrides: [] } }, 'as OpenRouter has it: only where there are some');
});
