import { countOverruns } from '../net/datagrams/udp-overruns.js';
import type { AgentsSurface } from './agents/surface.js';
import type { Datagrams } from './datagrams/datagrams.js';
import type { AccessLists } from './protection/access-lists.js';
import type { LeaseRegistry } from './leases/leases.js';
import type { Store } from './store/store.js';
import type { Tallies } from './tallies.js';
import type { VisitorGate } from './visitors/visitors.js';

export interface StatsParts {
  readonly leases: LeaseRegistry;
  readonly gate: VisitorGate;
  readonly datagrams: Datagrams;
  readonly store: Store;
  readonly tallies: Tallies;
  readonly denied: AccessLists;
  readonly agents: AgentsSurface;
}

/** Current counts of all parts of a relay. */
export function readStats({ leases, gate, datagrams, store, tallies, denied, agents }: StatsParts) {
  countOverruns();
  const { tls, tcp } = gate.splices;
  const { away, ...leasesByKind } = leases.sizes;
  return {
    leasesByKind,
    leasesAway: away,
    visitorsByKind: { tls: tls.counted + gate.attemptedHere, tcp: tcp.counted },
    bytesByKind: { tls: tls.totalBytes, tcp: tcp.totalBytes },
    visitorEnds: [tls.ends.counts(), tcp.ends.counts()] as const,
    sessionsOpened: tallies.sessionsOpened,
    channelsFailed: tallies.channelsFailed.counts(),
    requestsFailed: tallies.requestsFailed.counts(),
    dataConnections: tallies.dataConnections.counts(),
    visitorsForwarded: tallies.visitorsForwarded,
    visitorsMoved: tallies.visitorsMoved,
    visitorsRemote: tallies.visitorsRemote,
    forwardsFailed: tallies.forwardsFailed.counts(),
    visitorsServed: tallies.visitorsServed.counts(),
    visitorsUnserved: tallies.visitorsUnserved.counts(),
    datagrams: { ...datagrams.passed },
    denied: denied.counts.counts(),
    ...agents.stats(),
    storeFailures: store.failures,
  };
}
