import { expect, it } from 'vitest';
import { ExpiryClock } from './expiry-clock.js';

const DAY_MS = 86_400_000;
const NOW = 20_000 * DAY_MS;

/** A clock over two that the test sets. */
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

it('is the one of the machine, day by day, and when that is set back', () => {
  const { clock, times, pass } = clockAt(NOW, NOW - DAY_MS);
  for (let day = 1; day <= 100; day++) {
    pass(DAY_MS);
    expect(clock.now()).toBe(NOW + day * DAY_MS);
    expect(clock.aheadMs).toBe(0);
  }
  times.wall -= 40 * DAY_MS;
  expect(clock.now()).toBe(NOW + 60 * DAY_MS);
});

it('does not leap ahead with it, and follows again once it is right', () => {
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

it('takes a start at which every name would have lapsed for a wrong clock', () => {
  const { clock } = clockAt(NOW + 31 * DAY_MS, NOW);
  expect(clock.now()).toBe(NOW + DAY_MS);
  // One at which some would have is nothing special.
  expect(clockAt(NOW + 29 * DAY_MS, NOW).clock.now()).toBe(NOW + 29 * DAY_MS);
});

it('lets a clock that began at the epoch come right', () => {
  const { clock, times } = clockAt(0, NOW);
  expect(clock.now()).toBe(0);
  times.wall = NOW + 1_000;
  expect(clock.now()).toBe(NOW + 1_000);
});

it('believes a relay without names', () => {
  expect(clockAt(NOW).clock.now()).toBe(NOW);
});
