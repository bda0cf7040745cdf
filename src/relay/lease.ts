import { randomUUID } from 'node:crypto';
import type { ByteRate } from '../net/rate.js';
import type { LeaseKind } from '../protocol/kind.js';
import type { WireCarrier } from '../protocol/messages.js';
import type { FlowLink } from './datagrams/flows.js';
import type { OpenPort } from './ports.js';
import { LeaseTraffic } from './traffic.js';
import { Unreported } from './unserved.js';
import { VisitorQueue } from './visitor-queue.js';
import type { Visitor } from './visitors.js';

/** A service's place on this relay. It belongs to an identity, and a session holds it. */
export interface Lease {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  /** Whether the hostname is outside the relay's domain, and proven by a DNS record. */
  readonly isOwnDomain: boolean;
  /** Leases of different kinds may have the same name, since they share neither hostname nor port. */
  readonly kind: LeaseKind;
  /** Address of the owning identity. */
  readonly address: string;
  carrier: WireCarrier;
  metadata: Record<string, string>;
  /** The session that serves it; undefined while its identity has `graceMs` to return. */
  holder: LeaseHolder | undefined;
  /** The agent process that holds it or held it last; undefined if none has since this relay started. */
  instance: string | undefined;
  /** Its public port, for tcp and udp; undefined while the port opens. */
  port: OpenPort | undefined;
  /** Rate that all visitors of the identity share; undefined: unlimited. */
  readonly rate: ByteRate | undefined;
  /** Visitors that wait for a data connection. */
  readonly waiting: VisitorQueue<Visitor>;
  readonly traffic: LeaseTraffic;
  /** Visitors that this relay gave up on and has not reported to an agent yet. */
  readonly unserved: Unreported;
  graceTimer?: NodeJS.Timeout;
  /** When the relay last stored the use of its name. */
  storedAt: number;
  /** Whether its name was held long enough to stay reserved; `heldSince` is the start (`performance.now()`). */
  firm: boolean;
  readonly heldSince: number;
  /** Network of the agent that holds it or held it last; empty before the first. */
  network: string;
  /** IP address of that agent. */
  agentAddress: string | undefined;
  /** Settles when the name is on disk and the port is open. */
  opened: Promise<void>;
}

/** What the registry of leases needs from a session. */
export interface LeaseHolder {
  readonly address: string;
  /** Id of the agent process. It stays the same when the agent reconnects. */
  readonly instance: string;
  /** IP address of its agent, as the relay sees it. */
  readonly remoteAddress: string | undefined;
  readonly closed: boolean;
  /** Whether the agent answers a ping within `ms`. */
  alive(ms: number): Promise<boolean>;
  /** Call when another session of the same identity took the lease, or the relay ended it. */
  revoked(lease: Lease, reason: string): void;
  /** Call when visitors wait for this lease: requests data connections. */
  serve(lease: Lease): void;
  /** Call when the relay gave up on visitors of this lease. */
  gaveUp(lease: Lease): void;
  /** Where datagrams of its leases go. */
  readonly datagrams: FlowLink;
}

type Beginning = Pick<
  Lease,
  | 'name'
  | 'hostname'
  | 'isOwnDomain'
  | 'kind'
  | 'address'
  | 'carrier'
  | 'rate'
  | 'storedAt'
  | 'firm'
  | 'opened'
>;

/** A lease without a holder and without visitors. */
export function newLease(beginning: Beginning & Partial<Pick<Lease, 'metadata'>>): Lease {
  return {
    id: randomUUID(),
    metadata: {},
    holder: undefined,
    instance: undefined,
    port: undefined,
    waiting: new VisitorQueue<Visitor>(),
    traffic: new LeaseTraffic(),
    unserved: new Unreported(),
    heldSince: performance.now(),
    network: '',
    agentAddress: undefined,
    ...beginning,
  };
}

/** A key for the lease. Hostnames contain no space, so kinds never collide. */
export function placeOf({ kind, hostname }: Pick<Lease, 'kind' | 'hostname'>): string {
  return kind === 'tls' ? hostname : `${kind} ${hostname}`;
}
