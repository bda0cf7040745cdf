import { describe, expect, it } from 'vitest';
import { Crowd, placeFor } from './crowd.js';

function crowdOf(...entries: (readonly [entry: string, network: string])[]): Crowd<string> {
  const crowd = new Crowd<string>();
  for (const [entry, network] of entries) crowd.add(entry, network);
  return crowd;
}

describe('a crowd', () => {
  it('yields the oldest entry of the network with the most', () => {
    const crowd = crowdOf(['a1', 'a'], ['b1', 'b'], ['b2', 'b'], ['a2', 'a'], ['b3', 'b']);
    expect(crowd.crowded()).toBe('b1');
    crowd.delete('b1');
    crowd.delete('b2');
    expect(crowd.crowded()).toBe('a1');
  });

  it('yields the oldest of all if each network has one', () => {
    expect(crowdOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c']).crowded()).toBe('a1');
  });

  it('yields the oldest of the larger network with the most if each network has one', () => {
    const v4 = crowdOf(
      ['a1', '192.0.2.1'],
      ['b1', '198.51.100.1'],
      ['b2', '198.51.100.2'],
      ['c1', '203.0.113.1'],
    );
    expect(v4.crowded()).toBe('b1');
    const v6 = crowdOf(['a1', '2001:db8:1:1::/64'], ['b1', '2001:db9:1:1::/64'], ['b2', '2001:db9:2:2::/64']);
    expect(v6.crowded()).toBe('b1');
  });

  it('counts larger networks of entries that come and go after the first question', () => {
    const crowd = crowdOf(['a1', '192.0.2.1'], ['b1', '198.51.100.1'], ['b2', '198.51.100.2']);
    expect(crowd.crowded()).toBe('b1');
    crowd.delete('b1');
    crowd.add('a2', '192.0.2.2');
    expect(crowd.crowded()).toBe('a1');
    for (const entry of ['a1', 'a2', 'b2']) crowd.delete(entry);
    for (const [entry, network] of [
      ['c1', '203.0.113.1'],
      ['d1', '192.0.2.1'],
      ['d2', '192.0.2.2'],
    ] as const)
      crowd.add(entry, network);
    expect(crowd.crowded()).toBe('d1');
  });

  it('yields the oldest entry of the network with the most bytes, however few there are', () => {
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
  it('is free until all are in use', () => {
    expect(placeOf(crowdOf(['a1', 'a'], ['b1', 'b']), 'a')).toEqual({});
  });

  it('goes from the network with the most to one with fewer', () => {
    const crowd = crowdOf(['b1', 'b'], ['a1', 'a'], ['a2', 'a'], ['c1', 'c']);
    expect(placeOf(crowd, 'd')).toEqual({ displaces: 'a1' });
  });

  it('stays where it is between equal shares', () => {
    const crowd = crowdOf(['b1', 'b'], ['a1', 'a'], ['a2', 'a'], ['c1', 'c']);
    expect(placeOf(crowd, 'b')).toBeUndefined();
    expect(placeOf(crowd, 'b', ['b1'])).toEqual({ displaces: 'b1' });
  });

  it('goes from a range of addresses to an address outside it', () => {
    const range = ['1', '2', '3', '4'].map((n) => [n, `2001:db8:7:${n}::/64`] as const);
    expect(placeOf(crowdOf(...range), '2001:db8:8:1::/64')).toEqual({ displaces: '1' });
    expect(placeOf(crowdOf(...range), '2001:db8:7:5::/64')).toBeUndefined();
  });

  it('does not go to the network with the most, unless its oldest entry is late', () => {
    const crowd = crowdOf(['a1', 'a'], ['a2', 'a']);
    expect(placeOf(crowd, 'a')).toBeUndefined();
    expect(placeOf(crowd, 'a', ['a1'])).toEqual({ displaces: 'a1' });
  });

  it('stays with a network that has no other, unless it is late', () => {
    const crowd = crowdOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c'], ['d1', 'd']);
    expect(placeOf(crowd, 'e')).toBeUndefined();
    expect(placeOf(crowd, 'e', ['a1'])).toEqual({ displaces: 'a1' });
  });
});
