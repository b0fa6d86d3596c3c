import type { CatalogParts } from './parse.ts';

/** Prices that say how they differ from the `input` beside them. */
const OF_AN_INPUT: ReadonlySet<string> = new Set(['cached_input', 'long_prompt', 'peak']);

/** Whoever names one of these has looked the price up; peak hours and long prompts are beside it. */
const RATES = ['input', 'cached_input', 'output'];

/** Fields that are mappings themselves and are laid over each other name by name. */
const NESTED: Readonly<Record<string, (below: unknown, above: unknown) => unknown>> = {
  price: layPrice,
  cost: layPrice,
  regions: (below, above) => overlay(below, above, (_, value) => value),
};

/**
 * Lays an operator's plain data over the built-in data by id: models and providers field by field, `price`, `cost` and `regions`
 * within that name by name, `force` as a whole, a list of equivalents as a whole. An `input` takes the `cached_input`, the `long_prompt` and
 * the `peak` below it along. What is no mapping replaces, so that `parseCatalog` finds it and refuses it. Rates of the operator's own keep
 * no built-in `cost`, `priced` or `source`; a `peak` or `long_prompt` alone, or none (`peak: null`), keeps them, for the price is still the built-in one.
 * `{ price: { output: 0.6 } }` over deepseek-chat leaves its input at 0.14.
 */
export function mergeCatalogData(base: CatalogParts, over: CatalogParts): CatalogParts {
  return {
    models: overlay(base.models, over.models, layModel),
    providers: overlay(base.providers, over.providers, layFields),
    equivalents: overlay(base.equivalents, over.equivalents, (_, list) => list),
  };
}

function layModel(base: unknown, over: unknown): unknown {
  const price = isMapping(over) ? over['price'] : undefined;
  const keepsPrice = price === undefined || price === null || (isMapping(price) && RATES.every((rate) => price[rate] === undefined));
  if (keepsPrice || !isMapping(base)) return layFields(base, over);
  const stale = new Set(['cost', 'priced', 'source']);
  return layFields(Object.fromEntries(Object.entries(base).filter(([field]) => !stale.has(field))), over);
}

function layFields(base: unknown, over: unknown): unknown {
  return overlay(base, over, (below, above, field) => (Object.hasOwn(NESTED, field) ? NESTED[field]?.(below, above) : above));
}

/**
 * Cached tokens, long prompts and peak hours at the built-in price beside an input of the operator's own would be sold at a price that nobody set:
 * they cost what the operator names.
 */
function layPrice(base: unknown, over: unknown): unknown {
  const namesInput = isMapping(over) && over['input'] !== undefined;
  const below = namesInput && isMapping(base) ? Object.fromEntries(Object.entries(base).filter(([name]) => !OF_AN_INPUT.has(name))) : base;
  return overlay(below, over, (_, value) => value);
}

/** Names of `base` first, in its order, then the new ones; `lay` says what a name in both becomes. */
function overlay(base: unknown, over: unknown, lay: (below: unknown, above: unknown, name: string) => unknown): unknown {
  if (over === undefined || over === null) return base;
  if (!isMapping(base) || !isMapping(over)) return over;
  const merged = new Map(Object.entries(base));
  for (const [name, above] of Object.entries(over)) {
    merged.set(name, merged.has(name) ? lay(merged.get(name), above, name) : above);
  }
  return Object.fromEntries(merged);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
