import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { InTurns } from './in-turns.js';

/** A clock that only work moves. */
function clock() {
  let now = 0;
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => spy.mockRestore());
  return (ms: number): void => void (now += ms);
}

const fail = (): never => {
  throw new Error('failed');
};

/** Ten pieces of work of `ms` each, and how many of them have run. */
function burst(turns: InTurns, pass: (ms: number) => void, ms: number): number[] {
  const done: number[] = [];
  for (let index = 0; index < 10; index++)
    turns.take(() => {
      pass(ms);
      done.push(index);
    });
  return done;
}

it('runs the first piece at once, and the others of the round right after it', async () => {
  const pass = clock();
  const done = burst(new InTurns(4), pass, 1);
  expect(done).toEqual([0]);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  await new Promise<void>((resolve) => process.nextTick(resolve));
  expect(done.length).toBeGreaterThan(1);
});

it('leaves the rest to later rounds, in order', async () => {
  const pass = clock();
  const done = burst(new InTurns(2), pass, 1);
  const counts: number[] = [];
  for (let round = 0; round < 6; round++) {
    await nextRound();
    counts.push(done.length);
  }
  expect(counts.every((count, index) => count - (counts[index - 1] ?? 0) <= 4)).toBe(true);
  expect(counts[0]).toBeLessThan(10);
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

it('counts the time that Node works right after a piece', async () => {
  const pass = clock();
  const done: number[] = [];
  const turns = new InTurns(2);
  for (let index = 0; index < 4; index++)
    turns.take(() => {
      done.push(index);
      process.nextTick(() => pass(5));
    });
  await new Promise<void>((resolve) =>
    process.nextTick(() => process.nextTick(() => process.nextTick(resolve))),
  );
  expect(done).toEqual([0]);
});

it('gets half as much time as other work', async () => {
  const pass = clock();
  const done = burst(new InTurns(1), pass, 1);
  await nextRound();
  const before = done.length;
  pass(12);
  await nextRound();
  expect(done.length - before).toBeGreaterThanOrEqual(6);
});

it('continues after a piece that throws', async () => {
  const turns = new InTurns(1);
  const done: string[] = [];
  expect(() => turns.take(fail)).toThrow('failed');
  turns.take(() => done.push('next'));
  await nextRound();
  await nextRound();
  expect(done).toEqual(['next']);
});
