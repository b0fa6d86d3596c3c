/** Reading what SQLite hands over: every value is `unknown` until one of these has looked at it. */
export type Row = Readonly<Record<string, unknown>>;

/** A row, or undefined where the statement found none. */
export function rowOf(found: unknown): Row | undefined {
  return typeof found === 'object' && found !== null ? (found as Row) : undefined;
}

/** A row that has to be there, such as a sum. @throws TypeError where it is not: a bug. */
export function theRow(found: unknown): Row {
  const row = rowOf(found);
  if (row === undefined) throw new TypeError('a row was expected');
  return row;
}

export function rowsOf(found: readonly unknown[]): readonly Row[] {
  return found.map(theRow);
}

export function text(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw new TypeError(`${name} is not text`);
  return value;
}

/** Money, row numbers: exact. */
export function big(row: Row, name: string): bigint {
  const value = row[name];
  if (typeof value !== 'bigint') throw new TypeError(`${name} is not an integer`);
  return value;
}

/** Counts and times, which a double holds exactly. @throws TypeError beyond 2^53. */
export function int(row: Row, name: string): number {
  const value = Number(big(row, name));
  if (!Number.isSafeInteger(value)) throw new TypeError(`${name} is too large`);
  return value;
}

export function flag(row: Row, name: string): boolean {
  return big(row, name) !== 0n;
}

export function bytes(row: Row, name: string): Uint8Array {
  const value = row[name];
  if (!(value instanceof Uint8Array)) throw new TypeError(`${name} is not bytes`);
  return new Uint8Array(value);
}

/** One of a closed set of words, as a CHECK of the schema keeps them. */
export function word<W extends string>(row: Row, name: string, words: readonly W[]): W {
  const value = text(row, name);
  const found = words.find((candidate) => candidate === value);
  if (found === undefined) throw new TypeError(`${name} is ${value}`);
  return found;
}

/** A column that says "none" with one value of its own, for no column is NULL. */
export function unless<V>(value: V, none: V): V | undefined {
  return value === none ? undefined : value;
}

/** A count or time on its way into an INTEGER column; clocks hand over fractions. */
export function whole(value: number): bigint {
  return BigInt(Math.round(value));
}
