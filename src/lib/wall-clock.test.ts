import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { atTime } from './wall-clock.js';

const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Counts the calls of a wait until `ms` from now. */
function waiting(ms: number): { count: number; end: () => void } {
  const calls = { count: 0, end: atTime(Date.now() + ms, () => void calls.count++) };
  return calls;
}

it('calls once, and not before the time', () => {
  const calls = waiting(10 * HOUR_MS);
  vi.advanceTimersByTime(10 * HOUR_MS - 1);
  expect(calls.count).toBe(0);
  vi.advanceTimersByTime(1);
  expect(calls.count).toBe(1);
  vi.advanceTimersByTime(HOUR_MS);
  expect(calls.count).toBe(1);
});

it('calls soon after the clock is set ahead, as after a sleep of the machine', () => {
  const calls = waiting(10 * HOUR_MS);
  vi.setSystemTime(Date.now() + 24 * HOUR_MS);
  vi.advanceTimersByTime(60_000);
  expect(calls.count).toBe(1);
});

it('waits longer after the clock is set back', () => {
  const calls = waiting(HOUR_MS);
  vi.setSystemTime(Date.now() - HOUR_MS);
  vi.advanceTimersByTime(HOUR_MS);
  expect(calls.count).toBe(0);
  vi.advanceTimersByTime(HOUR_MS);
  expect(calls.count).toBe(1);
});

it.each([-1, 0])('calls later, not immediately, for a time in the past: %i', (ms) => {
  const calls = waiting(ms);
  expect(calls.count).toBe(0);
  vi.advanceTimersByTime(1);
  expect(calls.count).toBe(1);
});

it.each([2 ** 40, Infinity])('waits for a time that no timer can wait for: %d', (ms) => {
  const calls = waiting(ms);
  vi.advanceTimersByTime(48 * HOUR_MS);
  expect(calls.count).toBe(0);
});

it('ends the wait', () => {
  const calls = waiting(HOUR_MS);
  vi.advanceTimersByTime(HOUR_MS / 2);
  calls.end();
  vi.advanceTimersByTime(HOUR_MS);
  expect(calls.count).toBe(0);
});
