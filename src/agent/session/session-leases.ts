import type { AgentLease } from '../lease/lease.js';

type Identified = Pick<AgentLease, 'id' | 'isEnding'>;

/** Owns which leases a session has, and finds the one that a relay names. */
export class SessionLeases<L extends Identified = AgentLease> implements Iterable<L> {
  readonly #leases = new Set<L>();
  /** By id: the lease that was found last, so that a visitor needs no search. */
  readonly #found = new Map<string, L>();

  add(lease: L): void {
    this.#leases.add(lease);
  }

  delete(lease: L): void {
    this.#leases.delete(lease);
    for (const [id, found] of this.#found) if (found === lease) this.#found.delete(id);
  }

  /** The lease with an id of the relay. One that is not ending comes first. */
  byId(id: string): L | undefined {
    const found = this.#found.get(id);
    if (found?.id === id && !found.isEnding) return found;
    const those = [...this.#leases].filter((lease) => lease.id === id);
    // A lease may have returned to a place where another lease of this agent still serves its last visitors.
    const lease = those.find(({ isEnding }) => !isEnding) ?? those.at(-1);
    if (lease) this.#found.set(id, lease);
    return lease;
  }

  /** The ids of the relay are no longer valid, because there is another channel. */
  forgetIds(): void {
    this.#found.clear();
  }

  [Symbol.iterator](): Iterator<L> {
    return this.#leases.values();
  }
}
