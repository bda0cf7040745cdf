import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { openStore, type Store } from '../store.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { SeenAgents } from './seen.js';

/** Which machines an identity had agents on: bounded, and over a restart. */

async function store(file?: string): Promise<Store> {
  const opened = await openStore(file === undefined ? 'memory' : { file });
  onTestFinished(() => opened.close().catch(() => undefined));
  return opened;
}

const agent = (machine: string, seenAt: number, version = '1') => ({ machine, version, seenAt });

it('remembers the last time of each machine, for its identity alone', async () => {
  const { seen } = await store();
  await seen.note('0xA', agent('laptop', 100));
  await seen.note('0xA', agent('build', 200));
  await seen.note('0xA', agent('laptop', 300, '2'));
  await seen.note('0xB', agent('other', 400));
  expect(seen.of('0xA', 0)).toEqual([agent('laptop', 300, '2'), agent('build', 200)]);
  expect(seen.of('0xA', 200)).toEqual([agent('laptop', 300, '2')]);
  expect(seen.of('0xC', 0)).toEqual([]);
});

it('forgets with the names, and keeps the rest over a restart', async () => {
  const file = join(await temporaryFolder(), 'relay.db');
  const first = await store(file);
  await first.seen.note('0xA', agent('old', 100));
  await first.seen.note('0xA', agent('new', 300));
  first.forget(200);
  await first.close();
  expect((await store(file)).seen.of('0xA', 0)).toEqual([agent('new', 300)]);
});

it('keeps so many of an identity, and so many in all: those that were seen last', async () => {
  const { seen } = await store();
  const most = LIMITS.maxSeenAgentsPerIdentity;
  for (let at = 1; at <= most + 3; at++) await seen.note('0xA', agent(`m${at}`, at));
  expect(seen.of('0xA', 0).map(({ seenAt }) => seenAt)).toEqual(
    Array.from({ length: most }, (_, index) => most + 3 - index),
  );
  const { default: Libsql } = await import('libsql');
  const db = new Libsql(':memory:');
  onTestFinished(() => void db.close());
  const small = new SeenAgents(db, async (run) => run(), 3);
  for (let at = 1; at <= 5; at++) {
    await small.note(`0x${at}`, agent('m', at));
    // The same again is no more.
    await small.note(`0x${at}`, agent('m', at));
  }
  expect([1, 2, 3, 4, 5].filter((at) => small.of(`0x${at}`, 0).length > 0)).toEqual([3, 4, 5]);
});

it('looks at one row for one that is known, however many there are', async () => {
  const { default: Libsql } = await import('libsql');
  const db = new Libsql(':memory:');
  onTestFinished(() => void db.close());
  const full = new SeenAgents(db, async (run) => run(), 3);
  for (let at = 1; at <= 3; at++) await full.note(`0x${at}`, agent('m', at));
  const counted = vi.spyOn(db, 'prepare');
  for (let at = 1; at <= 3; at++) await full.note(`0x${at}`, agent('m', at + 10, '2'));
  await full.note('0x4', agent('m', 20));
  expect(counted).not.toHaveBeenCalled();
  expect([1, 2, 3, 4].map((at) => full.of(`0x${at}`, 0).map(({ seenAt }) => seenAt))).toEqual([
    [],
    [12],
    [13],
    [20],
  ]);
});
