import { plainAddress } from '../../net/client-address.js';
import type { LeaseDirectory } from '../directory/directory.js';
import type { LeaseRecord } from '../directory/record.js';
import type { LocalLease } from './lease.js';
import type { Visitor } from '../visitors/visitor.js';

/** How long a replica gets no new visitors after one waited too long for its data connection. */
const STALLED_MS = 5_000;

/** What is known of a visitor before a replica is chosen. */
export interface VisitorTraits {
  /** Whether it is a CA that validates the hostname (`acme-tls/1`). */
  readonly validates?: boolean;
  /** Its IP address. Only for a public port. */
  readonly address?: string | undefined;
}

export interface ReplicasOptions {
  readonly directory: LeaseDirectory;
  /** The lease at a place, at this node or another one. */
  readonly leaseAt: (place: string) => LocalLease | undefined;
  /** Puts a visitor in the queue of another lease. */
  readonly move: (visitor: Visitor, lease: LocalLease) => void;
}

/** How well a replica can serve a visitor now. Lower is better. */
const enum Rank {
  healthy,
  unhealthy,
  stalled,
  disconnected,
}

/** Chooses which replica of a name serves a visitor, and moves visitors that wait for one that cannot. */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #stalledUntil = new WeakMap<LocalLease, number>();
  /** When each was chosen last, as a count. */
  readonly #chosenAt = new WeakMap<LocalLease, number>();
  #choices = 0;

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /** The replica for a new visitor of a public place; undefined if the place has no replicas. `among`: only one of these. */
  choose(
    publicPlace: string,
    traits: VisitorTraits = {},
    among?: readonly LocalLease[],
  ): LocalLease | undefined {
    const all = this.#at(publicPlace);
    const best = this.#best(among ? all.filter((one) => among.includes(one)) : all, traits);
    if (best) this.#chosenAt.set(best, ++this.#choices);
    return best;
  }

  /** Whether a visitor that `lease` has may stay with it: no other replica would serve it better. */
  keeps(lease: LocalLease, publicPlace: string): boolean {
    const all = this.#at(publicPlace);
    if (!all.includes(lease)) return false;
    return all.every((other) => this.#rank(other) >= this.#rank(lease));
  }

  /** Call when the replicas of a public place changed. Moves visitors that wait for one while a better one is there. */
  settle(publicPlace: string): void {
    for (const lease of this.#at(publicPlace))
      if (lease.waiting.size > 0 && !this.keeps(lease, publicPlace)) this.#moveAll(lease, publicPlace);
  }

  /**
   * Moves the visitors that wait for a lease that ended to another lease of its public place. Without one they leave, unless
   * the lease `keeps` them.
   */
  leave(lease: LocalLease, publicPlace: string, { keeps = false } = {}): void {
    if (lease.waiting.size === 0) return;
    const { leaseAt, move } = this.#options;
    const whole = leaseAt(publicPlace);
    if (whole && whole !== lease) for (const visitor of lease.waiting.all()) move(visitor, whole);
    else {
      const others = this.#at(publicPlace).filter((other) => other !== lease);
      if (others.length > 0) this.#moveAll(lease, publicPlace, others);
    }
    if (!keeps) lease.waiting.clear('lease_ended');
  }

  /** Call when a visitor has waited long for a data connection of `lease`: others get its visitors for a while. */
  stalled(lease: LocalLease, publicPlace: string): void {
    this.#stalledUntil.set(lease, performance.now() + STALLED_MS);
    if (!this.keeps(lease, publicPlace)) this.#moveAll(lease, publicPlace);
  }

  #moveAll(lease: LocalLease, publicPlace: string, among?: readonly LocalLease[]): void {
    for (const visitor of lease.waiting.all()) {
      const traits = { validates: visitor.validates };
      const next = among ? this.#best(among, traits) : this.choose(publicPlace, traits);
      if (next && next !== lease) this.#options.move(visitor, next);
    }
  }

  #at(publicPlace: string): LocalLease[] {
    const { directory, leaseAt } = this.#options;
    return directory
      .at(publicPlace)
      .flatMap(({ replica, place }) => (replica && leaseAt(place)) || [])
      .toSorted((a, b) => a.record.epoch - b.record.epoch);
  }

  /** `replicas` are in the order in which they opened. */
  #best(replicas: readonly LocalLease[], traits: VisitorTraits): LocalLease | undefined {
    const address = plainAddress(traits.address);
    const asking = replicas.filter(({ record: { replica }, holder }) => {
      if (!holder || !replica) return false;
      if (traits.validates) return replica.validating;
      return address !== '' && replica.probingFrom === address;
    });
    if (asking.length > 0) return asking.at(-1);
    const policy = replicas.at(-1)?.record.replica?.policy;
    let best: LocalLease | undefined;
    for (const each of replicas) if (!best || this.#isBetter(each, best, policy)) best = each;
    return best;
  }

  #isBetter(one: LocalLease, other: LocalLease, policy: Policy): boolean {
    const ranks = this.#rank(one) - this.#rank(other);
    if (ranks !== 0 || policy === 'failover') return ranks < 0;
    const visitors = visitorsOf(one) - visitorsOf(other);
    if (visitors !== 0) return visitors < 0;
    return (this.#chosenAt.get(one) ?? 0) < (this.#chosenAt.get(other) ?? 0);
  }

  #rank(lease: LocalLease): Rank {
    if (!lease.holder) return Rank.disconnected;
    if ((this.#stalledUntil.get(lease) ?? 0) > performance.now()) return Rank.stalled;
    return lease.record.replica?.healthy === false ? Rank.unhealthy : Rank.healthy;
  }
}

type Policy = NonNullable<LeaseRecord['replica']>['policy'] | undefined;

/** The visitors of a replica that arrived at this node. */
const visitorsOf = ({ waiting, traffic }: LocalLease): number => waiting.size + traffic.visitors;
