import type { Mode, ServedAs } from './served-as.js';

/**
 * Phases of a lease, in the words of the contract. `ready` means: the relay has opened it, and nothing is known to keep a
 * visitor out. Whether a visit of the agent's own came through is said by `provenAt` and `unproven`.
 */
export type Phase = 'connecting' | 'opening' | 'ready' | 'retrying' | 'draining' | 'closed' | 'failed';

/** An error as events and `status` carry it. */
export interface ErrorSummary {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** Why a lease that is ready is not proven. */
export interface Unproven {
  /** ISO time. */
  readonly since: string;
  /** Visits of the agent's own in a row that timed out; 0 where none can be made. */
  readonly failures: number;
  /** Of the last one. */
  readonly reason: string;
}

/** Where visitors find a lease: one of these, by its mode. */
export interface PublicAddress {
  url?: string;
  /** `host:port`. */
  tcpAddr?: string;
  /** `host:port`. */
  udpAddr?: string;
}

/** One lease as `portal status` shows it. */
export interface LeaseStatus extends PublicAddress {
  service: string;
  relay: string;
  phase: Phase;
  /** ISO time of the last phase change. */
  since: string;
  /** How often it had to come back since it was opened. */
  retries: number;
  lease?: string;
  /** The public port that was asked for, where the relay had to give another. */
  askedPort?: number;
  /** When a visit to the public address last proved that visitors get through (ISO). */
  provenAt?: string;
  /** There while it is `ready` and no visit came through lately. */
  unproven?: Unproven;
  /** When the service closes by itself (ISO). */
  expiresAt?: string;
  error?: ErrorSummary;
  /** Visitors connected now. */
  visitors: number;
  /** Those of them who are still on a previous target or configuration; absent where none are. */
  retiring?: number;
  /** Bytes from visitors, since the lease was opened. */
  bytesIn: number;
  /** Bytes to visitors, since the lease was opened. */
  bytesOut: number;
  /** Requests since the lease was opened, and the status that was answered last; absent where none are read. */
  requests?: number;
  lastStatus?: number;
  /** Visitors who did not get in, by gate. */
  refused?: { ip?: number; pin?: number };
  /** Visitors on whom the relay gave up, by reason: it says so since this agent began, and where it can. */
  visitorsUnserved?: Readonly<Record<string, number>>;
  /** A certificate from a CA: until when it is good, when it is renewed next, and why the last attempt failed. */
  certificate?: { notAfter?: string; nextAt?: string; error?: ErrorSummary };
  /** In mode udp: datagrams that did not reach the local service, or could not be answered, by reason. */
  dropped?: Readonly<Record<string, number>>;
  /** As the file has it; `auto` by default. */
  mode: Mode;
  /** What visitors are served as: of mode auto http or stream, or `undecided` while its target has not shown what it speaks. */
  servedAs: ServedAs;
  /** In mode http that of the route `/`, or of the first. */
  target: string;
  /** In mode http: the target of each route. */
  routes?: Record<string, string>;
  /** Why the local service did not answer just now; absent when it did. Visitors get the 503 page meanwhile. */
  targetError?: string;
  /** Why the local service is unhealthy, by its `health`; absent while it is healthy. Visitors still reach it. */
  healthError?: string;
}

/** A relay that a chain passes. */
export type HopStatus = Pick<RelayStatus, 'relay' | 'state' | 'since' | 'rttMs' | 'error'>;

/** One relay session as `portal status` shows it. */
export interface RelayStatus {
  relay: string;
  state: 'connecting' | 'connected' | 'retrying';
  since: string;
  /** Round trip of the last heartbeat, milliseconds. */
  rttMs?: number;
  /** Of its key, as proven in this session. */
  address?: string;
  /** What it offers, while there is a session. */
  capabilities?: readonly string[];
  carriers?: readonly string[];
  /** Once there are services of mode udp: how their datagrams travel now, and which went no further, by reason. */
  datagrams?: { carrier?: 'udp' | 'ws'; missingPackets?: number; dropped: Readonly<Record<string, number>> };
  /** Of a chain: the relays behind its first, in the visitors' order. */
  hops?: HopStatus[];
  error?: ErrorSummary;
}
