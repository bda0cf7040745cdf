import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../../test/support/folder.js';
import { generateIdentity } from '../../../identity/keys.js';
import { Shares } from './shares.js';
import { ShareStore, type ShareRecord } from './store.js';
import type { ShareLink } from './token.js';

/** Share links and their revocations, while clocks are wrong or change. */

const NOW = Date.parse('2026-03-01T12:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function shared() {
  const store = new ShareStore(join(await temporaryFolder(), 'identity.json'));
  const shares = new Shares(generateIdentity());
  const load = async (): Promise<void> => void (shares.revoked = await store.revoked());
  await load();
  const create = async (now: number, until = now + HOUR): Promise<ShareLink> => {
    const link = shares.issue('/', until, now);
    await store.add(recordOf(link), now);
    return link;
  };
  return { store, shares, load, create };
}

const recordOf = ({ id, issuedAt, until, path }: ShareLink): ShareRecord => ({
  id,
  service: 'web',
  path,
  urls: ['https://web.relay.example/'],
  issuedAt: new Date(issuedAt * 1_000).toISOString(),
  until: new Date(until * 1_000).toISOString(),
});

it('does not open a revoked link again when the clock jumps back after a clean-up', async () => {
  const { store, shares, load, create } = await shared();
  const revoked = await create(NOW);
  const expired = await create(NOW);
  await store.revoke(revoked.id, NOW);
  // Another link, for which the store cleans up.
  await create(NOW + 2 * HOUR);
  await load();
  expect([revoked, expired].map((link) => shares.isOpen(link, NOW + 1))).toEqual([false, true]);
  expect((await store.list(NOW + 2 * HOUR)).map(({ id }) => id)).not.toContain(revoked.id);
  expect(await store.revoke(expired.id, NOW)).toBe(false);
  // A year later, the revocation is forgotten too.
  await create(NOW + 366 * 24 * HOUR);
  expect(await store.revoke(revoked.id, NOW)).toBe(false);
});

it('revokes all links, even those that were issued while the clock was ahead', async () => {
  const { store, shares, load, create } = await shared();
  const ahead = await create(NOW + 2 * MINUTE);
  expect(shares.isOpen(ahead, NOW)).toBe(true);
  expect(await store.revokeAll(NOW)).toBe(1);
  await load();
  expect(shares.isOpen(ahead, NOW + 3 * MINUTE)).toBe(false);
  expect((await store.list(NOW)).map(({ revokedAt }) => revokedAt)).toEqual([new Date(NOW).toISOString()]);
});

it('opens no link that another machine has issued in the future, because no revocation would end it', async () => {
  const { shares } = await shared();
  const later = shares.issue('/', NOW + 9 * HOUR, NOW + HOUR);
  expect(shares.isOpen(later, NOW)).toBe(false);
  const soon = shares.issue('/', NOW + 9 * HOUR, NOW + 5 * MINUTE);
  expect(shares.isOpen(soon, NOW)).toBe(true);
});

it('opens new links after all were revoked while the clock was ahead', async () => {
  const { store, shares, load, create } = await shared();
  await store.revokeAll(NOW + HOUR);
  await load();
  const link = await create(NOW, NOW + 9 * HOUR);
  expect(shares.isOpen(link, NOW)).toBe(true);
});
