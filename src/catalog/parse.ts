import { dayNumber } from './days.ts';
import { CatalogError, readBaseUrl, readEach, readFlag, readMapping, readText, readTexts, readTokens } from './fields.ts';
import type { Path } from './fields.ts';
import { nearestName } from './names.ts';
import { isFree, readPrices } from './prices.ts';
import type { Capability, Catalog, Model, Provider } from './types.ts';

/** Plain parsed data in the shape of findtoken.yaml: `models` and `providers` by id, `equivalents` as lists of ids. */
export interface CatalogParts {
  readonly models: unknown;
  readonly providers: unknown;
  readonly equivalents: unknown;
}

/** What a model gets that says nothing of it: modest figures that nearly every served model passes. */
const CONTEXT_WINDOW = 131_072;
const MAX_OUTPUT = 8_192;
const CAPABILITIES: readonly Capability[] = ['tools', 'json_object'];

const EVERY_CAPABILITY: readonly Capability[] = ['tools', 'json_object', 'json_schema', 'vision', 'reasoning'];
/** `api_key` is known here for refusals to name it; `settings` reads it, and no catalogue holds it. */
const PROVIDER_FIELDS = ['name', 'base_url', 'regions', 'dialect', 'key_format', 'api_key'];
const MODEL_FIELDS = [
  'provider', 'upstream', 'force', 'drop', 'price', 'cost', 'name', 'context_window', 'max_output', 'capabilities', 'priced', 'source', 'sandbox',
];
/** The rows of differences that `wire` knows. */
const DIALECTS = ['openai', 'deepseek', 'zhipu', 'minimax', 'qwen', 'kimi', 'stepfun'];
/** Fields of a request that the gateway itself answers for. */
const OURS = ['model', 'messages', 'stream', 'stream_options'];

/**
 * Reads the catalogue: providers, then models, then who may stand in for whom. Prices are US dollars per million tokens,
 * kept as 1e-12 dollars a token: `price: { input: 0.14 }` is 140_000n. `cached_input` is `input` where it is not written;
 * context_window is 131072, max_output 8192 and capabilities are tools and json_object.
 * @throws CatalogError at the first fault, whoever wrote the data being at fault: a missing price, an unknown provider or key,
 * an address that could carry a key elsewhere, equivalents that are unknown, repeated, itself, or free beside paid.
 */
export function parseCatalog(parts: CatalogParts): Catalog {
  const providers = readEach(parts.providers, ['providers'], readProvider);
  const models = readEach(parts.models, ['models'], (id, entry, path) => readModel(id, entry, path, providers));
  const equivalents = readEach(parts.equivalents, ['equivalents'], (id, list, path) => readEquivalents(id, list, path, models));
  return { models, providers, equivalents };
}

function readProvider(id: string, entry: unknown, path: Path): Provider {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(id)) {
    throw new CatalogError(path, 'a provider is named in lower-case letters, digits and dashes. Write for example my-provider.', true);
  }
  const fields = readMapping(entry, path, PROVIDER_FIELDS);
  if (fields['base_url'] === undefined) {
    throw new CatalogError([...path, 'base_url'], 'a provider that is not built in needs its address. Write for example base_url: https://api.example.com/v1, or mend the name.');
  }
  const regionsPath = [...path, 'regions'];
  const regions = readMapping(fields['regions'], regionsPath);
  return {
    id,
    name: readText(fields, 'name', path, id),
    baseUrl: readBaseUrl(fields, 'base_url', path),
    regions: Object.fromEntries(Object.keys(regions).map((region) => [region, readBaseUrl(regions, region, regionsPath)])),
    dialect: readDialect(readText(fields, 'dialect', path, 'openai'), [...path, 'dialect']),
    keyFormat: readText(fields, 'key_format', path, ''),
  };
}

function readDialect(dialect: string, path: Path): string {
  if (DIALECTS.includes(dialect)) return dialect;
  const near = nearestName(DIALECTS, dialect);
  throw new CatalogError(path, `no dialect has this name. ${near === undefined ? `There are ${DIALECTS.join(', ')}.` : `Did you mean ${near}?`}`);
}

function readModel(id: string, entry: unknown, path: Path, providers: ReadonlyMap<string, Provider>): Model {
  // A routing suffix is cut off a requested name, so a model that bears one could never be called.
  if (!/^[\w][\w.\-/:@+]{0,127}$/.test(id) || /:(auto|cheapest|fallback)$/.test(id)) {
    throw new CatalogError(path, 'a model is named in letters, digits and . - _ / : @ +, without a routing suffix such as :cheapest.', true);
  }
  const fields = readMapping(entry, path, MODEL_FIELDS);
  const contextWindow = readTokens(fields, 'context_window', path, CONTEXT_WINDOW);
  const maxOutput = readTokens(fields, 'max_output', path, Math.min(MAX_OUTPUT, contextWindow));
  if (maxOutput > contextWindow) {
    throw new CatalogError([...path, 'max_output'], `larger than the context window of ${contextWindow} tokens. Lower it, or raise context_window.`);
  }
  return {
    id,
    name: readText(fields, 'name', path, id),
    provider: readProviderOf(readText(fields, 'provider', path), path, providers),
    upstream: readText(fields, 'upstream', path, id),
    force: readForce(fields['force'], [...path, 'force']),
    drop: fields['drop'] === undefined ? [] : readDrop(fields['drop'], [...path, 'drop']),
    contextWindow,
    maxOutput,
    price: readPrices(fields['price'], [...path, 'price']),
    cost: fields['cost'] === undefined ? undefined : readPrices(fields['cost'], [...path, 'cost']),
    priced: readDay(readText(fields, 'priced', path, ''), [...path, 'priced']),
    capabilities: fields['capabilities'] === undefined ? CAPABILITIES : readCapabilities(fields['capabilities'], [...path, 'capabilities']),
    source: readText(fields, 'source', path, 'set by the operator'),
    sandbox: readFlag(fields, 'sandbox', path),
  };
}

function readProviderOf(provider: string, path: Path, providers: ReadonlyMap<string, Provider>): string {
  if (providers.has(provider)) return provider;
  const near = nearestName(providers.keys(), provider);
  const mend = near === undefined ? 'Add it under providers: with a base_url.' : `Did you mean ${near}?`;
  throw new CatalogError([...path, 'provider'], `no provider has this name. ${mend}`);
}

function readForce(value: unknown, path: Path): Readonly<Record<string, unknown>> {
  const force = readMapping(value, path);
  const ours = Object.keys(force).find((field) => OURS.includes(field));
  if (ours === undefined) return force;
  throw new CatalogError([...path, ours], 'this field is set by findtoken itself. Leave it out; the provider\'s name of a model goes into upstream.', true);
}

function readDrop(value: unknown, path: Path): readonly string[] {
  const drop = readTexts(value, path, 'drop: [temperature, top_p]');
  const at = drop.findIndex((field) => OURS.includes(field));
  if (at === -1) return drop;
  throw new CatalogError([...path, at], 'no request works without this field. Leave it out of the list.');
}

function readDay(day: string, path: Path): string {
  if (day === '' || dayNumber(day) !== undefined) return day;
  throw new CatalogError(path, 'expected the day on which the price was looked up. Write for example priced: 2026-11-23.');
}

function readCapabilities(value: unknown, path: Path): readonly Capability[] {
  return readTexts(value, path, 'capabilities: [tools, json_object]').map((name, index) => {
    const known = EVERY_CAPABILITY.find((capability) => capability === name);
    if (known !== undefined) return known;
    throw new CatalogError([...path, index], `no capability has this name. There are ${EVERY_CAPABILITY.join(', ')}.`);
  });
}

function readEquivalents(id: string, value: unknown, path: Path, models: ReadonlyMap<string, Model>): readonly string[] {
  const model = models.get(id);
  if (model === undefined) throw new CatalogError(path, unknownModel(id, models), true);
  const list = value === null ? [] : readTexts(value, path, `${id}: [another-model]`);
  list.forEach((other, index) => {
    const here = [...path, index];
    const standIn = models.get(other);
    if (standIn === undefined) throw new CatalogError(here, unknownModel(other, models));
    if (other === id) throw new CatalogError(here, 'a model stands in for others, not for itself. Leave it out.');
    if (isFree(standIn.price) !== isFree(model.price)) {
      const [free, paid] = isFree(model.price) ? [id, other] : [other, id];
      // Routing by price would send everything to the free one, and a customer of the free one would be charged.
      throw new CatalogError(here, `${free} is free and ${paid} is paid; they cannot stand in for each other. List only one kind under equivalents.${id}.`, false,
        [['models', id, 'price'], ['models', other, 'price']]);
    }
  });
  return list;
}

function unknownModel(id: string, models: ReadonlyMap<string, Model>): string {
  const near = nearestName(models.keys(), id);
  return `no model has this name. ${near === undefined ? 'Add it under models: with a provider and a price.' : `Did you mean ${near}?`}`;
}
