import { describe, expect, it } from 'vitest';
import type { LeaseDirectory } from '../../src/relay/directory/directory.js';
import { MemoryStore } from '../../src/relay/store/memory.js';
import { leaseNode, leaseOpen, leaseSession } from './lease-node.js';

const [ALICE, BOB] = ['0xA', '0xB'];

/** Opens the views of two nodes, `a` and `b`, of a new directory. */
export type OpenTwo = () => Promise<readonly [LeaseDirectory, LeaseDirectory]>;

/** The leases of two nodes of one relay. */
async function twoNodes(openTwo: OpenTwo) {
  const store = new MemoryStore();
  const [a, b] = await openTwo();
  return [leaseNode({ directory: a, store }), leaseNode({ directory: b, store })] as const;
}

/** Tests of leases for every way in which two nodes can share a directory. */
export function testTwoNodes(how: string, openTwo: OpenTwo): void {
  describe(`two nodes that share a directory ${how}`, () => {
    it('serve a name at the node where its agent connected last', async () => {
      const [a, b] = await twoNodes(openTwo);
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

    it('keep the id of a lease whose agent moves, but give another agent a new one', async () => {
      const [a, b] = await twoNodes(openTwo);
      const { id } = (await a.leases.open(leaseSession(ALICE, 'i1'), leaseOpen('web'))).record;
      await expect.poll(() => b.directory.lookup('web.relay.test')).toBeDefined();
      const moved = leaseSession(ALICE, 'i1');
      const { record } = await b.leases.open(moved, leaseOpen('web'));
      expect(record.id).toBe(id);
      await expect.poll(() => a.directory.lookup('web.relay.test')).toEqual(record);
      const other = await a.leases.open(leaseSession(ALICE, 'i2'), leaseOpen('web'));
      expect(other.record.id).not.toBe(id);
    });

    it('give a name to one identity', async () => {
      const [a, b] = await twoNodes(openTwo);
      await a.leases.open(leaseSession(ALICE), leaseOpen('web'));
      await expect.poll(() => b.directory.lookup('web.relay.test')).toBeDefined();
      await expect(b.leases.open(leaseSession(BOB), leaseOpen('web'))).rejects.toMatchObject({
        code: 'name_taken',
      });
    });

    it('give a name to one of two identities that open it at once', async () => {
      const [a, b] = await twoNodes(openTwo);
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
      const [a, b] = await twoNodes(openTwo);
      const alice = leaseSession(ALICE);
      await a.leases.close(alice, (await a.leases.open(alice, leaseOpen('web'))).record.id);
      await expect.poll(() => b.directory.lookup('web.relay.test')).toBeUndefined();
      const lease = await b.leases.open(leaseSession(ALICE), leaseOpen('web'));
      await expect.poll(() => a.directory.lookup('web.relay.test')).toEqual(lease.record);
    });
  });
}
