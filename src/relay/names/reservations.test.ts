import { describe, expect, it } from 'vitest';
import { Tally } from '../../lib/tally.js';
import { MemoryStore } from '../store/memory.js';
import { LIMITS } from '../../protocol/limits.js';
import type { LimitName } from '../limits.js';
import { Reservations } from './reservations.js';
import type { Reservation, Store } from '../store/store.js';

const DAY_MS = 24 * 3_600_000;
const TEST_LIMITS = { ...LIMITS, reservationMs: 30 * DAY_MS, maxReservedNamesPerIdentity: 10 };
const [ALICE, BOB] = ['0xA', '0xB'];
const NOW = 1_000 * DAY_MS;

/** Reservations on a full disk. */
function onFullDisk(known: Record<string, Omit<Reservation, 'firstAt'>>): Reservations {
  const store: Partial<Store> = {
    reservation: async (name) => known[name] && { ...known[name], firstAt: known[name].usedAt },
    countReservations: async () => 0,
    reserve: () => Promise.reject(new Error('disk full')),
  };
  return new Reservations({ store: store as Store, limits: TEST_LIMITS, refusals: new Tally<LimitName>() });
}

describe('while the disk is full', () => {
  it('the holder of a name keeps it', async () => {
    const usedAt = NOW - DAY_MS / 2;
    const claim = onFullDisk({ web: { address: ALICE, usedAt } }).claim(
      'web',
      { address: ALICE, network: '' },
      NOW,
    );
    // The old time, so that the use is stored again later.
    await expect(claim).resolves.toMatchObject({ usedAt });
  });

  it.each([
    ['a new name', {}],
    ['a name that was last used long ago', { web: { address: ALICE, usedAt: NOW - 2 * DAY_MS } }],
    ['a name that a wrong clock used in the future', { web: { address: ALICE, usedAt: NOW + 9 * DAY_MS } }],
    ['a name that another identity had', { web: { address: BOB, usedAt: NOW } }],
  ])('rejects %s', async (_what, known) => {
    await expect(onFullDisk(known).claim('web', { address: ALICE, network: '' }, NOW)).rejects.toThrow(
      'disk full',
    );
  });
});

function reservations() {
  let now = NOW;
  const store = new MemoryStore();
  const made = new Reservations({
    store,
    limits: TEST_LIMITS,
    refusals: new Tally<LimitName>(),
    now: () => now,
  });
  return { made, store, pass: (ms: number) => (now += ms), now: () => now };
}

describe('a name that was not held for long', () => {
  const MINUTE_MS = 60_000;
  const alice = { address: ALICE, network: 'n1' };
  const bob = { address: BOB, network: 'n2' };

  it('stays reserved for as long as it must be held', async () => {
    const { made, pass, now } = reservations();
    const claim = await made.claim('web', alice, now());
    expect(claim.firm).toBe(false);
    // NOW is the first minute of a day, and a name that is not firm stays reserved for ten minutes.
    await expect(made.check('web', bob)).rejects.toThrow(
      '"web" is reserved for another identity until 1972-09-27 00:10 UTC. ',
    );
    pass(TEST_LIMITS.reserveAfterMs - 1);
    await expect(made.check('web', bob)).rejects.toThrow('reserved for another identity');
    pass(1);
    await expect(made.check('web', bob)).resolves.toBeUndefined();
  });

  it('stays reserved for long once it was, even for a returning agent', async () => {
    const { made, pass, now } = reservations();
    await made.claim('web', alice, now());
    pass(TEST_LIMITS.reserveAfterMs);
    await made.use('web', alice, now(), true);
    pass(TEST_LIMITS.reservationMs - 20 * MINUTE_MS);
    await expect(made.check('web', bob)).rejects.toThrow('reserved for another identity');
    expect((await made.claim('web', alice, now())).firm).toBe(true);
  });

  it('counts as new for a day after its first use, even if another identity had it', async () => {
    const { made, store, pass, now } = reservations();
    await made.use('web', bob, now(), true);
    pass(TEST_LIMITS.reservationMs);
    const first = now();
    await made.use('web', alice, first, true);
    pass(DAY_MS / 2);
    await made.use('web', alice, now(), true);
    expect(await store.reservation('web')).toMatchObject({ firstAt: first });
  });
});
