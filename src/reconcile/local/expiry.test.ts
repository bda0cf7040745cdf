import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Expiry } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { ExpiryClock } from './expiry.js';

const STARTED_AT = 1_000_000;

function desiredOf(expiries: Record<string, Expiry | undefined>): Desired {
  const services = Object.entries(expiries).map(([service, expires]) => ({ service, expires }));
  return { file: undefined, identityFile: undefined, relays: [], services } as unknown as Desired;
}

const clock = new ExpiryClock(STARTED_AT);
const some = desiredOf({ always: undefined, soon: { afterMs: 50 }, later: { at: STARTED_AT + 90 } });

describe('services that expire', () => {
  it.each([
    [0, ['always', 'soon', 'later'], 50],
    [49, ['always', 'soon', 'later'], 50],
    [50, ['always', 'later'], 90],
    [90, ['always'], undefined],
  ])('%i ms after the start', (ms, left, next) => {
    const now = STARTED_AT + ms;
    expect(clock.unexpired(some, now).services.map(({ service }) => service)).toEqual(left);
    expect(clock.nextAt(some, now)).toBe(next && STARTED_AT + next);
    const ended = ['always', 'soon', 'later'].filter((service) => !left.includes(service));
    expect([...clock.expired(some, now)]).toEqual(ended);
  });

  it('end by the clock, even if the machine slept', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let due = 0;
    const far = { at: Date.now() + 400 * 24 * 3_600_000 };
    clock.watch(desiredOf({ far }), () => void due++);
    vi.setSystemTime(far.at - 1_000_000);
    vi.advanceTimersByTime(60_000);
    expect(due).toBe(0);
    vi.setSystemTime(far.at);
    vi.advanceTimersByTime(60_000);
    expect(due).toBe(1);
  });
});
