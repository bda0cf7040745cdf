/**
 * Random numbers that a seed reproduces.
 *
 * @typedef {() => number} Random a float in [0, 1)
 */

/** mulberry32: small, fast, and random enough to choose mutations. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const below = (random, bound) => Math.floor(random() * bound);
export const pick = (random, list) => list[below(random, list.length)];

export function randomBytes(random, length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = below(random, 256);
  return bytes;
}
