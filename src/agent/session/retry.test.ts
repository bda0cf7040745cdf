import { expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { spread, withJitter } from './retry.js';

it('retries after one to two times the requested pause, up to a maximum', () => {
  const waits = Array.from({ length: 1_000 }, () => withJitter(1_000));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(2_000);
  // Spread over the whole second.
  expect(new Set(waits.map((ms) => Math.floor(ms / 100))).size).toBe(10);
  // A relay that requests no pause gets no storm.
  expect(withJitter(0)).toBeGreaterThanOrEqual(250);
  expect(withJitter(Number.MAX_SAFE_INTEGER)).toBeLessThanOrEqual(2 * LIMITS.maxComeBackMs);
});

it('requests a lease again after the requested pause, spread over at most ten seconds', () => {
  const waits = Array.from({ length: 1_000 }, () => spread(1_000));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(2_000);
  expect(spread(3_600_000)).toBeLessThanOrEqual(3_610_000);
  expect(spread(0)).toBeGreaterThanOrEqual(250);
  expect(spread(Number.MAX_SAFE_INTEGER)).toBeLessThan(2 ** 31);
});
