import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { openStore, type Store } from '../store.js';
import { findEngine, type Database } from '../store/engine.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { MemorySeenAgents } from './seen-memory.js';
import { SqliteSeenAgents } from './seen.js';

/** The machines of an identity's agents: limited, and kept over a restart. */

const file = async (): Promise<{ file: string }> => ({ file: join(await temporaryFolder(), 'relay.db') });

async function open(where: 'memory' | { file: string }): Promise<Store> {
  const opened = await openStore(where);
  onTestFinished(() => opened.close().catch(() => undefined));
  return opened;
}

async function sqlite(): Promise<Database> {
  const db = (await findEngine())(':memory:');
  onTestFinished(() => db.close());
  return db;
}

const agent = (machine: string, seenAt: number, version = '1') => ({ machine, version, seenAt });

describe.each([
  {
    kept: 'in memory',
    where: async () => 'memory' as const,
    atMost: async (max: number) => new MemorySeenAgents(max),
  },
  {
    kept: 'in a file',
    where: file,
    atMost: async (max: number) => new SqliteSeenAgents(await sqlite(), async (run) => run(), max),
  },
])('the agents seen, $kept', ({ where, atMost }) => {
  it('have the last time of each machine, for their identity only', async () => {
    const { seen } = await open(await where());
    await seen.note('0xA', agent('laptop', 100));
    await seen.note('0xA', agent('build', 200));
    await seen.note('0xA', agent('laptop', 300, '2'));
    await seen.note('0xB', agent('other', 400));
    expect(seen.of('0xA', 0)).toEqual([agent('laptop', 300, '2'), agent('build', 200)]);
    expect(seen.of('0xA', 200)).toEqual([agent('laptop', 300, '2')]);
    expect(seen.of('0xC', 0)).toEqual([]);
  });

  it('are forgotten with the names', async () => {
    const store = await open(await where());
    await store.seen.note('0xA', agent('old', 100));
    await store.seen.note('0xA', agent('new', 300));
    store.forget(200);
    expect(store.seen.of('0xA', 0)).toEqual([agent('new', 300)]);
  });

  it('are limited per identity and in total, and the latest stay', async () => {
    const { seen } = await open(await where());
    const most = LIMITS.maxSeenAgentsPerIdentity;
    for (let at = 1; at <= most + 3; at++) await seen.note('0xA', agent(`m${at}`, at));
    expect(seen.of('0xA', 0).map(({ seenAt }) => seenAt)).toEqual(
      Array.from({ length: most }, (_, index) => most + 3 - index),
    );
    const small = await atMost(3);
    for (let at = 1; at <= 5; at++) {
      await small.note(`0x${at}`, agent('m', at));
      // The same agent again does not count twice.
      await small.note(`0x${at}`, agent('m', at));
    }
    expect([1, 2, 3, 4, 5].filter((at) => small.of(`0x${at}`, 0).length > 0)).toEqual([3, 4, 5]);
  });
});

it('keeps them over a restart', async () => {
  const where = await file();
  const first = await open(where);
  await first.seen.note('0xA', agent('laptop', 300));
  await first.close();
  expect((await open(where)).seen.of('0xA', 0)).toEqual([agent('laptop', 300)]);
});

it('reads one row for a known agent, however many there are', async () => {
  const db = await sqlite();
  const full = new SqliteSeenAgents(db, async (run) => run(), 3);
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
