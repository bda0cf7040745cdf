import { describe, expect, it } from 'vitest';
import { Tally } from '../lib/tally.js';
import type { LimitName } from './limits.js';
import { Reservations } from './reservations.js';
import type { Reservation, Store } from './store.js';

const DAY_MS = 24 * 3_600_000;
const BOUNDS = { reservationMs: 30 * DAY_MS, maxReservedNamesPerIdentity: 10 };
const [ALICE, BOB] = ['0xA', '0xB'];
const NOW = 1_000 * DAY_MS;

/** Reservations on a disk that is full. */
function onFullDisk(known: Record<string, Reservation>): Reservations {
  const store: Partial<Store> = {
    reservation: (name) => known[name],
    countReservations: () => 0,
    reserve: () => Promise.reject(new Error('disk full')),
  };
  return new Reservations(store as Store, BOUNDS, new Tally<LimitName>());
}

describe('while the disk is full', () => {
  it('who has a name keeps it', async () => {
    const usedAt = NOW - DAY_MS / 2;
    const claim = onFullDisk({ web: { address: ALICE, usedAt } }).claim('web', ALICE, NOW);
    await expect(claim.stored).resolves.toBeUndefined();
    // So that it is stored again in time.
    expect(claim.usedAt).toBe(usedAt);
  });

  it.each([
    ['a name that nobody has', {}],
    ['a name that was last used long ago', { web: { address: ALICE, usedAt: NOW - 2 * DAY_MS } }],
    [
      'a name that a clock which was wrong has used in the future',
      { web: { address: ALICE, usedAt: NOW + 9 * DAY_MS } },
    ],
    ['a name that another identity had', { web: { address: BOB, usedAt: NOW } }],
  ])('%s is not to be had', async (_what, known) => {
    await expect(onFullDisk(known).claim('web', ALICE, NOW).stored).rejects.toThrow('disk full');
  });
});
