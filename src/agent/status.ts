import type { ReplicaUse } from '../protocol/messages.js';
import type { RejectionReason } from './access/rejections.js';
import type { Mode, ServedAs } from './served-as.js';

/**
 * Phases of a lease. `ready` means: the relay has opened it, and no problem for visitors is known. `provenAt` and `unproven`
 * show whether the agent's own visit succeeded.
 */
export type Phase = 'connecting' | 'opening' | 'ready' | 'retrying' | 'draining' | 'closed' | 'failed';

/** An error as in events and `status`. */
export interface ErrorSummary {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** Why a ready lease is unproven. */
export interface Unproven {
  /** ISO time. */
  readonly since: string;
  /** Consecutive timeouts of the agent's own visits; 0 if none is possible. */
  readonly failures: number;
  /** The reason of the last one. */
  readonly reason: string;
}

/** The public address of a lease: one of these, depending on its mode. */
export interface PublicAddress {
  url?: string;
  /** `host:port`. */
  tcpAddr?: string;
  /** `host:port`. */
  udpAddr?: string;
}

/** Public ports of a relay, both ends included. */
export interface PortRange {
  from: number;
  to: number;
}

/** Which agents serve a name: `use` of this one, and the other ones by id, as in `portal agents`. */
export interface ReplicasStatus {
  readonly use: ReplicaUse;
  readonly others: readonly { readonly agent: string; readonly use: ReplicaUse }[];
}

/** One lease, as `portal status` shows it. */
export interface LeaseStatus extends PublicAddress {
  service: string;
  relay: string;
  phase: Phase;
  /** ISO time of the last phase change. */
  since: string;
  /** How often it was retried since it opened. */
  retries: number;
  lease?: string;
  /** The requested public port, if the relay assigned another one. */
  askedPort?: number;
  /** With `askedPort`: the relay's range of public ports, if the relay said it. */
  portRange?: PortRange;
  /** ISO time of the last successful visit to the public address. */
  provenAt?: string;
  /** Set while the lease is `ready` without a recent successful visit. */
  unproven?: Unproven;
  /** ISO time at which the service expires. */
  expiresAt?: string;
  error?: ErrorSummary;
  /** Time until the next attempt, if the failure requires a pause. */
  nextInMs?: number;
  /** Visitors connected now. */
  visitors: number;
  /** Visitors who still use a previous target or configuration; absent if 0. */
  retiring?: number;
  /** Bytes from visitors, since the lease was opened. */
  bytesIn: number;
  /** Bytes to visitors, since the lease was opened. */
  bytesOut: number;
  /** Requests since the lease was opened, and the status of the last response; absent outside mode http. */
  requests?: number;
  lastStatus?: number;
  /** Which visitors each gate admits, by gate; absent without gates. */
  gates?: Readonly<Partial<Record<RejectionReason, string>>>;
  /** Of a private service: the address of the identity that its visitors expect. They use `portal connect`. */
  privateOf?: string;
  /** Rejected visitors, by gate. */
  refused?: Readonly<Partial<Record<RejectionReason, number>>>;
  /** Visitors that the relay gave up on, by reason, since this agent started. Only from relays that report it. */
  visitorsUnserved?: Readonly<Record<string, number>>;
  /** With `replicas`: which agents of this identity serve the name. Only from relays that report it. */
  replicas?: ReplicasStatus;
  /** A certificate from a CA or from files: its expiry, the next renewal by Portal, and why the latest new one failed. */
  certificate?: {
    notAfter?: string;
    nextAt?: string;
    error?: ErrorSummary;
    /** It should have been renewed by now, or has expired. */
    expiresSoon?: true;
  };
  /**
   * In mode udp: datagrams that did not reach the local service, or whose replies did not reach the visitor, by
   * reason.
   */
  dropped?: Readonly<Record<string, number>>;
  /** As in the file; default: `auto`. */
  mode: Mode;
  /** What visitors are served as. In mode auto: http, stream, or `undecided` until the target has shown its protocol. */
  servedAs: ServedAs;
  /** In mode http, the target of the route `/`, or else of the first route. */
  target: string;
  /** In mode http: the target of each route. */
  routes?: Record<string, string>;
  /** Why the local service is unreachable; absent if it is reachable. Visitors get the 503 page meanwhile. */
  targetError?: string;
  /** With targetError: why, for each unreachable target. The keys are targets as in `target` and `routes`. */
  targetErrors?: Record<string, string>;
  /** The targets of targetErrors that do not respond yet because their commands start. Absent if no command starts. */
  starting?: StartingStatus;
  /** In mode http: how long each route holds requests while its target is down, in milliseconds. Absent if none does. */
  holdMs?: Readonly<Record<string, number>>;
  /** Why the local service is unhealthy, according to its `health`; absent if it is healthy. Visitors still reach it. */
  healthError?: string;
  /** When the local service last became reachable or unreachable, healthy or unhealthy. Absent before the first check. */
  localSince?: string;
}

/** Commands of a service that start. */
export interface StartingStatus {
  readonly targets: readonly string[];
  /** The services that they wait for; absent if they wait for none. */
  readonly waitsFor?: readonly string[];
}

/** The held requests of one route. */
export interface HeldStatus {
  readonly service: string;
  readonly route: string;
  readonly waiting: number;
  readonly bytes: number;
  /** ISO time of the oldest one. */
  readonly since: string;
  /** Why the last delivery failed. Absent until one did. */
  readonly error?: string;
}

/** How many requests were held, delivered and expired, since this agent started. */
export interface HeldCounts {
  held: number;
  delivered: number;
  expired: number;
}

/** An intermediate relay of a chain. */
export type HopStatus = Pick<RelayStatus, 'relay' | 'state' | 'since' | 'rttMs' | 'error'>;

/** One relay session, as `portal status` shows it. */
export interface RelayStatus {
  relay: string;
  state: 'connecting' | 'connected' | 'retrying';
  since: string;
  /** Round-trip time of the last heartbeat in milliseconds. */
  rttMs?: number;
  /** Address of its key, as proven in this session. */
  address?: string;
  /** What the relay offers, while there is a session. */
  capabilities?: readonly string[];
  carriers?: readonly string[];
  /** For services of mode udp: the carrier of their datagrams, and dropped ones by reason. */
  datagrams?: { carrier?: 'udp' | 'ws'; missingPackets?: number; dropped: Readonly<Record<string, number>> };
  /** For a chain: the relays behind the first, in the visitors' order. */
  hops?: HopStatus[];
  error?: ErrorSummary;
  /** Time until the next attempt, while the agent waits for it. */
  nextInMs?: number;
  /** Set if the configuration no longer has it: it serves until its services are ready on other relays. */
  leaving?: true;
}
