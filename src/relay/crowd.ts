import { Groups, type Place } from '../lib/groups.js';

/**
 * What a relay keeps of clients that have proven nothing, by network. Where such a table is full, the oldest entry of the
 * network that has most gives way: a client that opens many displaces its own entries, not those of its neighbours.
 */
export class Crowd<T> {
  readonly #entries = new Map<T, Entry<T>>();
  readonly #groups = new Groups<T>();
  /** Bytes of each network that takes any. */
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** What all of them take together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All of them, oldest first. */
  [Symbol.iterator](): Iterator<T> {
    return this.#entries.keys();
  }

  has(entry: T): boolean {
    return this.#entries.has(entry);
  }

  /** How many `network` has. */
  countOf(network: string): number {
    return this.#groups.of(network)?.size ?? 0;
  }

  add(entry: T, network: string): void {
    this.delete(entry);
    this.#entries.set(entry, { place: this.#groups.enter(entry, network), network, bytes: 0 });
  }

  /** `entry` takes so many bytes more. */
  grow(entry: T, bytes: number): void {
    const found = this.#entries.get(entry);
    if (!found) return;
    found.bytes += bytes;
    this.#count(found.network, bytes);
  }

  /** Returns whether it was there. */
  delete(entry: T): boolean {
    const found = this.#entries.get(entry);
    if (!found) return false;
    this.#entries.delete(entry);
    this.#groups.leave(found.place);
    if (found.bytes > 0) this.#count(found.network, -found.bytes);
    return true;
  }

  /** The oldest of `network`. */
  oldestOf(network: string): T | undefined {
    return this.#groups.of(network)?.first?.holder;
  }

  /** The oldest of the network that has most. Of several such networks, the one that was so large first. */
  crowded(): { readonly oldest: T; readonly count: number } | undefined {
    const { largest } = this.#groups;
    return largest?.first && { oldest: largest.first.holder, count: largest.size };
  }

  /** The oldest of the network whose entries take most bytes. */
  heaviest(): T | undefined {
    let heaviest: string | undefined;
    let most = 0;
    for (const [network, bytes] of this.#bytesOf) if (bytes > most) [heaviest, most] = [network, bytes];
    return heaviest === undefined ? undefined : this.oldestOf(heaviest);
  }

  #count(network: string, bytes: number): void {
    const sum = (this.#bytesOf.get(network) ?? 0) + bytes;
    if (sum > 0) this.#bytesOf.set(network, sum);
    else this.#bytesOf.delete(network);
    this.#bytes += bytes;
  }
}

interface Entry<T> {
  readonly place: Place<T>;
  readonly network: string;
  bytes: number;
}

/**
 * Which entry displaces which: whether `network` gets one of `max` places, and which entry gives way for it; undefined: it
 * gets none. No network has more than half of the places.
 */
export function placeFor<T>(
  crowd: Crowd<T>,
  network: string,
  { max, isLate }: { readonly max: number; readonly isLate: (entry: T) => boolean },
): { readonly displaces?: T } | undefined {
  const own = crowd.countOf(network);
  const late = (entry: T | undefined) =>
    entry !== undefined && isLate(entry) ? { displaces: entry } : undefined;
  if (own >= Math.ceil(max / 2)) return late(crowd.oldestOf(network));
  if (crowd.size < max) return {};
  const crowded = crowd.crowded();
  // The only entry of a network is spared: agents that all come back at once would displace each other for ever.
  if (crowded && crowded.count > Math.max(own, 1)) return { displaces: crowded.oldest };
  const [oldest] = crowd;
  return late(oldest);
}
