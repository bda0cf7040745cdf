import type { LeaseChange, LeaseDirectory } from '../directory/directory.js';
import { ByPlace } from '../directory/by-place.js';
import { displaces, publicPlaceOf, type LeaseRecord } from '../directory/record.js';
import { newLease, type LeaseHolder, type LocalLease } from './lease.js';
import type { SessionRef } from '../nodes/remote-sessions.js';
import type { Quotas } from '../protection/quotas.js';
import type { LeaseTraffic } from '../data/traffic.js';

/** When to ask again for a session whose node no longer responded. */
const RETRY_MS = 500;

export interface LeasesElsewhereOptions {
  readonly directory: LeaseDirectory;
  readonly quotas: Quotas;
  readonly holderOf: (session: SessionRef) => LeaseHolder | undefined;
  /** Call when a lease no longer has a holder. */
  readonly onHolderLost: (lease: LocalLease) => void;
  /** Call when a lease ended whose visitors are in the queue. Empties the queue. */
  readonly onOrphaned: (lease: LocalLease) => void;
  /** Call when the agent of a lease closed it. Takes the lease, whose session still serves its visitors. */
  readonly onClosed: (lease: LocalLease, holder: LeaseHolder) => void;
}

/**
 * Owns what this node has of leases of other nodes: their visitors that arrived here. A lease moves between this class and the
 * table of this node's own leases as one object, with its visitors.
 */
export class LeasesElsewhere {
  readonly #options: LeasesElsewhereOptions;
  /** By place. Only leases with visitors so far. */
  readonly #leases = new ByPlace<LocalLease>();
  /** Leases whose node no longer responded a moment ago. */
  readonly #unreachable = new Set<LocalLease>();

  constructor(options: LeasesElsewhereOptions) {
    this.#options = options;
  }

  /** The lease at `place`, if another node has it. */
  at(place: string): LocalLease | undefined {
    const { directory, quotas } = this.#options;
    const record = directory.lookup(place);
    if (!record || record.node === directory.node) return undefined;
    const lease = this.#leases.get(place) ?? newLease({ record, rate: quotas.rateOf(record.owner) });
    // It is new, its agent is disconnected, or the connection to its node was lost, which may still run.
    if (!lease.holder && !this.#unreachable.has(lease)) this.adopt(lease, record);
    return lease;
  }

  /** The leases of a public place that other nodes have. */
  allAt(publicPlace: string): LocalLease[] {
    return this.#options.directory.at(publicPlace).flatMap(({ place }) => this.at(place) ?? []);
  }

  /** Takes a lease that another node has now, or its next record. */
  adopt(lease: LocalLease, record: LeaseRecord): void {
    const { node, session } = record;
    this.#leases.set(record.place, lease);
    lease.record = record;
    const holder = session === undefined ? undefined : this.#options.holderOf({ node, session });
    if (holder === lease.holder) return;
    if (lease.holder) this.#leave(lease);
    lease.holder = holder;
    if (!holder) return;
    holder.gaveUp(lease);
    if (lease.waiting.size > 0) holder.serve(lease);
  }

  /** The lease at a place that this node has claimed; undefined if it had no visitors here. */
  take(place: string): LocalLease | undefined {
    const lease = this.#leases.get(place);
    this.#leases.delete(place);
    if (lease) this.#leave(lease);
    return lease;
  }

  /** Call with each change of the directory that does not concern a lease of this node. */
  heard({ place, record }: LeaseChange): void {
    if (record) this.#displace(record);
    const lease = this.#leases.get(place);
    // A lease that this node claimed: the claim takes it.
    if (!lease || record?.node === this.#options.directory.node) return;
    if (record) return this.adopt(lease, record);
    const { holder } = lease;
    if (!holder) return this.#end(lease);
    this.#leases.delete(place);
    this.#options.onClosed(lease, holder);
  }

  /** Call when a session of another node ended: visitors wait for the next one. */
  lost(holder: LeaseHolder): void {
    const lost = [...this.#leases.values()].filter((lease) => lease.holder === holder);
    for (const lease of lost) {
      lease.holder = undefined;
      this.#unreachable.add(lease);
      // For visitors in the queue, if the session still exists.
      setTimeout(() => {
        this.#unreachable.delete(lease);
        this.at(lease.record.place);
      }, RETRY_MS).unref();
    }
    for (const lease of lost) this.#options.onHolderLost(lease);
  }

  /** Disconnects the visitors of a lease. */
  cut(place: string): void {
    this.#leases.get(place)?.traffic.cut();
  }

  /** What visitors that arrived here have transferred, for these places. */
  traffic(places: readonly string[]): Map<string, ReturnType<LeaseTraffic['read']>> {
    const known = places.flatMap((place) => this.#leases.get(place) ?? []);
    return new Map(known.map(({ record, traffic }) => [record.place, traffic.read()]));
  }

  clear(): void {
    for (const lease of this.#leases.values()) lease.waiting.clear('timed_out');
    this.#leases.clear();
  }

  /** Ends the leases that cannot share a public place with `record`. */
  #displace(record: LeaseRecord): void {
    for (const lease of this.#leases.at(publicPlaceOf(record.place)))
      if (displaces(record, lease.record)) this.#end(lease);
  }

  #end(lease: LocalLease): void {
    this.#leases.delete(lease.record.place);
    this.#leave(lease);
    this.#options.onOrphaned(lease);
  }

  #leave(lease: LocalLease): void {
    lease.holder?.revoked(lease, 'moved to another node or worker');
    lease.holder = undefined;
  }
}
