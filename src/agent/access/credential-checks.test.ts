import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PasswordWorker } from '../../lib/passwords/worker.js';
import { ATTEMPTS } from './attempts.js';
import { CredentialChecks, type Verdict } from './credential-checks.js';

/** Attacks on the limits of passwords, with hashes of the real algorithm. */

// Cheap hashes of `horse` and `battery`.
const USERS = {
  alice: '$2a$04$1EALQ.2zezwhbRUjcSLwy.7wK7fWQ/PVdQtsRsnQKo2KDJHySuksK',
  bob: '$argon2id$v=19$m=256,t=1,p=1$QVBmTNo8/oFYk0a/1ud8Tg$cLjGe4WOYJxPB4lj4jGMTjV3bSIGaly8GZ1DMqfUPu4',
};

function checked() {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const worker = new PasswordWorker();
  let verifications = 0;
  const checks = new CredentialChecks(USERS, (password, hash) => {
    verifications++;
    return worker.verify(password, hash);
  });
  const as = async (
    user: string,
    password: string,
    network: string,
    isFromOtherSite = false,
  ): Promise<Verdict['kind']> => (await checks.check({ user, password }, { network, isFromOtherSite })).kind;
  /** Uses up the attempts that all networks share. */
  const exhaust = async (): Promise<void> => {
    for (let i = 0; i < ATTEMPTS.allFree; i++) await as('alice', `guess ${i}`, `10.0.0.${i}`);
    expect(await as('alice', 'another', '10.0.1.0')).toBe('wait');
  };
  return { as, exhaust, verifications: () => verifications };
}

describe('many networks', () => {
  it('try no more passwords at once than attempts are left', async () => {
    const { as, exhaust, verifications } = checked();
    await exhaust();
    vi.advanceTimersByTime(ATTEMPTS.allEveryMs);
    const before = verifications();
    const kinds = await Promise.all(
      Array.from({ length: 40 }, (_, i) => as('alice', `guess ${i}`, `192.0.2.${i}`)),
    );
    expect(verifications() - before).toBe(1);
    expect(kinds.filter((kind) => kind === 'busy')).toHaveLength(39);
  });

  it('of one user are no places to guess the passwords of others', async () => {
    const { as, exhaust, verifications } = checked();
    const networks = Array.from({ length: 20 }, (_, i) => `192.0.2.${i}`);
    for (const network of networks) expect(await as('alice', 'horse', network)).toBe('right');
    await exhaust();
    const before = verifications();
    for (const network of networks) expect(await as('bob', 'battery', network)).toBe('wait');
    expect(verifications()).toBe(before);
    expect(await as('alice', 'horse', networks[0]!)).toBe('right');
  });

  it('do not block a user at any network where the password was right', async () => {
    const { as, exhaust } = checked();
    expect(await as('alice', 'horse', '192.0.2.1')).toBe('right');
    expect(await as('alice', 'horse', '198.51.100.1')).toBe('right');
    await exhaust();
    expect(await as('alice', 'horse', '198.51.100.1')).toBe('right');
    // Elsewhere, a remembered password must not tell whether a guess is right.
    expect(await as('alice', 'horse', '203.0.113.1')).toBe('wait');
  });
});

describe('a program that repeats a wrong password', () => {
  it('counts once, costs one verification, and blocks no one behind its address', async () => {
    const { as, verifications } = checked();
    for (let i = 0; i < 20; i++) expect(await as('bob', 'mistyped', '192.0.2.1')).toBe('wrong');
    expect(verifications()).toBe(1);
    expect(await as('alice', 'horse', '192.0.2.1')).toBe('right');
    for (let i = 0; i < 3; i++) expect(await as('alice', `guess ${i}`, '192.0.2.1')).toBe('wrong');
    expect(await as('alice', 'last guess', '192.0.2.1')).toBe('wait');
  });
});

it('the requests of a user who is signed in do not free guesses of its password behind the same address', async () => {
  const { as } = checked();
  const kinds: Verdict['kind'][] = [];
  for (let i = 0; i < 20; i++) {
    kinds.push(await as('alice', `guess ${i}`, '192.0.2.1'));
    await as('alice', 'horse', '192.0.2.1');
  }
  expect(kinds.filter((kind) => kind === 'wrong').length).toBeLessThan(2 * ATTEMPTS.free);
});

describe('a page of another site that tries wrong passwords with the browser of a visitor', () => {
  it('does not make the visitor wait', async () => {
    const { as } = checked();
    for (let i = 0; i < ATTEMPTS.free; i++) await as('alice', `guess ${i}`, '192.0.2.1', true);
    expect(await as('alice', 'horse', '192.0.2.1', true)).toBe('wait');
    expect(await as('alice', 'horse', '192.0.2.1')).toBe('right');
  });

  it('learns no more than others: its attempts are limited, even of a password that was right before', async () => {
    const { as, verifications } = checked();
    expect(await as('alice', 'horse', '192.0.2.1')).toBe('right');
    for (let i = 0; i < ATTEMPTS.free; i++) await as('alice', `guess ${i}`, '198.51.100.1', true);
    const before = verifications();
    expect(await as('alice', 'horse', '198.51.100.1', true)).toBe('wait');
    expect(await as('alice', 'another guess', '198.51.100.1', true)).toBe('wait');
    expect(verifications()).toBe(before);
  });

  it('does not block a visitor who enters the password after a link', async () => {
    const { as, exhaust } = checked();
    expect(await as('alice', 'horse', '192.0.2.1', true)).toBe('right');
    expect(await as('bob', 'battery', '198.51.100.1')).toBe('right');
    await exhaust();
    expect(await as('alice', 'horse', '192.0.2.1')).toBe('right');
    expect(await as('bob', 'battery', '198.51.100.1', true)).toBe('right');
  });
});
