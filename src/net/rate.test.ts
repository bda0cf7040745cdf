import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ByteRate } from './rate.js';

describe('a rate', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  it('allows a burst of one second, then pauses for as long as the excess takes', () => {
    const rate = new ByteRate(1_000_000);
    expect(rate.take(1_000_000)).toBe(0);
    expect(rate.take(500_000)).toBeCloseTo(500);
    expect(rate.take(1_000_000)).toBeCloseTo(1_500);
    vi.advanceTimersByTime(2_500);
    expect(rate.isIdle).toBe(true);
    expect(rate.take(1_000_000)).toBe(0);
  });

  it('does not save unused bandwidth', () => {
    const rate = new ByteRate(1_000_000);
    vi.advanceTimersByTime(3_600_000);
    expect(rate.take(1_500_000)).toBeCloseTo(500);
  });

  it('holds in the long run for any number of connections', () => {
    const rate = new ByteRate(100_000);
    const waits = new Map(Array.from({ length: 50 }, (_, index) => [index, 0]));
    let taken = 0;
    for (let ms = 0; ms < 60_000; ms += 10) {
      for (const [who, until] of waits) {
        if (until > ms) continue;
        taken += 16_384;
        waits.set(who, ms + rate.take(16_384));
      }
      vi.advanceTimersByTime(10);
    }
    // One minute, the burst, and one read in progress per connection.
    expect(taken).toBeLessThanOrEqual(61 * 100_000 + 128 * 1024 + 51 * 16_384);
    expect(taken).toBeGreaterThan(59 * 100_000);
  });

  it('allows two socket reads at any rate', () => {
    const rate = new ByteRate(1);
    expect(rate.take(131_072)).toBeCloseTo(0);
    expect(rate.take(1_000)).toBeGreaterThan(0);
  });

  it('takes all or nothing of bytes that cannot wait', () => {
    const rate = new ByteRate(131_072);
    expect([1, 2, 3].map(() => rate.tryTake(60_000))).toEqual([true, true, false]);
    expect(rate.tryTake(11_072)).toBe(true);
    expect(rate.tryTake(1)).toBe(false);
    vi.advanceTimersByTime(500);
    expect(rate.tryTake(60_000)).toBe(true);
  });
});
