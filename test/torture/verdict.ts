/** One numbered thing that was tried. */
export interface Verdict {
  /** As the list of faults numbers it, such as `U12`. */
  readonly id: string;
  readonly what: string;
  readonly outcome: 'held' | 'broken' | 'skipped';
  /** What was seen where it broke; why it was not tried where it was skipped. */
  readonly detail: string;
}

const DETAIL_MAX = 900;

/** Gathers the verdicts of one part. */
export class Verdicts {
  readonly all: Verdict[] = [];
  readonly #tell: (verdict: Verdict) => void;

  constructor(tell: (verdict: Verdict) => void = () => undefined) {
    this.#tell = tell;
  }

  add(told: Verdict): void {
    const verdict = told.detail.length > DETAIL_MAX ? { ...told, detail: `${told.detail.slice(0, DETAIL_MAX)}…` } : told;
    this.all.push(verdict);
    this.#tell(verdict);
  }

  /** Held where `seen` is what was expected. */
  equal(id: string, what: string, seen: unknown, expected: unknown): void {
    const [left, right] = [shown(seen), shown(expected)];
    this.add({ id, what, outcome: left === right ? 'held' : 'broken', detail: left === right ? left : `seen ${left}, expected ${right}` });
  }

  that(id: string, what: string, isSo: boolean, detail: string): void {
    this.add({ id, what, outcome: isSo ? 'held' : 'broken', detail });
  }

  skip(id: string, what: string, why: string): void {
    this.add({ id, what, outcome: 'skipped', detail: why });
  }

  get broken(): readonly Verdict[] {
    return this.all.filter(({ outcome }) => outcome === 'broken');
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value, (_name, part: unknown) => (typeof part === 'bigint' ? String(part) : part)) ?? 'undefined');
}
