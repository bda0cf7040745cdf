import { describe, expect, it } from 'vitest';
import { claimOf, directoryContract } from '../../src/relay/directory/contract.js';
import type { LeaseChange, LeaseDirectory } from '../../src/relay/directory/directory.js';
import { usePostgres } from '../support/postgres.js';
import { postgresNode } from '../support/postgres-node.js';
import { testTwoNodes } from '../support/two-nodes.js';

const [ALICE, BOB] = ['0xA', '0xB'];

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

  it('ignores what other programs send on its channel', async () => {
    const url = await server.database();
    const a = await postgresNode(url);
    await server.sql(`NOTIFY portal, 'hello'`, url);
    await server.sql(`NOTIFY portal, '{"type":"from a later version","xid":"1"}'`, url);
    expect(await a.directory.claim(claimOf('web', ALICE))).toMatchObject({ node: a.node });
  });
});
