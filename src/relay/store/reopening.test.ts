import { expect, it } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { MemoryStore } from './memory.js';
import { isReadOnly, ReopeningStore } from './reopening.js';

const readOnly = (): PortalError =>
  new PortalError('state_unwritable', 'cannot keep names', {
    cause: Object.assign(new Error('attempt to write a readonly database'), { errcode: 1032 }),
  });

class ReadOnlyStore extends MemoryStore {
  override readonly failures = 2;
  isClosed = false;

  override reserve(): Promise<boolean> {
    return Promise.reject(readOnly());
  }

  override async close(): Promise<void> {
    this.isClosed = true;
  }
}

it('reopens a store that became read-only, once for all failed writes', async () => {
  const stores = [new ReadOnlyStore(), new MemoryStore()];
  const [first] = stores as [ReadOnlyStore];
  const store = new ReopeningStore(() => stores.shift()!);
  await Promise.all([store.reserve('a', '0xA', 1), store.reserve('b', '0xA', 2)]);
  expect(await store.countReservations({ address: '0xA' }, 0)).toBe(2);
  expect([stores.length, first.isClosed, store.failures]).toEqual([0, true, 2]);
});

it('rejects a write if reopening does not help', async () => {
  const stores = [new ReadOnlyStore()];
  const store = new ReopeningStore(() => {
    const next = stores.shift();
    if (!next) throw new Error('still read-only');
    return next;
  });
  await expect(store.reserve('a', '0xA', 1)).rejects.toThrow('cannot keep names');
  expect(await store.countReservations({ address: '0xA' }, 0)).toBe(0);
});

it('recognises read-only errors of both engines', () => {
  expect(isReadOnly(readOnly())).toBe(true);
  expect(isReadOnly(Object.assign(new Error('x'), { code: 'SQLITE_READONLY_DBMOVED' }))).toBe(true);
  expect(isReadOnly(Object.assign(new Error('x'), { code: 'SQLITE_FULL', errcode: 13 }))).toBe(false);
  expect(isReadOnly('x')).toBe(false);
});
