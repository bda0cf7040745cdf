import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Logger } from '../../lib/logger.js';
import type { Reservations } from '../names/reservations.js';
import { newLease, type LocalLease } from './lease.js';
import { NameUses } from './name-uses.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** A lease whose name was stored at the start of the test. */
const leaseOf = (name: string): LocalLease =>
  newLease({
    record: { name, owner: '0xA', isOwnDomain: false } as LocalLease['record'],
    rate: undefined,
    storedAt: Date.now(),
  });

/** The uses of the names of these leases, stored again after an hour. */
function uses(...leases: LocalLease[]) {
  const use = vi.fn<Reservations['use']>(async () => undefined);
  const error = vi.fn<Logger['error']>();
  const names = new NameUses({
    table: { all: () => leases },
    reservations: { use, refreshMs: 3_600_000 } as unknown as Reservations,
    reserveAfterMs: 1_000,
    log: { error } as unknown as Logger,
  });
  return { names, use, error, stored: () => use.mock.calls.map(([name]) => name) };
}

it('stores a name again once its last use is old, and not before', () => {
  const { names, stored } = uses(leaseOf('web'));
  vi.advanceTimersByTime(3_599_999);
  names.refresh();
  expect(stored()).toEqual([]);
  vi.advanceTimersByTime(1);
  names.refresh();
  names.refresh();
  expect(stored()).toEqual(['web']);
});

it('does not store a name that is being reserved', async () => {
  const lease = leaseOf('web');
  const { names, stored } = uses(lease);
  names.begin(lease);
  vi.advanceTimersByTime(3_600_000);
  names.refresh();
  expect([await names.store(lease), stored()]).toEqual([false, []]);
});

it('logs a failure to store a use, and resolves', async () => {
  const lease = leaseOf('web');
  const { names, use, error } = uses(lease);
  use.mockRejectedValueOnce(new Error('disk full'));
  expect([await names.store(lease), error.mock.calls.length]).toEqual([false, 1]);
  expect(await names.store(lease)).toBe(true);
});
