import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { formatUsd, formatUsdExact } from '../src/money/index.ts';
import { openHouse, readStream } from './support/house.ts';
import { startProvider } from './support/provider.ts';

const root = new URL('../', import.meta.url);
const tour = readFileSync(new URL('docs/tour.md', root), 'utf8');

t.test('every stop of the tour exists', async (t) => {
  const stops = [...tour.matchAll(/`(src\/[\w/.-]+)#(\w+)`/g)];
  t.ok(stops.length >= 15);
  for (const [, path = '', symbol = ''] of stops) {
    const file = new URL(path, root);
    t.ok(existsSync(file), path);
    t.match(readFileSync(file, 'utf8'), new RegExp(`export (async )?(function|class|const) ${symbol}\\b`), `${path}#${symbol}`);
  }
});

t.test('the numbers of the tour are those of the request it tells of', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  deepseek.usage = { prompt_tokens: 1_900, completion_tokens: 130, prompt_tokens_details: { cached_tokens: 1_200 } };
  const house = await openHouse(t, { providers: { deepseek: deepseek.url } });
  let held = 0n;
  const { ledger } = house;
  const hold = ledger.hold.bind(ledger);
  ledger.hold = async (request) => {
    held = request.ceiling;
    return hold(request);
  };
  const request: unknown = JSON.parse(/```json\n(.*)\n```/.exec(tour)?.[1] ?? '');
  const { text, events } = await readStream(await house.post(request));
  const row = await house.lastRow();
  const sent = deepseek.requests[0]?.body;
  t.match(tour, `a hold of $${formatUsdExact(held)}`);
  t.match(tour, `$${formatUsdExact(row.cost)} in all: $${formatUsdExact(row.providerCost)} for DeepSeek, $${formatUsdExact(row.fee)} as fee`);
  t.match(tour, `a balance of $${formatUsdExact(await house.balance())}`);
  t.match(tour, `X-FindToken-Balance: ${formatUsd(await house.balance())}`);
  t.match(text, ': x-findtoken-cost 0.000145');
  t.match(events.at(-2), { usage: { cost: 0.000145, prompt_tokens: 1_900, completion_tokens: 130 } });
  t.match(sent, { model: 'deepseek-flash', max_tokens: 16_384, stream_options: { include_usage: true } });
});
