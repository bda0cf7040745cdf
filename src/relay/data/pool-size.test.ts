import { expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { PoolSize } from './pool-size.js';

/** The size of a pool at a node of several. */
function size({ canForward = true } = {}) {
  const made = new PoolSize({ canForward });
  return {
    size: made,
    wanted: (waiting = 0, ahead = 0, isPaused = false) => made.wanted({ waiting, ahead, isPaused }),
    miss: (times: number) => Array.from({ length: times }, () => made.missed()),
  };
}

it('doubles once for each connection that visitors find missing, up to the limit, and halves when that stops', () => {
  const { size: made, wanted } = size();
  expect(wanted()).toBe(2);
  made.grow();
  made.grow();
  expect(wanted()).toBe(4);
  for (let time = 0; time < 20; time++) {
    made.took();
    made.grow();
  }
  expect(wanted()).toBe(LIMITS.maxIdleDataConnections);
  made.shrink();
  expect(wanted()).toBe(LIMITS.maxIdleDataConnections / 2);
  for (let time = 0; time < 20; time++) made.shrink();
  expect(wanted()).toBe(2);
});

it('requests connections for visitors also during a pause', () => {
  const { wanted } = size();
  expect([wanted(3, 0), wanted(3, 0, true), wanted(0, 0, true)]).toEqual([5, 3, 0]);
});

it('refills a large pool in parts', () => {
  const { size: made, wanted } = size();
  for (let time = 0; time < 3; time++) {
    made.took();
    made.grow();
  }
  expect([wanted(0, 15), wanted(0, 14), wanted(1, 16)]).toEqual([0, 2, 1]);
});

it('requests more for each visitor while connections arrive at other nodes', () => {
  const { size: made, wanted, miss } = size({ canForward: false });
  miss(4);
  expect([wanted(1, 0, true), wanted(4, 0, true)]).toEqual([5, 8]);
  miss(100);
  expect(wanted(1, 0, true)).toBe(16);
  made.arrived();
  expect(wanted(1, 0, true)).toBe(1);
});

it('requests one at a time while visitors are forwarded, until another node does not take one', () => {
  const { size: made, wanted, miss } = size();
  miss(2);
  expect([made.isStarved, made.isLost]).toEqual([false, false]);
  miss(30);
  expect([made.isStarved, made.isLost, wanted(5)]).toEqual([true, true, 1]);
  made.forwardFailed();
  expect([made.isStarved, made.isLost]).toEqual([true, false]);
});

it('pauses after many misses, unless visitors come', () => {
  const { size: made, miss } = size();
  expect(miss(32)).not.toContain(true);
  made.visited();
  expect(miss(32)).not.toContain(true);
  expect(miss(1)).toEqual([true]);
});
