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
    evictFirst: ({ waits = false }) => waits,
  });
  return { at, dropped };
}

const enters = (at: FairPlaces<Holder>, holder: Holder, key: string): boolean =>
  at.enter(holder, key) !== undefined;

describe('places', () => {
  it('all go to one group while no other needs them', () => {
    const { at, dropped } = places(3);
    for (const name of ['a', 'b', 'c']) expect(enters(at, { name }, 'one')).toBe(true);
    expect(enters(at, { name: 'd' }, 'one')).toBe(false);
    expect(dropped).toEqual([]);
    expect(at.size).toBe(3);
  });

  it('go from the group with the most to one with fewer, until both have the same', () => {
    const { at, dropped } = places(4);
    for (const name of ['a', 'b', 'c', 'd']) at.enter({ name }, 'one');
    expect(enters(at, { name: 'e' }, 'two')).toBe(true);
    expect(enters(at, { name: 'f' }, 'two')).toBe(true);
    expect(dropped).toEqual(['a', 'b']);
    expect(enters(at, { name: 'g' }, 'two')).toBe(false);
    // A dropped holder does not get its place back.
    expect(enters(at, { name: 'a' }, 'one')).toBe(false);
    expect(at.size).toBe(4);
  });

  it('go to a third group while one has two more', () => {
    const { at, dropped } = places(4);
    for (const name of ['a1', 'b1', 'a2', 'b2']) at.enter({ name }, name[0]!);
    expect(enters(at, { name: 'c1' }, 'c')).toBe(true);
    expect(enters(at, { name: 'd1' }, 'd')).toBe(true);
    expect(dropped).toEqual(['a1', 'b1']);
    expect(enters(at, { name: 'e1' }, 'e')).toBe(false);
  });

  it('are free once returned, and returning one twice does nothing', () => {
    const { at } = places(1);
    const place = at.enter({ name: 'a' }, 'one')!;
    at.leave(place);
    at.leave(place);
    expect(at.size).toBe(0);
    expect(enters(at, { name: 'b' }, 'one')).toBe(true);
  });

  it('are shared by the parts of a group in the same way', () => {
    const { at, dropped } = places(3, true);
    for (const name of ['a', 'b', 'c']) at.enter({ name, connection: 'first' }, 'one');
    expect(enters(at, { name: 'd', connection: 'second' }, 'one')).toBe(true);
    expect(dropped).toEqual(['a']);
    expect(enters(at, { name: 'e', connection: 'second' }, 'one')).toBe(false);
    expect(enters(at, { name: 'f', connection: 'first' }, 'one')).toBe(false);
  });

  it('are given up first by holders that make others wait', () => {
    const { at, dropped } = places(3);
    at.enter({ name: 'a' }, 'one');
    at.enter({ name: 'b', waits: true }, 'one');
    at.enter({ name: 'c' }, 'one');
    at.enter({ name: 'd' }, 'two');
    expect(dropped).toEqual(['b']);
  });

  it('name the next holder to make room: the first of the largest group, unless it was touched', () => {
    const { at } = places(0);
    expect(at.first).toBeUndefined();
    at.enter({ name: 'c' }, 'two');
    const a = at.enter({ name: 'a' }, 'one')!;
    const b = at.enter({ name: 'b' }, 'one')!;
    expect(at.first?.name).toBe('a');
    at.touch(a);
    expect(at.first?.name).toBe('b');
    at.leave(b);
    at.leave(a);
    expect(at.first?.name).toBe('c');
  });

  it('are unlimited if the limit is 0', () => {
    const { at } = places(0);
    for (let i = 0; i < 100; i++) expect(enters(at, { name: `${i}` }, 'one')).toBe(true);
  });
});
