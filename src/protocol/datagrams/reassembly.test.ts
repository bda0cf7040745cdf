import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reassembly } from './reassembly.js';

const piece = (text: string): Buffer => Buffer.from(text);

function reassembly(over = {}): { under: Reassembly; lost: () => number } {
  let lost = 0;
  const bounds = { maxBytes: 1000, maxPerFlow: 3, maxMs: 1000, ...over };
  return { under: new Reassembly((count) => (lost += count), bounds), lost: () => lost };
}

describe('reassembly', () => {
  it('reassembles fragments in any order, many datagrams at a time, each once', () => {
    const pieces = [0, 1, 2].flatMap((datagram) =>
      [0, 1, 2, 3].map((index) => ({ datagram, index, text: `${datagram}.${index} ` })),
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(pieces, { minLength: pieces.length }), (order) => {
        const { under, lost } = reassembly();
        const whole: string[] = [];
        for (const { datagram, index, text } of [...order, ...order.slice(0, 1)]) {
          const done = under.add(7, datagram, index, 4, piece(text), 0);
          if (done) whole.push(done.toString());
        }
        expect(whole.toSorted()).toEqual([0, 1, 2].map((d) => `${d}.0 ${d}.1 ${d}.2 ${d}.3 `));
        expect(lost()).toBe(0);
      }),
    );
  });

  it('keeps flows apart', () => {
    const { under } = reassembly();
    under.add(1, 0, 0, 2, piece('a'), 0);
    expect(under.add(2, 0, 1, 2, piece('b'), 0)).toBeUndefined();
    expect(under.add(1, 0, 1, 2, piece('c'), 0)?.toString()).toBe('ac');
  });

  it('ignores a duplicate fragment', () => {
    const { under } = reassembly();
    under.add(1, 0, 0, 2, piece('a'), 0);
    expect(under.add(1, 0, 0, 2, piece('x'), 0)).toBeUndefined();
    expect(under.add(1, 0, 1, 2, piece('b'), 0)?.toString()).toBe('ab');
  });

  it('drops the oldest over the limit of a flow, and counts it', () => {
    const { under, lost } = reassembly();
    for (let datagram = 0; datagram < 5; datagram++) under.add(1, datagram, 0, 2, piece('a'), 0);
    expect(under.size).toBe(3);
    expect(lost()).toBe(2);
    expect(under.add(1, 4, 1, 2, piece('b'), 0)?.toString()).toBe('ab');
  });

  it('never exceeds its limit of bytes', () => {
    const { under, lost } = reassembly({ maxPerFlow: 100 });
    for (let datagram = 0; datagram < 50; datagram++) under.add(1, datagram, 0, 2, Buffer.alloc(100), 0);
    expect(under.size).toBeLessThanOrEqual(10);
    expect(under.size + lost()).toBe(50);
  });

  it('drops datagrams that are incomplete for too long', () => {
    const { under, lost } = reassembly();
    under.add(1, 0, 0, 2, piece('a'), 0);
    under.expire(999);
    expect(under.size).toBe(1);
    expect(under.add(1, 0, 1, 2, piece('b'), 1001)).toBeUndefined();
    expect(lost()).toBe(1);
  });

  it('never builds more than the largest datagram', () => {
    const { under, lost } = reassembly({ maxBytes: 1e6 });
    under.add(1, 0, 0, 2, Buffer.alloc(60_000), 0);
    expect(under.add(1, 0, 1, 2, Buffer.alloc(60_000), 0)).toBeUndefined();
    expect(lost()).toBe(1);
    expect(under.size).toBe(0);
  });
});
