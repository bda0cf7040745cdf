import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { HandshakeWork } from './handshake-work.js';

let now = 0;

beforeEach(() => {
  now = 1_000_000;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => {
    clock.mockRestore();
  });
});

const bitsAfter = (work: HandshakeWork, failures: number, network: (n: number) => string): number => {
  for (let n = 0; n < failures; n++) work.failed(network(n));
  return work.demand('honest')?.bits ?? 0;
};

describe('the work for a handshake', () => {
  it('is not required while handshakes prove something', () => {
    expect(new HandshakeWork(128).demand('a')).toBeUndefined();
  });

  it('grows with the handshakes that prove nothing, up to the maximum', () => {
    const bits = [15, 16, 64, 256, 100_000].map((failures) =>
      bitsAfter(new HandshakeWork(128), failures, String),
    );
    expect(bits).toEqual([0, 8, 12, 16, LIMITS.maxHandshakeWorkBits]);
  });

  it('grows sooner for the network that they come from', () => {
    const work = new HandshakeWork(128);
    expect(bitsAfter(work, 8, () => 'a')).toBe(0);
    expect(work.demand('a')?.bits).toBe(10);
  });

  it('is not required some seconds after the last of them', () => {
    const work = new HandshakeWork(128);
    expect(bitsAfter(work, 64, String)).toBe(12);
    now += 5_000;
    expect(work.demand('honest')?.bits).toBe(12);
    now += 5_000;
    expect(work.demand('honest')).toBeUndefined();
  });

  it('has a new salt each time', () => {
    const work = new HandshakeWork(1);
    work.failed('a');
    expect(work.demand('a')?.salt).not.toBe(work.demand('a')?.salt);
  });
});
