import t from 'tap';
import { readSince, sizeText, spanText } from '../src/cli/format.ts';
import { displayWidth, fitted, jsonText, printable, printableLines } from '../src/cli/printable.ts';
import { layOut, renderRecord, renderTable, rowLine } from '../src/cli/table.ts';
import type { Column } from '../src/cli/table.ts';
import type { Terminal } from '../src/cli/terminal.ts';

const NOW_MS = Date.UTC(2026, 10, 23, 12);

t.test('a table fits its terminal: columns go by their rank, then the widest is cut', async (t) => {
  interface Row {
    readonly name: string;
    readonly note: string;
    readonly cost: string;
  }
  const columns: readonly Column<Row>[] = [
    { title: 'name', text: ({ name }) => name },
    { title: 'note', text: ({ note }) => note, dropAt: 1 },
    { title: 'cost', text: ({ cost }) => cost, right: true },
  ];
  const rows = [{ name: '笔记本', note: 'a long note', cost: '0.1' }, { name: 'a\x1b[31mb\u202ec\n', note: '', cost: '12.34' }];
  const at = (width: number | undefined, colour = false): Terminal => ({ width, colour, asks: false, draws: false, stdin: process.stdin, stderr: process.stderr, print: () => undefined, write: () => undefined, note: () => undefined });
  t.equal(renderTable(rows, columns, at(60)), [
    'name                 note          cost',
    '笔记本               a long note    0.1',
    'a\\x1b[31mb\\u202ec\\n               12.34',
  ].join('\n'), 'wide characters take two columns; what moves the cursor is shown');
  t.equal(renderTable(rows, columns, at(30)), [
    'name                  cost',
    '笔记本                 0.1',
    'a\\x1b[31mb\\u202ec\\n  12.34',
  ].join('\n'), 'a column is dropped');
  t.equal(renderTable(rows, columns, at(18)), ['name          cost', '笔记本         0.1', 'a\\x1b[31mb…  12.34'].join('\n'), 'the widest is cut');
  const yielding = columns.map((column) => (column.title === 'name' ? { ...column, yieldsTo: 6 } : column));
  t.equal(renderTable(rows, yielding, at(29)), ['name       note          cost', '笔记本     a long note    0.1', 'a\\x1b[31…               12.34'].join('\n'), 'or a column yields for another');
  t.ok(renderTable(rows, columns, at(18)).split('\n').every((line) => displayWidth(line) <= 18));
  const long = [{ name: 'ab', note: '', cost: '123456789.12345678' }];
  t.match(renderTable(long, columns, at(10)), /  123456789\.12345678$/, 'a number is never cut: it would be another one');
  t.match(renderTable([{ name: 'key_0123456789', note: '', cost: '1' }], columns.map((column) => (column.title === 'name' ? { ...column, whole: true } : column)), at(10)), /\nkey_0123456789 /, 'nor what one copies');
  t.match(rowLine({ name: 'ab', note: '', cost: '123456789.12345678' }, layOut(rows, columns, at(60))), /  123456789\.12345678$/, 'nor one that comes later, wider than the others');
  t.equal(renderTable(rows, columns, at(undefined)), 'name\tnote\tcost\n笔记本\ta long note\t0.1\na\\x1b[31mb\\u202ec\\n\t\t12.34', 'in a pipe nothing is cut');
  t.match(renderTable(rows, columns, at(60, true)), /^\x1b\[2mname.*\x1b\[22m\n笔/, 'titles are dim where colour is wanted');
  t.notMatch(renderTable(rows, columns, at(60)), '\x1b', 'and nowhere else');
  t.equal(renderRecord([['id', 'a\tb'], ['balance', '$1']], at(60)), 'id       a\\tb\nbalance  $1');
  t.equal(renderRecord([['id', 'a\tb']], at(undefined)), 'id\ta\\tb', 'a tab in a value breaks no column');
});

t.test('small readers and writers', async (t) => {
  const shown = [['\u{e0041}\ud800\u180e', '\\u{e0041}\\ud800\\u180e'], ['plain', 'plain'], ['\r\n\t', '\\r\\n\\t'], ['\x9b31m', '\\x9b31m'], ['\u2066\u200b\ufeff', '\\u2066\\u200b\\ufeff'], ['é 价格 😀', 'é 价格 😀']] as const;
  for (const [text, printed] of shown) t.equal(printable(text), printed);
  const hostile = 'a\x1b\x9b\u202e\u2028\u{e0041}\n';
  const json = jsonText({ name: hostile }, 2);
  t.equal(json, '{\n  "name": "a\\u001b\\u009b\\u202e\\u2028\\udb40\\udc41\\n"\n}', 'JSON stays JSON, and acts on no terminal');
  t.same(JSON.parse(json), { name: hostile });
  t.equal(printableLines('a\x1b\nb\r\n'), 'a\\x1b\nb\\r\n');
  t.same(['价', '🚀', 'é', 'e\u0301', '⌚'].map(displayWidth), [2, 2, 1, 1, 2]);
  t.equal(fitted('价格价格', 5), '价格…');
  t.equal(fitted('价格价格', 4), '价…', 'half a character is none');
  const since = [['30d', NOW_MS - 30 * 86_400_000], ['90m', NOW_MS - 5_400_000], ['2w', NOW_MS - 14 * 86_400_000], ['2026-11-01', Date.UTC(2026, 10, 1)], ['2026-11-23T11:00Z', NOW_MS - 3_600_000]] as const;
  for (const [written, atMs] of since) t.equal(readSince(written, NOW_MS), atMs, written);
  for (const written of ['', '30', 'd', '-3d', '3y', '2026-13-01', '2026-02-30', '2026-11-24', '1e3s', '999999w']) t.throws(() => readSince(written, NOW_MS), /--since is a span/, written);
  const spans = [[0, '0s'], [61_000, '1m 1s'], [3_600_000, '1h'], [90_061_000, '1d 1h']] as const;
  for (const [ms, text] of spans) t.equal(spanText(ms), text);
  const sizes = [[0, '0 KiB'], [1, '1 KiB'], [258_048, '252 KiB'], [1_048_576, '1.0 MiB'], [300 * 1_048_576, '300 MiB'], [1_500_000_000, '1.4 GiB'], [78_159 * 1_048_576, '77 GiB'], [2 ** 52, '4096 TiB']] as const;
  for (const [bytes, text] of sizes) t.equal(sizeText(bytes), text);
});

t.test('a long value is wrapped beside its name, and what may be copied stays whole', async (t) => {
  const fields = [['price', 'two words and some more of them'], ['key', `sk-ft_${'0'.repeat(40)}`], ['name', 'a\x1b[31m b']] as const;
  t.equal(renderRecord(fields, { width: 27, colour: false }), ['price  two words and some', '       more of them', `key    sk-ft_${'0'.repeat(40)}`, 'name   a\\x1b[31m b'].join('\n'));
  t.equal(renderRecord(fields.slice(0, 1), { width: 20, colour: false }), 'price  two words and some more of them', 'no room, no wrapping');
  t.equal(renderRecord(fields.slice(0, 1), { width: undefined, colour: false }), 'price\ttwo words and some more of them', 'a pipe gets one line each');
});
