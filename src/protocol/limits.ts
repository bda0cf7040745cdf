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
/** The application protocol of private access (ALPN), see connect.ts. */
export const CONNECT_ALPN = 'portal-connect/1';

/** Headers between relays: how many relays the connection has passed, and the URL of the last. */
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

/** A relay starts a data connection with this byte. Afterwards, both directions carry only the visitor's bytes. */
export const START_BYTE = 0x01;

export const LIMITS = {
  /** Timeout for the first bytes of a connection on the public port. */
  firstBytesMs: 10_000,
  /** Connections whose destination is still unknown. At the limit, the network with the most loses its oldest. */
  maxUnroutedConnections: 4_096,
  /** Bytes buffered for those connections. At the limit, the network with the most bytes loses its oldest. */
  maxUnroutedBytes: 64 * 1024 * 1024,
  /** Timeout of an HTTP request head, and of a TLS handshake with the relay itself. */
  requestHeadMs: 10_000,
  /**
   * Connections to the relay's own HTTP server that are not upgraded yet. At the limit, the network with the most
   * loses its oldest.
   */
  maxRequestConnections: 1_024,
  /** Connections of one address; an IPv6 address counts as its /64. For the limits per address and per identity, 0 means unlimited. */
  maxConnectionsPerAddress: 4_096,
  /** How long a rejected connection stays open, so that the client can read the reason. */
  lingerMs: 1_000,

  /** Size of one control message, in either direction. */
  maxControlMessageBytes: 64 * 1024,
  /** From the opening of the WebSocket to `welcome`. */
  handshakeMs: 10_000,
  /** Lifetime of a challenge. It allows one attempt. */
  challengeMs: 120_000,
  /** Length of a challenge's text. A relay's challenges have about 500 characters. */
  maxChallengeChars: 2_048,
  /** Timeout of one request on the control channel. */
  requestMs: 10_000,
  /** Interval of WebSocket pings, in both directions. A peer that is silent for 2.5 intervals is disconnected. */
  heartbeatMs: 5_000,
  /** Control messages queued for a peer. A peer that reads too slowly is disconnected. */
  maxControlBacklogBytes: 4 * 1024 * 1024,
  /** Requests of one session in progress. The relay reads no more until some have a response. */
  maxRequestsInFlight: 256,
  /** How long to wait until the peer confirms a WebSocket close. */
  closeMs: 2_000,
  /** How long a relay waits until other machines have heard of a lease that moved, before it reports that to the agent. */
  drainLingerMs: 4_000,

  /**
   * How long a worker process of a relay may take to respond to the main process, which then kills and replaces it. Below
   * `visitorWaitMs` and `requestMs`, so that visitors of its agents, and agents that need a port of it, are still waiting.
   */
  workerResponseMs: 8_000,

  /** How long leases keep their hostname and ports after their session was lost. */
  graceMs: 30_000,
  /** How long a name stays reserved for its identity after its last use. */
  reservationMs: 30 * 24 * 3_600_000,
  maxSessions: 10_000,
  /**
   * Control channels after hello, before an identity is proven. One address may have half as many. Other clients
   * retry later.
   */
  maxHandshakes: 128,
  /**
   * When all of those are in use, a network's only handshake makes room after waiting for its client for this long. Also for the
   * handshakes of private access.
   */
  handshakeShareMs: 1_000,
  /** Most bits of work that a relay requires of a client while many handshakes fail: half a second for an agent. */
  maxHandshakeWorkBits: 18,
  /** Longest pause that a relay without room requests of an agent. The agent waits up to twice as long. */
  maxComeBackMs: 30_000,
  maxSessionsPerAddress: 1_024,
  maxSessionsPerIdentity: 256,
  maxLeasesPerSession: 2_000,
  maxLeasesPerIdentity: 5_000,
  maxReservedNamesPerIdentity: 5_000,
  maxReservedNamesPerAddress: 10_000,
  /** A name that was used for less than this stays reserved for only this long after its last use. */
  reserveAfterMs: 600_000,
  /** New names per day: of one identity, and from one address. */
  maxNewNamesPerIdentity: 2_000,
  maxNewNamesPerAddress: 4_000,
  /** Leases with a public port. */
  maxPortsPerIdentity: 32,
  maxPortsPerAddress: 64,
  maxMetadataEntries: 32,
  maxMetadataKeyChars: 64,
  maxMetadataValueChars: 256,

  /** Lifetime of a ticket. It is valid for one data connection. */
  ticketMs: 30_000,
  /** Tickets in one `dial`. */
  maxTicketsPerDial: 256,
  /** Idle data connections that a relay may request of a session, per carrier. */
  maxIdleDataConnections: 64,
  /** Maximum age of an idle data connection. The agent replaces it before a NAT on the path drops it. */
  idleDataConnectionMs: 120_000,
  /** After this long without a new data connection of a session, its idle ones may be dead: its agent may have left the network. */
  silentDataMs: 250,
  /**
   * How long an agent keeps a data connection for the next visitor. It ends before the relay's `idleDataConnectionMs`, so
   * that no ticket is sent on a connection that the relay closes.
   */
  keptDataConnectionMs: 60_000,
  /** Bytes of one direction of a visit in frames, on a connection for several visitors. The rest follows unframed. */
  maxFramedBytes: 512 * 1024,
  /** Requested and idle data connections of a session. An agent opens no more. */
  maxDataConnectionsAhead: 1_024,
  /** Pause before a lost idle data connection is requested again. Doubles up to the second value. */
  minRedialMs: 100,
  maxRedialMs: 10_000,

  /** Visitors that wait for a data connection, per lease. At the limit, the network with the most loses one. */
  maxWaitingVisitorsPerLease: 1_024,
  /** How long a visitor waits for a data connection. */
  visitorWaitMs: 10_000,
  /**
   * Bytes buffered for a waiting visitor. A TLS client cannot send more before the agent has responded. On a TCP port, the relay reads
   * no further until then.
   */
  maxWaitingBytes: 64 * 1024,
  /** Visitors of one identity, including those in the queue. At the limit, the network with the most loses one. */
  maxVisitorsPerIdentity: 16_384,
  /** Rate of one identity's visitors, both directions together. */
  maxBytesPerSecondPerIdentity: 0,
  /** Timeout of the agent's response to a visitor's first bytes. */
  firstResponseMs: 15_000,
  /** Idle timeout for a visitor's connection. */
  visitorIdleMs: 3_600_000,
  /** Idle timeout once one side has ended: a visitor that lost its network looks like one that stopped sending. */
  halfClosedMs: 60_000,
  /** How long a complete TLS session waits for the end of the carrier below it, so that its last bytes arrive. */
  carrierLingerMs: 30_000,
  /** Maximum lifetime of a visitor's connection. */
  visitorLifetimeMs: 7 * 24 * 3_600_000,

  /** Timeout of the handshake of private access, after TLS, and the size of one of its lines. */
  connectMs: 10_000,
  maxConnectLineBytes: 256,
  /** Unfinished handshakes of one service. At the limit, one makes room as at a relay (`handshakeShareMs`). */
  maxConnecting: 256,

  /** How many relays may forward one connection. A chain has one more relay. */
  maxHops: 2,
  /** Timeout for connecting to a peer. */
  hopMs: 5_000,
  /** Unused tickets for hops, per session. */
  maxHopTickets: 512,
  /**
   * Connections that a relay forwards for one identity, and in total. At the limit, the network with the most loses
   * one.
   */
  maxHopConnectionsPerIdentity: 2_048,
  maxHopConnections: 16_384,
  /** Peers of a relay. */
  maxPeers: 64,
  /** Interval of fetching a peer's descriptor. */
  peerRefreshMs: 300_000,
  /** Pause after a failed fetch. Doubles up to the second value. */
  minPeerRetryMs: 250,
  peerRetryMs: 10_000,
  /** Size of a fetched descriptor. */
  maxDescriptorBytes: 65_536,

  /** Timeout of one lookup of the record that proves a domain. */
  domainLookupMs: 5_000,
  /** Concurrent lookups. Lookups of proven domains count separately. */
  maxDomainLookups: 64,
  /** Pause before an unproven domain is looked up again. */
  domainRetryMs: 15_000,
  /** Interval of checking a proven domain. */
  domainRecheckMs: 3_600_000,
  /** How long a proof stays valid while DNS does not answer. */
  domainGraceMs: 24 * 3_600_000,

  /** Size of one message of a data connection in a WebSocket. */
  maxDataMessageBytes: 128 * 1024,
  /** A data connection in a WebSocket sends a ping after this silence, so that a proxy on the path keeps it open. */
  dataPingMs: 25_000,

  /** How long the agent waits for `visit` after a data connection was started. */
  visitNoticeMs: 10_000,

  /** Size of a visitor's datagram: the maximum of UDP over IPv4. */
  maxDatagramBytes: 65_507,
  /** Size of a packet of the `udp` carrier. It fits every IPv6 path (1,280 bytes with its headers). */
  maxPacketBytes: 1_200,
  /** The same on loopback, which has no such limit, and where each packet has a cost. */
  maxLoopbackPacketBytes: 16_384,
  /** Size of the frames in one message of the `ws` carrier. */
  maxFramesBytes: 65_792,
  /** Size of the frames queued in a carrier. Beyond it, datagrams are dropped. */
  maxDatagramBacklogBytes: 1024 * 1024,
  /** Fragmented datagrams: total size of one direction between agent and relay, number per flow, and timeout. */
  maxReassemblyBytes: 8 * 1024 * 1024,
  maxReassembliesPerFlow: 8,
  reassemblyMs: 1_000,
  /** Idle timeout for a flow, both directions. */
  flowIdleMs: 60_000,
  maxFlowsPerLease: 4_096,
  maxFlowsPerSession: 16_384,
  /** Interval of the agent's probes of a carrier. They also keep a NAT mapping open. */
  datagramProbeMs: 5_000,
  /**
   * Pause before a probe without a reply is repeated, and the number of attempts before the agent changes the
   * carrier.
   */
  datagramProbeRetryMs: 500,
  maxLostProbes: 4,
  /** Minimum interval of an agent's reports. */
  minReportMs: 1_000,
  /** Services in one report. The agent sends the others in the next report. */
  maxReportedServices: 100,
  maxMachineChars: 64,
  /** Identities that may see an agent. */
  maxTeam: 32,
  /** Disconnected agents that a relay remembers, for one identity and in total. */
  maxSeenAgentsPerIdentity: 64,
  maxSeenAgents: 100_000,
  /** Agents that their identity disconnected, and that may not reconnect. */
  maxDisconnectedAgents: 10_000,
  /** Unproven sign-ins. One address may have half as many. */
  maxSignIns: 256,
  /** Sign-ins per second and address. A relay needs some milliseconds to check a proof. */
  maxSignInsPerSecondPerAddress: 20,
  /** Signed-in clients, for one identity and in total. At the limit, the longest idle one is signed out. */
  maxSignedInPerIdentity: 16,
  maxSignedIn: 4_096,
  /** How long a sign-in lasts. */
  signedInMs: 3_600_000,
  /** Lifetime of the code in a link to the page. It is valid for one page. */
  signInCodeMs: 60_000,
  /** Requests per second of one signed-in identity. */
  maxSignedInRequestsPerSecondPerIdentity: 20,
  /** Size of the body of a request to sign in or to list agents, and of the response that a program reads. */
  maxAgentsRequestBytes: 4_096,
  maxAgentsResponseBytes: 8 * 1024 * 1024,
  /** Agents in one response, and the total number of their services. */
  maxAgentsShown: 1_024,
  maxAgentServicesShown: 10_000,
  /** Size of their metadata, keys and values together. */
  maxMetadataShownChars: 1_000_000,
  /** A relay list, from a registry or a relay: its size, and how many of its entries are used. */
  maxRelayListBytes: 1024 * 1024,
  maxRelaysListed: 256,
  /** Longest pause before plain UDP is retried. The pause starts at `datagramProbeMs` and doubles. */
  maxUdpRetryMs: 300_000,
} as const;

/** Message types of a data connection in a WebSocket. */
export const DATA_MESSAGES = {
  maxMessageBytes: LIMITS.maxDataMessageBytes,
  pingMs: LIMITS.dataPingMs,
} as const;

/** Silence after which a peer counts as disconnected, for a heartbeat of `heartbeatMs`. */
export function silenceMs(heartbeatMs: number): number {
  return heartbeatMs * 2.5;
}
