import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { deferred } from '../../lib/wait.js';
import { RetryLoop, type Step } from './retry-loop.js';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

const FAILED: Step = { maxPauseMs: 300 };

/** A loop that does `steps` in order, then is idle. `at` has the time of each step. */
function loopOf(...steps: (Step | (() => Promise<Step>))[]) {
  const at: number[] = [];
  const errors: unknown[] = [];
  let rests = 0;
  const loop = new RetryLoop({
    step: async () => {
      at.push(Date.now());
      const step = steps.shift() ?? 'idle';
      return typeof step === 'function' ? await step() : step;
    },
    onRest: () => rests++,
    onError: (error) => errors.push(error),
    minPauseMs: 100,
    maxPauseMs: 1_000,
  });
  return { loop, at, errors, steps, rests: () => rests };
}

const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

it('steps until it is idle, and again when asked', async () => {
  const { loop, at, rests } = loopOf('next', 'succeeded');
  loop.run();
  expect(loop.isRunning).toBe(true);
  await settled();
  expect([at.length, rests(), loop.isRunning]).toEqual([3, 1, false]);
  loop.run();
  await settled();
  expect([at.length, rests()]).toEqual([4, 2]);
});

it('doubles the pause after each failure up to the limit, and starts over after a success', async () => {
  const { loop, at } = loopOf(FAILED, FAILED, 'next', FAILED, FAILED, 'succeeded', FAILED);
  loop.run();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(at).toEqual([0, 100, 300, 300, 600, 900, 900, 1_000]);
});

it('continues a pause when something is new, and ends it for a retry', async () => {
  const { loop, at } = loopOf(FAILED, FAILED, FAILED);
  loop.run();
  await vi.advanceTimersByTimeAsync(120);
  loop.run();
  await settled();
  expect(at).toEqual([0, 100]);
  loop.retry();
  await vi.advanceTimersByTimeAsync(99);
  expect(at).toEqual([0, 100, 120]);
  await vi.advanceTimersByTimeAsync(1);
  expect(at).toEqual([0, 100, 120, 220]);
});

it('remembers that it was asked during a step', async () => {
  const stepping = deferred<Step>();
  const { loop, at } = loopOf(() => stepping.promise);
  loop.run();
  loop.retry();
  loop.run();
  expect(at).toEqual([0]);
  stepping.resolve(FAILED);
  await settled();
  expect(at).toEqual([0, 0]);
});

it('pauses for the longest time after an error', async () => {
  const { loop, at, errors, rests } = loopOf(() => Promise.reject(new Error('EIO')));
  loop.run();
  await vi.advanceTimersByTimeAsync(999);
  expect([at, errors, rests()]).toEqual([[0], [new Error('EIO')], 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(at).toEqual([0, 1_000]);
});

it('stops after the step in progress, and starts no other', async () => {
  const stepping = deferred<Step>();
  const { loop, at } = loopOf(() => stepping.promise, 'next');
  loop.run();
  let isStopped = false;
  const stopping = loop.stop().then(() => (isStopped = true));
  await settled();
  expect(isStopped).toBe(false);
  stepping.resolve(FAILED);
  await stopping;
  loop.retry();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(at).toEqual([0]);
});
