import { describe, expect, it } from 'vitest';
import { Crowd, placeFor } from './crowd.js';

function crowdOf(...entries: (readonly [entry: string, network: string])[]): Crowd<string> {
  const crowd = new Crowd<string>();
  for (const [entry, network] of entries) crowd.add(entry, network);
  return crowd;
}

describe('a crowd', () => {
  it('yields the oldest entry of the network that has most', () => {
    const crowd = crowdOf(['a1', 'a'], ['b1', 'b'], ['b2', 'b'], ['a2', 'a'], ['b3', 'b']);
    expect(crowd.crowded()).toEqual({ oldest: 'b1', count: 3 });
    crowd.delete('b1');
    crowd.delete('b2');
    expect(crowd.crowded()).toEqual({ oldest: 'a1', count: 2 });
  });

  it('yields the oldest of all where each network has one', () => {
    expect(crowdOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c']).crowded()).toEqual({
      oldest: 'a1',
      count: 1,
    });
  });

  it('yields the oldest entry of the network that takes most bytes, however few those are', () => {
    const crowd = crowdOf(['a1', 'a'], ['a2', 'a'], ['b1', 'b']);
    crowd.grow('a1', 10);
    crowd.grow('b1', 15);
    expect(crowd.heaviest()).toBe('b1');
    crowd.grow('a2', 10);
    expect(crowd.heaviest()).toBe('a1');
    crowd.delete('a1');
    expect(crowd.heaviest()).toBe('b1');
  });

  it('counts by network, and forgets a network without entries', () => {
    const crowd = crowdOf(['a1', 'a'], ['a2', 'a']);
    expect(crowd.countOf('a')).toBe(2);
    expect(crowd.delete('a1')).toBe(true);
    expect(crowd.delete('a1')).toBe(false);
    crowd.delete('a2');
    expect([crowd.countOf('a'), crowd.size, crowd.crowded(), crowd.oldestOf('a')]).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
  });
});

const placeOf = (crowd: Crowd<string>, network: string, late: string[] = []) =>
  placeFor(crowd, network, { max: 4, isLate: (entry) => late.includes(entry) });

describe('a place', () => {
  it('is free until all are taken', () => {
    expect(placeOf(crowdOf(['a1', 'a'], ['b1', 'b']), 'a')).toEqual({});
  });

  it('of the network that has most goes to one with fewer', () => {
    const crowd = crowdOf(['b1', 'b'], ['a1', 'a'], ['a2', 'a'], ['c1', 'c']);
    expect(placeOf(crowd, 'd')).toEqual({ displaces: 'a1' });
    expect(placeOf(crowd, 'b')).toEqual({ displaces: 'a1' });
  });

  it('is not given to the network that has most, unless its oldest entry is late', () => {
    const crowd = crowdOf(['a1', 'a'], ['a2', 'a']);
    expect(placeOf(crowd, 'a')).toBeUndefined();
    expect(placeOf(crowd, 'a', ['a1'])).toEqual({ displaces: 'a1' });
  });

  it('of a network that has no other is kept, unless it is late', () => {
    const crowd = crowdOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c'], ['d1', 'd']);
    expect(placeOf(crowd, 'e')).toBeUndefined();
    expect(placeOf(crowd, 'e', ['a1'])).toEqual({ displaces: 'a1' });
  });
});
