import { expect, it, onTestFinished, vi } from 'vitest';
import { WhenEmpty } from './when-empty.js';

/** Waits, and records that the wait ended. */
function waiting(whenEmpty: WhenEmpty, ms?: number): { ended: boolean } {
  const state = { ended: false };
  void whenEmpty.wait(ms).then(() => (state.ended = true));
  return state;
}

it('ends every wait when empty, and none before', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const whenEmpty = new WhenEmpty();
  const waits = [waiting(whenEmpty), waiting(whenEmpty, 1_000)];
  await vi.advanceTimersByTimeAsync(999);
  expect(waits.map(({ ended }) => ended)).toEqual([false, false]);
  whenEmpty.emptied();
  await vi.advanceTimersByTimeAsync(0);
  expect(waits.map(({ ended }) => ended)).toEqual([true, true]);
  expect(vi.getTimerCount()).toBe(0);
});

it('ends a wait after its timeout, and keeps those without one', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const whenEmpty = new WhenEmpty();
  const [limited, unlimited] = [waiting(whenEmpty, 1_000), waiting(whenEmpty)];
  await vi.advanceTimersByTimeAsync(1_000);
  expect([limited.ended, unlimited.ended]).toEqual([true, false]);
});
