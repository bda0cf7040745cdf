import Libsql from 'libsql';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStore, type Store } from './store.js';

const [ALICE, BOB] = ['0xA', '0xB'] as const;

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'deep', 'relay.db');
}

async function open(file?: string): Promise<Store> {
  const store = await openStore(file === undefined ? 'memory' : { file });
  onTestFinished(() => store.close());
  return store;
}

describe('the store', () => {
  it('knows a reservation from the moment it is asked for, and keeps it once that resolved', async () => {
    const file = await temporary();
    const store = await open(file);
    const stored = store.reserve('web', ALICE, 5);
    expect(store.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(store.countReservations(ALICE, 0)).toBe(1);
    await stored;
    const other = await open(file);
    expect(other.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(other.reservation('nothing')).toBeUndefined();
  });

  it('counts each name once, and only those used lately', async () => {
    const store = await open();
    await Promise.all([
      store.reserve('a', ALICE, 10),
      store.reserve('a', ALICE, 20),
      store.reserve('b', ALICE, 5),
      store.reserve('c', BOB, 20),
    ]);
    expect(store.countReservations(ALICE, 0)).toBe(2);
    expect(store.countReservations(ALICE, 5)).toBe(1);
    store.forget(20);
    expect(store.countReservations(ALICE, 0)).toBe(1);
    expect(store.reservation('b')).toBeUndefined();
  });

  it('rejects what it cannot write, and goes on when it can again', async () => {
    const file = await temporary();
    const store = await open(file);
    await store.reserve('before', ALICE, 1);
    const meddler = new Libsql(file);
    meddler.exec('ALTER TABLE reservations RENAME TO elsewhere');
    const results = await Promise.allSettled([store.reserve('a', ALICE, 1), store.reserve('b', ALICE, 1)]);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'state_unwritable' } });
    // The transaction they were part of ends with this turn.
    await new Promise(setImmediate);
    meddler.exec('ALTER TABLE elsewhere RENAME TO reservations');
    meddler.close();
    await store.reserve('after', ALICE, 2);
    expect(store.reservation('before')).toBeDefined();
    expect(store.reservation('after')).toBeDefined();
  });

  it('writes what is under way when it is closed', async () => {
    const file = await temporary();
    const store = await openStore({ file });
    const stored = store.reserve('web', ALICE, 1);
    await store.close();
    await stored;
    expect((await open(file)).reservation('web')).toBeDefined();
  });
});
