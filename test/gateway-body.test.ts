import fc from 'fast-check';
import t from 'tap';
import { survey } from '../src/gateway/survey.ts';
import { openHouse } from './support/house.ts';
import { startProvider } from './support/provider.ts';

const ENOUGH = { jsonDepth: 1_000, jsonValues: 10_000_000 };

t.test('the depth of a body is told without parsing it', async (t) => {
  const depth = (text: string) => survey(Buffer.from(text), ENOUGH).depth;
  t.equal(depth('{"a":[1]}'), 2);
  t.equal(depth('7'), 0);
  t.equal(depth('"[[[{{{"'), 0, 'brackets in a text are text');
  t.equal(depth(String.raw`["\"[[", "\\", [[]]]`), 3, 'escaped quotes and backslashes end no text');
  t.equal(depth('[[[["'), 4, 'a text without an end');
  t.equal(survey(Buffer.from('['.repeat(5_000_000)), { ...ENOUGH, jsonDepth: 128 }).depth, 129, 'no further than is asked');
  for (const long of ['x'.repeat(100_000), String.raw`\"[`.repeat(50_000), `${'x'.repeat(255)}\\\\`, `${'x'.repeat(254)}\\"`, `${'x'.repeat(256)}\\"[`.repeat(9)]) {
    t.equal(depth(`{"a":"${long}","b":[[1]]}`), 3, `a long text that begins ${long.slice(0, 4)} and has ${long.length} characters`);
  }
});

t.test('of any JSON the depth is that of its value, and the values are not fewer than it has', async () => {
  const text = fc.stringMatching(/^[x"\\[\]{}]{0,600}$/);
  fc.assert(fc.property(fc.jsonValue({ stringUnit: 'binary' }), text, (value, long) => {
    const { depth, values } = survey(Buffer.from(JSON.stringify([value, long])), ENOUGH);
    return depth === 1 + deep(value) && values >= 2 + many(value) && values <= 2 * (2 + many(value));
  }), { numRuns: 2_000 });
});

t.test('counting stops just past what is allowed', async (t) => {
  const few = { jsonDepth: 128, jsonValues: 1_000 };
  const values = (text: string) => survey(Buffer.from(text), few).values;
  t.equal(values(`[${'0,'.repeat(900)}0]`), 902);
  for (const text of ['0,'.repeat(5_000_000), '{},'.repeat(5_000_000), '[]'.repeat(5_000_000), '""'.repeat(5_000_000)]) t.equal(values(text), 1_001, `${text.slice(0, 3)}…`);
});

t.test('a body of too many values is refused before it is parsed, one of large values is not', async (t) => {
  const deepseek = await startProvider();
  t.teardown(() => deepseek.close());
  const house = await openHouse(t, { books: 'cli', providers: { deepseek: deepseek.url }, credit: '100' });
  const chat = (content: unknown, more: object = {}) => house.post({ model: 'deepseek-chat', max_tokens: 10, messages: [{ role: 'user', content }], ...more });
  const hostile = [
    await chat('x', { extra: Array.from({ length: 1_000_000 }, () => 0) }),
    await chat('x', { extra: Array.from({ length: 50_000 }, () => ({})) }),
    await chat('x', { logit_bias: Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [String(at), 0])) }),
  ];
  for (const answer of hostile) {
    t.equal(answer.status, 400);
    t.match(await answer.json(), { error: { code: 'invalid_request', message: /more than 60000 JSON values .* raise limits\.json_values/ } });
  }
  t.equal(deepseek.requests.length, 0);
  const text = { type: 'text', text: 'a "quoted" word, [1, 2, {}], and\nso on; '.repeat(50_000) };
  const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${'QUJD'.repeat(1_000_000)}` } };
  t.equal((await chat([text, picture, picture, picture])).status, 200, 'a long prompt with pictures');
  t.equal((await chat('x', { tools: Array.from({ length: 500 }, (_, at) => ({ type: 'function', function: { name: `tool_${at}`, parameters: { type: 'object', properties: Object.fromEntries('abcdefghij'.split('').map((name) => [name, { type: 'string', description: 'words' }])) } } })) })).status, 200, 'five hundred tools of ten parameters');
});

function deep(value: unknown): number {
  return typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(deep)) : 0;
}

function many(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.values(value).reduce((sum: number, one) => sum + many(one), 1) : 1;
}
