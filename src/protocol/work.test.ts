import { expect, it } from 'vitest';
import { solveWork, formatWork, isDone, readWork } from './work.js';

const salt = 'ab'.repeat(16);
const never = new AbortController().signal;

it('a solution is found and verified, for this work alone', async () => {
  const work = { bits: 10, salt };
  const solution = await solveWork(work, never);
  expect(isDone(work, solution)).toBe(true);
  expect(isDone({ bits: 32, salt }, solution)).toBe(false);
  expect(await solveWork({ bits: 0, salt }, never)).toBe('0');
});

it('the header contains the work', () => {
  expect(readWork(formatWork({ bits: 14, salt }))).toEqual({ bits: 14, salt });
  expect(readWork(undefined)).toBeUndefined();
});

it.each(['', '14', `21 ${salt}`, `-1 ${salt}`, `14 ${salt}0`, '14 xyz'])('"%s" is rejected', (header) => {
  expect(() => readWork(header)).toThrow('malformed');
});

it('work ends when it is cancelled', async () => {
  await expect(solveWork({ bits: 32, salt }, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
    'enough',
  );
});
