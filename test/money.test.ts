import fc from 'fast-check';
import t from 'tap';
import { byokFee, ceilingFor, charge, feeOn, formatUsd, formatUsdExact, parsePrice, parseRate, parseUsd, USD, usdNumber } from '../src/money/index.ts';
import type { Price } from '../src/money/index.ts';

const price = (input: string, cached: string, output: string): Price => ({ input: parsePrice(input), cachedInput: parsePrice(cached), output: parsePrice(output) });
const FEE = parseRate('5.5%');
const DEEPSEEK = price('0.14', '0.0028', '0.28');
/** A conversation's later turn: most of its prompt is cached. */
const TURN = { prompt: 1_900, cached: 1_200, completion: 130 };
/** Prices in 1e-12 dollars a token, to set a border of rounding to the last digit. */
const pico = (input: bigint): Price => ({ input, cachedInput: 0n, output: 0n });
const ONE = { prompt: 1, cached: 0, completion: 0 };

t.test('a Standard request costs the provider cost and the usage fee, rounded once', async (t) => {
  const cases = [
    // tokens, price, fee in ppm, total e8, provider e8, why
    [{ prompt: 1_000_000, cached: 0, completion: 0 }, DEEPSEEK, FEE, 14_770_000n, 14_000_000n, "the guide's $0.14/M + 5.5 % = $0.1477"],
    [{ prompt: 0, cached: 0, completion: 1_000_000 }, DEEPSEEK, FEE, 29_540_000n, 28_000_000n, 'output has its own price'],
    [{ prompt: 1_000_000, cached: 1_000_000, completion: 0 }, DEEPSEEK, FEE, 295_400n, 280_000n, 'a cached prompt costs the cached price alone'],
    [TURN, DEEPSEEK, FEE, 14_534n, 13_776n, '$0.00014534: cached tokens are part of the prompt and billed once'],
    [TURN, price('0.5', '0.25', '0.5'), 0n, 71_500n, 71_500n, 'glm-4-plus: provider cost $0.000715'],
    [TURN, price('0.3', '0.03', '1.2'), 0n, 40_200n, 40_200n, 'minimax-m2.5: provider cost $0.000402'],
    [TURN, price('0.95', '0.16', '4'), 0n, 137_700n, 137_700n, 'kimi-k2: provider cost $0.001377'],
    [TURN, price('1.6', '0.32', '6.4'), 0n, 233_600n, 233_600n, 'qwen-max: provider cost $0.002336'],
    [{ prompt: 0, cached: 0, completion: 0 }, DEEPSEEK, FEE, 0n, 0n, 'no tokens, no cost'],
    [ONE, pico(4_999n), 0n, 0n, 0n, 'less than half a step falls'],
    [ONE, pico(5_000n), 0n, 1n, 1n, 'half a step rises'],
    [ONE, pico(14_999n), 0n, 1n, 1n, 'just below one and a half'],
    [ONE, pico(15_000n), 0n, 2n, 2n, 'one and a half is two, not the even neighbour of both'],
    [ONE, pico(25_000n), 0n, 3n, 3n, 'two and a half is three: half up, not half to even'],
    [ONE, pico(4_740n), FEE, 1n, 0n, '4,740 × 1.055 = 5,000.7: the fee alone may pass the border, and the parts still add up'],
    [ONE, pico(4_739n), FEE, 0n, 0n, '4,739 × 1.055 = 4,999.6: just below'],
    [{ prompt: 3, cached: 0, completion: 0 }, pico(5_000n), 0n, 2n, 2n, 'tokens are summed before the rounding: 1.5 is 2, not 3 times 1'],
    [{ prompt: 100_000_000, cached: 0, completion: 100_000_000 }, price('999999', '0', '999999'), FEE, 21_099_978_900_000_000n, 19_999_980_000_000_000n, 'above 2^53: to the last digit'],
  ] as const;
  for (const [tokens, at, fee, total, provider, why] of cases) {
    t.same(charge(tokens, at, fee), { total, provider, fee: total - provider }, why);
  }
});

t.test('a BYOK request past the free ones pays its fee only', async (t) => {
  const cases = [
    // tokens, price, rate, fee e8, why
    [{ prompt: 1_000, cached: 0, completion: 0 }, price('1', '1', '1'), '5%', 5_000n, '5 % of $0.001'],
    [TURN, DEEPSEEK, '5%', 689n, '13,776 × 5 % = 688.8: half up'],
    [ONE, pico(100_000n), '5%', 1n, 'half a step rises'],
    [ONE, pico(99_999n), '5%', 0n, 'less than half a step falls'],
    [TURN, DEEPSEEK, '0%', 0n, 'no fee where the operator takes none'],
  ] as const;
  for (const [tokens, at, rate, fee, why] of cases) {
    t.same(byokFee(tokens, at, parseRate(rate)), { total: fee, provider: 0n, fee }, why);
  }
});

t.test('a ceiling rounds up and counts on no cache', async (t) => {
  const standard = 1_000_000n + FEE;
  const cases = [
    // prompt, completion, price, rate, ceiling e8, why
    [1_000, 500, DEEPSEEK, standard, 29_540n, '0.00014 + 0.00014, and 5.5 %'],
    [1, 0, pico(1n), standard, 1n, 'the smallest part of a step holds a whole one'],
    [1, 0, pico(10_000n), 1_000_000n, 1n, 'a whole step is not rounded'],
    [0, 0, DEEPSEEK, standard, 0n, 'nothing asked, nothing held'],
    [1_000, 0, price('1', '2', '0'), 1_000_000n, 200_000n, 'where cached tokens cost more, they set the ceiling'],
    [1_000, 0, price('1', '1', '0'), parseRate('5%'), 5_000n, 'BYOK holds its fee only'],
  ] as const;
  for (const [prompt, completion, at, rate, ceiling, why] of cases) {
    t.equal(ceilingFor({ prompt, completion }, at, rate), ceiling, why);
  }
});

t.test('a recharge keeps its fee and gives the rest', async (t) => {
  const cases = [
    // paid, rate, credits, fee, why
    ['10', '5.5%', '9.45', '0.55', "the guide's smallest recharge"],
    ['20', '5.5%', '18.90', '1.10', "the guide's second example"],
    ['10.01', '5.5%', '9.45945', '0.55055', 'cents that do not divide'],
    ['0.00000001', '5.5%', '0', '0.00000001', 'credits round down, the fee takes the rest'],
    ['10', '0%', '10', '0', 'no fee'],
    ['10', '100%', '0', '10', 'all of it'],
    ['0', '5.5%', '0', '0', 'nothing paid'],
  ] as const;
  for (const [paid, rate, credits, fee, why] of cases) {
    t.same(feeOn(parseUsd(paid), parseRate(rate)), { credits: parseUsd(credits), fee: parseUsd(fee) }, why);
  }
  t.throws(() => feeOn(-1n, FEE), RangeError, 'a payment is never negative');
  t.throws(() => feeOn(USD, -1n), RangeError, 'a fee is never negative');
  t.throws(() => feeOn(USD, 1_000_001n), RangeError, 'a fee never passes the payment');
});

t.test('counts that are no counts are refused, for charging them would be a bug', async (t) => {
  const counts = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 100_000_001, 2 ** 53];
  for (const count of counts) {
    t.throws(() => charge({ prompt: count, cached: 0, completion: 0 }, DEEPSEEK, FEE), RangeError, `${count} prompt tokens`);
    t.throws(() => charge({ prompt: 0, cached: 0, completion: count }, DEEPSEEK, FEE), RangeError, `${count} completion tokens`);
    t.throws(() => charge({ prompt: 10, cached: count, completion: 0 }, DEEPSEEK, FEE), RangeError, `${count} cached tokens`);
    t.throws(() => byokFee({ prompt: count, cached: 0, completion: 0 }, DEEPSEEK, FEE), RangeError, `BYOK, ${count} tokens`);
    t.throws(() => ceilingFor({ prompt: count, completion: 0 }, DEEPSEEK, FEE), RangeError, `a ceiling of ${count} prompt tokens`);
    t.throws(() => ceilingFor({ prompt: 0, completion: count }, DEEPSEEK, FEE), RangeError, `a ceiling of ${count} completion tokens`);
  }
  t.throws(() => charge({ prompt: 5, cached: 6, completion: 0 }, DEEPSEEK, FEE), RangeError, 'more cached than prompt tokens');
});

t.test('amounts, prices and rates are read exactly or refused', async (t) => {
  const read = [
    // reader, written, value, why
    [parseUsd, '10', 1_000_000_000n, 'whole dollars'],
    [parseUsd, ' 9.45 ', 945_000_000n, 'blanks around it'],
    [parseUsd, '-2.50', -250_000_000n, 'a credit taken back'],
    [parseUsd, '0.00000001', 1n, 'the last digit of the books'],
    [parseUsd, '1.500000000000', 150_000_000n, 'zeros beyond the last digit say nothing'],
    [parseUsd, 0.1, 10_000_000n, 'a number by its shortest form, not its binary value'],
    [parseUsd, 1e-8, 1n, 'a number whose shortest form has an exponent'],
    [parseUsd, 1.5e-7, 15n, 'the same with decimals'],
    [parseUsd, 10, 1_000_000_000n, 'a whole number'],
    [parseUsd, '999999999999999', 99_999_999_999_999_900_000_000n, 'fifteen digits, far above 2^53'],
    [parsePrice, '0.14', 140_000n, '$0.14 per million'],
    [parsePrice, '0.0028', 2_800n, 'a cached price'],
    [parsePrice, '0.000001', 1n, 'the smallest price'],
    [parsePrice, 0, 0n, 'free'],
    [parseRate, '5.5%', 55_000n, 'with its sign'],
    [parseRate, '5.5 %', 55_000n, 'with a blank before it'],
    [parseRate, '5.5', 55_000n, 'without'],
    [parseRate, 5.5, 55_000n, 'as a number'],
    [parseRate, '0.0001', 1n, 'the smallest rate'],
    [parseRate, '100%', 1_000_000n, 'everything'],
  ] as const;
  for (const [reader, written, value, why] of read) t.equal(reader(written), value, `${reader.name}: ${why}`);

  const nonsense = ['', ' ', 'ten', '$10', '1,000', '1_000', '1e3', '0x10', '.5', '5.', '+5', '--5', '1.2.3', '٣', 'NaN', '1'.repeat(16), Number.NaN, Number.POSITIVE_INFINITY, 1e21];
  for (const written of nonsense) {
    for (const reader of [parseUsd, parsePrice, parseRate]) t.throws(() => reader(written), RangeError, `${reader.name}(${JSON.stringify(written)})`);
  }
  const refused = [
    [parseUsd, '0.000000001', 'a ninth decimal is refused, not rounded'],
    [parseUsd, 0.1 + 0.2, 'the sum of two floats is no amount'],
    [parsePrice, '0.0000001', 'a seventh decimal of a price'],
    [parsePrice, '-0.14', 'a negative price'],
    [parseRate, '5.55555%', 'a fifth decimal of a percentage'],
    [parseRate, '-1%', 'a negative rate'],
    [parseRate, '100.0001%', 'more than everything'],
    [parseRate, '5%%', 'two signs'],
  ] as const;
  for (const [reader, written, why] of refused) t.throws(() => reader(written), RangeError, `${reader.name}: ${why}`);
});

t.test('amounts are written half up to six decimals, two kept; the books to eight', async (t) => {
  const cases = [
    // amount e8, for people, of the books, why
    [42_000n, '0.00042', '0.00042000', 'trailing zeros go'],
    [905_000_000n, '9.05', '9.05000000', 'two decimals stay'],
    [1_000_000_000n, '10.00', '10.00000000', 'two zeros stay'],
    [14_770_000n, '0.1477', '0.14770000', "the guide's $0.1477"],
    [14_534n, '0.000145', '0.00014534', 'rounded down'],
    [49n, '0.00', '0.00000049', 'below half a step'],
    [50n, '0.000001', '0.00000050', 'half a step rises'],
    [150n, '0.000002', '0.00000150', 'half up, not half to even'],
    [250n, '0.000003', '0.00000250', 'half up, not half to even'],
    [99_999_950n, '1.00', '0.99999950', 'the rounding carries'],
    [-50n, '-0.000001', '-0.00000050', 'below zero half a step goes away from it'],
    [-49n, '0.00', '-0.00000049', 'there is no negative zero'],
    [-250_000_000n, '-2.50', '-2.50000000', 'a debt'],
    [0n, '0.00', '0.00000000', 'nothing'],
    [123_456_789_012_345_678n, '1234567890.123457', '1234567890.12345678', 'above 2^53'],
  ] as const;
  for (const [amount, shown, exact, why] of cases) {
    t.equal(formatUsd(amount), shown, why);
    t.equal(formatUsdExact(amount), exact, `${why}, exactly`);
  }
  t.equal(usdNumber(14_534n), 0.000145, 'the JSON number is the one that people see');
  t.equal(usdNumber(945_000_000n), 9.45);
});

/** Any counts, prices and rates that the rooms may pass in. */
const aPrice = fc.bigInt({ min: 0n, max: 10_000_000_000n });
const prices = fc.record({ input: aPrice, cachedInput: aPrice, output: aPrice });
const rates = fc.bigInt({ min: 0n, max: 1_000_000n });
const counts = fc.record({ prompt: fc.nat(100_000_000), completion: fc.nat(100_000_000), share: fc.nat(1_000) }).map(({ prompt, completion, share }) => ({
  prompt, completion, cached: Math.floor((prompt * share) / 1_000),
}));
const amounts = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n });

t.test('for any tokens, prices and rates', async (t) => {
  const always = <T>(name: string, property: fc.IProperty<T>) => {
    const run = fc.check(property, { numRuns: 500 });
    t.notOk(run.failed, name, { found: run.counterexample, seed: run.seed });
  };

  always('provider and fee add up to the total, and no part is negative', fc.property(counts, prices, rates, (tokens, at, rate) => {
    const { total, provider, fee } = charge(tokens, at, rate);
    return provider + fee === total && provider >= 0n && fee >= 0n && [total, provider, fee].every((part) => typeof part === 'bigint');
  }));
  always('the total is within half a step of the true cost, and above it at the half', fc.property(counts, prices, rates, (tokens, at, rate) => {
    const truth = (BigInt(tokens.prompt - tokens.cached) * at.input + BigInt(tokens.cached) * at.cachedInput + BigInt(tokens.completion) * at.output) * (1_000_000n + rate);
    const twiceOff = 2n * (charge(tokens, at, rate).total * 10_000_000_000n - truth);
    return twiceOff > -10_000_000_000n && twiceOff <= 10_000_000_000n;
  }));
  always('a ceiling is never below the charge, whatever share was cached', fc.property(counts, prices, rates, (tokens, at, rate) =>
    ceilingFor(tokens, at, 1_000_000n + rate) >= charge(tokens, at, rate).total && ceilingFor(tokens, at, rate) >= byokFee(tokens, at, rate).total));
  always('a ceiling for more tokens holds for fewer', fc.property(counts, prices, rates, (tokens, at, rate) =>
    ceilingFor(tokens, at, 1_000_000n + rate) >= charge({ prompt: Math.floor(tokens.prompt / 2), cached: 0, completion: Math.floor(tokens.completion / 2) }, { ...at, input: at.input < at.cachedInput ? at.input : at.cachedInput }, rate).total));
  always('one more token of any kind, a dearer price or a higher fee never costs less', fc.property(counts, prices, rates, (tokens, at, rate) => {
    const now = charge(tokens, at, rate).total;
    const more = [
      charge({ ...tokens, prompt: Math.min(tokens.prompt + 1, 100_000_000) }, at, rate),
      charge({ ...tokens, completion: Math.min(tokens.completion + 1, 100_000_000) }, at, rate),
      charge(tokens, { ...at, input: at.input + 1n }, rate),
      charge(tokens, { ...at, cachedInput: at.cachedInput + 1n }, rate),
      charge(tokens, { ...at, output: at.output + 1n }, rate),
      charge(tokens, at, rate + 1n),
    ];
    return more.every(({ total }) => total >= now);
  }));
  always('a BYOK fee is all fee, and at most the provider cost', fc.property(counts, prices, rates, (tokens, at, rate) => {
    const { total, provider, fee } = byokFee(tokens, at, rate);
    return provider === 0n && fee === total && total <= charge(tokens, at, 0n).total;
  }));
  always('fee and credits of a payment add up to it', fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), rates, (paid, rate) => {
    const { fee, credits } = feeOn(paid, rate);
    return fee + credits === paid && fee >= 0n && credits >= 0n;
  }));
  always('what the books write is read back to the last digit', fc.property(amounts, (amount) => parseUsd(formatUsdExact(amount)) === amount));
  always('what people see is at most half a millionth of a dollar off, and is seen the same again', fc.property(amounts, (amount) => {
    const seen = parseUsd(formatUsd(amount));
    const off = seen - amount;
    return off <= 50n && off >= -50n && formatUsd(seen) === formatUsd(amount);
  }));
  always('a written number means its decimal form', fc.property(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), (micro) =>
    parseUsd(micro / 1_000_000) === BigInt(micro) * 100n));
  always('an amount is larger where its text is', fc.property(amounts, amounts, (a, b) => a <= b || Number(formatUsd(a)) >= Number(formatUsd(b))));
});
