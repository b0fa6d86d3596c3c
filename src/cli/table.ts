import { displayWidth, fitted, printable } from './printable.ts';
import type { Terminal } from './terminal.ts';

/** What a table needs of the place it is printed on. */
export type Paper = Pick<Terminal, 'width' | 'colour'>;

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Of numbers, which are never cut. */
  readonly right?: boolean;
  /** Never cut either, for it is what one copies into the next command. */
  readonly whole?: boolean;
  /** Where the terminal is too narrow, the highest goes first; 0 (the default) stays and is cut instead. */
  readonly dropAt?: number;
  /** Long text that is rather cut to this many columns than another column is dropped for it. */
  readonly yieldsTo?: number;
  /** The least width in columns, for rows that are yet to come. */
  readonly least?: number;
  /** Said shorter where the whole table does not fit, before any column is dropped. */
  readonly brief?: { readonly text: (row: Row) => string; readonly least: number };
}

/** Columns that fit, with their widths. */
export interface Layout<Row> {
  readonly columns: readonly { readonly column: Column<Row>; readonly width: number }[];
  readonly terminal: Paper;
}

const GAP = '  ';
const CUT_TO_LEAST = 8;

/**
 * A table for a terminal, fitted to its width; in a pipe, tab-separated lines under a line of titles, nothing cut.
 * Every cell is made printable here. Titles without rows tell a person nothing, so a terminal gets none.
 */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], terminal: Paper): string {
  if (rows.length === 0 && terminal.width !== undefined) return '';
  const layout = layOut(rows, columns, terminal);
  return [titleLine(layout), ...rows.map((row) => rowLine(row, layout))].join('\n');
}

/** Chooses columns and widths for these rows. */
export function layOut<Row>(rows: readonly Row[], columns: readonly Column<Row>[], terminal: Paper): Layout<Row> {
  const measured = (some: readonly Column<Row>[]) => some.map((column) => {
    const widths = rows.map((row) => displayWidth(printable(column.text(row))));
    return { column, width: Math.max(displayWidth(column.title), column.least ?? 0, ...widths) };
  });
  let kept = measured(columns);
  const { width } = terminal;
  if (width === undefined) return { columns: kept, terminal };
  if (totalOf(kept) > width) kept = measured(columns.map((column) => (column.brief === undefined ? column : { ...column, ...column.brief })));
  while (totalOf(kept.map(yielded)) > width) {
    const first = Math.max(...kept.map(({ column }) => column.dropAt ?? 0));
    if (first === 0) break;
    kept = kept.filter(({ column }) => (column.dropAt ?? 0) !== first);
  }
  return { columns: narrowed(kept, width), terminal };
}

export function titleLine<Row>(layout: Layout<Row>): string {
  const titles = layout.columns.map((one) => padded(one.column.title, one, layout.terminal));
  const line = joined(titles, layout.terminal);
  return layout.terminal.colour ? `\x1b[2m${line}\x1b[22m` : line;
}

export function rowLine<Row>(row: Row, layout: Layout<Row>): string {
  const cells = layout.columns.map((one) => padded(printable(one.column.text(row)), one, layout.terminal));
  return joined(cells, layout.terminal);
}

/** Below this a value beside its name is not wrapped: there would be a word a line. */
const WRAPPED_LEAST = 20;

/** One record as `name  value` lines, a long value wrapped beside its name; tab-separated in a pipe. */
export function renderRecord(fields: readonly (readonly [name: string, value: string])[], terminal: Paper): string {
  if (terminal.width === undefined) return fields.map(([name, value]) => `${name}\t${printable(value)}`).join('\n');
  const width = Math.max(...fields.map(([name]) => name.length));
  const indent = width + GAP.length;
  const columns = terminal.width - indent;
  return fields
    .map(([name, value]) => {
      const label = name.padEnd(width);
      const lines = columns < WRAPPED_LEAST ? [printable(value)] : wrapped(printable(value), columns);
      return `${terminal.colour ? `\x1b[2m${label}\x1b[22m` : label}${GAP}${lines.join(`\n${' '.repeat(indent)}`)}`;
    })
    .join('\n');
}

function yielded<Row>({ column, width }: Layout<Row>['columns'][number]): Layout<Row>['columns'][number] {
  return { column, width: Math.min(width, Math.max(column.yieldsTo ?? width, displayWidth(column.title))) };
}

/**
 * Takes what is too much from a column that yields, then from the widest one, one by one, but leaves each something to be recognised
 * by. A number that is cut is another number, and an id is none: where there is no room for it, its line goes on on the next.
 */
function narrowed<Row>(columns: Layout<Row>['columns'], width: number): Layout<Row>['columns'] {
  let over = totalOf(columns) - width;
  let kept = columns.map((one) => {
    const cut = Math.min(Math.max(0, over), one.width - yielded(one).width);
    over -= cut;
    return { ...one, width: one.width - cut };
  });
  while (over > 0) {
    const texts = kept.filter(({ column }) => !isWhole(column));
    const widest = Math.max(...texts.map((one) => one.width));
    if (widest <= CUT_TO_LEAST) return kept;
    const index = kept.findIndex((one) => one.width === widest && !isWhole(one.column));
    kept = kept.map((one, at) => (at === index ? { ...one, width: one.width - 1 } : one));
    over -= 1;
  }
  return kept;
}

function isWhole<Row>({ right, whole }: Column<Row>): boolean {
  return right === true || whole === true;
}

function totalOf(columns: readonly { readonly width: number }[]): number {
  return columns.reduce((sum, { width }) => sum + width, 0) + GAP.length * (columns.length - 1);
}

function padded<Row>(text: string, { column, width }: Layout<Row>['columns'][number], terminal: Paper): string {
  if (terminal.width === undefined) return text;
  const cell = isWhole(column) ? text : fitted(text, width);
  const padding = ' '.repeat(Math.max(0, width - displayWidth(cell)));
  return column.right === true ? padding + cell : cell + padding;
}

function joined(cells: readonly string[], terminal: Paper): string {
  return terminal.width === undefined ? cells.join('\t') : cells.join(GAP).trimEnd();
}

/**
 * Breaks between words; a word that is longer than a line stands alone and is left whole, for it may be copied.
 * `wrapped('a bc def', 4)` is `['a bc', 'def']`.
 */
export function wrapped(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(`${last} ${word}`) <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
