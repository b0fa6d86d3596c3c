import fc from 'fast-check';
import t from 'tap';
import { depthOf } from '../src/gateway/body.ts';

const ENOUGH = 1_000;

t.test('the depth of a body is told without parsing it', async (t) => {
  const depth = (text: string) => depthOf(Buffer.from(text), ENOUGH);
  t.equal(depth('{"a":[1]}'), 2);
  t.equal(depth('7'), 0);
  t.equal(depth('"[[[{{{"'), 0, 'brackets in a text are text');
  t.equal(depth(String.raw`["\"[[", "\\", [[]]]`), 3, 'escaped quotes and backslashes end no text');
  t.equal(depth('[[[["'), 4, 'a text without an end');
  t.equal(depthOf(Buffer.from('['.repeat(5_000_000)), 128), 129, 'no further than is asked');
  for (const long of ['x'.repeat(100_000), String.raw`\"[`.repeat(50_000), `${'x'.repeat(255)}\\\\`, `${'x'.repeat(254)}\\"`, `${'x'.repeat(256)}\\"[`.repeat(9)]) {
    t.equal(depth(`{"a":"${long}","b":[[1]]}`), 3, `a long text that begins ${long.slice(0, 4)} and has ${long.length} characters`);
  }
});

t.test('the depth of any JSON is that of its value', async () => {
  const text = fc.stringMatching(/^[x"\\[\]{}]{0,600}$/);
  fc.assert(fc.property(fc.jsonValue({ stringUnit: 'binary' }), text, (value, long) => depthOf(Buffer.from(JSON.stringify([value, long])), ENOUGH) === 1 + Math.max(deep(value), 0)), { numRuns: 2_000 });
});

function deep(value: unknown): number {
  return typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(deep)) : 0;
}
