import { losing, WEEK } from '../../catalog/index.ts';
import type { Catalog, Model } from '../../catalog/index.ts';
import { offPeak, priceAt } from '../../money/index.ts';
import type { Peak, Price, PriceList, Rates } from '../../money/index.ts';
import type { Call, Verb } from '../command.ts';
import { perMillion } from '../format.ts';
import { neededModel } from '../needed.ts';
import { renderRecord, renderTable } from '../table.ts';
import type { Column } from '../table.ts';

const PRICE_AGE_DAYS = 90;
const PRICE_AGE_MS = PRICE_AGE_DAYS * 86_400_000;

/** Prices are those of now. */
function columnsAt(nowMs: number): readonly Column<Model>[] {
  return [
    { title: 'model', text: ({ id }) => id },
    { title: 'provider', text: ({ provider }) => provider, dropAt: 2 },
    { title: 'context', text: ({ contextWindow }) => String(contextWindow), right: true, dropAt: 1 },
    { title: 'in $/M', text: ({ price }) => perMillion(priceAt(price, nowMs).input), right: true },
    { title: 'cached $/M', text: ({ price }) => perMillion(priceAt(price, nowMs).cachedInput), right: true, dropAt: 3 },
    { title: 'out $/M', text: ({ price }) => perMillion(priceAt(price, nowMs).output), right: true },
  ];
}

export const MODELS: Verb = {
  usage: 'models [model]',
  about: 'the models and their prices before the usage fee; or one, with its equivalents',
  brief: 'the models, their prices and equivalents',
  examples: ['findtoken models', 'findtoken models deepseek-chat --json'],
  run: models,
};

async function models({ context, args }: Call): Promise<void> {
  const [id] = args;
  const { catalog } = await context.settings();
  const { listView, modelView } = await import('../../accounts/index.ts');
  const nowMs = Date.now();
  if (id === undefined) {
    const all = [...catalog.models.values()];
    const list = listView(all.map((model) => modelView(model, catalog, nowMs)), undefined);
    context.show(list, () => renderTable(all, [...columnsAt(nowMs), equivalentsColumn(catalog)], context.terminal));
    for (const warning of priceWarnings(all, nowMs)) context.terminal.note(warning);
    return;
  }
  const model = await neededModel(catalog, id);
  context.show(modelView(model, catalog, nowMs), () => renderRecord(fieldsOf(model, catalog), context.terminal));
  for (const warning of priceWarnings([model], nowMs)) context.terminal.note(warning);
}

/** What the table leaves out, and what is doubtful about these prices: sold below the provider's list price, or looked up long ago. */
function priceWarnings(models: readonly Model[], nowMs: number): readonly string[] {
  const named = (found: readonly Model[]): string => found.map(({ id }) => id).join(', ');
  const { always, atPeak } = losing(models);
  // A price without a day is the operator's own.
  const old = models.filter(({ priced }) => priced !== '' && nowMs - Date.parse(priced) > PRICE_AGE_MS);
  const dearer = models.filter(({ price }) => price.longPrompt !== undefined);
  const scheduled = models.filter(({ price }) => price.peak !== undefined);
  return [
    ...(dearer.length === 0 || models.length === 1 ? [] : [`Long prompts have a price of their own with ${named(dearer)}: findtoken models MODEL shows it.`]),
    ...(scheduled.length === 0 || models.length === 1 ? [] : [`Peak hours have a price of their own with ${named(scheduled)}; the table tells the price of now, findtoken models MODEL both.`]),
    ...(always.length === 0 ? [] : [`Sold below the provider's list price: ${named(always)}. The operator pays the difference; set models.ID.price to change that.`]),
    ...(atPeak.length === 0 ? [] : [`Sold below the provider's list price in its peak hours: ${named(atPeak)}. The operator pays the difference; set models.ID.price.peak to change that.`]),
    ...(old.length === 0 ? [] : [`Prices older than ${PRICE_AGE_DAYS} days: ${named(old)}. Look them up, then set models.ID.price and models.ID.priced.`]),
  ];
}

/** A price in words, and behind it that of long prompts, and those of peak hours, where there are some. */
function pricesOf(list: PriceList, title: string, of: string): readonly (readonly [string, string])[] {
  const usual = priceOf(offPeak(list), title, '', of);
  return list.peak === undefined ? usual : [...usual, ...priceOf(list.peak.price, title, 'peak', hoursOf(list.peak))];
}

function priceOf(price: Price, title: string, which: string, of: string): readonly (readonly [string, string])[] {
  const { longPrompt } = price;
  const short = [which === '' ? title : `${title} (${which})`, `${ratesOf(price)}, ${of}`] as const;
  if (longPrompt === undefined) return [short];
  return [short, [`${title} (${which === '' ? '' : `${which}, `}long)`, `${ratesOf(longPrompt)}, where the prompt is longer than ${longPrompt.above} tokens`]];
}

/** `mon, tue 01:00-04:00, 06:00-10:00 UTC`; days that are excepted are told by their number, for a list of holidays is long. */
function hoursOf({ hours, days, except }: Peak): string {
  const clock = (minute: number): string => [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':');
  const spans = hours.map(({ from, until }) => `${clock(from)}-${clock(until)}`).join(', ');
  const on = days.length === WEEK.length ? '' : `${days.map((day) => WEEK[day]).join(', ')} `;
  return `${on}${spans} UTC${except.length === 0 ? '' : `, but for ${except.length} day${except.length === 1 ? '' : 's'}`}`;
}

function ratesOf({ input, cachedInput, output }: Rates): string {
  return `$${perMillion(input)} in, $${perMillion(cachedInput)} cached, $${perMillion(output)} out, per million tokens`;
}

function fieldsOf(model: Model, catalog: Catalog): readonly (readonly [string, string])[] {
  const equivalents = equivalentsOf(model, catalog);
  return [
    ['id', model.id],
    ['name', model.name],
    ['provider', model.provider],
    ['upstream', model.upstream],
    ['context', String(model.contextWindow)],
    ['max output', String(model.maxOutput)],
    ...pricesOf(model.price, 'price', 'before the usage fee'),
    ...(model.cost === undefined ? [] : pricesOf(model.cost, 'list price', 'at the provider')),
    ['priced', model.priced === '' ? 'unknown' : model.priced],
    ['capabilities', model.capabilities.join(', ')],
    ['equivalents', equivalents === '' ? 'none' : equivalents],
  ];
}

function equivalentsColumn(catalog: Catalog): Column<Model> {
  return { title: 'equivalents', text: (model) => equivalentsOf(model, catalog), dropAt: 4 };
}

function equivalentsOf(model: Model, catalog: Catalog): string {
  return (catalog.equivalents.get(model.id) ?? []).join(', ');
}
