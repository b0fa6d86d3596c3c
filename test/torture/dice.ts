/** Chance that can be had again: the same seed throws the same numbers. */
export interface Dice {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
  /** One of these, the weight saying how often. */
  pick<T>(weighted: readonly (readonly [weight: number, value: T])[]): T;
  /** Dice of their own, so that one part of a run does not shift another's throws. */
  fork(name: string): Dice;
}

/** @param seed any whole number */
export function throwDice(seed: number): Dice {
  let state = seed >>> 0;
  // mulberry32: 32 bits of state are plenty for choosing moments.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    pick(weighted) {
      let rest = below(weighted.reduce((sum, [weight]) => sum + weight, 0));
      for (const [weight, value] of weighted) {
        if (rest < weight) return value;
        rest -= weight;
      }
      throw new RangeError('nothing to pick from');
    },
    fork: (name) => throwDice(seed ^ hashOf(name)),
  };
}

/** FNV-1a: spreads short names over 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
