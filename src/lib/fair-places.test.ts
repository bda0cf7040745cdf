import { describe, expect, it } from 'vitest';
import { FairPlaces } from './fair-places.js';

interface Holder {
  readonly name: string;
  readonly connection?: string;
  readonly waits?: boolean;
}

function places(max: number, parts = false): { at: FairPlaces<Holder>; dropped: string[] } {
  const dropped: string[] = [];
  const at = new FairPlaces<Holder>({
    max,
    drop: ({ name }) => dropped.push(name),
    ...(parts && { partOf: ({ connection }) => connection }),
    givesWay: ({ waits = false }) => waits,
  });
  return { at, dropped };
}

describe('places', () => {
  it('are all for one group while no other asks', () => {
    const { at, dropped } = places(3);
    for (const name of ['a', 'b', 'c']) expect(at.take({ name }, 'one')).toBe(true);
    expect(at.take({ name: 'd' }, 'one')).toBe(false);
    expect(dropped).toEqual([]);
    expect(at.size).toBe(3);
  });

  it('go from the group that holds most to one that holds fewer, until both hold the same', () => {
    const { at, dropped } = places(4);
    for (const name of ['a', 'b', 'c', 'd']) at.take({ name }, 'one');
    expect(at.take({ name: 'e' }, 'two')).toBe(true);
    expect(at.take({ name: 'f' }, 'two')).toBe(true);
    expect(dropped).toEqual(['a', 'b']);
    expect(at.take({ name: 'g' }, 'two')).toBe(false);
    // One that was dropped does not get its place back.
    expect(at.take({ name: 'a' }, 'one')).toBe(false);
    expect(at.size).toBe(4);
  });

  it('change hands for a third group as long as one holds two more', () => {
    const { at, dropped } = places(4);
    for (const name of ['a1', 'b1', 'a2', 'b2']) at.take({ name }, name[0]!);
    expect(at.take({ name: 'c1' }, 'c')).toBe(true);
    expect(at.take({ name: 'd1' }, 'd')).toBe(true);
    expect(dropped).toEqual(['a1', 'b1']);
    expect(at.take({ name: 'e1' }, 'e')).toBe(false);
  });

  it('are free again once given back, and giving twice is nothing', () => {
    const { at } = places(1);
    const holder = { name: 'a' };
    expect(at.take(holder, 'one')).toBe(true);
    at.give(holder);
    at.give(holder);
    expect(at.size).toBe(0);
    expect(at.take({ name: 'b' }, 'one')).toBe(true);
  });

  it('are shared by the parts of a group in the same way', () => {
    const { at, dropped } = places(3, true);
    for (const name of ['a', 'b', 'c']) at.take({ name, connection: 'first' }, 'one');
    expect(at.take({ name: 'd', connection: 'second' }, 'one')).toBe(true);
    expect(dropped).toEqual(['a']);
    expect(at.take({ name: 'e', connection: 'second' }, 'one')).toBe(false);
    expect(at.take({ name: 'f', connection: 'first' }, 'one')).toBe(false);
  });

  it('are given up first by those who keep others waiting', () => {
    const { at, dropped } = places(3);
    at.take({ name: 'a' }, 'one');
    at.take({ name: 'b', waits: true }, 'one');
    at.take({ name: 'c' }, 'one');
    at.take({ name: 'd' }, 'two');
    expect(dropped).toEqual(['b']);
  });

  it('tell who is next to give way: the first of the largest group, unless it was touched', () => {
    const { at } = places(0);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name }));
    expect(at.first).toBeUndefined();
    at.take(c!, 'two');
    at.take(a!, 'one');
    at.take(b!, 'one');
    expect(at.first).toBe(a);
    at.touch(a!);
    expect(at.first).toBe(b);
    at.give(b!);
    at.give(a!);
    expect(at.first).toBe(c);
  });

  it('are unlimited where the limit is 0', () => {
    const { at } = places(0);
    for (let i = 0; i < 100; i++) expect(at.take({ name: `${i}` }, 'one')).toBe(true);
  });
});
