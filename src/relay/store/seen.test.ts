import { expect, it, onTestFinished, vi } from 'vitest';
import { MemorySeenAgents } from './memory-seen.js';
import { findSqlite, type Database } from './sqlite-driver.js';
import { SqliteSeenAgents } from './sqlite-seen.js';

/** The limit of all agents together. `contract.ts` has the other tests of agents seen. */

async function sqlite(): Promise<Database> {
  const db = (await findSqlite())(':memory:');
  onTestFinished(() => db.close());
  return db;
}

const agent = (machine: string, seenAt: number, version = '1') => ({ machine, version, seenAt });

it.each([
  { kept: 'in memory', atMost: async (max: number) => new MemorySeenAgents(max) },
  {
    kept: 'in SQLite',
    atMost: async (max: number) => new SqliteSeenAgents(await sqlite(), async (run) => run(), max),
  },
])('keeps the latest agents of all identities, $kept', async ({ atMost }) => {
  const small = await atMost(3);
  for (let at = 1; at <= 5; at++) {
    await small.note(`0x${at}`, agent('m', at));
    // The same agent again does not count twice.
    await small.note(`0x${at}`, agent('m', at));
  }
  const kept = await Promise.all([1, 2, 3, 4, 5].map((at) => small.of(`0x${at}`, 0)));
  expect(kept.map(({ length }) => length)).toEqual([0, 0, 1, 1, 1]);
});

it('reads one row for a known agent, however many there are', async () => {
  const db = await sqlite();
  const full = new SqliteSeenAgents(db, async (run) => run(), 3);
  for (let at = 1; at <= 3; at++) await full.note(`0x${at}`, agent('m', at));
  const counted = vi.spyOn(db, 'prepare');
  for (let at = 1; at <= 3; at++) await full.note(`0x${at}`, agent('m', at + 10, '2'));
  await full.note('0x4', agent('m', 20));
  expect(counted).not.toHaveBeenCalled();
  const seen = await Promise.all([1, 2, 3, 4].map((at) => full.of(`0x${at}`, 0)));
  expect(seen.map((agents) => agents.map(({ seenAt }) => seenAt))).toEqual([[], [12], [13], [20]]);
});
