import t from 'tap';
import { UnderWay } from '../src/gateway/under-way.ts';

const one = (name: string) => ({ name, place: 0 });

t.test('who came and has not left is under way, whatever the order of leaving', async (t) => {
  const [a, b, c, d] = [one('a'), one('b'), one('c'), one('d')];
  const calls = new UnderWay<{ readonly name: string; place: number }>();
  const names = () => calls.now().map(({ name }) => name).toSorted().join('');
  for (const call of [a, b, c, d]) calls.add(call);
  t.equal(names(), 'abcd');
  calls.delete(b);
  t.equal(names(), 'acd', 'from the middle');
  calls.delete(d);
  t.equal(names(), 'ac', 'the one that had moved into its place');
  calls.delete(d);
  calls.delete(b);
  t.equal(names(), 'ac', 'twice is once');
  calls.delete(one('x'));
  t.equal(names(), 'ac', 'one that never came');
  calls.delete(c);
  calls.delete(a);
  t.equal(calls.size, 0);
  calls.add(b);
  t.equal(names(), 'b', 'and again');
});

t.test('what is under way at a moment may be walked while it leaves', async (t) => {
  const calls = new UnderWay<{ readonly name: string; place: number }>();
  for (const name of 'abcdef') calls.add(one(name));
  for (const call of calls.now()) calls.delete(call);
  t.equal(calls.size, 0);
});

t.test('a thousand that come and go at random are counted as a set would', async (t) => {
  const calls = new UnderWay<{ readonly name: string; place: number }>();
  const expected = new Set<{ readonly name: string; place: number }>();
  const all = Array.from({ length: 100 }, (_, at) => one(String(at)));
  let seed = 7;
  for (let step = 0; step < 1_000; step += 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const call = all[seed % all.length];
    if (call === undefined) throw new Error('no call');
    if (expected.has(call)) {
      expected.delete(call);
      calls.delete(call);
    } else {
      expected.add(call);
      calls.add(call);
    }
  }
  t.strictSame(new Set(calls.now()), expected);
});
