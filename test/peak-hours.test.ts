import t from 'tap';
import { modelView } from '../src/accounts/index.ts';
import { findModel, mergeCatalogData, parseCatalog, soldBelowCost, soldBelowPeakCost, type Model } from '../src/catalog/index.ts';
import { ceilingFor, charge, formatUsdExact, isPeak, offPeak, priceAt, type Price, type PriceList } from '../src/money/index.ts';
import { planCandidates } from '../src/routing/index.ts';
import { readChatRequest } from '../src/wire/index.ts';
import { openHouse } from './support/house.ts';
import { echo, startProvider } from './support/provider.ts';

/** Prices of peak hours: from the file to the hold, the charge and the books. DeepSeek's hours, on weekdays, at twice the price. */

const HOURS = { hours: ['01:00-04:00', '06:00-10:00'], days: ['mon', 'tue', 'wed', 'thu', 'fri'] };
const PEAK = { ...HOURS, input: 0.3, cached_input: 0.006, output: 1.2 };
const LONG = { above: 100, input: 1, output: 2 };
const USUAL = { input: 0.15, cached_input: 0.003, output: 0.6 };
const LOW: Price = { input: 150_000n, cachedInput: 3_000n, output: 600_000n };
const DEAR: Price = { input: 300_000n, cachedInput: 6_000n, output: 1_200_000n };
const PROVIDERS = { acme: { base_url: 'https://api.acme.test/v1' } };
const parts = (price: object, more: object = {}) => ({ providers: PROVIDERS, models: { x: { provider: 'acme', price, ...more } }, equivalents: undefined });
const modelOf = (price: object, more: object = {}): Model => found(parseCatalog(parts(price, more)).models.get('x'));
const listOf = (peak: object): PriceList => modelOf({ ...USUAL, peak }).price;
const at = (time: string): number => Date.parse(`${time}Z`);

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it should be there');
  return value;
}

t.test('the hour at which a request comes decides', async (t) => {
  const list = listOf({ ...PEAK, except: ['2026-10-01', '2026-12-31'] });
  const cases: [time: string, price: Price, why: string][] = [
    ['2026-11-30T00:59:59.999', LOW, 'a Monday before the first hour'],
    ['2026-11-30T01:00:00.000', DEAR, 'the first millisecond'],
    ['2026-11-30T03:59:59.999', DEAR, 'the last'],
    ['2026-11-30T04:00:00.000', LOW, 'the end is not part of it'],
    ['2026-11-30T05:00:00', LOW, 'between the two'],
    ['2026-12-04T09:59:59', DEAR, 'a Friday'],
    ['2026-12-05T01:30:00', LOW, 'a Saturday'],
    ['2026-12-06T07:00:00', LOW, 'a Sunday'],
    ['2026-12-01T23:59:59', LOW, 'the end of a day'],
    ['2026-10-01T07:00:00', LOW, 'a Thursday that is excepted'],
    ['2026-10-02T07:00:00', DEAR, 'the day after it'],
    ['2026-12-31T01:00:00', LOW, 'another one'],
    ['2028-02-29T06:00:00', DEAR, 'a leap day, a Tuesday'],
    ['1969-12-31T07:00:00', DEAR, 'a Wednesday before the epoch'],
  ];
  for (const [time, price, why] of cases) {
    t.same(priceAt(list, at(time)), price, `${time}: ${why}`);
    t.equal(isPeak(list, at(time)), price === DEAR, `${time}: ${why}`);
  }
  t.same(offPeak(list), LOW);
  t.equal(priceAt(LOW, 0), LOW, 'one price around the clock is itself');
  t.equal(isPeak(LOW, 0), false);
  t.ok(isPeak(listOf({ hours: ['00:00-24:00'], input: 1, output: 1 }), at('2026-12-06T23:59:59.999')), 'every day, where none is named, up to midnight');
});

t.test('every minute of a week is peak or is not, as the hours say', async (t) => {
  const list = listOf(PEAK);
  let minutes = 0;
  for (let minute = 0; minute < 7 * 1_440; minute += 1) if (isPeak(list, at('2026-11-29T00:00:00') + minute * 60_000)) minutes += 1;
  t.equal(minutes, 5 * 7 * 60);
});

t.test('the catalogue refuses hours that are none', async (t) => {
  const cases: [peak: object, field: string, text: RegExp][] = [
    [{ ...PEAK, hours: undefined }, 'hours', /at which hours.*hours: \[01:00-04:00/],
    [{ ...PEAK, hours: [] }, 'hours', /at which hours/],
    [{ ...PEAK, hours: '01:00-04:00' }, 'hours', /expected a list/],
    [{ ...PEAK, hours: ['1:00-4:00'] }, 'hours.0', /from 00:00 to 24:00/],
    [{ ...PEAK, hours: ['01:00-04:60'] }, 'hours.0', /from 00:00 to 24:00/],
    [{ ...PEAK, hours: ['01:00-24:01'] }, 'hours.0', /from 00:00 to 24:00/],
    [{ ...PEAK, hours: ['01:00-02:00', '22:00-02:00'] }, 'hours.1', /22:00-24:00 and 00:00-02:00/],
    [{ ...PEAK, hours: ['03:00-03:00'] }, 'hours.0', /before they begin/],
    [{ ...PEAK, hours: ['06:00-10:00', '01:00-07:00'] }, 'hours.1', /touch others/],
    [{ ...PEAK, hours: ['01:00-04:00', '04:00-05:00'] }, 'hours.1', /as one/],
    [{ ...PEAK, days: ['mon', 'tues'] }, 'days.1', /Did you mean tue\?/],
    [{ ...PEAK, days: ['Feiertag'] }, 'days.0', /There are sun, mon/],
    [{ ...PEAK, days: [] }, 'days', /peak hours on no day/],
    [{ ...PEAK, days: 'mon-fri' }, 'days', /expected a list/],
    [{ ...PEAK, except: ['2026-02-30'] }, 'except.0', /except: \[2026-10-01\]/],
    [{ ...PEAK, input: undefined }, 'input', /no price/],
    [{ ...PEAK, output: -1 }, 'output', /0 or more/],
    [{ ...PEAK, hour: 1 }, 'hour', /unknown key.*hours/],
    [{ ...PEAK, peak: PEAK }, 'peak', /unknown key/],
  ];
  for (const [peak, field, text] of cases) {
    const path = ['models', 'x', 'price', 'peak', ...field.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step))];
    t.throws(() => listOf(peak), { name: 'CatalogError', path, text }, path.join('.'));
  }
  t.same(listOf({ ...PEAK, hours: ['06:00-10:00', '01:00-04:00'], days: ['FRI', 'mon'] }).peak, { hours: [{ from: 60, until: 240 }, { from: 360, until: 600 }], days: [1, 5], except: [], price: DEAR }, 'in any order');
  t.equal(modelOf({ ...USUAL, peak: null }).price.peak, undefined, 'nothing written is nothing');
  t.throws(() => modelOf({ ...USUAL, long_prompt: { above: 200_000, input: 2, output: 6 }, peak: PEAK }), { name: 'CatalogError', path: ['models', 'x', 'price', 'peak', 'long_prompt'], text: /say what they cost within them.*above: 200000/ }, 'no long prompt is sold at a price that nobody set');
  const trap = { providers: PROVIDERS, models: { free: { provider: 'acme', price: { input: 0, output: 0 } }, trap: { provider: 'acme', price: { input: 0, output: 0, peak: PEAK } } }, equivalents: { free: ['trap'] } };
  t.throws(() => parseCatalog(trap), /free is free and trap is paid/, 'free outside the peak hours alone is not free');
});

t.test('an operator adds peak hours to a built-in price, and an input of their own takes them away', async (t) => {
  const over = (base: object, price: object): PriceList => found(parseCatalog(mergeCatalogData(parts(base), { providers: undefined, models: { x: { price } }, equivalents: undefined })).models.get('x')).price;
  t.same(over(USUAL, { peak: PEAK }), { ...LOW, peak: found(listOf(PEAK).peak) });
  t.equal(over({ ...USUAL, peak: PEAK }, { input: 0.2 }).peak, undefined, 'no price that nobody set');
  t.same(over({ ...USUAL, peak: PEAK }, { output: 0.7 }).peak?.price, DEAR, 'what is not named stays');
});

t.test('peak hours alone leave the built-in price what it was: its cost stays, and with it the warning where they are too short', async (t) => {
  const base = parts(USUAL, { cost: { ...USUAL, peak: PEAK }, priced: '2026-11-23', source: 'their price page' });
  const over = (model: object): Model => found(parseCatalog(mergeCatalogData(base, { providers: undefined, models: { x: model }, equivalents: undefined })).models.get('x'));
  const cases: [price: object | null, kept: boolean, lost: readonly string[], why: string][] = [
    [{ peak: PEAK }, true, [], 'the hours of the provider'],
    [{ peak: { ...PEAK, hours: ['01:00-04:00'] } }, true, ['input', 'cached_input', 'output'], 'half of them'],
    [{ peak: null }, true, ['input', 'cached_input', 'output'], 'none: what is sold is what it was'],
    [null, true, ['input', 'cached_input', 'output'], 'nothing is written'],
    [{ long_prompt: LONG, peak: { ...PEAK, long_prompt: LONG } }, true, [], 'long prompts too'],
    [{ input: 0.15, peak: PEAK }, false, [], 'a price that was looked up'],
    [{ cached_input: 0.003 }, false, [], 'so is this one'],
  ];
  for (const [price, kept, lost, why] of cases) {
    const model = over({ price });
    t.same([model.cost !== undefined, model.priced, model.source], kept ? [true, '2026-11-23', 'their price page'] : [false, '', 'set by the operator'], why);
    t.same(soldBelowPeakCost(model), lost, why);
  }
  t.equal(over({ cost: { peak: null } }).cost?.peak, undefined, 'an operator whom the provider takes the same at all hours');
});

t.test('a model that loses money in peak hours alone is told apart', async (t) => {
  const kinds = (price: object, cost: object) => {
    const model = modelOf(price, { cost });
    return [soldBelowCost(model), soldBelowPeakCost(model)];
  };
  t.same(kinds(USUAL, { ...USUAL, peak: PEAK }), [[], ['input', 'cached_input', 'output']]);
  t.same(kinds({ ...USUAL, output: 0.5 }, { ...USUAL, peak: { ...PEAK, input: 0.15, cached_input: 0.001 } }), [['output'], ['output']]);
  t.same(kinds({ ...USUAL, peak: PEAK }, { ...USUAL, peak: PEAK }), [[], []]);
  t.same(kinds({ ...USUAL, peak: { ...PEAK, hours: ['01:00-04:00', '06:00-09:59'] } }, { ...USUAL, peak: PEAK }), [[], ['input', 'cached_input', 'output']], 'one minute too short');
  t.same(kinds({ ...USUAL, peak: { ...PEAK, days: ['mon', 'tue', 'wed', 'thu'] } }, { ...USUAL, peak: PEAK }), [[], ['input', 'cached_input', 'output']], 'one day too few');
  t.same(kinds({ ...USUAL, peak: { ...PEAK, hours: ['01:00-10:00'] } }, { ...USUAL, peak: PEAK }), [[], []], 'longer hours lose nothing');
  t.same(kinds({ ...USUAL, peak: { ...HOURS, input: 0.1, output: 1.2 } }, USUAL), [['input'], []], 'a peak price below the list price');
  t.same(kinds(USUAL, USUAL), [[], []]);
});

t.test('the cheapest is the one that is cheap now', async (t) => {
  const catalog = parseCatalog({
    providers: { one: { base_url: 'https://one.test/v1' }, other: { base_url: 'https://other.test/v1' } },
    models: { scheduled: { provider: 'one', price: { ...USUAL, peak: PEAK } }, steady: { provider: 'other', price: { input: 0.2, output: 0.8 } } },
    equivalents: { scheduled: ['steady'] },
  });
  const request = readChatRequest({ model: 'scheduled', routing: 'cheapest', messages: [{ role: 'user', content: 'Hello!' }] }, { pictureTokens: 1, mediaTokens: 1, routingHeader: undefined });
  const order = (time: string) => planCandidates({ catalog, request, servedBy: (model) => model.provider, byok: undefined, health: new Map(), nowMs: at(time), only: undefined, defaultMaxTokens: 1_000 })
    .candidates.map(({ model, price }) => [model.id, price.input]);
  t.same(order('2026-11-30T00:30:00'), [['scheduled', 150_000n], ['steady', 200_000n]]);
  t.same(order('2026-11-30T01:30:00'), [['steady', 200_000n], ['scheduled', 300_000n]]);
});

t.test('it is held, charged, written down and audited at the price of when it came', async (t) => {
  const acme = await startProvider();
  t.teardown(() => acme.close());
  let nowMs = at('2026-11-30T00:59:59.500');
  const yaml = { models: { x: { provider: 'acme', price: { ...USUAL, peak: PEAK } } } };
  const house = await openHouse(t, { providers: { acme: acme.url }, yaml, clock: { nowMs: () => nowMs } });
  acme.usage = { prompt_tokens: 1_000, completion_tokens: 1_000, prompt_tokens_details: { cached_tokens: 400 } };
  const tokens = { prompt: 1_000, cached: 400, completion: 1_000 };
  const ask = { model: 'x', messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 1_000 };
  const costOf = async (): Promise<string> => {
    const answer = await house.post(ask);
    t.equal(answer.status, 200);
    await answer.json();
    return formatUsdExact((await house.lastRow()).cost);
  };
  t.equal(await costOf(), formatUsdExact(charge(tokens, LOW, 55_000n).total));
  nowMs = at('2026-11-30T01:00:00');
  t.equal(await costOf(), formatUsdExact(charge(tokens, DEAR, 55_000n).total));
  t.equal(formatUsdExact(charge(tokens, DEAR, 55_000n).total), '0.00145843');

  // The hour strikes while the provider writes: the price that was held for is the one that is charged.
  nowMs = at('2026-11-30T05:59:59');
  acme.next((request, response) => {
    nowMs = at('2026-11-30T06:00:01');
    return echo(acme.usage)(request, response);
  });
  t.equal(await costOf(), formatUsdExact(charge(tokens, LOW, 55_000n).total));
  t.same((await house.ledger.audit()).findings, [], 'the price that was taken stands in each row, for the audit reckons with it');
});

t.test('a purse that covers the usual price alone is not overdrawn in peak hours', async (t) => {
  const acme = await startProvider();
  t.teardown(() => acme.close());
  let nowMs = at('2026-11-30T00:30:00');
  const yaml = { models: { x: { provider: 'acme', price: { ...USUAL, peak: PEAK } } } };
  const held = ceilingFor({ prompt: 8_200, completion: 1_000 }, LOW, 1_055_000n);
  const house = await openHouse(t, { providers: { acme: acme.url }, yaml, credit: formatUsdExact(held), clock: { nowMs: () => nowMs } });
  const ask = { model: 'x', messages: [{ role: 'user', content: 'x'.repeat(8_000) }], max_tokens: 1_000 };
  nowMs = at('2026-11-30T01:30:00');
  const refused = await house.post(ask);
  t.equal(refused.status, 402);
  await refused.json();
  t.equal(acme.requests.length, 0);
  nowMs = at('2026-11-30T04:00:00');
  const answer = await house.post(ask);
  t.equal(answer.status, 200);
  await answer.json();
});

t.test('customers are told the whole week, and the price of now', async (t) => {
  const low = { prompt: '0.00000015', completion: '0.0000006', input_cache_read: '0.000000003' };
  const dear = { prompt: '0.0000003', completion: '0.0000012', input_cache_read: '0.000000006' };
  const weekdays = { utc_days: ['monday', 'tuesday', 'wednesday', 'thursday', 'friday'] };
  const shown = (price: object, time: string) => modelView(modelOf(price), { equivalents: new Map() }, at(time)).pricing;
  const week = [
    { ...weekdays, utc_start: 0, utc_end: 100, ...low },
    { ...weekdays, utc_start: 100, utc_end: 400, ...dear },
    { ...weekdays, utc_start: 400, utc_end: 600, ...low },
    { ...weekdays, utc_start: 600, utc_end: 1000, ...dear },
    { ...weekdays, utc_start: 1000, utc_end: 0, ...low },
    { utc_days: ['sunday', 'saturday'], ...low },
  ];
  const price = { ...USUAL, peak: PEAK };
  t.same(shown(price, '2026-11-30T00:59:59'), { ...low, overrides: week });
  t.same(shown(price, '2026-11-30T01:00:00'), { ...dear, overrides: week });
  t.same(shown({ ...USUAL, peak: { ...PEAK, hours: ['00:00-01:30'], days: undefined } }, '2026-11-29T00:00:00'), {
    ...dear, overrides: [{ utc_start: 0, utc_end: 130, ...dear }, { utc_start: 130, utc_end: 0, ...low }],
  }, 'every day alike');
  t.same(shown({ ...USUAL, peak: { ...PEAK, hours: ['00:00-24:00'], days: ['sun'] } }, '2026-11-30T00:00:00'), {
    ...low, overrides: [{ utc_days: ['sunday'], ...dear }, { utc_days: ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'], ...low }],
  }, 'whole days');
  const long = { above: 200_000, input: 2, output: 6 };
  const tiered = shown({ ...USUAL, long_prompt: long, peak: { ...PEAK, hours: ['12:00-24:00'], days: undefined, long_prompt: { ...long, input: 3 } } }, '2026-11-29T00:00:00');
  t.same(tiered.overrides, [
    { utc_start: 0, utc_end: 1200, ...low },
    { utc_start: 0, utc_end: 1200, min_prompt_tokens: 200_000, prompt: '0.000002', completion: '0.000006', input_cache_read: '0.000002' },
    { utc_start: 1200, utc_end: 0, ...dear },
    { utc_start: 1200, utc_end: 0, min_prompt_tokens: 200_000, prompt: '0.000003', completion: '0.000006', input_cache_read: '0.000003' },
  ], 'long prompts have theirs behind each');
});

t.test('the built-in models of DeepSeek know its hours as a cost, and are sold at one price', async (t) => {
  const house = await openHouse(t, { sandbox: true });
  const { catalog } = house.settings;
  for (const model of catalog.models.values()) t.equal(model.price.peak, undefined, model.id);
  const scheduled = [...catalog.models.values()].filter(({ cost }) => cost?.peak !== undefined);
  t.same(scheduled.map(({ id }) => id), ['deepseek-chat', 'deepseek-coder', 'deepseek-reasoner', 'deepseek-flash', 'deepseek-v4-pro']);
  for (const { id, cost } of scheduled) {
    const { peak, ...usual } = found(cost);
    t.same(found(peak).price, { input: usual.input * 2n, cachedInput: usual.cachedInput * 2n, output: usual.output * 2n }, `${id}: twice as much`);
    t.same(found(peak).days, [1, 2, 3, 4, 5]);
  }
  t.same(soldBelowCost(found(findModel(catalog, 'deepseek-flash'))), []);
  t.same(soldBelowPeakCost(found(findModel(catalog, 'deepseek-flash'))), ['input', 'cached_input', 'output']);
});
