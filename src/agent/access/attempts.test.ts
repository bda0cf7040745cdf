import { describe, expect, it } from 'vitest';
import { ANYONE, Attempts, ATTEMPTS } from './attempts.js';

const A = '203.0.113.7';
const B = '198.51.100.9';

let tried = 0;
const wrong = (user = ANYONE) => ({ user, id: `wrong ${tried++}` });

function failing(attempts: Attempts, address: string, times: number, user = ANYONE): void {
  for (let i = 0; i < times; i++) attempts.failed(address, 0, wrong(user));
}

function many(attempts: Attempts, times: number = ATTEMPTS.allFree): void {
  for (let i = 0; i < times; i++) attempts.failed(`10.0.0.${i}`, 0, wrong());
}

describe('PIN attempts of one address', () => {
  it('are free at first, then wait twice as long each time, up to an hour', () => {
    const attempts = new Attempts();
    failing(attempts, A, ATTEMPTS.free - 1);
    expect(attempts.waitMs(A, 0)).toBe(0);
    const waits: number[] = [];
    let now = 0;
    for (let i = 0; i < 9; i++) {
      attempts.failed(A, now, wrong());
      waits.push(attempts.waitMs(A, now));
      now += attempts.waitMs(A, now);
      expect(attempts.waitMs(A, now)).toBe(0);
    }
    expect(waits.map((ms) => ms / 1_000)).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
  });

  it('do not affect other addresses', () => {
    const attempts = new Attempts();
    failing(attempts, A, 20);
    expect(attempts.waitMs(A, 0)).toBeGreaterThan(0);
    expect(attempts.waitMs(B, 0)).toBe(0);
  });

  it('are forgotten only once in a while, because programs send the PIN with each request', () => {
    const attempts = new Attempts();
    failing(attempts, A, 4);
    attempts.succeeded(A, 0);
    failing(attempts, A, 4);
    attempts.succeeded(A, ATTEMPTS.forgiveMs - 1);
    failing(attempts, A, 1);
    expect(attempts.waitMs(A, 0)).toBe(ATTEMPTS.firstWaitMs);
    attempts.succeeded(A, ATTEMPTS.forgiveMs);
    expect(attempts.waitMs(A, 0)).toBe(0);
  });

  it('are forgotten after a day without attempts, and after a correct PIN', () => {
    const attempts = new Attempts();
    failing(attempts, A, 20);
    expect(attempts.waitMs(A, ATTEMPTS.forgetMs + 1)).toBe(0);
    failing(attempts, B, 4);
    attempts.succeeded(B, 0);
    failing(attempts, B, 4);
    expect(attempts.waitMs(B, 0)).toBe(0);
  });
});

describe('attempts of several users of one address', () => {
  it('are forgotten after the right password of the user who alone failed', () => {
    const attempts = new Attempts();
    failing(attempts, A, 4, 'alice');
    attempts.succeeded(A, 0, 'alice');
    failing(attempts, A, 1, 'alice');
    expect(attempts.waitMs(A, 0)).toBe(0);
  });

  it('are not forgotten after the right password of another user', () => {
    const attempts = new Attempts();
    failing(attempts, A, 4, 'bob');
    attempts.succeeded(A, 0, 'alice');
    failing(attempts, A, 1, 'alice');
    attempts.succeeded(A, 0, 'alice');
    attempts.succeeded(A, 0, 'bob');
    expect(attempts.waitMs(A, 0)).toBe(ATTEMPTS.firstWaitMs);
  });
});

describe('the same wrong credentials', () => {
  it('are recognized at their address', () => {
    const attempts = new Attempts();
    attempts.failed(A, 0, { user: 'alice', id: 'x' });
    expect([A, B].map((address) => attempts.isRepeated(address, 'x'))).toEqual([true, false]);
    expect(attempts.isRepeated(A, 'y')).toBe(false);
    attempts.succeeded(A, 0, 'alice');
    expect(attempts.isRepeated(A, 'x')).toBe(false);
  });

  it('are remembered beside others, up to a limit', () => {
    const attempts = new Attempts();
    for (let i = 0; i <= ATTEMPTS.maxWrong; i++) attempts.failed(A, 0, { user: 'alice', id: `${i}` });
    const known = Array.from({ length: ATTEMPTS.maxWrong + 1 }, (_, i) => attempts.isRepeated(A, `${i}`));
    expect(known).toEqual([false, ...Array<boolean>(ATTEMPTS.maxWrong).fill(true)]);
  });
});

describe('attempts in progress', () => {
  it('are no more than the attempts that remain', () => {
    const attempts = new Attempts();
    many(attempts, ATTEMPTS.allFree - 2);
    expect([1, 2, 3].map((i) => attempts.reserve(`192.0.2.${i}`, 0))).toEqual([true, true, false]);
    // No one has to wait: they may all be right.
    expect(attempts.waitMs(B, 0)).toBe(0);
    attempts.release();
    expect(attempts.reserve(B, 0)).toBe(true);
    attempts.release();
    attempts.failed(B, 0, wrong());
    expect(attempts.reserve(B, 0)).toBe(false);
  });

  it('do not block an address that has entered the PIN', () => {
    const attempts = new Attempts();
    attempts.succeeded(A, 0);
    many(attempts);
    expect([A, B].map((address) => attempts.reserve(address, 0))).toEqual([true, false]);
  });
});

describe('PIN attempts of all addresses together', () => {
  it('are limited, with one more per minute', () => {
    const attempts = new Attempts();
    many(attempts);
    expect(attempts.waitMs(B, 0)).toBe(ATTEMPTS.allEveryMs);
    expect(attempts.waitMs(B, ATTEMPTS.allEveryMs)).toBe(0);
    attempts.failed('10.0.1.1', ATTEMPTS.allEveryMs, wrong());
    expect(attempts.waitMs(B, ATTEMPTS.allEveryMs)).toBe(ATTEMPTS.allEveryMs);
  });

  it('do not block an address that has entered the PIN', () => {
    const attempts = new Attempts();
    attempts.succeeded(A, 0);
    many(attempts);
    expect(attempts.waitMs(A, 0)).toBe(0);
    failing(attempts, A, ATTEMPTS.free);
    expect(attempts.waitMs(A, 0)).toBeGreaterThan(0);
  });

  it('block a user at an address where only another has entered a password', () => {
    const attempts = new Attempts();
    attempts.succeeded(A, 0, 'alice');
    many(attempts);
    expect(['alice', 'bob'].map((user) => attempts.waitMs(A, 0, user))).toEqual([0, ATTEMPTS.allEveryMs]);
    expect(['alice', 'bob'].map((user) => attempts.reserve(A, 0, user))).toEqual([true, false]);
  });

  it('restart with another PIN', () => {
    const attempts = new Attempts();
    many(attempts);
    attempts.reset();
    expect(attempts.waitMs(B, 0)).toBe(0);
  });

  it('are remembered for a limited number of addresses', () => {
    const attempts = new Attempts();
    failing(attempts, A, 20);
    expect(attempts.waitMs(A, 0)).toBe(ATTEMPTS.maxWaitMs);
    for (let i = 0; i < ATTEMPTS.maxAddresses; i++) attempts.failed(`address-${i}`, 0, wrong());
    // The rest is the wait that applies to all addresses.
    expect(attempts.waitMs(A, 0)).toBe(ATTEMPTS.allEveryMs);
  });
});
