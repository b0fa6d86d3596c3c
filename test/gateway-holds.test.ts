import t from 'tap';
import { findModel } from '../src/catalog/index.ts';
import { ceilingFor, formatUsd, parseUsd, type UsdE8 } from '../src/money/index.ts';
import { openHouse } from './support/house.ts';
import { startProvider } from './support/provider.ts';

/** How much is set aside before a provider is asked: what an answer may cost at most, and no more than there is. */

const RATE = 1_055_000n;
/** Where fewer tokens than this can be paid for, nobody is asked. */
const LEAST = 256;
/** Prompt and answer are reckoned apart and each is rounded up: by so many steps of 1e-8 dollars the last token may be missed. */
const STEPS = 2n;

interface Wish {
  readonly balance: UsdE8;
  readonly prompt: number;
  readonly limit: number | undefined;
  readonly choices: number;
}

/** Wishes around the borders: the balance that covers the ceiling to the last step, one step less, that of 256 tokens, and less. */
function wishes(ceilingOf: (prompt: number, tokens: number, choices: number) => UsdE8): readonly Wish[] {
  return [[5, 1_000, 1], [700, 300, 3], [12_000, 256, 1], [12_000, 40, 2], [300, undefined, 1], [300, undefined, 4], [90, 1, 1]].flatMap(([prompt = 0, limit, choices = 1]) => {
    const wanted = limit ?? 4_096;
    const whole = ceilingOf(prompt, wanted, choices);
    const least = ceilingOf(prompt, Math.min(LEAST, wanted), choices);
    return [whole, whole - 1n, (whole + least) / 2n, least + STEPS, least - 1n, ceilingOf(prompt, 0, choices), 1n].map((balance) => ({ balance, prompt, limit, choices }));
  });
}

t.test('the limit is lowered to what the balance covers at the dearest candidate, and to nothing less', async (t) => {
  const deepseek = await startProvider();
  const qwen = await startProvider();
  t.teardown(() => Promise.all([deepseek.close(), qwen.close()]));
  const house = await openHouse(t, { providers: { deepseek: deepseek.url, qwen: qwen.url }, books: 'cli', credit: '0', yaml: { billing: { default_max_tokens: 4_096 }, limits: { requests_per_minute: 1_000_000 } } });
  const price = findModel(house.settings.catalog, 'qwen-max')?.price;
  if (price === undefined || price.peak !== undefined) throw new Error('no qwen-max');
  // A message is bounded by its bytes and sixteen.
  const ceilingOf = (prompt: number, tokens: number, choices: number): UsdE8 => ceilingFor({ prompt: prompt + 16, completion: tokens * choices }, price, RATE);
  let grants = 0;
  for (const { balance, prompt, limit, choices } of wishes(ceilingOf)) {
    const said = `${balance} for ${prompt} bytes, ${limit ?? 'no limit'} × ${choices}`;
    const amount = balance - (await house.balance());
    if (amount !== 0n) await house.ledger.grant({ accountId: house.accountId, amount, reference: `g${(grants += 1)}`, note: 'test', nowMs: Date.now() });
    // Asked first or standing in, the dearest one counts.
    const [model, provider] = grants % 2 === 0 ? (['deepseek-chat', deepseek] as const) : (['qwen-max', qwen] as const);
    const before = provider.requests.length;
    const response = await house.post({ model, messages: [{ role: 'user', content: 'x'.repeat(prompt) }], n: choices, ...(limit === undefined ? {} : { max_tokens: limit }) });
    const text = await response.text();
    const wanted = limit ?? 4_096;
    if (response.status === 402) {
      const least = ceilingOf(prompt, Math.min(LEAST, wanted), choices);
      t.ok(least > balance - STEPS, `${said}: refused where the least is not covered`);
      t.match(text, `up to $${formatUsd(least)} needed, $${formatUsd(balance)} available`);
      t.equal(provider.requests.length, before, `${said}: nobody is asked`);
      continue;
    }
    t.equal(response.status, 200, said);
    const body = provider.requests.at(-1)?.body;
    const sent = typeof body === 'object' && body !== null && 'max_tokens' in body ? Number(body.max_tokens) : NaN;
    t.ok(sent <= wanted && sent >= Math.min(LEAST, wanted), `${said}: ${sent}`);
    t.ok(ceilingOf(prompt, sent, choices) <= balance, `${said}: ${sent} are covered`);
    if (sent < wanted) t.ok(ceilingOf(prompt, sent + 1, choices) > balance - STEPS, `${said}: one more is not`);
  }
  t.same((await house.ledger.audit()).findings, []);
});

t.test('a model whose answers cost nothing lowers no limit; one that stands in for it does', async (t) => {
  const own = await startProvider();
  const other = await startProvider();
  t.teardown(() => Promise.all([own.close(), other.close()]));
  const models = { free: { provider: 'own', price: { input: 1, output: 0 } }, paid: { provider: 'other', price: { input: 1, output: 1 } } };
  const house = await openHouse(t, { providers: { own: own.url, other: other.url }, books: 'cli', credit: '0', yaml: { models, equivalents: { free: ['paid'] } } });
  // 6 bytes and 16 of prompt, and 500 tokens of answer.
  await house.ledger.grant({ accountId: house.accountId, amount: parseUsd('0.00055071'), reference: 'g', note: 'test', nowMs: Date.now() });
  t.equal((await house.post({ model: 'free', max_tokens: 1_000, messages: [{ role: 'user', content: 'Hello!' }] })).status, 200);
  t.match(own.requests.at(-1)?.body, { max_tokens: 499 });
});
