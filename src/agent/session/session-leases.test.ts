import { expect, it } from 'vitest';
import { SessionLeases } from './session-leases.js';

interface Lease {
  id: string | undefined;
  isEnding: boolean;
}

function leases(...all: Lease[]): SessionLeases<Lease> {
  const those = new SessionLeases<Lease>();
  for (const lease of all) those.add(lease);
  return those;
}

it('finds a lease by its id, and no longer when its id changes', () => {
  const lease: Lease = { id: 'a', isEnding: false };
  const all = leases({ id: undefined, isEnding: false }, lease);
  expect(all.byId('a')).toBe(lease);
  lease.id = 'b';
  expect(all.byId('a')).toBeUndefined();
  expect(all.byId('b')).toBe(lease);
});

it('prefers a lease that is not ending, and finds an ending one for its last visitors', () => {
  const former: Lease = { id: 'a', isEnding: false };
  const next: Lease = { id: undefined, isEnding: false };
  const all = leases(former, next);
  expect(all.byId('a')).toBe(former);
  former.isEnding = true;
  expect(all.byId('a')).toBe(former);
  next.id = 'a';
  expect(all.byId('a')).toBe(next);
});

it('does not find a deleted lease', () => {
  const lease: Lease = { id: 'a', isEnding: false };
  const all = leases(lease);
  expect(all.byId('a')).toBe(lease);
  all.delete(lease);
  expect(all.byId('a')).toBeUndefined();
  expect([...all]).toEqual([]);
});
