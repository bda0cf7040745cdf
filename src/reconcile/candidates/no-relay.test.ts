import { expect, it } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { noRelayError, type PoolState } from './no-relay.js';

const LIST = 'https://list.test';
const UNREAD = { source: LIST, relays: 0, skipped: [] };
const READ = { ...UNREAD, relays: 2, fetchedAt: '2026-01-01T00:00:00Z' };
const reason = (state: Partial<PoolState>): string =>
  noRelayError({ registry: undefined, isSettled: true, hasChosen: false, inChains: 0, ...state }).message;

it('says what the pool waits for before the first choice', () => {
  expect(reason({ isSettled: false })).toBe('no relay has responded yet');
  expect(reason({ isSettled: false, registry: READ })).toBe('no relay has responded yet');
  expect(reason({ isSettled: false, registry: UNREAD })).toBe(`${LIST} has not responded yet`);
});

it('says what the lists lack', () => {
  expect(reason({})).toBe('no relay announces another relay');
  expect(reason({ registry: READ })).toBe(`${LIST} lists no relay`);
  expect(reason({ registry: READ, inChains: 1 })).toContain('1 of its relays is part of a chain here');
  expect(reason({ registry: READ, inChains: 2 })).toContain('2 of its relays are part of a chain here');
});

it('says when other services use the name on every relay', () => {
  expect(reason({ registry: READ, hasChosen: true })).toBe('another service uses this name on every relay');
});

it('says why an empty list cannot be read, with what to do', () => {
  const error = new PortalError('registry_invalid', 'the list is invalid');
  const said = noRelayError({
    registry: { ...UNREAD, error },
    isSettled: true,
    hasChosen: false,
    inChains: 0,
  });
  expect(said).toMatchObject({ code: 'no_relay', message: 'the list is invalid', cause: error });
  expect(said.hint).toBeDefined();
});
