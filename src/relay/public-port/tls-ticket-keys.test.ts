import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { generateIdentity } from '../../identity/keys.js';
import { SharedTlsTicketKeys, TLS_TICKET_KEY_BYTES } from './tls-ticket-keys.js';

const HOUR_MS = 60 * 60 * 1_000;

beforeEach(() => void vi.useFakeTimers({ now: 1_000 * HOUR_MS }));
afterEach(() => void vi.useRealTimers());

it('gives the machines of one relay the same keys, and other relays others', () => {
  const identity = generateIdentity();
  const { current } = new SharedTlsTicketKeys(identity);
  expect(current).toHaveLength(TLS_TICKET_KEY_BYTES);
  expect(new SharedTlsTicketKeys(identity).current).toEqual(current);
  expect(new SharedTlsTicketKeys(generateIdentity()).current).not.toEqual(current);
});

it('changes the keys twice a day, at every machine at once', () => {
  const identity = generateIdentity();
  const early = new SharedTlsTicketKeys(identity);
  const used: Buffer[] = [];
  early.follow((keys) => used.push(keys));
  vi.advanceTimersByTime(5 * HOUR_MS);
  const late = new SharedTlsTicketKeys(identity);
  late.follow((keys) => used.push(keys));
  vi.advanceTimersByTime(20 * HOUR_MS);
  expect(used).toHaveLength(4);
  expect(used[0]).toEqual(used[1]);
  expect(used[2]).toEqual(used[3]);
  expect(used[2]).not.toEqual(used[0]);
  for (const keys of [early, late]) keys.close();
  vi.advanceTimersByTime(24 * HOUR_MS);
  expect(used).toHaveLength(4);
});
