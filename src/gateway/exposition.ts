import { formatUsdExact } from '../money/index.ts';

export type Labels = Readonly<Record<string, string>>;

/** The values under one set of labels of a family. To be kept by whoever counts there often. */
export interface Series {
  readonly labels: string;
  /** A bigint is money, in 1e-8 USD. */
  value: number | bigint;
  /** Histograms: how many fell into each bucket, the last one without a bound. */
  readonly buckets: number[];
}

/** A series as data. */
export type SeriesRecord = readonly [labels: string, value: number | bigint, buckets: readonly number[]];

/** One metric with its series. The labels of a series are written once, when it is first seen. */
export class Family {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();
  readonly #known = new Map<string, Series>();

  /** @param bounds upper bounds of a histogram's buckets, rising */
  constructor(kind: 'counter' | 'gauge' | 'histogram', name: string, help: string, bounds: readonly number[] = []) {
    this.kind = kind;
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
  }

  /** Adds to a counter, or sets a new gauge. All values of a family are of one type. */
  add(labels: Labels, amount: number | bigint): void {
    addTo(this.#seriesOf(labels, typeof amount === 'bigint' ? 0n : 0), amount);
  }

  /**
   * `add` for what is counted with every request: the labels are put together only when `key` is seen first.
   * @param key stands for these labels and no others within this family
   */
  addAt(key: string, labels: () => Labels, amount: number | bigint): void {
    addTo(this.#known.get(key) ?? this.#learn(key, labels(), typeof amount === 'bigint' ? 0n : 0), amount);
  }

  /** As `addAt`, one value of a histogram. */
  observeAt(key: string, labels: () => Labels, value: number): void {
    this.observeIn(this.#known.get(key) ?? this.#learn(key, labels(), 0), value);
  }

  /** The series of these labels, at 0 where there was none. */
  series(labels: Labels): Series {
    return this.#seriesOf(labels, 0);
  }

  #learn(key: string, labels: Labels, zero: number | bigint): Series {
    const series = this.#seriesOf(labels, zero);
    this.#known.set(key, series);
    return series;
  }

  /** Adds a value to a histogram's series, which is one of this family. */
  observeIn(series: Series, value: number): void {
    series.value = Number(series.value) + value;
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? Infinity)) at += 1;
    series.buckets[at] = (series.buckets[at] ?? 0) + 1;
  }

  /** Its series as data. */
  record(): readonly SeriesRecord[] {
    return [...this.#series.values()].map(({ labels, value, buckets }) => [labels, value, [...buckets]]);
  }

  /** Adds series that another process recorded. To a family that only sums up such records, for it knows them by their labels' text. */
  addRecord(records: readonly SeriesRecord[]): void {
    for (const [labels, value, buckets] of records) {
      const series = this.#series.get(labels);
      if (series === undefined) this.#series.set(labels, { labels, value, buckets: [...buckets] });
      else {
        addTo(series, value);
        buckets.forEach((count, at) => (series.buckets[at] = (series.buckets[at] ?? 0) + count));
      }
    }
  }

  lines(): readonly string[] {
    const lines = [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} ${this.kind}`];
    for (const series of this.#series.values()) {
      if (this.kind === 'histogram') lines.push(...this.#histogram(series));
      else lines.push(`${this.name}${braced(series.labels)} ${shown(series.value)}`);
    }
    return lines;
  }

  #seriesOf(labels: Labels, zero: number | bigint): Series {
    let name = '';
    for (const key in labels) name += `\u0000${labels[key] ?? ''}`;
    let series = this.#series.get(name);
    if (series === undefined) {
      series = { labels: Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`).join(','), value: zero, buckets: Array.from({ length: this.#bounds.length + 1 }, () => 0) };
      this.#series.set(name, series);
    }
    return series;
  }

  #histogram({ labels, value, buckets }: Series): readonly string[] {
    let count = 0;
    const prefix = labels === '' ? '' : `${labels},`;
    const lines = buckets.map((fallen, at) => {
      count += fallen;
      return `${this.name}_bucket{${prefix}le="${at < this.#bounds.length ? this.#bounds[at] : '+Inf'}"} ${count}`;
    });
    return [...lines, `${this.name}_sum${braced(labels)} ${shown(value)}`, `${this.name}_count${braced(labels)} ${count}`];
  }
}

/** Adds to a counter's series, or sets a new gauge's. */
export function addTo(series: Series, amount: number | bigint): void {
  series.value = typeof amount === 'bigint' && typeof series.value === 'bigint' ? series.value + amount : Number(series.value) + Number(amount);
}

/** The whole text, every line with its end. */
export function exposition(families: readonly Family[]): string {
  return `${families.flatMap((family) => family.lines()).join('\n')}\n`;
}

function shown(value: number | bigint): string {
  return typeof value === 'bigint' ? formatUsdExact(value) : String(value);
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
