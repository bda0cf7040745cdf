import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { StallClock } from './stalls.js';

function clockAt(): { clock: StallClock; after: (ms: number) => void } {
  let now = 1_000;
  const clock = new StallClock(() => now);
  return { clock, after: (ms) => (now += ms) };
}

describe('StallClock', () => {
  it('counts nothing while the checks are on time', () => {
    const { clock, after } = clockAt();
    for (let tick = 0; tick < 20; tick++) {
      after(115);
      clock.tick();
    }
    expect(clock.stalledMs).toBe(0);
  });

  it('adds up the delay of each check', () => {
    const { clock, after } = clockAt();
    after(1_100);
    clock.tick();
    after(100);
    clock.tick();
    after(300);
    clock.tick();
    expect(clock.stalledMs).toBe(1_200);
  });

  it('counts a stall before the next check, once', () => {
    const { clock, after } = clockAt();
    after(1_100);
    expect(clock.stalledMs).toBe(1_000);
    clock.tick();
    expect(clock.stalledMs).toBe(1_000);
  });
});

it('runs on the real timers, even if a test replaces them when it begins', async () => {
  vi.resetModules();
  const { activeNow } = await import('./stalls.js');
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  activeNow();
  vi.useRealTimers();
  const from = activeNow();
  await expect.poll(() => activeNow() - from).toBeGreaterThan(300);
});
