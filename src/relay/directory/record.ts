import type { LeaseKind } from '../../protocol/kind.js';
import { agentId } from '../sessions/agent-id.js';
import type { ReplicaPolicy, ReplicaUse, WireCarrier } from '../../protocol/messages.js';

/** What every node of a relay may know of a lease: plain data. A change replaces the record. */
export interface LeaseRecord {
  /** Its id on the wire. It stays while the same agent, or the same node, has the lease. */
  readonly id: string;
  /** Its key: the public place, or for a replica its own part of it (`replicaPlaceOf`). */
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
  /** Undefined: its agent serves the name alone. */
  readonly replica?: ReplicaState | undefined;
}

/** What its agent says of a replica. */
export interface ReplicaState {
  /** How visitors are divided. That of the replica that opened last counts. */
  readonly policy: ReplicaPolicy;
  /** False: other replicas get new visitors, if there are any. */
  readonly healthy: boolean;
  /** The IP address from which its agent visits the public port now, to prove that visitors get through. */
  readonly probingFrom: string | undefined;
  /** Whether a CA validates the hostname at its agent now. */
  readonly validating: boolean;
  /** Whether its node listens on the public port for all replicas. */
  readonly listens: boolean;
}

/** Which replicas of one public place get new visitors, as the nodes choose them. Those without a session have no use. */
export function replicaUses(records: readonly LeaseRecord[]): Map<LeaseRecord, ReplicaUse> {
  const all = records
    .filter(({ replica, session }) => replica && session !== undefined)
    .toSorted((a, b) => a.epoch - b.epoch);
  const healthy = all.filter(({ replica }) => replica?.healthy);
  const [first] = healthy.length > 0 ? healthy : all;
  const isFailover = all.at(-1)?.replica?.policy === 'failover';
  const useOf = (record: LeaseRecord): ReplicaUse => {
    if (healthy.length > 0 && !record.replica?.healthy) return 'unhealthy';
    return isFailover && record !== first ? 'standby' : 'active';
  };
  return new Map(all.map((record) => [record, useOf(record)]));
}

/** Where visitors arrive. Hostnames contain no space, so kinds never collide. */
export function placeOf({ kind, hostname }: Pick<LeaseRecord, 'kind' | 'hostname'>): string {
  return kind === 'tls' ? hostname : `${kind} ${hostname}`;
}

/** The record of a lease whose node was lost. */
export function withoutNode(record: LeaseRecord): LeaseRecord {
  const { replica } = record;
  return { ...record, session: undefined, ...(replica && { replica: { ...replica, listens: false } }) };
}

const REPLICA = ' #';

/** The key of a replica. An agent has one at a public place. */
export function replicaPlaceOf(publicPlace: string, instance: string): string {
  return publicPlace + REPLICA + agentId(instance);
}

/** The public place of any key. */
export function publicPlaceOf(place: string): string {
  const at = place.indexOf(REPLICA);
  return at === -1 ? place : place.slice(0, at);
}

/** Whether a claim of the same owner ends `present`: only replicas share a public place. */
export function displaces(claim: Pick<LeaseRecord, 'place'>, present: Pick<LeaseRecord, 'place'>): boolean {
  const at = publicPlaceOf(claim.place);
  if (at !== publicPlaceOf(present.place) || claim.place === present.place) return false;
  return claim.place === at || present.place === at;
}
