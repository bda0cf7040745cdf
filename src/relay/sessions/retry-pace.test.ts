import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { RetryPace } from './retry-pace.js';

let now = 0;

beforeEach(() => {
  now = 1_000_000;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => {
    clock.mockRestore();
  });
});

const last = (comeBack: RetryPace, times: number, network: (n: number) => string): number => {
  let seconds = 0;
  for (let n = 0; n < times; n++) seconds = comeBack.after(network(n));
  return seconds;
};

describe('the time until a retry', () => {
  it('grows with the rejected agents, up to the maximum', () => {
    expect(last(new RetryPace(10), 1, () => 'a')).toBe(1);
    expect(last(new RetryPace(10), 35, () => 'a')).toBe(4);
    expect(last(new RetryPace(10), 35, String)).toBe(4);
    expect(last(new RetryPace(10), 10_000, () => 'a')).toBe(LIMITS.maxComeBackMs / 1000);
  });

  it('does not grow for a network because another is rejected often', () => {
    const comeBack = new RetryPace(10);
    last(comeBack, 1_000, () => 'a');
    expect(comeBack.after('b')).toBe(1);
    now += 1_000;
    last(comeBack, 1_000, () => 'a');
    expect(comeBack.after('c')).toBe(1);
  });

  it('counts a network that is rejected again in the next second once', () => {
    const comeBack = new RetryPace(10);
    last(comeBack, 20, String);
    now += 1_000;
    last(comeBack, 20, String);
    expect(comeBack.after('b')).toBe(3);
    now += 2_000;
    expect(comeBack.after('b')).toBe(1);
  });

  it('is shorter the faster handshakes end', () => {
    const comeBack = new RetryPace(10);
    for (let n = 0; n < 100; n++) comeBack.ended();
    expect(last(comeBack, 200, () => 'a')).toBe(2);
  });
});
