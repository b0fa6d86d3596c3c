const LONGEST = 128;

/**
 * The name a person probably meant, for the mend of a refusal: the same but for case, else one that begins so, else the one
 * with the fewest slips of the hand (a letter wrong, missing, too many, or two swapped), at most a third of its length.
 * Undefined where nothing is near. `nearestName(['host', 'port'], 'prot')` is `'port'`.
 */
export function nearestName(names: Iterable<string>, wrong: string): string | undefined {
  const meant = wrong.toLowerCase();
  // The work grows with the product of the lengths, and the name may come from a request.
  if (meant === '' || meant.length > LONGEST) return undefined;
  let nearest: string | undefined;
  let fewest = Infinity;
  for (const name of names) {
    const candidate = name.toLowerCase();
    if (candidate === meant) return name;
    const begins = meant.length >= 3 && candidate.startsWith(meant);
    const slips = begins ? 1 : slipsBetween(meant, candidate);
    const allowed = Math.max(1, Math.floor(Math.max(meant.length, candidate.length) / 3));
    if (slips <= allowed && slips < fewest) {
      nearest = name;
      fewest = slips;
    }
  }
  return nearest;
}

/** Optimal string alignment: inserted, removed and replaced letters and swapped neighbours cost 1 each. "ab" to "ba" is 1. */
function slipsBetween(left: string, right: string): number {
  let before: number[] = [];
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1];
      let slips = Math.min(at(next, j - 1) + 1, at(row, j) + 1, at(row, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        slips = Math.min(slips, at(before, j - 2) + 1);
      }
      next.push(slips);
    }
    before = row;
    row = next;
  }
  return at(row, right.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
