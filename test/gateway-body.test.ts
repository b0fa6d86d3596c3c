import fc from 'fast-check';
import t from 'tap';
import { survey } from '../src/gateway/body.ts';

const ENOUGH = 1_000;

t.test('the depth of a body is told without parsing it', async (t) => {
  const depth = (text: string) => survey(Buffer.from(text), ENOUGH).depth;
  t.equal(depth('{"a":[1]}'), 2);
  t.equal(depth('7'), 0);
  t.equal(depth('"[[[{{{"'), 0, 'brackets in a text are text');
  t.equal(depth(String.raw`["\"[[", "\\", [[]]]`), 3, 'escaped quotes and backslashes end no text');
  t.equal(depth('[[[["'), 4, 'a text without an end');
  t.equal(survey(Buffer.from('['.repeat(5_000_000)), 128).depth, 129, 'no further than is asked');
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

function deep(value: unknown): number {
  return typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(deep)) : 0;
}

function many(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.values(value).reduce((sum: number, one) => sum + many(one), 1) : 1;
}
