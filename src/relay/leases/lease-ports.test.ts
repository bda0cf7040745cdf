import { expect, it, onTestFinished, vi } from 'vitest';
import { leaseOpen, leaseSession } from '../../../test/support/lease-node.js';
import { KeyedQueue } from '../../lib/keyed-queue.js';
import { silent } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import { MemoryDirectory } from '../directory/memory.js';
import { ReservedLabels } from '../names/labels.js';
import { Quotas } from '../protection/quotas.js';
import { newLease } from './lease.js';
import { LeaseClaims } from './lease-claims.js';
import { LeasePorts } from './lease-ports.js';
import { LeaseTable } from './lease-table.js';
import type { OpenPort, PublicPorts } from './ports.js';

const AT = 'tcp game.relay.test';

/** The ports of a node's leases. `lease` makes a replica of the TCP service `game`, without a port. */
function node(shared: MemoryDirectory, name: string) {
  const directory = shared.node(name);
  const close = vi.fn<OpenPort['close']>();
  const open = vi.fn<PublicPorts['open']>(async () => ({ port: 5, close }));
  const move = vi.fn<PublicPorts['move']>(async (_kind, _lease, port) => ({ port, close }));
  const table = new LeaseTable({
    directory,
    quotas: new Quotas({ ...LIMITS }),
    onOrphaned: () => undefined,
    log: silent,
  });
  const ports = { offers: () => true, open, move } as unknown as PublicPorts;
  const turns = new KeyedQueue();
  const leasePorts = new LeasePorts({ table, directory, ports, turns, log: silent });
  onTestFinished(directory.watch(() => leasePorts.settle(AT)));
  const claims = new LeaseClaims({
    ports,
    domains: {} as never,
    labels: new ReservedLabels(),
    domain: 'relay.test',
  });
  return {
    leasePorts,
    table,
    open,
    move,
    turns,
    lease: async (instance: string) => {
      const holder = leaseSession('0xA', instance);
      const request = leaseOpen('game', { mode: 'tcp', replicas: { policy: 'spread' } });
      const record = await directory.claim(await claims.of(holder, request));
      const lease = newLease({ record, rate: undefined });
      table.add(lease, holder);
      return lease;
    },
  };
}

it('opens one port for all replicas of a name, at any node', async () => {
  const shared = new MemoryDirectory();
  const [a, b] = [node(shared, 'a'), node(shared, 'b')];
  const [first, second, third] = [await a.lease('i1'), await a.lease('i2'), await b.lease('i3')];
  await a.leasePorts.open(first, undefined);
  await a.leasePorts.open(second, undefined);
  await b.leasePorts.open(third, undefined);
  expect([first, second, third].map(({ record }) => record.port)).toEqual([5, 5, 5]);
  expect([a.open.mock.calls.length, b.open.mock.calls.length]).toEqual([1, 0]);
});

it('listens here once the node that did so has left', async () => {
  const shared = new MemoryDirectory();
  const [a, b] = [node(shared, 'a'), node(shared, 'b')];
  const [first, second] = [await a.lease('i1'), await b.lease('i2')];
  await a.leasePorts.open(first, undefined);
  await b.leasePorts.open(second, undefined);
  b.leasePorts.settle(AT);
  expect([b.turns.size, second.port]).toEqual([0, undefined]);
  a.table.remove(first);
  await expect.poll(() => second.port?.port).toBe(5);
  expect(second.record.replica?.listens).toBe(true);
});

it('does not move a port that other replicas use', async () => {
  const { leasePorts, lease, move } = node(new MemoryDirectory(), 'a');
  const first = await lease('i1');
  await leasePorts.open(first, undefined);
  await leasePorts.move(first, 6);
  expect(first.record.port).toBe(6);
  await leasePorts.open(await lease('i2'), undefined);
  await leasePorts.move(first, 7);
  expect([first.record.port, move.mock.calls.length]).toEqual([6, 1]);
});
