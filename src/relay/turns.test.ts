import { describe, expect, it } from 'vitest';
import { Turns } from './turns.js';

const round = (): Promise<void> => new Promise(setImmediate);

describe('turns', () => {
  it('begin at once where nobody waits', () => {
    const done: string[] = [];
    new Turns().take('a', () => done.push('a'));
    expect(done).toEqual(['a']);
  });

  it('go round the networks, however many one of them asks for', async () => {
    const turns = new Turns();
    const done: string[] = [];
    for (let count = 1; count <= 50; count++) turns.take('crowd', () => done.push('crowd'));
    turns.take('a', () => done.push('a'));
    turns.take('b', () => done.push('b'));
    turns.take('a', () => done.push('a'));
    while (done.length < 53) await round();
    expect(done.slice(0, 8)).toEqual(['crowd', 'crowd', 'crowd', 'a', 'b', 'crowd', 'a', 'crowd']);
  });

  it('leave time for others: so many are taken in one round of the event loop', async () => {
    const turns = new Turns();
    let done = 0;
    for (let count = 1; count <= 10; count++) turns.take('a', () => done++);
    const seen = [done];
    for (let rounds = 1; rounds <= 3; rounds++) {
      await round();
      seen.push(done);
    }
    expect(seen[0]).toBe(2);
    expect(seen.every((count, at) => at === 0 || count - seen[at - 1]! <= 2)).toBe(true);
    while (done < 10) await round();
    await turns.pass('a');
  });

  it('go on after work that throws', async () => {
    const turns = new Turns();
    const passed = Array.from({ length: 5 }, async (_, at) => {
      await turns.pass('a');
      if (at % 2 === 0) throw new Error('it failed');
      return at;
    });
    const outcomes = await Promise.allSettled(passed);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
    ]);
  });
});
