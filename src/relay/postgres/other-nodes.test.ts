import { beforeEach, describe, expect, it } from 'vitest';
import { OtherNodes, type NodeRow } from './other-nodes.js';

const row = (node: string, beat: number): NodeRow => ({ node, address: '', beat: String(beat) });

describe('the other nodes', () => {
  let now: number;
  let others: OtherNodes;
  let left: string[];
  beforeEach(() => {
    now = 0;
    left = [];
    others = new OtherNodes({ node: 'self', ttlMs: 8_000, graceMs: 60_000, now: () => now });
    others.onLeft((node) => left.push(node));
    others.joined('self', '10.0.0.1:7443');
    others.joined('b', '10.0.0.2:7443');
  });

  /** Reads the database every two seconds; returns the dead of each reading. */
  const read = (beats: readonly number[]): string[][] =>
    beats.map((beat) => {
      now += 2_000;
      return others.observe([row('self', 1), row('b', beat)]).map(({ node }) => node);
    });

  it('have an address until they leave', () => {
    expect([[...others.names()], others.addressOf('b'), others.addressOf('self')]).toEqual([
      ['b'],
      '10.0.0.2:7443',
      undefined,
    ]);
    others.left('b');
    others.left('b');
    expect([[...others.names()], others.addressOf('b'), left]).toEqual([[], undefined, ['b']]);
  });

  it('are lost once their beat has not changed for their time to live', () => {
    expect(read([1, 2, 3, 3, 3, 3, 3])).toEqual([[], [], [], [], [], [], ['b']]);
  });

  it('are not lost while they renew, whatever this node counts first', () => {
    expect(read([7, 8, 9, 10, 11, 12, 13, 14]).flat()).toEqual([]);
  });

  it('have their whole time again after this node could not read', () => {
    read([1]);
    now += 60_000;
    expect(read([1, 1, 1, 1, 1])).toEqual([[], [], [], [], ['b']]);
  });

  it('have their whole time again after this node lost its connection', () => {
    read([1, 1, 1, 1]);
    others.load([row('b', 1)], []);
    expect(read([1, 1, 1, 1, 1])).toEqual([[], [], [], [], ['b']]);
  });

  it('are overdue after the grace period, once', () => {
    others.left('b');
    now += 59_999;
    expect(others.overdue()).toEqual([]);
    now += 1;
    expect(others.overdue()).toEqual(['b']);
    others.gone('b');
    expect(others.overdue()).toEqual([]);
  });

  it('are replaced by what was read after a pause', () => {
    const joined: string[] = [];
    others.onJoined((node) => joined.push(node));
    others.load([{ node: 'c', address: 'c:1', beat: '1' }], ['b']);
    expect([[...others.names()], left, joined]).toEqual([['c'], ['b'], ['c']]);
    now += 60_000;
    expect(others.overdue()).toEqual(['b']);
    others.load([{ node: 'c', address: 'c:1', beat: '1' }], []);
    expect(others.overdue()).toEqual([]);
  });
});
