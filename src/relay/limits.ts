import type { LIMITS } from '../protocol/limits.js';

/** The limits that an operator may set, and what each is; `portal relay --limit` and docs/guides/operate-a-relay.md read it here. */

interface Adjustable {
  readonly what: string;
  /** Least and largest value; left out: 1, and what a timer or a number can hold. */
  readonly min?: number;
  readonly max?: number;
}

/** What the wire's own schema allows (protocol/messages.ts). */
const WIRE_INTERVAL = { min: 10, max: 600_000 } as const;
const A_DAY_MS = 86_400_000;
/** For those where none is a choice. */
const OR_NONE = { min: 0 } as const;

export const ADJUSTABLE = {
  firstBytesMs: { what: 'a connection says what it is' },
  maxUnroutedConnections: { what: 'connections that have not' },
  maxUnroutedBytes: { what: 'what all of those have said' },
  requestHeadMs: { what: 'an HTTP request, or a TLS handshake with the relay itself, is complete' },
  maxRequestConnections: {
    what: "connections to the relay's own HTTP surface, until their upgrade or hello",
  },
  maxConnectionsPerAddress: {
    what: 'connections of one address to the public ports, data connections excluded',
    ...OR_NONE,
  },
  handshakeMs: { what: 'WebSocket open to `welcome`' },
  challengeMs: { what: 'life of a challenge', max: 120_000 },
  heartbeatMs: { what: 'interval of pings; silence of 2.5 drops the peer', ...WIRE_INTERVAL },
  graceMs: { what: 'leases of a lost session wait', min: 0, max: A_DAY_MS },
  reservationMs: { what: 'a name stays reserved', min: 0, max: Number.MAX_SAFE_INTEGER },
  maxSessions: { what: 'control channels of the relay' },
  maxHandshakes: { what: 'control channels that have said hello and not proven an identity yet' },
  maxSessionsPerAddress: { what: 'control channels from one address', ...OR_NONE },
  maxSessionsPerIdentity: { what: 'sessions of one identity', ...OR_NONE },
  maxLeasesPerSession: { what: 'leases of one session' },
  maxLeasesPerIdentity: { what: 'leases of one identity, over all its sessions', ...OR_NONE },
  maxReservedNamesPerIdentity: { what: 'names of one identity, reservations included' },
  maxReservedNamesPerAddress: {
    what: 'names that were last used from one address, reservations included',
    ...OR_NONE,
  },
  reserveAfterMs: {
    what: 'a name is held this long before it stays reserved; until then it waits no longer',
    min: 0,
    max: A_DAY_MS,
  },
  maxNewNamesPerIdentity: { what: 'names that one identity has had for less than a day', ...OR_NONE },
  maxNewNamesPerAddress: { what: 'such names that were last used from one address', ...OR_NONE },
  maxPortsPerIdentity: { what: 'leases of one identity with a public port', ...OR_NONE },
  maxPortsPerAddress: { what: 'leases with a public port of agents at one address', ...OR_NONE },
  maxHopConnectionsPerIdentity: { what: 'connections forwarded to peers for one identity', ...OR_NONE },
  maxHopConnections: { what: 'connections forwarded to peers, in all' },
  peerRefreshMs: { what: "a peer's descriptor is fetched again" },
  peerRetryMs: { what: 'longest pause before that, while it cannot be fetched' },
  domainLookupMs: { what: 'one lookup of the record that proves a domain' },
  maxDomainLookups: { what: 'such lookups at a time' },
  domainRetryMs: { what: 'an unproven domain is not looked up again before', min: 0 },
  domainRecheckMs: { what: 'a proven one is looked at again' },
  domainGraceMs: { what: 'a proof holds while DNS does not answer', min: 0, max: Number.MAX_SAFE_INTEGER },
  ticketMs: { what: 'life of a ticket' },
  idleDataConnectionMs: { what: 'age at which an idle data connection is replaced' },
  maxWaitingVisitorsPerLease: { what: 'visitors of one lease that wait in the queue' },
  visitorWaitMs: { what: 'a visitor waits in the queue' },
  maxVisitorsPerIdentity: {
    what: "visitors of one identity's leases, those in line included",
    ...OR_NONE,
  },
  maxBytesPerSecondPerIdentity: {
    what: "bytes a second of one identity's visitors, both directions together",
    ...OR_NONE,
  },
  maxSignIns: { what: 'sign-ins to see agents that have not been proven yet' },
  maxSignInsPerSecondPerAddress: { what: 'sign-ins a second of one address' },
  maxSignedIn: { what: 'people and programs that are signed in' },
  signedInMs: { what: 'they sign in again after' },
  signInCodeMs: { what: 'the code in a link to the page of agents is good for' },
  maxSignedInRequestsPerSecondPerIdentity: { what: 'requests a second of one identity that is signed in' },
  firstAnswerMs: { what: "the agent's first bytes to a visitor" },
  visitorIdleMs: { what: 'a joined connection without a byte', max: Number.MAX_SAFE_INTEGER },
  visitorLifetimeMs: { what: 'a joined connection in all', max: Number.MAX_SAFE_INTEGER },
  flowIdleMs: { what: 'a flow of datagrams without one, either way', min: 10, max: A_DAY_MS },
  maxFlowsPerLease: { what: 'flows of one lease' },
  maxFlowsPerSession: { what: 'flows of one session' },
  datagramProbeMs: { what: "interval of an agent's probes", ...WIRE_INTERVAL },
} as const satisfies { readonly [K in keyof typeof LIMITS]?: Adjustable };

export type LimitName = keyof typeof ADJUSTABLE;

/** The limits an operator may set. */
export type RelayLimits = { readonly [K in LimitName]: number };

export const LIMIT_NAMES = Object.keys(ADJUSTABLE) as LimitName[];

/** Node's timers hold no more milliseconds. */
const MAX_TIMER_MS = 2_147_483_647;

/** Least and largest value of a limit. */
export function rangeOf(name: LimitName): { readonly min: number; readonly max: number } {
  const { min = 1, max = name.endsWith('Ms') ? MAX_TIMER_MS : Number.MAX_SAFE_INTEGER }: Adjustable =
    ADJUSTABLE[name];
  return { min, max };
}
