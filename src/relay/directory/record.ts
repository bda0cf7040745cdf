import type { LeaseKind } from '../../protocol/kind.js';
import type { WireCarrier } from '../../protocol/messages.js';

/** What every node of a relay may know of a lease: plain data. A change replaces the record. */
export interface LeaseRecord {
  /** Its id on the wire. It stays while the lease stays at one node. */
  readonly id: string;
  /** Its key: see `placeOf`. */
  readonly place: string;
  readonly name: string;
  readonly hostname: string;
  /** Whether the hostname is outside the relay's domain, and proven by a DNS record. */
  readonly isOwnDomain: boolean;
  /** Leases of different kinds may have the same name, since they share neither hostname nor port. */
  readonly kind: LeaseKind;
  /** Address of the owning identity. */
  readonly owner: string;
  /** The agent process that holds it or held it last; undefined if none has since this relay started. */
  readonly instance: string | undefined;
  /** The node that serves it. */
  readonly node: string;
  /** The session that serves it, at that node; undefined while its agent is disconnected. */
  readonly session: string | undefined;
  /** Rises with each claim of its place. 0: the node has not claimed it. */
  readonly epoch: number;
  /** The host of its public port, for tcp and udp; undefined: the relay's domain. */
  readonly portHost: string | undefined;
  /** Its public port, for tcp and udp; undefined while the port opens. */
  readonly port: number | undefined;
  /** The carrier that its agent wants for data connections. */
  readonly carrier: WireCarrier;
}

/** The key of a lease. Hostnames contain no space, so kinds never collide. */
export function placeOf({ kind, hostname }: Pick<LeaseRecord, 'kind' | 'hostname'>): string {
  return kind === 'tls' ? hostname : `${kind} ${hostname}`;
}
