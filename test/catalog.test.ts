import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';
import { CatalogError, equivalents, findModel, mergeCatalogData, nearestModel, nearestName, parseCatalog, priceAgeDays, soldBelowCost } from '../src/catalog/index.ts';
import type { CatalogParts, Model } from '../src/catalog/index.ts';
import { parsePrice } from '../src/money/index.ts';
import { QUIRKS } from '../src/wire/index.ts';

/** The built-in files, as plain data. */
function builtIn(): CatalogParts {
  const read = (name: string): Record<string, unknown> => parse(readFileSync(fileURLToPath(new URL(`../config/${name}`, import.meta.url)), 'utf8'));
  const models = read('models.yaml');
  return { models: models['models'], providers: read('providers.yaml')['providers'], equivalents: models['equivalents'] };
}

const catalog = parseCatalog(builtIn());
const modelOf = (id: string): Model => {
  const model = findModel(catalog, id);
  if (model === undefined) throw new Error(`no model ${id}`);
  return model;
};
const pico = (...prices: string[]): bigint[] => prices.map((price) => parsePrice(price));

t.test('the built-in catalogue', async (t) => {
  t.test('has forty models, priced on the day they were looked up', async (t) => {
    t.equal(catalog.models.size, 40);
    t.same([...new Set([...catalog.models.values()].map((model) => model.priced))], ['2026-11-23']);
    t.ok([...catalog.models.values()].every((model) => model.source !== '' && model.name !== model.id && !model.sandbox));
    t.equal([...catalog.models.keys()][0], 'deepseek-chat', 'the file\'s order is kept, for it is the order of GET /v1/models');
  });

  t.test('sells at the prices that were looked up', async (t) => {
    const cases = [
      // model, input, cached input, output in US dollars per million tokens, why
      ['deepseek-chat', '0.14', '0.0028', '0.28', 'input of the public guide'],
      ['deepseek-coder', '0.14', '0.0028', '0.28', 'merged with deepseek-chat'],
      ['deepseek-reasoner', '0.14', '0.0028', '0.28', 'last price under this name'],
      ['deepseek-flash', '0.15', '0.003', '0.6', 'today\'s off-peak list'],
      ['deepseek-v4-pro', '0.66', '0.022', '1.98', 'today\'s off-peak list'],
      ['glm-4-plus', '0.5', '0.25', '0.5', 'input of the public guide, cache at half'],
      ['glm-4-flash', '0.1', '0.05', '0.1', 'input of the public guide, cache at half'],
      ['glm-4.7-flash', '0', '0', '0', 'the one free model'],
      ['glm-4.6v', '0.3', '0.3', '0.9', 'no cache price published'],
      ['qwen-max', '1.6', '0.32', '6.4', 'international list, cache at a fifth'],
      ['qwen-plus', '0.4', '0.08', '1.2', 'without thinking'],
      ['qwen-turbo', '0.05', '0.01', '0.2', 'without thinking'],
      ['kimi-k2', '0.95', '0.16', '4', 'kimi-k2.6 serves it'],
      ['kimi-k3', '3', '0.3', '15', 'the dearest output of Kimi'],
      ['minimax-m2.5', '0.3', '0.03', '1.2', ''],
      ['minimax-m2.5-highspeed', '0.6', '0.03', '2.4', 'two lists disagree on the cache; the yuan list decides'],
      ['step-3.5-flash', '0.1', '0.02', '0.3', ''],
      ['step-2-16k', '5.21', '1.04', '16.44', 'the dearest'],
    ] as const;
    for (const [id, input, cached, output, why] of cases) {
      const { price } = modelOf(id);
      t.same([price.input, price.cachedInput, price.output], pico(input, cached, output), `${id} ${why}`);
    }
    t.equal(modelOf('deepseek-chat').price.input, 140_000n, 'a price is 1e-12 dollars a token');
    const free = [...catalog.models.values()].filter(({ price }) => price.input === 0n || price.output === 0n);
    t.same(free.map((model) => model.id), ['glm-4.7-flash'], 'nothing else is free by accident');
  });

  t.test('reaches renamed models under their old names, with thinking as the name promises', async (t) => {
    const sampling = ['temperature', 'top_p', 'n', 'presence_penalty', 'frequency_penalty'];
    const cases = [
      // model, upstream, forced fields, dropped fields
      ['deepseek-chat', 'deepseek-flash', { thinking: { type: 'disabled' } }, []],
      ['deepseek-coder', 'deepseek-flash', { thinking: { type: 'disabled' } }, []],
      ['deepseek-reasoner', 'deepseek-flash', { thinking: { type: 'enabled' } }, []],
      ['glm-4-flash', 'glm-4-flash-250414', {}, []],
      ['qwen-plus', 'qwen-plus', { enable_thinking: false }, []],
      ['kimi-k2', 'kimi-k2.6', { thinking: { type: 'disabled' } }, sampling],
      ['kimi-k2.6', 'kimi-k2.6', {}, sampling],
      ['minimax-m2.5', 'MiniMax-M2.5', { reasoning_split: true }, []],
      ['step-3.5-flash', 'step-3.5-flash', { reasoning_format: 'deepseek-style' }, []],
    ] as const;
    for (const [id, upstream, force, drop] of cases) t.match(modelOf(id), { upstream, force, drop }, id);
  });

  t.test('knows windows, limits and abilities', async (t) => {
    t.match(modelOf('deepseek-chat'), { contextWindow: 1_048_576, maxOutput: 393_216, capabilities: ['tools', 'json_object'] });
    t.match(modelOf('qwen-max'), { contextWindow: 32_768, maxOutput: 8_192 });
    t.match(modelOf('glm-4-plus'), { contextWindow: 128_000, maxOutput: 4_095 });
    t.same(modelOf('minimax-m2.5').capabilities, ['tools', 'reasoning']);
    t.same(modelOf('kimi-k2').capabilities, ['tools', 'json_object', 'json_schema', 'vision']);
  });

  t.test('lets each member of a group stand in for the others, in the group\'s order', async (t) => {
    const cases = [
      ['deepseek-chat', ['qwen-max', 'glm-4-plus', 'kimi-k2', 'minimax-m2.5'], 'the guide\'s first group'],
      ['deepseek-coder', ['qwen-turbo', 'glm-4-flash'], 'the guide\'s second group'],
      ['glm-4-plus', ['deepseek-chat', 'qwen-max', 'kimi-k2', 'minimax-m2.5'], 'from the middle of a group'],
      ['kimi-k2.6', ['deepseek-reasoner', 'glm-4.7', 'minimax-m2.7', 'minimax-m3', 'qwen3.7-plus', 'step-3.7-flash', 'glm-4.6v'], 'in two groups, one after the other'],
      ['step-1-32k', [], 'in none'],
      ['no-such-model', [], 'unknown'],
    ] as const;
    for (const [id, others, why] of cases) t.same(equivalents(catalog, id).map((model) => model.id), others, `${id}: ${why}`);
    t.notOk([...catalog.equivalents.values()].flat().includes('glm-4.7-flash'), 'the free model stands in for nobody');
    for (const [id, others] of catalog.equivalents) {
      for (const other of others) t.ok(catalog.equivalents.get(other)?.includes(id), `${other} answers for ${id} as ${id} does for it`);
    }
  });

  t.test('knows where each provider is reached, region by region', async (t) => {
    const cases = [
      ['deepseek', 'https://api.deepseek.com/v1', {}],
      ['zhipu', 'https://api.z.ai/api/paas/v4', { international: 'https://api.z.ai/api/paas/v4', china: 'https://open.bigmodel.cn/api/paas/v4' }],
      ['minimax', 'https://api.minimax.io/v1', { international: 'https://api.minimax.io/v1', china: 'https://api.minimaxi.com/v1', 'china-new': 'https://api.minimax.cn/v1' }],
      ['qwen', 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1', {
        international: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
        us: 'https://dashscope-us.aliyuncs.com/compatible-mode/v1',
        hongkong: 'https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1',
        china: 'https://dashscope.aliyuncs.com/compatible-mode/v1',
      }],
      ['kimi', 'https://api.moonshot.ai/v1', { international: 'https://api.moonshot.ai/v1', china: 'https://api.moonshot.cn/v1' }],
      ['stepfun', 'https://api.stepfun.ai/v1', { international: 'https://api.stepfun.ai/v1', china: 'https://api.stepfun.com/v1' }],
    ] as const;
    t.same([...catalog.providers.keys()], cases.map(([id]) => id));
    for (const [id, baseUrl, regions] of cases) {
      const provider = catalog.providers.get(id);
      t.equal(provider?.baseUrl, baseUrl, id);
      t.same(provider?.regions, regions, id);
      t.equal(provider?.dialect, id);
      t.not(provider?.keyFormat, '', `${id} has a hint for its keys`);
    }
  });

  t.test('says which models are sold below their cost', async (t) => {
    const below = [...catalog.models.values()].map((model) => [model.id, soldBelowCost(model)] as const).filter(([, kinds]) => kinds.length > 0);
    t.same(below, [
      ['deepseek-chat', ['input', 'cached_input', 'output']],
      ['deepseek-coder', ['input', 'cached_input', 'output']],
      ['deepseek-reasoner', ['input', 'cached_input', 'output']],
      ['glm-4-plus', ['input', 'cached_input', 'output']],
    ]);
    t.equal(modelOf('glm-4-flash').cost?.input, 0n, 'free upstream, and sold: not below its cost');
    t.equal(modelOf('qwen-max').cost, undefined, 'no cost of its own: sold at the list price');
  });
});

t.test('names are found exactly and forgiven only in hints', async (t) => {
  t.equal(findModel(catalog, 'DeepSeek-Chat'), undefined);
  t.equal(findModel(catalog, '__proto__'), undefined);
  const cases = [
    // asked for, hint, why
    ['deepseek-chta', 'deepseek-chat', 'two letters swapped'],
    ['DeepSeek-Chat', 'deepseek-chat', 'case'],
    ['deepseek/deepseek-chat', 'deepseek-chat', 'a provider\'s prefix'],
    ['moonshotai/Kimi-K2', 'kimi-k2', 'prefix and case'],
    ['MiniMax-M2.5', 'minimax-m2.5', 'the provider\'s own spelling'],
    ['glm4-plus', 'glm-4-plus', 'a dash missing'],
    ['qwen', 'qwen-max', 'the beginning of several: the first'],
    ['gpt-4o', undefined, 'nothing near'],
    ['', undefined, 'nothing asked'],
    ['x'.repeat(100_000), undefined, 'a long name costs no time'],
  ] as const;
  for (const [asked, hint, why] of cases) t.equal(nearestModel(catalog, asked), hint, why);
  t.equal(nearestName(['host', 'port'], 'prot'), 'port');
  t.equal(nearestName([], 'port'), undefined);
});

t.test('the age of a price is counted in calendar days', async (t) => {
  const cases = [
    // priced, today, days, why
    ['2026-11-23', '2026-11-23', 0, 'the same day'],
    ['2026-11-23', '2026-12-01', 8, 'over a month\'s end'],
    ['2026-11-23', '2026-12-01T23:59:59Z', 8, 'a time counts as its day'],
    ['2028-02-28', '2028-03-01', 2, 'a leap year'],
    ['2100-02-28', '2100-03-01', 1, 'a century without a leap day'],
    ['2025-12-31', '2026-12-31', 365, 'a year'],
    ['2026-11-23', '2026-01-01', 0, 'a clock behind the price'],
    ['', '2026-11-23', 0, 'an operator\'s own price has no date'],
  ] as const;
  for (const [priced, today, days, why] of cases) t.equal(priceAgeDays({ ...modelOf('deepseek-chat'), priced }, today), days, why);
  t.throws(() => priceAgeDays(modelOf('deepseek-chat'), '2026-02-30'), RangeError, 'no such day');
});

const PROVIDERS = { acme: { base_url: 'https://api.acme.test/v1/' } };
const PRICE = { input: 1, output: 2 };
const one = (fields: object, more: Partial<CatalogParts> = {}): CatalogParts => (
  { providers: PROVIDERS, models: { x: { provider: 'acme', price: PRICE, ...fields } }, equivalents: undefined, ...more });

t.test('what an added model does not say has a default, but its price', async (t) => {
  const read = parseCatalog(one({}));
  t.same(read.models.get('x'), {
    id: 'x', name: 'x', provider: 'acme', upstream: 'x', force: {}, drop: [], contextWindow: 131_072, maxOutput: 8_192,
    price: { input: 1_000_000n, cachedInput: 1_000_000n, output: 2_000_000n }, cost: undefined, priced: '',
    capabilities: ['tools', 'json_object'], source: 'set by the operator', sandbox: false,
  });
  t.same(read.providers.get('acme'), { id: 'acme', name: 'acme', baseUrl: 'https://api.acme.test/v1', regions: {}, dialect: 'openai', keyFormat: '' });
  t.equal(parseCatalog(one({ context_window: 4_096 })).models.get('x')?.maxOutput, 4_096, 'never more output than window');
  t.same(parseCatalog(one({ price: { input: 0, output: '0' } })).models.get('x')?.price, { input: 0n, cachedInput: 0n, output: 0n }, 'a written 0 is free');
  t.same(parseCatalog(one({ price: { input: '0.000001', cached_input: 0.0000001 * 10, output: 1e-6 } })).models.get('x')?.price, { input: 1n, cachedInput: 1n, output: 1n }, 'to the last decimal');
  t.equal(parseCatalog(one({ sandbox: true })).models.get('x')?.sandbox, true);
  t.same(parseCatalog({ models: null, providers: undefined, equivalents: {} }).models.size, 0, 'nothing written is nothing');
});

t.test('faults are refused where they stand, with the mend', async (t) => {
  const at = (base_url: unknown): Partial<CatalogParts> => ({ providers: { acme: { base_url } } });
  const models = { x: { provider: 'acme', price: PRICE }, y: { provider: 'acme', price: PRICE }, free: { provider: 'acme', price: { input: 0, output: 0 } } };
  const cases: [CatalogParts, string, RegExp][] = [
    [one({ price: undefined }), 'models.x.price', /without a price is refused.*price: \{ input: 0\.14/],
    [one({ price: { output: 1 } }), 'models.x.price.input', /no price.*0 makes it free/],
    [one({ price: { input: 1 } }), 'models.x.price.output', /no price/],
    [one({ price: { input: 0.1234567, output: 1 } }), 'models.x.price.input', /at most 6 decimals/],
    [one({ price: { input: -1, output: 1 } }), 'models.x.price.input', /0 or more/],
    [one({ price: { input: 'cheap', output: 1 } }), 'models.x.price.input', /US dollars per million tokens/],
    [one({ price: { input: NaN, output: 1 } }), 'models.x.price.input', /US dollars/],
    [one({ price: { input: Infinity, output: 1 } }), 'models.x.price.input', /US dollars/],
    [one({ price: { input: 1, output: [1] } }), 'models.x.price.output', /US dollars/],
    [one({ price: { input: 1, output: 1, cached: 1 } }), 'models.x.price.cached', /unknown key\. Did you mean cached_input\?/],
    [one({ price: 3 }), 'models.x.price', /expected a mapping, found a number/],
    [one({ cost: { input: 1 } }), 'models.x.cost.output', /no price/],
    [one({ provider: 'acne' }), 'models.x.provider', /Did you mean acme\?/],
    [one({ provider: undefined }), 'models.x.provider', /expected a text, found nothing.*provider: deepseek/],
    [one({ provider: 'openrouter' }), 'models.x.provider', /Add it under providers: with a base_url/],
    [one({ contxt_window: 1 }), 'models.x.contxt_window', /Did you mean context_window\?/],
    [one({ zzz: 1 }), 'models.x.zzz', /The names here are provider, upstream/],
    [one({ context_window: 0 }), 'models.x.context_window', /whole number of tokens/],
    [one({ context_window: 1.5 }), 'models.x.context_window', /whole number of tokens/],
    [one({ context_window: 100, max_output: 101 }), 'models.x.max_output', /larger than the context window of 100/],
    [one({ capabilities: ['tools', 'visoin'] }), 'models.x.capabilities.1', /There are tools, json_object/],
    [one({ capabilities: 'tools' }), 'models.x.capabilities', /expected a list, found a text/],
    [one({ drop: ['top_p', 'top_p'] }), 'models.x.drop.1', /twice/],
    [one({ drop: ['messages'] }), 'models.x.drop.0', /no request works without/],
    [one({ force: { model: 'y' } }), 'models.x.force.model', /set by findtoken itself/],
    [one({ force: 'thinking' }), 'models.x.force', /expected a mapping/],
    [one({ priced: '2026-02-30' }), 'models.x.priced', /expected the day/],
    [one({ sandbox: 'maybe' }), 'models.x.sandbox', /true or false/],
    [one({}, { models: { 'x:cheapest': {} } }), 'models.x:cheapest', /without a routing suffix/],
    [one({}, { models: { 'a b': {} } }), 'models.a b', /letters, digits/],
    [one({}, { models: ['x'] }), 'models', /expected a mapping, found a list/],
    [one({}, { providers: { Acme: {} } }), 'providers.Acme', /lower-case/],
    [one({}, { providers: { acme: {} } }), 'providers.acme.base_url', /needs its address/],
    [one({}, { providers: { acme: { base_url: 'https://a.test', dialect: 'deepsek' } } }), 'providers.acme.dialect', /Did you mean deepseek\?/],
    [one({}, { providers: { acme: { base_url: 'https://a.test', regions: { cn: 'ftp://a.test' } } } }), 'providers.acme.regions.cn', /http or https/],
    ...['ftp://a.test', 'a.test/v1', 'https://user:pass@a.test', 'https://key@a.test/v1', 'https://a.test/v1?key=1', 'https://a.test/#x', 'https://a.test:99999', 'https:// a.test', 'https://', 'https://a.test\\@b.test', 'javascript:alert(1)', 7]
      .map((url): [CatalogParts, string, RegExp] => [one({}, at(url)), 'providers.acme.base_url', /http or https address|expected a text/]),
    [one({}, at('https://a.test/v1/chat/completions/')), 'providers.acme.base_url', /Leave out \/chat\/completions/],
    [one({}, { models, equivalents: { z: ['x'] } }), 'equivalents.z', /no model has this name/],
    [one({}, { models, equivalents: { x: ['y', 'fre'] } }), 'equivalents.x.1', /Did you mean free\?/],
    [one({}, { models, equivalents: { x: ['x'] } }), 'equivalents.x.0', /not for itself/],
    [one({}, { models, equivalents: { x: ['y', 'y'] } }), 'equivalents.x.1', /twice/],
    [one({}, { models, equivalents: { x: ['free'] } }), 'equivalents.x.0', /free is free and x is paid/],
    [one({}, { models, equivalents: { free: ['x'] } }), 'equivalents.free.0', /free is free and x is paid/],
    [one({}, { models, equivalents: { x: 'y' } }), 'equivalents.x', /expected a list, found a text/],
    [one({}, { models, equivalents: ['x'] }), 'equivalents', /expected a mapping, found a list/],
  ];
  for (const [parts, path, text] of cases) {
    try {
      parseCatalog(parts);
      t.fail(`${path} was taken: ${String(text)}`);
    } catch (refusal) {
      if (!(refusal instanceof CatalogError)) throw refusal;
      t.equal(refusal.path.join('.'), path);
      t.match(refusal.text, text);
      t.match(refusal.text, /[.?]$/, 'a whole sentence');
    }
  }
});

t.test('good addresses are taken, slashes at their end trimmed', async (t) => {
  const cases = [
    ['https://api.acme.test/v1///', 'https://api.acme.test/v1'],
    ['http://127.0.0.1:8000/v1', 'http://127.0.0.1:8000/v1'],
    ['http://[::1]:8000', 'http://[::1]:8000'],
    ['http://localhost:11434/v1', 'http://localhost:11434/v1'],
  ] as const;
  for (const [written, read] of cases) t.equal(parseCatalog(one({}, { providers: { acme: { base_url: written } } })).providers.get('acme')?.baseUrl, read);
});

t.test('an operator\'s data lies over the built-in data', async (t) => {
  const over = (models: unknown, more: Partial<CatalogParts> = {}) => parseCatalog(mergeCatalogData(builtIn(), { models, providers: undefined, equivalents: undefined, ...more }));
  const before = modelOf('deepseek-chat');

  const dearer = over({ 'deepseek-chat': { price: { output: 0.6 } } }).models.get('deepseek-chat');
  t.same(dearer?.price, { ...before.price, output: 600_000n }, 'one price changes, the others stay');
  t.match(dearer, { cost: undefined, priced: '', source: 'set by the operator' }, 'what belonged to the old price is gone');
  t.match(dearer, { name: before.name, upstream: before.upstream, force: before.force, maxOutput: before.maxOutput }, 'all else stays');

  const prices: [object, object, string][] = [
    [{ input: 1, output: 2 }, { input: 1_000_000n, cachedInput: 1_000_000n, output: 2_000_000n }, 'cached tokens cost the new input'],
    [{ input: 1 }, { input: 1_000_000n, cachedInput: 1_000_000n, output: before.price.output }, 'so they do where input stands alone'],
    [{ input: 1, cached_input: 0.5 }, { input: 1_000_000n, cachedInput: 500_000n, output: before.price.output }, 'unless their price is named'],
    [{ input: 0.2, cached_input: 0 }, { input: 200_000n, cachedInput: 0n, output: before.price.output }, 'a named 0 is free'],
    [{ cached_input: 0.01 }, { ...before.price, cachedInput: 10_000n }, 'the cached price alone changes nothing else'],
  ];
  for (const [price, expected, why] of prices) t.same(over({ 'deepseek-chat': { price } }).models.get('deepseek-chat')?.price, expected, why);
  t.same(over({ 'deepseek-chat': { cost: { input: 1 } } }).models.get('deepseek-chat')?.cost, { input: 1_000_000n, cachedInput: 1_000_000n, output: 600_000n }, 'a cost is read like a price');

  const own = over({ 'deepseek-chat': { price: { input: 0.2 }, cost: { input: 0.15, output: 0.6 }, priced: '2027-01-01' } }).models.get('deepseek-chat');
  t.match(own, { cost: { input: 150_000n, cachedInput: 150_000n, output: 600_000n }, priced: '2027-01-01' }, 'a cost and a date of their own');
  t.equal(over({ 'deepseek-chat': { name: 'Chat' } }).models.get('deepseek-chat')?.cost?.output, 600_000n, 'without a price, the cost stays');
  t.equal(over({ 'deepseek-chat': { cost: { output: 0.7 } } }).models.get('deepseek-chat')?.cost?.input, 150_000n, 'a cost is laid name by name');
  t.same(over({ 'deepseek-chat': { force: { seed: 1 } } }).models.get('deepseek-chat')?.force, { seed: 1 }, 'force is replaced as a whole');

  const more = over({ new: { provider: 'acme', price: PRICE } }, { providers: { acme: { base_url: 'https://a.test' }, qwen: { regions: { dubai: 'https://dubai.test' } } }, equivalents: { 'deepseek-chat': ['new'], 'deepseek-coder': [] } });
  t.equal([...more.models.keys()].at(-1), 'new', 'what is added comes last');
  t.same(equivalents(more, 'deepseek-chat').map((model) => model.id), ['new'], 'a list of equivalents is replaced');
  t.same(equivalents(more, 'deepseek-coder'), [], 'or emptied');
  t.match(more.providers.get('qwen'), { baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1', regions: { dubai: 'https://dubai.test', us: /dashscope-us/ } });

  t.throws(() => over({ 'deepseek-chat': 'off' }), CatalogError, 'what is no mapping is refused, not ignored');
  t.throws(() => over({ 'deepseek-chat': { price: 1 } }), CatalogError);
  t.throws(() => over('none'), CatalogError);
  t.throws(() => over({ 'deepseek-chat': { price: { input: 0, cached_input: 0, output: 0 } } }), /free/, 'a model made free cannot stay beside paid ones');
  t.equal(over(JSON.parse('{"__proto__": {"provider": "deepseek", "price": {"input": 1, "output": 1}}}')).models.has('__proto__'), true, 'a name is only a name');
  t.equal(Object.hasOwn(Object.prototype, 'provider'), false);
});

t.test('every dialect is a row of the differences, and the reverse', async (t) => {
  for (const dialect of Object.keys(QUIRKS)) {
    t.equal(parseCatalog(one({}, { providers: { acme: { base_url: 'https://a.test', dialect } } })).providers.get('acme')?.dialect, dialect);
  }
  for (const { dialect } of catalog.providers.values()) t.ok(Object.hasOwn(QUIRKS, dialect), dialect);
});
