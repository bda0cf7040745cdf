import { FairPlaces, type Place } from '../../lib/fair-places.js';
import type { WireCarrier } from '../../protocol/messages.js';

/** What a queue needs from a visitor. `W` is the visitor's own type. */
export interface WaitingVisitor<W> {
  readonly carrier: WireCarrier;
  /** Its network, as limits count it. */
  readonly network: string;
  /** Its place in the queue. The queue writes it. */
  place: Place<W> | undefined;
  /** Leaves the queue with `delete`, and closes the connection. */
  giveUp(why: 'queue_full' | Cleared): void;
}

/** Why a queue loses all its visitors: its lease ended, or the relay shut down before they had a data connection. */
type Cleared = 'lease_ended' | 'timed_out';

/** Visitors that wait for a data connection of one carrier, by network. */
type Line<W> = Map<string, Set<W>>;

/**
 * The visitors of one lease that wait for a data connection, per carrier. Networks take turns; within a network the order is
 * first come, first served. When the queue is full, the network with the most visitors loses one.
 */
export class VisitorQueue<W extends WaitingVisitor<W>> {
  readonly #byCarrier = new Map<WireCarrier, Line<W>>();
  #places: FairPlaces<W> | undefined;

  get size(): number {
    return this.#places?.size ?? 0;
  }

  /** Carriers that visitors wait for. */
  get carriers(): WireCarrier[] {
    return [...this.#byCarrier.keys()];
  }

  count(carrier: WireCarrier): number {
    let count = 0;
    for (const visitors of this.#byCarrier.get(carrier)?.values() ?? []) count += visitors.size;
    return count;
  }

  /** Visitors in the queue, of all carriers. */
  all(): W[] {
    return [...this.#byCarrier.values()].flatMap((line) =>
      [...line.values()].flatMap((visitors) => [...visitors]),
    );
  }

  first(carrier: WireCarrier): W | undefined {
    const [visitors = []] = this.#byCarrier.get(carrier)?.values() ?? [];
    const [visitor] = visitors;
    return visitor;
  }

  /** Adds `visitor` to the queue, which has `max` places; false if `visitor` itself must make room. */
  add(visitor: W, max: number): boolean {
    const { carrier, network } = visitor;
    this.#places ??= new FairPlaces({ max, drop: (other) => other.giveUp('queue_full') });
    visitor.place = this.#places.enter(visitor, network);
    if (!visitor.place) return false;
    let line = this.#byCarrier.get(carrier);
    if (!line) this.#byCarrier.set(carrier, (line = new Map()));
    const visitors = line.get(network);
    if (visitors) visitors.add(visitor);
    else line.set(network, new Set([visitor]));
    return true;
  }

  delete(visitor: W): void {
    const { carrier, network } = visitor;
    if (visitor.place) this.#places?.leave(visitor.place);
    const line = this.#byCarrier.get(carrier);
    const visitors = line?.get(network);
    if (!line || !visitors?.delete(visitor)) return;
    // The network moves to the end: the others are next.
    line.delete(network);
    if (visitors.size > 0) line.set(network, visitors);
    else if (line.size === 0) this.#byCarrier.delete(carrier);
  }

  /** Rejects all visitors in the queue. */
  clear(why: Cleared): void {
    for (const line of this.#byCarrier.values())
      for (const visitors of line.values()) for (const visitor of visitors) visitor.giveUp(why);
  }
}
