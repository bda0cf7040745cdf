import { expect, it } from 'vitest';
import { TokenBucket, TokenBuckets } from './token-bucket.js';

it('gives a burst, then the rate, and says how long to wait', () => {
  const bucket = new TokenBucket(2, 4, 0);
  expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([0, 0, 250]);
  expect([bucket.take(100), bucket.take(250), bucket.take(250)]).toEqual([150, 0, 250]);
});

it('is full again after a pause, and never more than full', () => {
  const bucket = new TokenBucket(2, 4, 0);
  bucket.take(0);
  expect([bucket.isFull(249), bucket.isFull(250)]).toEqual([false, true]);
  expect([bucket.take(60_000), bucket.take(60_000), bucket.take(60_000)]).toEqual([0, 0, 250]);
});

it('keeps a bucket for each key, as long as it is not full', () => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 1, maxKeys: 10 });
  expect([buckets.take('a', 0), buckets.take('a', 0), buckets.take('b', 0)]).toEqual([0, 1_000, 0]);
  expect(buckets.size).toBe(2);
  buckets.take('c', 5_000);
  expect(buckets.size).toBe(1);
});

it('remembers a limited number of keys', () => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 0.001, maxKeys: 3 });
  for (const key of ['a', 'b', 'c']) buckets.take(key, 0);
  // Used again, so `b` is now the longest unused.
  buckets.take('a', 1);
  buckets.take('d', 1);
  expect(buckets.size).toBe(3);
  expect(buckets.take('a', 2)).toBeGreaterThan(0);
  expect(buckets.take('b', 2)).toBe(0);
});
