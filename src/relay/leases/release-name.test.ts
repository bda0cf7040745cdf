import { expect, it, vi } from 'vitest';
import { leaseNode, leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import { MemoryDirectory } from '../directory/memory.js';
import { MemoryStore } from '../store/memory.js';
import type { LeaseRegistryOptions } from './leases.js';

const [ALICE, BOB] = ['0xA', '0xB'];

/** Two nodes of one relay. Alice's agent has the lease `web` at b. */
async function atOtherNode() {
  const [directories, store] = [new MemoryDirectory(), new MemoryStore()];
  const drop = vi.fn<LeaseRegistryOptions['remote']['drop']>(async () => undefined);
  const remote = {
    of: () => undefined,
    onEnd: () => undefined,
    noMoreVisits: async () => undefined,
    freePort: async () => undefined,
    cut: () => undefined,
    drop,
  };
  const here = leaseNode({ directory: directories.node('a'), store, remote });
  const other = leaseNode({ directory: directories.node('b'), store });
  const alice = leaseSession(ALICE);
  await other.leases.open(alice, leaseOpen('web'));
  return { here: here.leases, other: other.leases, alice, drop };
}

it('gives the name to any identity, and ends the lease that waits for its agent', async () => {
  const { leases } = leaseNode();
  const alice = leaseSession(ALICE);
  await leases.open(alice, leaseOpen('web'));
  await expect(leases.release(ALICE, 'web')).rejects.toMatchObject({ code: 'name_in_use' });
  leases.detach(alice);
  await leases.release(ALICE, 'web');
  expect(leases.size).toBe(0);
  await expect(leases.open(leaseSession(BOB), leaseOpen('web'))).resolves.toBeDefined();
});

it('releases no name of another identity', async () => {
  const { leases } = leaseNode();
  const alice = leaseSession(ALICE);
  await leases.open(alice, leaseOpen('web'));
  leases.detach(alice);
  await expect(leases.release(BOB, 'web')).rejects.toMatchObject({ code: 'not_found' });
  expect(leases.size).toBe(1);
});

it('ends the lease at another node, but not while an agent serves it there', async () => {
  const { here, other, alice, drop } = await atOtherNode();
  await expect(here.release(ALICE, 'web')).rejects.toMatchObject({ code: 'name_in_use' });
  expect(drop).not.toHaveBeenCalled();
  other.detach(alice);
  await expect.poll(() => here.recordsAt('web.relay.test')[0]?.session).toBeUndefined();
  await here.release(ALICE, 'web');
  expect(drop).toHaveBeenCalledExactlyOnceWith('b', 'web.relay.test');
});
