import { describe, expect, it, onTestFinished } from 'vitest';
import { channelPair } from '../../../test/support/channel.js';
import { leaseNode, leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import { MemoryStore } from '../store/memory.js';
import { openChannelDirectory, serveDirectory } from './channel.js';
import type { LeaseDirectory } from './directory.js';
import { MemoryDirectory } from './memory.js';

/** The leases of several nodes that share a directory. */

const [ALICE, BOB] = ['0xA', '0xB'];

type OpenDirectory = (shared: MemoryDirectory, name: string) => Promise<LeaseDirectory>;

/** How two nodes can share a directory. */
const SHARING: readonly { how: string; open: OpenDirectory }[] = [
  { how: 'in one process', open: async (shared, name) => shared.node(name) },
  {
    how: 'through the main process',
    open: async (shared, name) => {
      const [here, there] = channelPair();
      serveDirectory(shared, { name, graceMs: 50 }, there);
      const directory = await openChannelDirectory(here);
      onTestFinished(() => directory.close());
      return directory;
    },
  },
];

/** Two nodes of one relay. */
async function twoNodes(openDirectory: OpenDirectory) {
  const [shared, store] = [new MemoryDirectory(), new MemoryStore()];
  const [a, b] = [await openDirectory(shared, 'a'), await openDirectory(shared, 'b')];
  return [leaseNode({ directory: a, store }), leaseNode({ directory: b, store })] as const;
}

describe.each(SHARING)('two nodes that share a directory $how', ({ open: openDirectory }) => {
  it('serve a name at the node where its agent connected last', async () => {
    const [a, b] = await twoNodes(openDirectory);
    const before = leaseSession(ALICE);
    const former = await a.leases.open(before, leaseOpen('web'));
    const lease = await b.leases.open(leaseSession(ALICE), leaseOpen('web'));
    await expect.poll(() => before.revoked.mock.calls).toEqual([[former, expect.any(String)]]);
    expect(a.leases.size).toBe(0);
    expect(a.directory.lookup('web.relay.test')).toEqual(lease.record);
    expect(b.directory.lookup('web.relay.test')).toEqual(lease.record);
    // The end of the former session does not touch the lease of the other node.
    a.leases.detach(before);
    expect(b.directory.lookup('web.relay.test')).toEqual(lease.record);
  });

  it('give a name to one identity', async () => {
    const [a, b] = await twoNodes(openDirectory);
    await a.leases.open(leaseSession(ALICE), leaseOpen('web'));
    await expect.poll(() => b.directory.lookup('web.relay.test')).toBeDefined();
    await expect(b.leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
      code: 'name_taken',
    });
  });

  it('give a name to one of two identities that open it at once', async () => {
    const [a, b] = await twoNodes(openDirectory);
    const results = await Promise.allSettled([
      a.leases.open(leaseSession(ALICE), leaseOpen('web')),
      b.leases.open(leaseSession(BOB), leaseOpen('web')),
    ]);
    expect(results.map(({ status }) => status).toSorted((x, y) => x.localeCompare(y))).toEqual([
      'fulfilled',
      'rejected',
    ]);
    expect(a.leases.size + b.leases.size).toBe(1);
  });

  it('serve a name at the other node once the first one closed it', async () => {
    const [a, b] = await twoNodes(openDirectory);
    const alice = leaseSession(ALICE);
    a.leases.close(alice, (await a.leases.open(alice, leaseOpen('web'))).record.id);
    await expect.poll(() => b.directory.lookup('web.relay.test')).toBeUndefined();
    const lease = await b.leases.open(leaseSession(ALICE), leaseOpen('web'));
    await expect.poll(() => a.directory.lookup('web.relay.test')).toEqual(lease.record);
  });
});
