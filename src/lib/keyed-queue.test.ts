import { expect, it } from 'vitest';
import { KeyedQueue } from './keyed-queue.js';

/** A task that the test ends. */
function task(begun: string[], name: string) {
  let resolve!: (value: string) => void;
  let reject!: (error: Error) => void;
  const result = new Promise<string>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { resolve, reject, run: () => (begun.push(name), result) };
}

it('runs one task of a key at a time, in order, and other keys meanwhile', async () => {
  const queue = new KeyedQueue();
  const begun: string[] = [];
  const [a1, a2, a3] = [task(begun, 'a1'), task(begun, 'a2'), task(begun, 'a3')];
  const b1 = task(begun, 'b1');
  const results = [queue.run('a', a1.run), queue.run('a', a2.run), queue.run('a', a3.run)];
  const other = queue.run('b', b1.run);
  expect(begun).toEqual(['a1', 'b1']);
  a1.resolve('one');
  await expect(results[0]).resolves.toBe('one');
  expect(begun).toEqual(['a1', 'b1', 'a2']);
  a2.reject(new Error('two'));
  await expect(results[1]).rejects.toThrow('two');
  a3.resolve('three');
  await expect(results[2]).resolves.toBe('three');
  b1.resolve('other');
  await expect(other).resolves.toBe('other');
});

it('forgets a key after its last task, failed or not', async () => {
  const queue = new KeyedQueue();
  await Promise.allSettled([
    queue.run('a', () => Promise.reject(new Error('failed'))),
    queue.run('a', () => Promise.resolve()),
    queue.run('b', () => Promise.reject(new Error('failed'))),
  ]);
  expect(queue.size).toBe(0);
});
