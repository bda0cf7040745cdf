import type { HeldCounts, HeldStatus, LeaseStatus, RelayStatus } from '../agent/status.js';
import { by, optional, type Metric, type Sample } from '../metrics/metric.js';

/**
 * Every metric of an agent. The exporter and docs/reference/metrics.md are generated from this table. Labels name services and
 * relays of the configuration: never a visitor.
 */

/** What the metrics are read from: the state that the agent knows, without asking anyone. */
export interface AgentStats {
  readonly ready: boolean;
  readonly leases: readonly LeaseStatus[];
  readonly relays: readonly RelayStatus[];
  readonly held?: readonly HeldStatus[];
  /** By service. */
  readonly heldCounts?: ReadonlyMap<string, HeldCounts>;
}

const OF_A_LEASE = {
  service: 'its name in the configuration',
  relay: 'as in `portal status`: its URL, the first of a chain, or `embedded:PORT`',
} as const;

/** One sample for each lease, or more, with its labels. */
function perLease(
  leases: readonly LeaseStatus[],
  read: (lease: LeaseStatus) => number | readonly Sample[] | undefined,
): Sample[] {
  return leases.flatMap((lease) => {
    const found = read(lease);
    const samples = typeof found === 'object' ? found : optional(found);
    const own = { service: lease.service, relay: lease.relay };
    return samples.map(({ labels, value }) => ({ labels: { ...own, ...labels }, value }));
  });
}

const secondsOf = (time: string | undefined): number | undefined =>
  time === undefined ? undefined : Date.parse(time) / 1_000;

/** One sample for each target. A target of several routes or leases is one. */
function targets(leases: readonly LeaseStatus[]): Sample[] {
  const found = new Map<string, Sample>();
  for (const { service, target, routes, targetErrors = {} } of leases) {
    for (const each of new Set([target, ...Object.values(routes ?? {})])) {
      const value = each in targetErrors ? 0 : 1;
      found.set(JSON.stringify([service, each]), { labels: { service, target: each }, value });
    }
  }
  return [...found.values()];
}

/** One sample for each service, 0 for one whose requests no longer wait. */
function heldNow({ held = [], heldCounts }: AgentStats): Sample[] {
  const found = new Map([...(heldCounts?.keys() ?? [])].map((service) => [service, 0]));
  for (const { service, waiting } of held) found.set(service, (found.get(service) ?? 0) + waiting);
  return [...found].map(([service, value]) => ({ labels: { service }, value }));
}

export const AGENT_METRICS: readonly Metric<AgentStats>[] = [
  {
    name: 'portal_agent_ready',
    type: 'gauge',
    help: '1 if visitors reach every service, as `/ready` says; else 0.',
    read: ({ ready }) => Number(ready),
  },
  {
    name: 'portal_agent_relay_connected',
    type: 'gauge',
    help: '1 if the agent has a session with the relay; else 0.',
    labels: { relay: OF_A_LEASE.relay },
    read: ({ relays }) =>
      relays.map(({ relay, state }) => ({ labels: { relay }, value: Number(state === 'connected') })),
  },
  {
    name: 'portal_agent_relay_round_trip_seconds',
    type: 'gauge',
    help: 'Round trip of the last heartbeat. Absent until there was one.',
    labels: { relay: OF_A_LEASE.relay },
    read: ({ relays }) =>
      relays.flatMap(({ relay, rttMs }) =>
        rttMs === undefined ? [] : [{ labels: { relay }, value: rttMs / 1_000 }],
      ),
  },
  {
    name: 'portal_agent_lease_ready',
    type: 'gauge',
    help: '1 if the lease is open and no problem for visitors is known; else 0.',
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ phase }) => Number(phase === 'ready')),
  },
  {
    name: 'portal_agent_lease_proven_timestamp_seconds',
    type: 'gauge',
    help: "When the agent's own visit to the public address last succeeded, in seconds since the epoch. Absent until one did.",
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ provenAt }) => secondsOf(provenAt)),
  },
  {
    name: 'portal_agent_lease_retries',
    type: 'gauge',
    help: 'How often the lease was retried since it opened.',
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ retries }) => retries),
  },
  {
    name: 'portal_agent_target_up',
    type: 'gauge',
    help: '1 if the target accepts connections, as far as the agent knows; else 0.',
    labels: { service: OF_A_LEASE.service, target: 'as in `portal status`' },
    read: ({ leases }) => targets(leases),
  },
  {
    name: 'portal_agent_service_healthy',
    type: 'gauge',
    help: '0 if the target fails its `health` check, otherwise 1. Always 1 for a service without `health`.',
    labels: { service: OF_A_LEASE.service },
    read: ({ leases }) =>
      [...new Map(leases.map(({ service, healthError }) => [service, healthError]))].map(
        ([service, error]) => ({ labels: { service }, value: Number(error === undefined) }),
      ),
  },
  {
    name: 'portal_agent_visitors',
    type: 'gauge',
    help: 'Visitors who are connected.',
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ visitors }) => visitors),
  },
  {
    name: 'portal_agent_visitor_bytes_total',
    type: 'counter',
    help: 'Bytes of visitors. Starts at 0 when the lease opens.',
    labels: { ...OF_A_LEASE, to: '`target` or `visitor`' },
    read: ({ leases }) =>
      perLease(leases, ({ bytesIn, bytesOut }) => by('to', { target: bytesIn, visitor: bytesOut })),
  },
  {
    name: 'portal_agent_requests_total',
    type: 'counter',
    help: 'Requests of visitors. Only in mode http. Starts at 0 when the lease opens.',
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ requests }) => requests),
  },
  {
    name: 'portal_agent_held_requests',
    type: 'gauge',
    help: 'Requests that wait until the target of their route is back. Absent for services that never held one.',
    labels: { service: OF_A_LEASE.service },
    read: heldNow,
  },
  {
    name: 'portal_agent_hold_events_total',
    type: 'counter',
    help: 'What happened to requests that `hold` concerns. Starts at 0 with the agent.',
    labels: { service: OF_A_LEASE.service, event: '`held`, `delivered` or `expired`, as in the events' },
    read: ({ heldCounts = new Map<string, HeldCounts>() }) =>
      [...heldCounts].flatMap(([service, counts]) =>
        by('event', { ...counts }).map(({ labels, value }) => ({ labels: { service, ...labels }, value })),
      ),
  },
  {
    name: 'portal_agent_visitors_rejected_total',
    type: 'counter',
    help: 'Visitors, or in mode http their requests, that a gate rejected.',
    labels: { ...OF_A_LEASE, gate: 'its name in `access`, or `rateLimit`' },
    read: ({ leases }) => perLease(leases, ({ refused = {} }) => by('gate', refused)),
  },
  {
    name: 'portal_agent_visitors_unserved_total',
    type: 'counter',
    help: 'Visitors whom the relay gave up on. Only from relays that report it.',
    labels: { ...OF_A_LEASE, reason: 'as in the event `unserved`' },
    read: ({ leases }) => perLease(leases, ({ visitorsUnserved = {} }) => by('reason', visitorsUnserved)),
  },
  {
    name: 'portal_agent_datagrams_dropped_total',
    type: 'counter',
    help: 'Datagrams of mode udp that did not reach the target, or whose replies did not reach the visitor.',
    labels: { ...OF_A_LEASE, reason: 'as in `portal status --json`' },
    read: ({ leases }) => perLease(leases, ({ dropped = {} }) => by('reason', dropped)),
  },
  {
    name: 'portal_agent_certificate_not_after_seconds',
    type: 'gauge',
    help: 'When the certificate of a CA or of your files expires, in seconds since the epoch. Absent for certificates of the local CA.',
    labels: OF_A_LEASE,
    read: ({ leases }) => perLease(leases, ({ certificate }) => secondsOf(certificate?.notAfter)),
  },
  {
    name: 'portal_agent_build_info',
    type: 'gauge',
    help: 'Always 1.',
    labels: { version: 'of Portal', node: 'version of Node' },
  },
];
