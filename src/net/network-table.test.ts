import { describe, expect, it } from 'vitest';
import { NetworkTable, placeFor } from './network-table.js';

function tableOf(...entries: (readonly [entry: string, network: string])[]): NetworkTable<string> {
  const table = new NetworkTable<string>();
  for (const [entry, network] of entries) table.add(entry, network);
  return table;
}

describe('a network table', () => {
  it('yields the oldest entry of the network with the most', () => {
    const table = tableOf(['a1', 'a'], ['b1', 'b'], ['b2', 'b'], ['a2', 'a'], ['b3', 'b']);
    expect(table.crowded()).toBe('b1');
    table.delete('b1');
    table.delete('b2');
    expect(table.crowded()).toBe('a1');
  });

  it('yields the oldest of all if each network has one', () => {
    expect(tableOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c']).crowded()).toBe('a1');
  });

  it('yields the oldest of the larger network with the most if each network has one', () => {
    const v4 = tableOf(
      ['a1', '192.0.2.1'],
      ['b1', '198.51.100.1'],
      ['b2', '198.51.100.2'],
      ['c1', '203.0.113.1'],
    );
    expect(v4.crowded()).toBe('b1');
    const v6 = tableOf(['a1', '2001:db8:1:1::/64'], ['b1', '2001:db9:1:1::/64'], ['b2', '2001:db9:2:2::/64']);
    expect(v6.crowded()).toBe('b1');
  });

  it('counts larger networks of entries that come and go after the first question', () => {
    const table = tableOf(['a1', '192.0.2.1'], ['b1', '198.51.100.1'], ['b2', '198.51.100.2']);
    expect(table.crowded()).toBe('b1');
    table.delete('b1');
    table.add('a2', '192.0.2.2');
    expect(table.crowded()).toBe('a1');
    for (const entry of ['a1', 'a2', 'b2']) table.delete(entry);
    for (const [entry, network] of [
      ['c1', '203.0.113.1'],
      ['d1', '192.0.2.1'],
      ['d2', '192.0.2.2'],
    ] as const)
      table.add(entry, network);
    expect(table.crowded()).toBe('d1');
  });

  it('yields the oldest entry of the network with the most bytes, however few there are', () => {
    const table = tableOf(['a1', 'a'], ['a2', 'a'], ['b1', 'b']);
    table.grow('a1', 10);
    table.grow('b1', 15);
    expect(table.heaviest()).toBe('b1');
    table.grow('a2', 10);
    expect(table.heaviest()).toBe('a1');
    table.delete('a1');
    expect(table.heaviest()).toBe('b1');
  });

  it('counts by network, and forgets a network without entries', () => {
    const table = tableOf(['a1', 'a'], ['a2', 'a']);
    expect(table.countOf('a')).toBe(2);
    expect(table.delete('a1')).toBe(true);
    expect(table.delete('a1')).toBe(false);
    table.delete('a2');
    expect([table.countOf('a'), table.size, table.crowded(), table.oldestOf('a')]).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
  });
});

const placeOf = (table: NetworkTable<string>, network: string, late: string[] = []) =>
  placeFor(table, network, { max: 4, isLate: (entry) => late.includes(entry) });

describe('a place', () => {
  it('is free until all are in use', () => {
    expect(placeOf(tableOf(['a1', 'a'], ['b1', 'b']), 'a')).toEqual({});
  });

  it('goes from the network with the most to one with fewer', () => {
    const table = tableOf(['b1', 'b'], ['a1', 'a'], ['a2', 'a'], ['c1', 'c']);
    expect(placeOf(table, 'd')).toEqual({ displaces: 'a1' });
  });

  it('stays where it is between equal shares', () => {
    const table = tableOf(['b1', 'b'], ['a1', 'a'], ['a2', 'a'], ['c1', 'c']);
    expect(placeOf(table, 'b')).toBeUndefined();
    expect(placeOf(table, 'b', ['b1'])).toEqual({ displaces: 'b1' });
  });

  it('goes from a range of addresses to an address outside it', () => {
    const range = ['1', '2', '3', '4'].map((n) => [n, `2001:db8:7:${n}::/64`] as const);
    expect(placeOf(tableOf(...range), '2001:db8:8:1::/64')).toEqual({ displaces: '1' });
    expect(placeOf(tableOf(...range), '2001:db8:7:5::/64')).toBeUndefined();
  });

  it('does not go to the network with the most, unless its oldest entry is late', () => {
    const table = tableOf(['a1', 'a'], ['a2', 'a']);
    expect(placeOf(table, 'a')).toBeUndefined();
    expect(placeOf(table, 'a', ['a1'])).toEqual({ displaces: 'a1' });
  });

  it('stays with a network that has no other, unless it is late', () => {
    const table = tableOf(['a1', 'a'], ['b1', 'b'], ['c1', 'c'], ['d1', 'd']);
    expect(placeOf(table, 'e')).toBeUndefined();
    expect(placeOf(table, 'e', ['a1'])).toEqual({ displaces: 'a1' });
  });
});
