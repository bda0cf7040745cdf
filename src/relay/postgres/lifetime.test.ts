import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Lifetime } from './lifetime.js';

describe('the lifetime of a node', () => {
  let now = 0;
  beforeEach(() => {
    now = 1_000_000;
    vi.useFakeTimers();
  });
  afterEach(() => void vi.useRealTimers());

  /** Lets time pass; timers run after it, as in a process that was stopped. */
  const pass = (ms: number): void => {
    now += ms;
  };
  const open = (outageAt?: () => number | undefined) => {
    const expired = vi.fn<() => void>();
    const lifetime = new Lifetime({ ttlMs: 8_000, outageAt, now: () => now });
    lifetime.onExpired(expired);
    return { lifetime, expired };
  };

  it('lasts from the request of the last renewal', () => {
    const { lifetime, expired } = open();
    const requestedAt = now;
    pass(5_000);
    // The database responded late.
    lifetime.renewed(requestedAt);
    pass(2_999);
    expect(lifetime.isCurrent()).toBe(true);
    pass(1);
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('expires by a timer', () => {
    const { expired } = open();
    pass(8_000);
    vi.advanceTimersByTime(8_000);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('ends when somebody asks, if the process was stopped and no timer has run', () => {
    const { lifetime, expired } = open();
    pass(60_000);
    expect(expired).not.toHaveBeenCalled();
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('does not come back with a renewal that was late', () => {
    const { lifetime, expired } = open();
    pass(9_000);
    lifetime.renewed(now);
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('ends immediately when other nodes counted it as lost', () => {
    const { lifetime, expired } = open();
    lifetime.expire();
    lifetime.expire();
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('tells a listener that comes too late', () => {
    const { lifetime } = open();
    lifetime.expire();
    const late = vi.fn<() => void>();
    lifetime.onExpired(late);
    expect(late).toHaveBeenCalledOnce();
  });

  it('continues while no node can use the database, and then as long as after a renewal', () => {
    let outageAt: number | undefined;
    const { lifetime, expired } = open(() => outageAt);
    pass(7_000);
    outageAt = now;
    pass(7_999);
    expect(lifetime.isCurrent()).toBe(true);
    outageAt = now;
    pass(7_999);
    expect(lifetime.isCurrent()).toBe(true);
    pass(1);
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).toHaveBeenCalledOnce();
  });

  it('expires nobody after it is closed', () => {
    const { lifetime, expired } = open();
    lifetime.close();
    pass(9_000);
    vi.advanceTimersByTime(9_000);
    expect(lifetime.isCurrent()).toBe(false);
    expect(expired).not.toHaveBeenCalled();
  });
});
