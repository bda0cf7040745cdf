import { randomUUID } from 'node:crypto';
import type { ByteRate } from '../net/rate.js';
import type { LeaseKind } from '../protocol/kind.js';
import type { WireCarrier } from '../protocol/messages.js';
import type { FlowLink } from './datagrams/flows.js';
import type { OpenPort } from './ports.js';
import { LeaseTraffic } from './traffic.js';
import { Unreported } from './unserved.js';
import { VisitorQueue } from './visitors.js';

/** A service's place on this relay. It belongs to an identity; a session only holds it for a while. */
export interface Lease {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  /** It is outside the relay's domain, and its identity's by proof. */
  readonly isOwnDomain: boolean;
  /** Leases of different kinds may have the same name: they share neither hostname nor port. */
  readonly kind: LeaseKind;
  /** Address of the identity it belongs to. */
  readonly address: string;
  carrier: WireCarrier;
  metadata: Record<string, string>;
  /** The session that serves it now; undefined while its identity has `graceMs` to come back. */
  holder: LeaseHolder | undefined;
  /** The agent process that holds it, or held it last; undefined: it was not here since this relay began. */
  instance: string | undefined;
  /** Its own public port, in the kinds that have one; undefined while it is being opened. */
  port: OpenPort | undefined;
  /** What its visitors share with all others of the identity; undefined: as fast as it goes. */
  readonly rate: ByteRate | undefined;
  /** Visitors who wait for a data connection. */
  readonly waiting: VisitorQueue;
  readonly traffic: LeaseTraffic;
  /** Visitors on whom this relay gave up, and of whom no agent was told yet. */
  readonly unserved: Unreported;
  graceTimer?: NodeJS.Timeout;
  /** When the last use of its name was stored. */
  storedAt: number;
  /** Whether its name was held for long enough to stay reserved, and since when it is held (`performance.now()`). */
  firm: boolean;
  readonly heldSince: number;
  /** Network of the agent that holds it, or held it last; empty where there was none yet. */
  network: string;
  /** IP address of that agent. */
  agentAddress: string | undefined;
  /** Settles when it is complete: its name on disk, its port open. */
  opened: Promise<void>;
}

/** What the registry needs of a session. */
export interface LeaseHolder {
  readonly address: string;
  /** Which agent process it is, the same over its reconnects. */
  readonly instance: string;
  /** IP address of its agent, as the relay sees it. */
  readonly remoteAddress: string | undefined;
  readonly closed: boolean;
  /** Whether the peer still answers. */
  alive(ms: number): Promise<boolean>;
  /** Its lease went to another session of the same identity. */
  revoked(lease: Lease, reason: string): void;
  /** Visitors wait for this lease: see that data connections come. */
  serve(lease: Lease): void;
  /** The relay gave up on visitors of this lease. */
  gaveUp(lease: Lease): void;
  /** Where the datagrams of its leases go. */
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

/** A lease that nobody holds yet, and nobody has visited. */
export function newLease(beginning: Beginning & Partial<Pick<Lease, 'metadata'>>): Lease {
  return {
    id: randomUUID(),
    metadata: {},
    holder: undefined,
    instance: undefined,
    port: undefined,
    waiting: new VisitorQueue(),
    traffic: new LeaseTraffic(),
    unserved: new Unreported(),
    heldSince: performance.now(),
    network: '',
    agentAddress: undefined,
    ...beginning,
  };
}

/** A hostname has no space in it, so the kinds never meet. */
export function placeOf({ kind, hostname }: Pick<Lease, 'kind' | 'hostname'>): string {
  return kind === 'tls' ? hostname : `${kind} ${hostname}`;
}
