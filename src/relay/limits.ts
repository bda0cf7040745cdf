import type { LIMITS } from '../protocol/limits.js';

/** The limits that an operator can set. `portal relay --limit` and docs/reference/cli.md list them from this table. */

interface Adjustable {
  readonly what: string;
  /** Lowest and highest value. Default: 1, and the maximum of a timer or a number. */
  readonly min?: number;
  readonly max?: number;
}

/** The range that the protocol's schema allows (protocol/messages.ts). */
const WIRE_INTERVAL = { min: 10, max: 600_000 } as const;
const A_DAY_MS = 86_400_000;
/** For limits where 0 means unlimited. */
const OR_NONE = { min: 0 } as const;

export const ADJUSTABLE = {
  firstBytesMs: { what: 'timeout for the first bytes, which show where to route a connection' },
  maxUnroutedConnections: { what: 'connections before those first bytes are complete' },
  maxUnroutedBytes: { what: 'bytes that all of these connections have sent' },
  requestHeadMs: { what: 'timeout for an HTTP request head, and for a TLS handshake with the relay itself' },
  maxRequestConnections: {
    what: "connections to the relay's own HTTP surface, until their upgrade or hello",
  },
  maxConnectionsPerAddress: {
    what: 'connections of one address to the public ports, not counting data connections',
    ...OR_NONE,
  },
  handshakeMs: { what: 'timeout from the WebSocket opening to `welcome`' },
  challengeMs: { what: 'lifetime of a challenge', max: 120_000 },
  heartbeatMs: {
    what: 'interval of pings; a peer that is silent for 2.5 intervals is disconnected',
    ...WIRE_INTERVAL,
  },
  workerResponseMs: {
    what: 'timeout for a response of a worker to the main process, which then replaces the worker',
    min: 1_000,
  },
  graceMs: { what: 'time that leases of a lost session wait for their agent', min: 0, max: A_DAY_MS },
  reservationMs: {
    what: 'time that a name stays reserved after its last use',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  },
  maxSessions: { what: 'control channels of the relay' },
  maxHandshakes: { what: 'control channels after `hello` that have not proven an identity yet' },
  maxSessionsPerAddress: { what: 'control channels from one address', ...OR_NONE },
  maxSessionsPerIdentity: { what: 'sessions of one identity', ...OR_NONE },
  maxLeasesPerSession: { what: 'leases of one session' },
  maxLeasesPerIdentity: { what: 'leases of one identity, over all its sessions', ...OR_NONE },
  maxReservedNamesPerIdentity: { what: 'names of one identity, including reservations' },
  maxReservedNamesPerAddress: {
    what: 'names last used from one address, including reservations',
    ...OR_NONE,
  },
  reserveAfterMs: {
    what: 'time that a service must hold a name before the name stays reserved',
    min: 0,
    max: A_DAY_MS,
  },
  maxNewNamesPerIdentity: { what: 'names that one identity has had for less than a day', ...OR_NONE },
  maxNewNamesPerAddress: {
    what: 'names younger than a day that were last used from one address',
    ...OR_NONE,
  },
  maxPortsPerIdentity: { what: 'leases of one identity with a public port', ...OR_NONE },
  maxPortsPerAddress: { what: 'leases with a public port of agents at one address', ...OR_NONE },
  maxHopConnectionsPerIdentity: { what: 'connections forwarded to peers for one identity', ...OR_NONE },
  maxHopConnections: { what: 'connections forwarded to peers, in total' },
  peerRefreshMs: { what: "interval between fetches of a peer's descriptor" },
  peerRetryMs: { what: 'longest pause between retries if that fails' },
  domainLookupMs: { what: 'timeout for a DNS lookup of the record that proves a domain' },
  maxDomainLookups: { what: 'concurrent lookups of these records' },
  domainRetryMs: { what: 'pause before the record of an unproven domain is looked up again', min: 0 },
  domainRecheckMs: { what: 'interval of checking the record of a proven domain again' },
  domainGraceMs: {
    what: 'time that a proof stays valid while DNS does not answer',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  },
  ticketMs: { what: 'lifetime of a ticket' },
  idleDataConnectionMs: { what: 'age at which an idle data connection is replaced' },
  silentDataMs: { what: 'time without a new data connection after which idle ones may be dead' },
  maxWaitingVisitorsPerLease: { what: 'visitors of one lease that wait in the queue' },
  visitorWaitMs: { what: 'time that a visitor waits in the queue' },
  maxVisitorsPerIdentity: {
    what: "visitors of one identity's leases, including the queue",
    ...OR_NONE,
  },
  maxBytesPerSecondPerIdentity: {
    what: "bytes per second of one identity's visitors, both directions together",
    ...OR_NONE,
  },
  maxSignIns: { what: 'pending sign-ins to the agents page' },
  maxSignInsPerSecondPerAddress: { what: 'sign-ins per second from one address' },
  maxSignedIn: { what: 'people and programs that are signed in' },
  signedInMs: { what: 'time until they must sign in again' },
  signInCodeMs: { what: 'lifetime of the code in a link to the agents page' },
  maxSignedInRequestsPerSecondPerIdentity: { what: 'requests per second of one identity that is signed in' },
  firstResponseMs: { what: "timeout for the agent's first bytes to a visitor" },
  visitorIdleMs: { what: 'idle timeout for a joined connection', max: Number.MAX_SAFE_INTEGER },
  visitorLifetimeMs: { what: 'lifetime of a joined connection', max: Number.MAX_SAFE_INTEGER },
  flowIdleMs: { what: 'idle timeout for a flow of datagrams, both directions', min: 10, max: A_DAY_MS },
  maxFlowsPerLease: { what: 'flows of one lease' },
  maxFlowsPerSession: { what: 'flows of one session' },
  datagramProbeMs: { what: "interval of an agent's probes", ...WIRE_INTERVAL },
} as const satisfies { readonly [K in keyof typeof LIMITS]?: Adjustable };

export type LimitName = keyof typeof ADJUSTABLE;

/** The limits that an operator can set. */
export type RelayLimits = { readonly [K in LimitName]: number };

export const LIMIT_NAMES = Object.keys(ADJUSTABLE) as LimitName[];

/** The longest delay of a Node timer (2^31 − 1 ms). A timer with a longer delay fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** Lowest and highest value of a limit. */
export function rangeOf(name: LimitName): { readonly min: number; readonly max: number } {
  const { min = 1, max = name.endsWith('Ms') ? LONGEST_TIMER_MS : Number.MAX_SAFE_INTEGER }: Adjustable =
    ADJUSTABLE[name];
  return { min, max };
}
