import { by, optional, type Metric } from '../../metrics/metric.js';
import type { RelayStats } from '../relay.js';
import {
  CODE,
  COUNTED_LIMITS,
  DENIED,
  DROPS,
  ENDS,
  FORWARD_FAILURES,
  KIND,
  TLS_OR_TCP,
  TOWARDS,
  UNSERVED,
  WIRE_CODES,
} from './labels.js';

/**
 * Every metric of a relay. The exporter and docs/reference/metrics.md are generated from this table. A label has few values, all
 * defined here: never the name, address or identity of a tenant or visitor.
 */

type RelayMetric = Metric<RelayStats>;

export const VISITOR_WAIT = {
  name: 'portal_relay_visitor_wait_seconds',
  type: 'histogram',
  help: 'How long visitors waited for their data connection. Counts only visitors who got one.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
} as const satisfies RelayMetric;

export const METRICS: readonly RelayMetric[] = [
  {
    name: 'portal_relay_sessions',
    type: 'gauge',
    help: 'Control channels after `hello`, with or without a proven identity.',
    read: ({ sessions }) => sessions,
  },
  {
    name: 'portal_relay_handshakes',
    type: 'gauge',
    help: 'Control channels after `hello` that have not proven an identity yet.',
    read: ({ handshakes }) => handshakes,
  },
  {
    name: 'portal_relay_sessions_opened_total',
    type: 'counter',
    help: 'Sessions that proved their identity.',
    read: ({ sessionsOpened }) => sessionsOpened,
  },
  {
    name: 'portal_relay_channels_failed_total',
    type: 'counter',
    help: 'Control channels that the relay ended with an error, during the handshake or after it.',
    labels: CODE,
    read: ({ channelsFailed }) => by('code', channelsFailed, WIRE_CODES),
  },
  {
    name: 'portal_relay_requests_failed_total',
    type: 'counter',
    help: 'Requests of agents, for example to open a lease, that the relay rejected with an error.',
    labels: CODE,
    read: ({ requestsFailed }) => by('code', requestsFailed, WIRE_CODES),
  },
  {
    name: 'portal_relay_rejected_total',
    type: 'counter',
    help: 'Requests and connections that the relay rejected because of a limit.',
    labels: { limit: 'its [name](cli.md#portal-relay)' },
    read: ({ refused }) => by('limit', refused, COUNTED_LIMITS),
  },
  {
    name: 'portal_relay_descriptors_rejected_total',
    type: 'counter',
    help: 'Connections that the relay rejected or closed because it was running out of file descriptors.',
    read: ({ withoutDescriptor }) => withoutDescriptor,
  },
  {
    name: 'portal_relay_denied_total',
    type: 'counter',
    help: 'Connections and handshakes that the lists of `--deny` and `--allow` rejected.',
    labels: { what: '`address` (a connection) or `identity` (a handshake)' },
    read: ({ denied }) => by('what', denied, DENIED),
  },
  {
    name: 'portal_relay_leases',
    type: 'gauge',
    help: 'Leases, with a connected or a disconnected agent.',
    labels: KIND,
    read: ({ leasesByKind }) => by('kind', leasesByKind),
  },
  {
    name: 'portal_relay_leases_away',
    type: 'gauge',
    help: 'Leases in their grace period: their agent is disconnected and may return.',
    read: ({ leasesAway }) => leasesAway,
  },
  {
    name: 'portal_relay_connections_unrouted',
    type: 'gauge',
    help: 'Connections to the public port that have not sent enough to be routed.',
    read: ({ unrouted }) => unrouted,
  },
  {
    name: 'portal_relay_tickets',
    type: 'gauge',
    help: 'Data connections that the relay requested and agents have not opened yet.',
    read: ({ tickets }) => tickets,
  },
  {
    name: 'portal_relay_visitors',
    type: 'gauge',
    help: 'Visitors who are joined to a data connection. A visitor whom this node forwards counts here, not at the other node.',
    labels: TLS_OR_TCP,
    read: ({ visitorsByKind }) => by('kind', visitorsByKind),
  },
  {
    name: 'portal_relay_visitors_waiting',
    type: 'gauge',
    help: 'Visitors who wait for a data connection.',
    read: ({ waiting }) => waiting,
  },
  {
    name: 'portal_relay_visitors_served_total',
    type: 'counter',
    help: 'Visitors who got a data connection.',
    labels: TLS_OR_TCP,
    read: ({ visitorsServed: { tls = 0, tcp = 0 } }) => by('kind', { tls, tcp }),
  },
  {
    name: 'portal_relay_data_connections_total',
    type: 'counter',
    help: 'Data connections that arrived with a valid ticket.',
    labels: { how: '`opened`: a new connection; `reused`: one that has served another visitor' },
    read: ({ dataConnections }) => by('how', dataConnections, ['opened', 'reused']),
  },
  {
    name: 'portal_relay_visitors_forwarded_total',
    type: 'counter',
    help: 'Visitors whom this node forwarded to another node of the relay, which counts them as served.',
    read: ({ visitorsForwarded }) => visitorsForwarded,
  },
  {
    name: 'portal_relay_visitors_remote_total',
    type: 'counter',
    help: 'Visitors who arrived at this node, while the session of their agent is at another node of the relay. Counts those who got a data connection here or whom this node forwarded.',
    read: ({ visitorsRemote }) => visitorsRemote,
  },
  {
    name: 'portal_relay_forwards_failed_total',
    type: 'counter',
    help: 'Attempts to forward a visitor to another node that failed. The visitor waits for a data connection instead.',
    labels: {
      reason:
        '`rejected` (the other node does not serve the lease, or no longer with this epoch), `unreachable` (no connection to it, or no response)',
    },
    read: ({ forwardsFailed }) => by('reason', forwardsFailed, FORWARD_FAILURES),
  },
  {
    name: 'portal_relay_visitors_moved_total',
    type: 'counter',
    help: 'Visitors who changed to another replica while they waited for a data connection.',
    read: ({ visitorsMoved }) => visitorsMoved,
  },
  {
    name: 'portal_relay_visitors_unserved_total',
    type: 'counter',
    help: 'Visitors who got no data connection. Does not count those that a limit rejected.',
    labels: {
      reason:
        '`unknown_name`: no agent serves it. `timed_out`: no data connection in time. `unanswered`: the agent did not respond. `disconnected`: the visitor closed. `too_many_bytes`: the visitor of a hostname sent too many bytes while it waited. `lease_ended`: the lease ended',
    },
    read: ({ visitorsUnserved }) => by('reason', visitorsUnserved, UNSERVED),
  },
  VISITOR_WAIT,
  {
    name: 'portal_relay_visitors_ended_total',
    type: 'counter',
    help: 'How the connections of visitors ended. A visitor whom this node forwarded counts here, not at the other node.',
    labels: {
      ...TLS_OR_TCP,
      end: '`ended` (closed normally), `reset` (by either side), `idle`, `lifetime`, `no_response` (no first byte from the agent in time), `closed` (by this relay when it stopped)',
    },
    read: ({ visitorEnds: [tls, tcp] }) =>
      Object.entries({ tls, tcp }).flatMap(([kind, ends]) =>
        by('end', ends, ENDS).map(({ labels, value }) => ({ labels: { kind, ...labels }, value })),
      ),
  },
  {
    name: 'portal_relay_visitor_bytes_total',
    type: 'counter',
    help: 'Bytes of visitors, without UDP. Those of a visitor whom this node forwards count here, not at the other node.',
    labels: { ...TLS_OR_TCP, ...TOWARDS },
    read: ({ bytesByKind }) =>
      Object.entries(bytesByKind).flatMap(([kind, { toA, toB }]) => [
        { labels: { kind, to: 'visitor' }, value: toA },
        { labels: { kind, to: 'agent' }, value: toB },
      ]),
  },
  {
    name: 'portal_relay_flows',
    type: 'gauge',
    help: 'Flows: visitors of UDP ports.',
    read: ({ flows }) => flows,
  },
  {
    name: 'portal_relay_datagrams_total',
    type: 'counter',
    help: 'Datagrams of visitors that the relay forwarded.',
    labels: TOWARDS,
    read: ({ datagrams: { toAgent, toVisitor } }) => by('to', { agent: toAgent, visitor: toVisitor }),
  },
  {
    name: 'portal_relay_datagram_bytes_total',
    type: 'counter',
    help: 'Bytes of these datagrams.',
    labels: TOWARDS,
    read: ({ datagrams: { toAgentBytes, toVisitorBytes } }) =>
      by('to', { agent: toAgentBytes, visitor: toVisitorBytes }),
  },
  {
    name: 'portal_relay_datagrams_dropped_total',
    type: 'counter',
    help: 'Datagrams and packets that the relay dropped.',
    labels: {
      reason:
        '`away`: no path to the agent. `busy`: the path is full. `receive_buffer`: this process did not read in time (Linux only). `flows`: too many visitors. `rate`: over maxBytesPerSecondPerIdentity. `incomplete`: fragments are missing. `refused`: a list denies the address. Others: `no_flow`, `unreachable`, `malformed`, `forged`, `replayed`, `old`',
    },
    read: ({ dropped }) => by('reason', dropped, DROPS),
  },
  {
    name: 'portal_relay_hops',
    type: 'gauge',
    help: 'Connections of agents that this relay forwards to peers as a hop of their chain.',
    read: ({ hops }) => hops,
  },
  {
    name: 'portal_relay_hop_tickets',
    type: 'gauge',
    help: 'Unused tickets of agents for hops.',
    read: ({ hopTickets }) => hopTickets,
  },
  {
    name: 'portal_relay_hop_bytes_total',
    type: 'counter',
    help: 'Bytes of hops, both directions together.',
    read: ({ hopBytes }) => hopBytes,
  },
  {
    name: 'portal_relay_signed_in',
    type: 'gauge',
    help: 'People and programs that are signed in to see their agents.',
    read: ({ signedIn }) => signedIn,
  },
  {
    name: 'portal_relay_sign_ins_rejected_total',
    type: 'counter',
    help: 'Sign-ins that the relay rejected.',
    labels: CODE,
    read: ({ signInsRefused }) => by('code', signInsRefused, WIRE_CODES),
  },
  {
    name: 'portal_relay_store_errors_total',
    type: 'counter',
    help: 'Failed writes to the database of names.',
    read: ({ storeFailures }) => storeFailures,
  },
  {
    name: 'portal_relay_nodes',
    type: 'gauge',
    help: 'Nodes of the relay that run, as this node knows, including itself. Only with `--cluster`.',
    read: ({ cluster }) => optional(cluster?.nodes),
  },
  {
    name: 'portal_relay_directory_leases',
    type: 'gauge',
    help: 'Leases of all nodes that this node knows. Only with `--cluster`.',
    read: ({ cluster }) => optional(cluster?.leases),
  },
  {
    name: 'portal_relay_directory_lag_seconds',
    type: 'gauge',
    help: 'This node knows every change of a lease that is older than this. About 2 seconds at most while the database responds. Only with `--cluster`.',
    read: ({ cluster }) => optional(cluster && cluster.lagMs / 1000),
  },
  {
    name: 'portal_relay_node_expirations_total',
    type: 'counter',
    help: 'How often this node could not renew itself in the database in time, gave up its leases and joined the relay again. Only with `--cluster`.',
    read: ({ expirations }) => optional(expirations),
  },
  {
    name: 'portal_relay_certificate_not_after_seconds',
    type: 'gauge',
    help: "When the relay's own certificate expires, in seconds since the epoch. Absent until it has one.",
    aggregator: 'min',
    read: ({ certificateEndsAt }) => optional(certificateEndsAt && certificateEndsAt / 1000),
  },
  {
    name: 'portal_relay_build_info',
    type: 'gauge',
    help: 'Always 1.',
    aggregator: 'first',
    labels: { version: 'of Portal', node: 'version of Node' },
  },
];

/** The workers of a relay with `--workers`. */
export interface WorkerCounts {
  readonly running: number;
  readonly restarts: number;
}

/** Metrics that only a relay with `--workers` has. All others add up over its workers. */
export const WORKER_METRICS: readonly (Omit<RelayMetric, 'read'> & {
  readonly read: (counts: WorkerCounts) => number;
})[] = [
  {
    name: 'portal_relay_workers',
    type: 'gauge',
    help: 'Worker processes that serve. Only with `--workers`.',
    read: ({ running }) => running,
  },
  {
    name: 'portal_relay_worker_restarts_total',
    type: 'counter',
    help: 'Worker processes that ended unexpectedly or did not respond. Only with `--workers`.',
    read: ({ restarts }) => restarts,
  },
];
