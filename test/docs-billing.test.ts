import { readFileSync } from 'node:fs';
import t from 'tap';
import { findModel, soldBelowCost, type Model } from '../src/catalog/index.ts';
import { byokFee, ceilingFor, charge, feeOn, formatUsdExact, offPeak, parsePrice, parseUsd } from '../src/money/index.ts';
import { expectedCost } from '../src/routing/index.ts';
import { loadSettings } from '../src/settings/index.ts';

/** The numbers of the pages on billing and routing, read from the pages and recomputed. */

const page = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8');
const billing = page('billing.md');
const routing = page('routing.md');
const settings = loadSettings({ env: {}, cwd: '/', home: '/' });

/** The cells of the table that begins with these titles. */
function table(text: string, titles: string): readonly (readonly string[])[] {
  const [, rest] = text.split(`| ${titles} |\n`);
  if (rest === undefined) throw new Error(`no table with ${titles}`);
  const lines = rest.split('\n').slice(1);
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(0, end === -1 ? undefined : end).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')));
}

function model(id: string | undefined): Model {
  return found(findModel(settings.catalog, id ?? ''));
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('not in the catalogue');
  return value;
}

const count = (cell: string | undefined): number => Number((cell ?? '').replaceAll(',', ''));
const dollars = (cell: string | undefined): bigint => parseUsd((cell ?? '').replace('$', ''));

t.test('what a request costs', async (t) => {
  const rows = table(billing, 'model | mode | prompt | cached | answer | provider cost | charge');
  t.ok(rows.length >= 9);
  for (const [id, mode, prompt, cached, answer, cost, total] of rows) {
    const tokens = { prompt: count(prompt), cached: count(cached), completion: count(answer) };
    const price = offPeak(model(id).price);
    const { usageFee, byokFee: rate } = settings.billing;
    t.equal(charge(tokens, price, 0n).total, dollars(cost), `${id} ${mode}: the provider's part`);
    t.equal((mode === 'byok' ? byokFee(tokens, price, rate) : charge(tokens, price, usageFee)).total, dollars(total), `${id} ${mode}: the charge`);
  }
});

t.test('what is held', async (t) => {
  const rows = table(billing, 'model | bound of the prompt | limit of the answer | hold');
  t.equal(rows.length, 3);
  for (const [id = '', prompt, answer, hold] of rows) {
    t.equal(ceilingFor({ prompt: count(prompt), completion: count(answer) }, offPeak(model(id).price), 1_000_000n + settings.billing.usageFee), dollars(hold), id);
  }
});

t.test('every model that is sold below its list price, and no other', async (t) => {
  const rows = table(billing, 'model | sold: input, cached, output | list: input, cached, output');
  const below = [...settings.catalog.models.values()].filter((one) => soldBelowCost(one).length > 0);
  t.same(new Set(rows.map(([id]) => id)), new Set(below.map(({ id }) => id)));
  for (const [id = '', sold, list] of rows) {
    const [price, cost] = [model(id).price, found(model(id).cost)].map(offPeak);
    const [input = '', cachedInput = '', output = ''] = (sold ?? '').split(', ');
    t.same({ input: parsePrice(input), cachedInput: parsePrice(cachedInput), output: parsePrice(output) }, price, id);
    const [costInput = '', costCached = '', costOutput = ''] = (list ?? '').split(', ');
    t.same({ input: parsePrice(costInput), cachedInput: parsePrice(costCached), output: parsePrice(costOutput) }, cost, id);
  }
  const answer = { prompt: 0, cached: 0, completion: 1_000_000 };
  t.match(billing, `is sold for $${shown(charge(answer, offPeak(model('deepseek-chat').price), settings.billing.usageFee).total)} and costs the operator $${shown(charge(answer, offPeak(found(model('deepseek-chat').cost)), 0n).total)}`);
});

t.test('the settings that the pages name', async (t) => {
  const { billing: rules, routing: walk } = settings;
  const { credits } = feeOn(parseUsd('10'), rules.rechargeFee);
  t.match(billing, `pay $10.00, receive $${shown(credits)}. The least is $${Number(rules.minimumRecharge / 100_000_000n)} `);
  t.match(billing, `× ${(1_000_000 + Number(rules.usageFee)) / 1_000_000} (\`billing.usage_fee\`)`);
  t.match(billing, `× ${Number(rules.byokFee) / 1_000_000} beyond them`);
  t.match(billing, `The first ${rules.byokFreeRequests.toLocaleString('en-US')} BYOK requests`);
  t.match(billing, `at most ${rules.defaultMaxTokens.toLocaleString('en-US')} (`);
  t.match(billing, `${rules.pictureTokens.toLocaleString('en-US')} for each picture`);
  t.match(billing, `${rules.mediaTokens.toLocaleString('en-US')} for each video, sound or file`);
  t.match(routing, `${rules.pictureTokens.toLocaleString('en-US')} a picture`);
  t.match(routing, `over all providers | ${walk.maxAttempts} |`);
  t.match(routing, `to the first byte | ${walk.deadlineMs / 1_000} s |`);
  t.match(routing, `without streaming | ${walk.timeoutMs / 1_000} s |`);
  t.match(routing, `are none | ${walk.streamTimeoutMs / 1_000} s |`);
  t.match(routing, `every ${walk.healthIntervalMs / 1_000} s (`);
  t.same(walk.backoffMs, [1_000, 2_000, 4_000]);
});

t.test('where glm-4-plus is cheaper than minimax-m2.5', async (t) => {
  const of = (id: string, prompt: number): bigint => expectedCost(offPeak(model(id).price), { promptEstimate: prompt, maxTokens: 1_000, choices: 1 });
  t.match(routing, 'shorter than 3.5 times the answer');
  t.ok(of('glm-4-plus', 3_499) < of('minimax-m2.5', 3_499));
  t.equal(of('glm-4-plus', 3_500), of('minimax-m2.5', 3_500));
  t.ok(of('glm-4-plus', 3_501) > of('minimax-m2.5', 3_501));
});

/** At least two decimals, no zeros behind them. */
function shown(amount: bigint): string {
  return formatUsdExact(amount).replace(/(\.\d\d\d*?)0+$/, '$1');
}
