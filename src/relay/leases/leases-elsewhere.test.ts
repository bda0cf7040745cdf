import { expect, it, onTestFinished, vi } from 'vitest';
import { leaseNode, leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import { MemoryDirectory } from '../directory/memory.js';
import { ALONE } from '../nodes/nodes.js';
import { RemoteSessions } from '../nodes/remote-sessions.js';
import { DataTickets } from '../tickets/data-tickets.js';

const ALICE = '0xA';
const AT = 'web.relay.test';
/** More requests for the other nodes than any of these tests needs: a loop would never end. */
const MANY = 1_000;

/** Node a with the agents i0 and i1 of one name at node b, and what makes a lose its connection to b. */
async function withReplicasElsewhere() {
  const directories = new MemoryDirectory();
  const tickets = new DataTickets(10_000);
  let lose: ((node: string) => void) | undefined;
  let asked = 0;
  const remote = new RemoteSessions({
    nodes: {
      ...ALONE,
      get others() {
        if (++asked > MANY) throw new Error('this loop does not end');
        return ['b'];
      },
      onLeft: (listener) => (lose = listener),
    },
    tickets,
    gate: { join: () => undefined },
    idleDataConnectionMs: 10_000,
    silentDataMs: 250,
    freePortMs: 5_000,
    forwarding: undefined,
  });
  onTestFinished(() => {
    remote.close();
    tickets.close();
  });
  const { leases } = leaseNode({ directory: directories.node('a'), remote });
  const other = leaseNode({ directory: directories.node('b') });
  for (const instance of ['i0', 'i1'])
    await other.leases.open(
      leaseSession(ALICE, instance),
      leaseOpen('web', { replicas: { policy: 'spread', healthy: true } }),
    );
  await expect.poll(() => leases.find(AT)?.holder).toBeDefined();
  return { leases, lose: () => lose?.('b') };
}

it('survives that the node of all replicas of a name is lost', async () => {
  const { leases, lose } = await withReplicasElsewhere();
  lose();
  expect(leases.find(AT)?.holder).toBeUndefined();
});

it('asks the node for its sessions again a moment later, since it may still run', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { leases, lose } = await withReplicasElsewhere();
  lose();
  await vi.advanceTimersByTimeAsync(400);
  expect(leases.find(AT)?.holder).toBeUndefined();
  await vi.advanceTimersByTimeAsync(200);
  expect(leases.find(AT)?.holder).toBeDefined();
});
