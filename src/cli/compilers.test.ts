import { describe, expect, it } from 'vitest';
import { LoadWatch } from './compilers.js';

/** The first window of half a second, beginning with 1, in which a process with these shares of a core is under load. */
function loadedAt(...shares: number[]): number | undefined {
  const watch = new LoadWatch();
  const at = shares.findIndex((share) => watch.sees(500, 500 * share));
  return at === -1 ? undefined : at + 1;
}

const START = [1, 1];

describe('a process is under load', () => {
  it('after its start, when two windows in a row are busy', () => {
    expect(loadedAt(...START, 0.01, 0.5, 0.5)).toBe(5);
    expect(loadedAt(...START, 0.01, 0.9, 0.01, 0.9, 0.01)).toBeUndefined();
  });

  it('not while it starts, unless that takes more than five seconds', () => {
    expect(loadedAt(...START, 0.05, 0.05)).toBeUndefined();
    expect(loadedAt(...Array.from({ length: 20 }, () => 1))).toBe(11);
  });

  it('not at rest', () => {
    expect(loadedAt(...Array.from({ length: 100 }, () => 0.1))).toBeUndefined();
  });
});
