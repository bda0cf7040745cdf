import { ERRORS } from '../../lib/error-codes.js';
import type { SpliceEnd } from '../../net/spliced.js';
import type { DropReason } from '../../protocol/datagrams/drops.js';
import { LIMIT_NAMES } from '../limits.js';
import type { RelayStats } from '../relay.js';
import type { UnservedReason } from '../tallies.js';

/**
 * Every metric of a relay: the exporter and docs/reference/metrics.md are made of this table. A label has few values, all of them
 * Portal's own words: names, addresses and identities of tenants or visitors are never one.
 */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  /** Its labels, and what each says. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[];
  /** Its value, or one for each combination of labels; absent for a histogram, which is told of each event. */
  readonly read?: (stats: RelayStats) => number | readonly Sample[];
}

const KIND = { kind: 'of the lease: `tls` (modes stream and http), `tcp` or `udp`' } as const;
const TLS_OR_TCP = { kind: 'of the lease: `tls` (modes stream and http) or `tcp`' } as const;
const CODE = { code: 'an [error code](errors.md)' } as const;
const TOWARDS = { to: '`agent` or `visitor`' } as const;

type Counts<K extends string> = Readonly<Partial<Record<K, number>>>;

/** One sample for each entry, and for each of `known` from the start: `rate()` sees no first burst of a series that begins with it. */
function by<K extends string>(label: string, counts: Counts<K>, known: Iterable<K> = []): Sample[] {
  const all: Counts<K> = { ...Object.fromEntries([...known].map((key) => [key, 0])), ...counts };
  return Object.entries<number | undefined>(all).map(([key, value = 0]) => ({
    labels: { [label]: key },
    value,
  }));
}

const keysOf = <K extends string>(all: Readonly<Record<K, unknown>>): K[] => Object.keys(all) as K[];

/** Error codes that a relay sends. */
const WIRE_CODES = keysOf(ERRORS).filter((code) => 'wire' in ERRORS[code]);
/** Limits that refuse somebody: those of a time do not. */
const COUNTED_LIMITS = LIMIT_NAMES.filter((name) => name.startsWith('max'));
const DENIED = keysOf({ address: 0, identity: 0 } satisfies Record<keyof RelayStats['denied'], 0>);
const UNSERVED = keysOf({
  unknown_name: 0,
  waited: 0,
  left: 0,
  said_too_much: 0,
  lease_ended: 0,
} satisfies Record<UnservedReason, 0>);
const ENDS = keysOf({
  ended: 0,
  reset: 0,
  idle: 0,
  lifetime: 0,
  unanswered: 0,
  closed: 0,
} satisfies Record<SpliceEnd, 0>);
const DROPS = keysOf({
  away: 0,
  busy: 0,
  receive_buffer: 0,
  flows: 0,
  rate: 0,
  incomplete: 0,
  refused: 0,
  no_flow: 0,
  unreachable: 0,
  malformed: 0,
  forged: 0,
  replayed: 0,
  old: 0,
} satisfies Record<DropReason, 0>);

export const VISITOR_WAIT = {
  name: 'portal_relay_visitor_wait_seconds',
  type: 'histogram',
  help: 'How long visitors waited for a data connection, those who got one.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
} as const satisfies Metric;

export const METRICS: readonly Metric[] = [
  {
    name: 'portal_relay_sessions',
    type: 'gauge',
    help: 'Control channels that have said hello, those that have not proven an identity included.',
    read: ({ sessions }) => sessions,
  },
  {
    name: 'portal_relay_handshakes',
    type: 'gauge',
    help: 'Control channels that have said hello and not proven an identity yet.',
    read: ({ handshakes }) => handshakes,
  },
  {
    name: 'portal_relay_sessions_opened_total',
    type: 'counter',
    help: 'Sessions whose identity was proven.',
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
    help: 'Requests of agents (a lease to open, say) that were answered with an error.',
    labels: CODE,
    read: ({ requestsFailed }) => by('code', requestsFailed, WIRE_CODES),
  },
  {
    name: 'portal_relay_refused_total',
    type: 'counter',
    help: 'What was refused because it was beyond a limit.',
    labels: { limit: 'its [name](cli.md#portal-relay)' },
    read: ({ refused }) => by('limit', refused, COUNTED_LIMITS),
  },
  {
    name: 'portal_relay_descriptors_refused_total',
    type: 'counter',
    help: 'Connections that were refused, or gave way to another, because file descriptors were nearly used up.',
    read: ({ withoutDescriptor }) => withoutDescriptor,
  },
  {
    name: 'portal_relay_denied_total',
    type: 'counter',
    help: 'What the lists of `--deny` and `--allow` kept out.',
    labels: { what: '`address` (a connection) or `identity` (a handshake)' },
    read: ({ denied }) => by('what', denied, DENIED),
  },
  {
    name: 'portal_relay_leases',
    type: 'gauge',
    help: 'Leases, those whose agent is away included.',
    labels: KIND,
    read: ({ leasesByKind }) => by('kind', leasesByKind),
  },
  {
    name: 'portal_relay_leases_away',
    type: 'gauge',
    help: 'Leases whose agent is away, and has its grace to come back.',
    read: ({ leasesAway }) => leasesAway,
  },
  {
    name: 'portal_relay_connections_unrouted',
    type: 'gauge',
    help: 'Connections to the public port that have not said yet what they are.',
    read: ({ unrouted }) => unrouted,
  },
  {
    name: 'portal_relay_tickets',
    type: 'gauge',
    help: 'Data connections that agents were asked for and have not opened yet.',
    read: ({ tickets }) => tickets,
  },
  {
    name: 'portal_relay_visitors',
    type: 'gauge',
    help: 'Visitors who are joined to a data connection.',
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
    name: 'portal_relay_visitors_unserved_total',
    type: 'counter',
    help: 'Visitors who got none, those whom a limit refused left out.',
    labels: {
      reason:
        '`unknown_name` (nobody has it), `waited` (none came in time), `left` (the visitor went), `said_too_much` (before it was served), `lease_ended`',
    },
    read: ({ visitorsUnserved }) => by('reason', visitorsUnserved, UNSERVED),
  },
  VISITOR_WAIT,
  {
    name: 'portal_relay_visitors_ended_total',
    type: 'counter',
    help: 'How the connections of visitors ended.',
    labels: {
      ...TLS_OR_TCP,
      end: '`ended` (in order), `reset` (by either side), `idle`, `lifetime`, `unanswered` (no first byte of the agent in time), `closed` (by this relay, as it stopped)',
    },
    read: ({ visitorEnds: [tls, tcp] }) =>
      Object.entries({ tls, tcp }).flatMap(([kind, ends]) =>
        by('end', ends, ENDS).map(({ labels, value }) => ({ labels: { kind, ...labels }, value })),
      ),
  },
  {
    name: 'portal_relay_visitor_bytes_total',
    type: 'counter',
    help: 'Bytes of visitors, UDP left out.',
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
    help: 'Visitors of UDP ports: flows.',
    read: ({ flows }) => flows,
  },
  {
    name: 'portal_relay_datagrams_total',
    type: 'counter',
    help: 'Datagrams of visitors that were passed on.',
    labels: TOWARDS,
    read: ({ datagrams: { toAgent, toVisitor } }) => by('to', { agent: toAgent, visitor: toVisitor }),
  },
  {
    name: 'portal_relay_datagram_bytes_total',
    type: 'counter',
    help: 'Bytes in them.',
    labels: TOWARDS,
    read: ({ datagrams: { toAgentBytes, toVisitorBytes } }) =>
      by('to', { agent: toAgentBytes, visitor: toVisitorBytes }),
  },
  {
    name: 'portal_relay_datagrams_dropped_total',
    type: 'counter',
    help: 'Datagrams and packets that went no further.',
    labels: {
      reason:
        '`away` (no way to the agent), `busy` (the way is full), `receive_buffer` (this process did not read in time; Linux only), `flows` (too many visitors), `rate` (beyond maxBytesPerSecondPerIdentity), `incomplete` (pieces missing), `refused` (denied), `no_flow`, `unreachable`, `malformed`, `forged`, `replayed`, `old`',
    },
    read: ({ dropped }) => by('reason', dropped, DROPS),
  },
  {
    name: 'portal_relay_hops',
    type: 'gauge',
    help: 'Connections of agents that are passed on to peers: this relay is a hop of their chain.',
    read: ({ hops }) => hops,
  },
  {
    name: 'portal_relay_hop_tickets',
    type: 'gauge',
    help: 'Tickets for such connections that agents have and did not use yet.',
    read: ({ hopTickets }) => hopTickets,
  },
  {
    name: 'portal_relay_hop_bytes_total',
    type: 'counter',
    help: 'Bytes of those, both directions together.',
    read: ({ hopBytes }) => hopBytes,
  },
  {
    name: 'portal_relay_signed_in',
    type: 'gauge',
    help: 'People and programs that are signed in to see their agents.',
    read: ({ signedIn }) => signedIn,
  },
  {
    name: 'portal_relay_sign_ins_refused_total',
    type: 'counter',
    help: 'Sign-ins that were refused.',
    labels: CODE,
    read: ({ signInsRefused }) => by('code', signInsRefused, WIRE_CODES),
  },
  {
    name: 'portal_relay_store_errors_total',
    type: 'counter',
    help: 'Writes to the database of names that failed.',
    read: ({ storeFailures }) => storeFailures,
  },
  {
    name: 'portal_relay_certificate_not_after_seconds',
    type: 'gauge',
    help: "When the relay's own certificate ends, in seconds since the epoch. Absent until it has one.",
    read: ({ certificateEndsAt }) =>
      certificateEndsAt === undefined ? [] : [{ labels: {}, value: certificateEndsAt / 1000 }],
  },
  {
    name: 'portal_relay_build_info',
    type: 'gauge',
    help: 'Always 1.',
    labels: { version: 'of Portal', node: 'version of Node' },
  },
];
