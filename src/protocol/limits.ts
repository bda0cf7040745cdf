/**
 * Every limit and timeout of the wire, in one place. Durations end in `Ms`, sizes in `Bytes`.
 * docs/reference/protocol.md quotes this table.
 */

export const PROTOCOL_VERSION = 2;

export const CONTROL_SUBPROTOCOL = 'portal.control.1';
export const DATA_UPGRADE = 'portal-data';
export const DATA_SUBPROTOCOL = 'portal.data.1';
export const DATAGRAMS_SUBPROTOCOL = 'portal.datagrams.1';
export const HOP_UPGRADE = 'portal-hop';

/** Headers between relays: how many of them the connection has passed, and the URL of the last. */
export const HOP_HEADERS = { count: 'portal-hops', from: 'portal-from', error: 'portal-error' } as const;

export const PATHS = {
  relay: '/v1/relay',
  relays: '/v1/relays',
  control: '/v1/control',
  data: '/v1/data',
  datagrams: '/v1/datagrams',
  hop: '/v1/hop',
  health: '/healthz',
  signIn: '/v1/sign-in',
  agents: '/v1/agents',
  names: '/v1/names',
  agentsPage: '/agents',
} as const;

/** The one byte with which a relay starts a data connection; after it, both ways carry the visitor only. */
export const START_BYTE = 0x01;

export const LIMITS = {
  /** A connection on the public port says what it is within this, or is closed. */
  firstBytesMs: 10_000,
  /** Connections that have not said yet what they are; for one more, the network that has most loses its oldest. */
  maxUnroutedConnections: 4_096,
  /** What all of those have said so far; beyond it, the network that has said most loses its oldest. */
  maxUnroutedBytes: 64 * 1024 * 1024,
  /** An HTTP request is there whole within this, and a TLS handshake with the relay itself is done. */
  requestHeadMs: 10_000,
  /** Connections to the relay's own HTTP surface that are not upgraded yet; the same holds for one more. */
  maxRequestConnections: 1_024,
  /** Connections of one address; an IPv6 address counts as its /64. For the limits per address and per identity, 0 means unlimited. */
  maxConnectionsPerAddress: 4_096,
  /** A connection that was refused reads why within this. */
  lingerMs: 1_000,

  /** One control message, either direction. */
  maxControlMessageBytes: 64 * 1024,
  /** From the WebSocket's opening to `welcome`. */
  handshakeMs: 10_000,
  /** A challenge is good for this long, and for one attempt. */
  challengeMs: 120_000,
  /** A challenge's text; those of a relay have some 500 characters. */
  maxChallengeChars: 2_048,
  /** Answer to one request on the control channel. */
  requestMs: 10_000,
  /** WebSocket ping, both ways. A peer silent for 2.5 of these is dropped. */
  heartbeatMs: 5_000,
  /** Control messages waiting in a socket; a peer that does not read is dropped beyond it. */
  maxControlBacklogBytes: 4 * 1024 * 1024,
  /** Requests of one session that the relay works on; more are not read before some are answered. */
  maxRequestsInFlight: 256,
  /** A peer answers the WebSocket's close within this. */
  closeMs: 2_000,

  /** A dropped session's leases keep their hostname and ports for this long. */
  graceMs: 30_000,
  /** A name stays reserved for its identity this long after its last use. */
  reservationMs: 30 * 24 * 3_600_000,
  maxSessions: 10_000,
  /** Control channels that have said hello and proven no identity yet; of one address half as many. Others come back later. */
  maxHandshakes: 128,
  /** When all of those are taken, the only handshake of a network gives way once it has waited for its client for this long. */
  handshakeShareMs: 1_000,
  /** The most bits of work that a relay asks of a client, when many handshakes prove nothing: half a second for an agent. */
  maxHandshakeWorkBits: 18,
  /** Longest pause that a relay asks of an agent which it has no room for; such an agent waits up to twice as long. */
  maxComeBackMs: 30_000,
  maxSessionsPerAddress: 1_024,
  maxSessionsPerIdentity: 256,
  maxLeasesPerSession: 2_000,
  maxLeasesPerIdentity: 5_000,
  maxReservedNamesPerIdentity: 5_000,
  maxReservedNamesPerAddress: 10_000,
  /** Before that, a name stays reserved only this long after its last use. */
  reserveAfterMs: 600_000,
  /** Names that are new to their identity within a day: of one identity, and of all that come from one address. */
  maxNewNamesPerIdentity: 2_000,
  maxNewNamesPerAddress: 4_000,
  /** Leases with a public port. */
  maxPortsPerIdentity: 32,
  maxPortsPerAddress: 64,
  maxMetadataEntries: 32,
  maxMetadataKeyChars: 64,
  maxMetadataValueChars: 256,

  /** A ticket is good for this long, and for one data connection. */
  ticketMs: 30_000,
  /** Tickets in one `dial`. */
  maxTicketsPerDial: 256,
  /** Idle data connections a session may be asked to hold, per carrier. */
  maxIdleDataConnections: 64,
  /** An idle data connection is replaced at this age, before a NAT on the way forgets it. */
  idleDataConnectionMs: 120_000,
  /** Data connections of a session that are asked for or idle; an agent opens no more. */
  maxDataConnectionsAhead: 1_024,
  /** An agent loses idle data connections: pause before the next is asked for, doubled up to the second value. */
  minRedialMs: 100,
  maxRedialMs: 10_000,

  /** Visitors waiting for a data connection, per lease; when so many wait, the network with most of them gives way. */
  maxWaitingVisitorsPerLease: 1_024,
  /** A visitor waits no longer than this for a data connection. */
  visitorWaitMs: 10_000,
  /** What a visitor may say while it waits; TLS lets no one say more before the agent has answered. */
  maxWaitingBytes: 64 * 1024,
  /** Visitors of one identity, those in line included; again the network with most gives way. */
  maxVisitorsPerIdentity: 16_384,
  /** What visitors of one identity may move, both directions together. */
  maxBytesPerSecondPerIdentity: 0,
  /** The agent answers the first bytes of a visitor within this. */
  firstAnswerMs: 15_000,
  /** A visitor's connection on which nothing moved for this long is closed. */
  visitorIdleMs: 3_600_000,
  /** The same, once one side has ended: a visitor that vanished looks like one that only stopped talking. */
  halfClosedMs: 60_000,
  /** No connection outlives this. */
  visitorLifetimeMs: 7 * 24 * 3_600_000,

  /** How many relays may forward one connection. A chain has one relay more. */
  maxHops: 2,
  /** A relay connects to its peer within this. */
  hopMs: 5_000,
  /** Tickets for hops that are out, per session. */
  maxHopTickets: 512,
  /** Connections that a relay forwards for one identity, and in total. Over that, the network with the most loses one. */
  maxHopConnectionsPerIdentity: 2_048,
  maxHopConnections: 16_384,
  /** Peers of a relay. */
  maxPeers: 64,
  /** A peer's descriptor is fetched again after this. */
  peerRefreshMs: 300_000,
  /** While it cannot be fetched: pause before the next attempt, doubled up to the second value. */
  minPeerRetryMs: 250,
  peerRetryMs: 10_000,
  /** A descriptor, as it is fetched. */
  maxDescriptorBytes: 65_536,

  /** One lookup of the record that proves a domain. */
  domainLookupMs: 5_000,
  /** Such lookups at a time; those of who has proven one already are counted for themselves. */
  maxDomainLookups: 64,
  /** A domain that was not proven is not looked up again before this. */
  domainRetryMs: 15_000,
  /** A proven one is looked at again this often. */
  domainRecheckMs: 3_600_000,
  /** A proof holds this long while DNS does not answer. */
  domainGraceMs: 24 * 3_600_000,

  /** One message of a data connection in a WebSocket. */
  maxDataMessageBytes: 128 * 1024,
  /** A data connection in a WebSocket says a ping after silence of this long, so that a proxy on the way keeps it. */
  dataPingMs: 25_000,

  /** The agent waits this long for `visit` once a data connection was started. */
  visitNoticeMs: 10_000,

  /** A visitor's datagram: what UDP over IPv4 can carry. */
  maxDatagramBytes: 65_507,
  /** A packet of the `udp` carrier: passes every path that IPv6 may use (1,280 bytes with its headers). */
  maxPacketBytes: 1_200,
  /** The same on one machine's loopback, where there is no such limit and each packet costs. */
  maxLoopbackPacketBytes: 16_384,
  /** The frames in one message of the `ws` carrier. */
  maxFramesBytes: 65_792,
  /** Frames that wait in a carrier's own buffers; beyond it, datagrams are dropped. */
  maxDatagramBacklogBytes: 1024 * 1024,
  /** Datagrams in pieces: all of one way between agent and relay, how many per flow, and for how long. */
  maxReassemblyBytes: 8 * 1024 * 1024,
  maxReassembliesPerFlow: 8,
  reassemblyMs: 1_000,
  /** Idle timeout of a flow, both directions. */
  flowIdleMs: 60_000,
  maxFlowsPerLease: 4_096,
  maxFlowsPerSession: 16_384,
  /** The agent asks whether the carrier stands; also what keeps a NAT on the way open. */
  datagramProbeMs: 5_000,
  /** An unanswered probe is repeated after this, and after so many the agent takes to the other carrier. */
  datagramProbeRetryMs: 500,
  maxUnansweredProbes: 4,
  /** An agent reports what it does no more often. */
  minReportMs: 1_000,
  /** Services in one report; an agent says the others in the next. */
  maxReportedServices: 100,
  maxMachineChars: 64,
  /** Identities that an agent lets see it. */
  maxTeam: 32,
  /** Agents that were here and left, remembered for an identity and in all. */
  maxSeenAgentsPerIdentity: 64,
  maxSeenAgents: 100_000,
  /** Agents that were disconnected by their identity and are not let in again. */
  maxDisconnectedAgents: 10_000,
  /** Sign-ins that have not been proven yet; of one address half as many. */
  maxSignIns: 256,
  /** Sign-ins a second of one address: a proof takes a relay some milliseconds to check. */
  maxSignInsPerSecondPerAddress: 20,
  /** People and programs that are signed in; of one identity, and in all: who was idle for longest goes. */
  maxSignedInPerIdentity: 16,
  maxSignedIn: 4_096,
  /** They sign in again after this. */
  signedInMs: 3_600_000,
  /** The code in a link to the page is good for this long, and for one page. */
  signInCodeMs: 60_000,
  /** Requests a second of one identity that is signed in. */
  maxSignedInRequestsPerSecondPerIdentity: 20,
  /** The body of a request to sign in or to see agents, and what a program reads of an answer. */
  maxAgentsRequestBytes: 4_096,
  maxAgentsAnswerBytes: 8 * 1024 * 1024,
  /** Agents in one answer, and services of all of those. */
  maxAgentsShown: 1_024,
  maxAgentServicesShown: 10_000,
  /** Metadata of those, keys and values together. */
  maxMetadataShownChars: 1_000_000,
  /** A list of relays, from a registry or a relay: its bytes, and how many of its entries count. */
  maxRelayListBytes: 1024 * 1024,
  maxRelaysListed: 256,
  /** Plain UDP is tried again after `datagramProbeMs`, then after twice as long each time, up to this. */
  maxUdpRetryMs: 300_000,
} as const;

/** A data connection in a WebSocket. */
export const DATA_MESSAGES = {
  maxMessageBytes: LIMITS.maxDataMessageBytes,
  pingMs: LIMITS.dataPingMs,
} as const;

/** Silence after which a peer counts as gone, for a heartbeat of `heartbeatMs`. */
export function silenceMs(heartbeatMs: number): number {
  return heartbeatMs * 2.5;
}
