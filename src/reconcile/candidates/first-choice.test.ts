import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { newCandidate, type Candidate } from './candidate.js';
import { FirstChoice } from './first-choice.js';

const TIMEOUT_MS = 1_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const unknown = (): Candidate => newCandidate({ kind: 'url', url: 'https://a.test' }, 'registry');
const healthy = (): Candidate => ({ ...unknown(), healthyAt: 0 });
const down = (): Candidate => ({ ...unknown(), downAt: 0 });

/** A first choice whose lists are loaded, and whether it is due after `ms` with these candidates. */
async function loaded() {
  const first = new FirstChoice(TIMEOUT_MS, new AbortController().signal);
  first.await(Promise.resolve());
  await vi.advanceTimersByTimeAsync(0);
  const isDueAfter = (ms: number, ...candidates: Candidate[]): boolean =>
    first.isDue(candidates, 1, performance.now() + ms);
  return { first, isDueAfter };
}

it('is due at once when every candidate has a result', async () => {
  const { isDueAfter } = await loaded();
  expect(isDueAfter(0, healthy(), down())).toBe(true);
  expect(isDueAfter(0)).toBe(true);
});

it('waits a while for the others when enough are healthy, and longer when none is', async () => {
  const { isDueAfter } = await loaded();
  const due = (...candidates: Candidate[]): boolean[] =>
    [300, 301, 1_000, 1_001].map((ms) => isDueAfter(ms, ...candidates));
  expect(due(healthy(), unknown())).toEqual([false, true, true, true]);
  expect(due(down(), unknown())).toEqual([false, false, false, true]);
});

it('is not due before the last lists are loaded', async () => {
  const first = new FirstChoice(TIMEOUT_MS, new AbortController().signal);
  first.await(Promise.resolve());
  first.await(new Promise(() => undefined));
  await vi.advanceTimersByTimeAsync(0);
  expect(first.isDue([healthy()], 1, Number.MAX_VALUE)).toBe(false);
});

it('is made once, until other candidates begin', () => {
  const first = new FirstChoice(TIMEOUT_MS, new AbortController().signal);
  expect([first.make(), first.make(), first.isMade]).toEqual([true, false, true]);
  first.reset();
  expect([first.isMade, first.make()]).toEqual([false, true]);
});

it('ends the waits for it when it is made, when they time out, and with the pool', async () => {
  const stop = new AbortController();
  const first = new FirstChoice(TIMEOUT_MS, stop.signal);
  const [ended, late] = [vi.fn<() => void>(), vi.fn<() => void>()];
  void first.made(10).then(late);
  await vi.runAllTimersAsync();
  expect(late).toHaveBeenCalledOnce();
  void first.made(10).then(ended);
  first.make();
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toHaveBeenCalledOnce();
  first.reset();
  void first.made(10).then(ended);
  stop.abort();
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toHaveBeenCalledTimes(2);
});
