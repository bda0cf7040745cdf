import { expect, it } from 'vitest';
import type { Spliced } from '../../net/splice/spliced.js';
import { LIMITS } from '../../protocol/limits.js';
import { LeaseTraffic } from './traffic.js';

const LONG = LIMITS.maxFramedBytes;

/** Visits of these numbers of bytes, in both directions together. */
function after(...visits: number[]): LeaseTraffic {
  const traffic = new LeaseTraffic();
  for (const bytes of visits) {
    const visitor: Spliced = {
      bytesToA: bytes / 2,
      bytesToB: bytes / 2,
      isCountedElsewhere: false,
      close: () => undefined,
    };
    traffic.began(visitor);
    traffic.ended(visitor);
  }
  return traffic;
}

it('expects no long visit at first', () => {
  expect(after().expectsLongVisit).toBe(false);
});

it('expects a visit like the recent ones', () => {
  expect(after(1_000).expectsLongVisit).toBe(false);
  expect(after(2 * LONG).expectsLongVisit).toBe(true);
  expect(after(2 * LONG, 1_000, 1_000, 1_000).expectsLongVisit).toBe(false);
  expect(after(1_000, 3 * LONG, 3 * LONG, 3 * LONG).expectsLongVisit).toBe(true);
});

it('shows no visitor that another node counts, and disconnects it like others', () => {
  const traffic = new LeaseTraffic();
  const closed: string[] = [];
  const visitor: Spliced = {
    bytesToA: 5,
    bytesToB: 7,
    isCountedElsewhere: true,
    close: (end) => closed.push(end),
  };
  traffic.began(visitor);
  expect([traffic.visitors, traffic.read()]).toEqual([1, { visitors: 0, bytesIn: 0, bytesOut: 0 }]);
  traffic.cut();
  expect(closed).toEqual(['closed']);
  traffic.ended(visitor);
  expect([traffic.visitors, traffic.read()]).toEqual([0, { visitors: 0, bytesIn: 0, bytesOut: 0 }]);
});

it('learns little from a single visit, however long', () => {
  expect(after(1_000, 10_000 * LONG).expectsLongVisit).toBe(false);
  expect(after(10_000 * LONG, ...Array.from({ length: 5 }, () => 1_000)).expectsLongVisit).toBe(false);
});
