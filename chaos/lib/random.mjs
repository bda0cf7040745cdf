/** A seeded random number generator (mulberry32): the same seed gives the same schedule on every machine. */
export function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  /** An integer, both ends included. */
  const between = (from, to) => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    between,
    pick: (list) => list[between(0, list.length - 1)],
    /** One element of `list`, with probability proportional to its weight. */
    weighted(list, weightOf) {
      let left = next() * list.reduce((sum, entry) => sum + weightOf(entry), 0);
      return list.find((entry) => (left -= weightOf(entry)) < 0) ?? list.at(-1);
    },
  };
}
