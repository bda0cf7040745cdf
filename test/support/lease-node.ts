import { randomUUID } from 'node:crypto';
import { onTestFinished, vi } from 'vitest';
import { silent } from '../../src/lib/logger.js';
import { LIMITS } from '../../src/protocol/limits.js';
import type { FromAgent } from '../../src/protocol/messages.js';
import type { LeaseDirectory } from '../../src/relay/directory/directory.js';
import { MemoryDirectory } from '../../src/relay/directory/memory.js';
import type { DomainProofs } from '../../src/relay/names/domains.js';
import { ReservedLabels } from '../../src/relay/names/labels.js';
import type { OwnHolder } from '../../src/relay/leases/lease.js';
import { LeaseRegistry, type LeaseRegistryOptions } from '../../src/relay/leases/leases.js';
import type { RelayLimits } from '../../src/relay/limits.js';
import { PublicPorts } from '../../src/relay/leases/ports.js';
import { Quotas } from '../../src/relay/protection/quotas.js';
import { Reservations } from '../../src/relay/names/reservations.js';
import { Tallies } from '../../src/relay/tallies.js';
import { VisitorGate } from '../../src/relay/visitors/visitors.js';
import type { Descriptors } from '../../src/relay/protection/descriptors.js';
import { MemoryStore } from '../../src/relay/store/memory.js';

const NO_OTHERS: LeaseRegistryOptions['remote'] = {
  of: () => undefined,
  onEnd: () => undefined,
  noMoreVisits: async () => undefined,
  freePort: async () => undefined,
  cut: () => undefined,
  drop: async () => undefined,
};

/** The leases of one node, without sockets. */
export function leaseNode({
  directory = new MemoryDirectory().node('a'),
  store = new MemoryStore(),
  limits: over = {},
  remote = NO_OTHERS,
}: {
  directory?: LeaseDirectory;
  store?: MemoryStore;
  limits?: Partial<RelayLimits>;
  remote?: LeaseRegistryOptions['remote'];
} = {}) {
  const limits: RelayLimits = { ...LIMITS, graceMs: 60_000, ...over };
  const quotas = new Quotas(limits);
  const openPorts = new Set<number>();
  const ports = new PublicPorts({
    ranges: { tcp: { from: 1, to: 9 } },
    listen: {
      tcp: async (_lease, port) => {
        openPorts.add(port);
        return { port, close: () => void openPorts.delete(port) };
      },
    },
    store,
    ...limits,
  });
  const queues = new VisitorGate(limits, {
    quotas,
    tallies: new Tallies(),
    descriptors: {} as Descriptors,
  });
  const leases = new LeaseRegistry({
    directory,
    remote,
    reservations: new Reservations({ store, limits, refusals: quotas.refusals }),
    labels: new ReservedLabels(),
    ports,
    domains: {} as DomainProofs,
    quotas,
    queues,
    domain: 'relay.test',
    log: silent,
    ...limits,
  });
  onTestFinished(() => leases.clear());
  return { leases, directory, store, openPorts, quotas };
}

/** A session. Tests set `closed` and what `alive` answers. */
export function leaseSession(address: string, instance = 'i1') {
  return {
    id: randomUUID(),
    address,
    instance,
    remoteAddress: '192.0.2.1',
    closed: false,
    alive: vi.fn<(ms: number) => Promise<boolean>>(async () => true),
    revoked: vi.fn<OwnHolder['revoked']>(),
    serve: vi.fn<OwnHolder['serve']>(),
    gaveUp: vi.fn<OwnHolder['gaveUp']>(),
    datagrams: {} as OwnHolder['datagrams'],
  };
}

type Open = FromAgent<'lease.open'>;
export const leaseOpen = (name: string, over: Partial<Open> = {}): Open => ({
  type: 'lease.open',
  id: 1,
  name,
  mode: 'stream',
  carrier: 'tls',
  ...over,
});
