import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';

interface Target {
  readonly no: string;
  readonly of: string;
  readonly must: number;
  readonly stretch: number;
}
type Reached = Target & { readonly reached: number };

/** The bench is plain JavaScript, so that it runs without a build; here is what of it is tried. */
interface Bench {
  readonly TARGETS: readonly Target[];
  readonly PARTS: Readonly<Record<string, unknown>>;
  readonly EVENTS_A_STREAM: number;
  readonly verdicts: (measures: Readonly<Record<string, number | undefined>>) => readonly Reached[];
  readonly isMet: (target: Reached) => boolean;
  readonly targetTable: (reached: readonly Reached[]) => string;
  readonly requestBody: (kind: string) => string;
  readonly sseAnswer: () => string;
  readonly median: (values: readonly number[]) => number;
  readonly quantile: (values: readonly number[], share: number) => number;
  readonly table: (rows: readonly (readonly (string | number)[])[]) => string;
  readonly writeBetween: (file: string, name: string, text: string) => void;
}

const modules = await Promise.all(['targets', 'parts', 'canned', 'figures', 'page'].map((name) => import(new URL(`./bench/${name}.mjs`, import.meta.url).href) as Promise<Partial<Bench>>));
const { TARGETS, PARTS, EVENTS_A_STREAM, verdicts, isMet, targetTable, requestBody, sseAnswer, median, quantile, table, writeBetween } = Object.assign({}, ...modules) as Bench;

t.test('a target is met, passed or missed, whichever way it points', (t) => {
  const at = (of: string, reached: number) => targetTable(verdicts({ [of]: reached })).split('\n').at(-1) ?? '';
  // measure, what it reached, the verdict
  const cases: readonly (readonly [of: string, reached: number, word: RegExp])[] = [
    ['json/bare', 0.59, /0\.59 × +\| MISSED \|$/],
    ['json/bare', 0.6, / met \|$/],
    ['json/bare', 0.76, / beyond the stretch \|$/],
    ['idle', 25.1, / MISSED \|$/],
    ['idle', 25, / met \|$/],
    ['idle', 15.9, / beyond the stretch \|$/],
    ['crash', 0.8, / MISSED \|$/],
    ['crash', 1, / met \|$/],
  ];
  for (const [of, reached, word] of cases) t.match(at(of, reached), word, `${of} ${reached}`);
  t.same(verdicts({ 'idle': Number.NaN, 'json/bare': undefined, 'other': 1 }), [], 'what was not measured is not judged');
  t.ok(TARGETS.every((target) => isMet({ ...target, reached: target.stretch })), 'a stretch meets its must');
  t.equal(new Set(TARGETS.map(({ of }) => of)).size, TARGETS.length, 'no measure is judged twice');
  t.same(new Set(TARGETS.map(({ no }) => no).filter((no) => no !== '')), new Set(Array.from({ length: 13 }, (_, no) => String(no + 1))));
  t.end();
});

t.test('what is sent and answered has the sizes that the page tells', (t) => {
  t.ok(Math.abs(requestBody('json').length - 300) < 50, 'about 300 bytes');
  t.equal(requestBody('big').length, 128 * 1024);
  t.equal(sseAnswer().split('\n\n').filter((event) => event !== '').length, EVENTS_A_STREAM + 1, 'the events and [DONE]');
  t.end();
});

t.test('figures', (t) => {
  t.same([median([3, 1, 2]), median([4, 1, 2, 3]), quantile([1, 2, 3, 4, 5], 0.25)], [2, 2.5, 2]);
  t.equal(table([['a', 'b'], ['long', 1]]), '| a    | b |\n|------|--:|\n| long | 1 |');
  t.end();
});

t.test('a page keeps what people wrote around the figures', (t) => {
  const file = `${t.testdir()}/page.md`;
  writeBetween(file, 'targets', 'first');
  writeFileSync(file, readFileSync(file, 'utf8').replace('# Performance', '# Performance\n\nWords.'));
  writeBetween(file, 'targets', 'second\n\n\n\nthird');
  t.match(readFileSync(file, 'utf8'), /^# Performance\n\nWords\.\n\n<!-- targets: .* -->\n\nsecond\n\nthird\n\n<!-- end of targets -->\n/);
  writeFileSync(file, 'no marks');
  t.throws(() => writeBetween(file, 'figures', 'text'), { message: /lacks the marks <!-- figures/ });
  t.end();
});

t.test('docs/performance.md names every part and holds every mark', (t) => {
  const page = readFileSync(new URL('../docs/performance.md', import.meta.url), 'utf8');
  const named = page.slice(page.indexOf('| part'), page.indexOf('Servers take slices'));
  for (const part of Object.keys(PARTS)) t.match(named, `\`${part}\``, part);
  const file = `${t.testdir()}/page.md`;
  writeFileSync(file, page);
  for (const name of ['targets', 'figures', 'where']) t.doesNotThrow(() => writeBetween(file, name, ''), name);
  t.end();
});
