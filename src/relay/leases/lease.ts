import type { ByteRate } from '../../net/rate.js';
import type { FlowLink } from '../datagrams/flows.js';
import type { LeaseRecord } from '../directory/record.js';
import type { OpenPort } from './ports.js';
import { LeaseTraffic } from '../data/traffic.js';
import { UnservedCounts } from '../visitors/unserved.js';
import { VisitorQueue } from '../visitors/visitor-queue.js';
import type { Visitor } from '../visitors/visitor.js';

/** What this process has of a lease: its record, and what no other process can have. */
export interface LocalLease {
  /** Only the owner of the lease, `LeaseTable` or `LeasesElsewhere`, writes `record`, `holder` and `port`. */
  record: LeaseRecord;
  metadata: Record<string, string>;
  /** The session that serves it; undefined while its identity has `graceMs` to return. */
  holder: LeaseHolder | undefined;
  /** The listener on its public port, for tcp and udp; undefined while the port opens. */
  port: OpenPort | undefined;
  /** Rate that all visitors of the identity share; undefined: unlimited. */
  readonly rate: ByteRate | undefined;
  /** Visitors that wait for a data connection. */
  readonly waiting: VisitorQueue<Visitor>;
  readonly traffic: LeaseTraffic;
  /** Visitors that this relay gave up on and has not reported to an agent yet. */
  readonly unserved: UnservedCounts;
  graceTimer?: NodeJS.Timeout;
  /** When the relay last stored the use of its name; undefined while the name is being reserved. */
  storedAt: number | undefined;
  /** Whether its name was held long enough to stay reserved; `heldSince` is the start (`performance.now()`). */
  firm: boolean;
  heldSince: number;
  /** Network of the agent that holds it or held it last; empty before the first. */
  network: string;
  /** IP address of that agent. */
  agentAddress: string | undefined;
}

/** A session, of this node or of another one, for the visitors of its leases that arrive at this node. */
export interface LeaseHolder {
  /** Id of the session. */
  readonly id: string;
  /** Whether the agent responds to a ping within `ms`. */
  alive(ms: number): Promise<boolean>;
  /** Call when another session of the same identity took the lease, or the relay ended it. */
  revoked(lease: LocalLease, reason: string): void;
  /** Call when visitors wait for this lease: requests data connections. */
  serve(lease: LocalLease): void;
  /** Call when the relay gave up on visitors of this lease. */
  gaveUp(lease: LocalLease): void;
  /** Call when a replica of the lease's name may have changed, at any node. */
  replicasChanged?(lease: LocalLease): void;
  /** Where datagrams of its leases go; undefined at another node. */
  readonly datagrams: FlowLink | undefined;
}

/** A session of this node, for the registry of leases. */
export interface OwnHolder extends LeaseHolder {
  readonly address: string;
  /** Id of the agent process. It stays the same when the agent reconnects. */
  readonly instance: string;
  /** IP address of its agent, as the relay sees it. */
  readonly remoteAddress: string | undefined;
  readonly closed: boolean;
}

type Beginning = Pick<LocalLease, 'record' | 'rate'>;

/** A lease without a holder and without visitors. */
export function newLease(beginning: Beginning & Partial<LocalLease>): LocalLease {
  return {
    metadata: {},
    holder: undefined,
    port: undefined,
    waiting: new VisitorQueue<Visitor>(),
    traffic: new LeaseTraffic(),
    unserved: new UnservedCounts(),
    storedAt: undefined,
    firm: true,
    heldSince: performance.now(),
    network: '',
    agentAddress: undefined,
    ...beginning,
  };
}
