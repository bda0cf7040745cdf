import { Client } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { claimOf, directoryContract } from '../../src/relay/directory/contract.js';
import type { LeaseChange, LeaseDirectory } from '../../src/relay/directory/directory.js';
import { delay } from '../../src/lib/wait.js';
import type { LeaseRecord } from '../../src/relay/directory/record.js';
import { PostgresPath } from '../support/postgres-path.js';
import { usePostgres } from '../support/postgres.js';
import { postgresNode } from '../support/postgres-node.js';
import { testTwoNodes } from '../support/two-nodes.js';

const [ALICE, BOB] = ['0xA', '0xB'];
const LONG = {
  renewMs: 50,
  ttlMs: 120_000,
  renewalMs: 300,
  connectMs: 1_000,
  responseMs: 500,
  statementMs: 400,
};

/** Repeatable random integers below a limit (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Records of a place, as a node heard of them. */
function heard(directory: LeaseDirectory): LeaseChange[] {
  const changes: LeaseChange[] = [];
  directory.watch((change) => changes.push(change));
  return changes;
}

describe('the directory in PostgreSQL', () => {
  const server = usePostgres();

  describe('as every engine', () => {
    const urls = new Map<string, string>();
    directoryContract(async (...names) => {
      const test = expect.getState().currentTestName!;
      if (!urls.has(test)) urls.set(test, await server.database());
      const nodes = await Promise.all(names.map((node) => postgresNode(urls.get(test)!, { node })));
      return nodes.map(({ directory }) => directory);
    });
  });

  testTwoNodes('in PostgreSQL', async () => {
    const url = await server.database();
    const [a, b] = [await postgresNode(url, { node: 'a' }), await postgresNode(url, { node: 'b' })];
    return [a.directory, b.directory];
  });

  it('gives a name to one of 50 identities that claim it at five nodes at once', async () => {
    const url = await server.database();
    const settings = { renewMs: 20, connectMs: 20_000 };
    const nodes = await Promise.all(Array.from({ length: 5 }, () => postgresNode(url, { settings })));
    for (const name of ['one', 'two', 'three']) {
      const results = await Promise.allSettled(
        Array.from({ length: 50 }, (_, index) =>
          nodes[index % 5]!.directory.claim(claimOf(name, `0x${index}`)),
        ),
      );
      const won = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const rejected = results.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
      expect(won).toHaveLength(1);
      expect(rejected).toEqual(
        Array.from({ length: 49 }, () => expect.objectContaining({ code: 'name_taken' })),
      );
      for (const { directory } of nodes)
        await expect.poll(() => directory.lookup(`${name}.relay.test`)).toEqual(won[0]);
    }
  });

  it('loses no change if the listening connections end', async () => {
    const url = await server.database();
    const [a, b] = [await postgresNode(url), await postgresNode(url)];
    const changes = heard(b.directory);
    const epochs: number[] = [];
    const kept = await a.directory.claim(claimOf('kept', ALICE));
    for (let round = 0; round < 5; round++) {
      await server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query LIKE 'WITH renewed%' OR query = 'COMMIT'",
        url,
      );
      await expect
        .poll(async () => {
          const record = await a.directory.claim(claimOf('web', ALICE)).catch(() => undefined);
          if (record) epochs.push(record.epoch);
          return record;
        })
        .toBeDefined();
    }
    await expect.poll(() => b.directory.lookup('web.relay.test')?.epoch).toBe(epochs.at(-1));
    expect(b.directory.lookup(kept.place)).toEqual(kept);
    const web = changes.filter(({ place }) => place === 'web.relay.test').map(({ epoch }) => epoch);
    expect(web).toEqual(web.toSorted((x, y) => x - y));
    expect(new Set(web).size).toBe(web.length);
  });

  it('tells a node that reconnects of places that were released meanwhile', async () => {
    const url = await server.database();
    const a = await postgresNode(url);
    const record = await a.directory.claim(claimOf('web', ALICE));
    const changes = heard(a.directory);
    // Without NOTIFY, as if nobody had listened.
    await server.sql('DELETE FROM portal.leases', url);
    await server.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      url,
    );
    await expect
      .poll(() => changes)
      .toEqual([{ place: record.place, epoch: record.epoch, record: undefined }]);
    await expect
      .poll(() => a.directory.claim(claimOf('web', BOB)).catch(() => undefined))
      .toMatchObject({ owner: BOB });
  });

  it('accepts no change of a lease from a node that the others count as lost', async () => {
    const url = await server.database();
    // It does not notice that others have removed it.
    const unaware = { ...LONG, renewMs: 60_000 };
    const [a, b] = [
      await postgresNode(url, { settings: unaware }),
      await postgresNode(url, { settings: LONG }),
    ];
    const record = await a.directory.claim(claimOf('web', ALICE));
    await expect.poll(() => b.directory.lookup(record.place)).toEqual(record);
    const changes = heard(b.directory);
    await server.sql(
      `WITH lost AS (DELETE FROM portal.nodes WHERE node = '${record.node}' RETURNING node)
       INSERT INTO portal.lost_nodes SELECT node FROM lost`,
      url,
    );
    await a.directory.update({ ...record, carrier: 'ws' }).catch(() => undefined);
    const end = await b.directory.claim(claimOf('end', ALICE));
    await expect.poll(() => b.directory.lookup(end.place)).toEqual(end);
    expect(changes.filter(({ place }) => place === record.place)).toEqual([]);
    const [row] = await server.sql(`SELECT record FROM portal.leases WHERE place = '${record.place}'`, url);
    expect(JSON.stringify(row)).not.toContain('"ws');
  });

  it('stores what a node released before it claims again: the next lease may get the port', async () => {
    const url = await server.database();
    const { directory } = await postgresNode(url, { settings: { ...LONG, statementMs: 20_000 } });
    const first = await directory.claim(claimOf('first', ALICE));
    const other = new Client(url);
    await other.connect();
    onTestFinished(() => other.end());
    await other.query('BEGIN');
    await other.query('SELECT FROM portal.leases FOR UPDATE');
    const released = directory.release(first.place, first.epoch);
    const second = directory.claim(claimOf('second', ALICE));
    const waiting =
      "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH released%'";
    await expect.poll(() => server.sql(waiting, url)).toHaveLength(1);
    expect(await server.sql('SELECT place FROM portal.leases', url)).toEqual([{ place: first.place }]);
    await other.query('COMMIT');
    await released;
    const { place } = await second;
    expect(await server.sql('SELECT place FROM portal.leases', url)).toEqual([{ place }]);
  });

  it('keeps one owner for each place while connections fail at random', async () => {
    const url = await server.database();
    const watcher = await postgresNode(url, { settings: LONG });
    const changes = heard(watcher.directory);
    const working = await Promise.all(
      [0, 1, 2].map(async () => {
        const path = await PostgresPath.open(server);
        const node = await postgresNode(server.url(new URL(url).pathname.slice(1), path.folder), {
          settings: LONG,
        });
        return { path, node };
      }),
    );
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = randomOf(seed);
    const acknowledged: LeaseRecord[] = [];
    let ended = 0;
    const work = working.map(async ({ node: { directory } }) => {
      for (let claimed = 0; claimed < 20;) {
        const claim = claimOf(`n${random(4)}`, random(3) === 0 ? BOB : ALICE);
        const record = await directory.claim(claim).catch(() => undefined);
        if (record) {
          claimed++;
          acknowledged.push(record);
          await directory.update({ ...record, carrier: 'ws' });
          if (random(2) === 0) await directory.release(record.place, record.epoch);
        }
        // Faults come at any moment of its work.
        await delay(random(20));
      }
      ended++;
    });
    while (ended < working.length) {
      const { path } = working[random(working.length)]!;
      path.freeze();
      await delay(random(150));
      path.restore();
      await delay(random(300));
    }
    await Promise.all(work);
    const end = await watcher.directory.claim(claimOf('end', ALICE));
    for (const { node } of working)
      await expect.poll(() => node.directory.lookup(end.place), { message: `seed ${seed}` }).toEqual(end);
    // All nodes know the same in the end, and it is what the database has.
    for (const place of new Set(changes.map((change) => change.place)))
      for (const { node } of working)
        await expect
          .poll(() => node.directory.lookup(place), { message: `${place}, seed ${seed}` })
          .toEqual(watcher.directory.lookup(place));
    for (const { place, epoch } of acknowledged)
      expect(changes.map((change) => `${change.place} ${change.epoch}`)).toContain(`${place} ${epoch}`);
    const holders = new Map<string, LeaseChange>();
    for (const change of changes) {
      const before = holders.get(change.place);
      expect(change.epoch, `seed ${seed}`).toBeGreaterThanOrEqual(before?.epoch ?? 0);
      const owners = [before?.record?.owner, change.record?.owner].filter((owner) => owner !== undefined);
      expect(new Set(owners).size, `seed ${seed}`).toBeLessThanOrEqual(1);
      holders.set(change.place, change);
    }
  });

  it('ignores what other programs send on its channel', async () => {
    const url = await server.database();
    const a = await postgresNode(url);
    await server.sql(`NOTIFY portal, 'hello'`, url);
    await server.sql(`NOTIFY portal, '{"type":"from a later version","xid":"1"}'`, url);
    expect(await a.directory.claim(claimOf('web', ALICE))).toMatchObject({ node: a.node });
  });
});
