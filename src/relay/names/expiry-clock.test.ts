import { expect, it } from 'vitest';
import { ExpiryClock } from './expiry-clock.js';

const DAY_MS = 86_400_000;
const NOW = 20_000 * DAY_MS;

/** An expiry clock over two clocks that the test sets. */
function clockAt(wall: number, newestUse?: number) {
  const times = { wall, steady: 5_000 };
  const clock = new ExpiryClock({
    newestUse,
    reservationMs: 30 * DAY_MS,
    wall: () => times.wall,
    steady: () => times.steady,
  });
  const pass = (ms: number): void => {
    times.wall += ms;
    times.steady += ms;
  };
  return { clock, times, pass };
}

it("follows the machine's clock every day, and after it is set back", () => {
  const { clock, times, pass } = clockAt(NOW, NOW - DAY_MS);
  for (let day = 1; day <= 100; day++) {
    pass(DAY_MS);
    expect(clock.now()).toBe(NOW + day * DAY_MS);
    expect(clock.aheadMs).toBe(0);
  }
  times.wall -= 40 * DAY_MS;
  expect(clock.now()).toBe(NOW + 60 * DAY_MS);
});

it('does not jump ahead with it, and follows it again once it is correct', () => {
  const { clock, times, pass } = clockAt(NOW, NOW);
  pass(DAY_MS);
  times.wall += 40 * DAY_MS;
  expect(clock.now()).toBe(NOW + 2 * DAY_MS);
  expect(clock.aheadMs).toBe(39 * DAY_MS);
  pass(DAY_MS);
  expect(clock.now()).toBe(NOW + 3 * DAY_MS);
  times.wall -= 40 * DAY_MS;
  expect(clock.now()).toBe(NOW + 2 * DAY_MS);
  expect(clock.aheadMs).toBe(0);
});

it('treats the clock as wrong if every name would have expired at the start', () => {
  const { clock } = clockAt(NOW + 31 * DAY_MS, NOW);
  expect(clock.now()).toBe(NOW + DAY_MS);
  // If only some names would have expired, the clock is right.
  expect(clockAt(NOW + 29 * DAY_MS, NOW).clock.now()).toBe(NOW + 29 * DAY_MS);
});

it('recovers when a clock that started at the epoch is set right', () => {
  const { clock, times } = clockAt(0, NOW);
  expect(clock.now()).toBe(0);
  times.wall = NOW + 1_000;
  expect(clock.now()).toBe(NOW + 1_000);
});

it('trusts the clock of a relay without names', () => {
  expect(clockAt(NOW).clock.now()).toBe(NOW);
});

it('counts whole milliseconds, since not every store has fractions', () => {
  const { clock, times } = clockAt(NOW + 31 * DAY_MS, NOW);
  times.steady += 0.25;
  expect(clock.now()).toBe(NOW + DAY_MS);
});
