/**
 * What a relay keeps of clients that have proven nothing, by network. Where such a table is full, the oldest entry of the
 * network that has most gives way: a client that opens many displaces its own entries, not those of its neighbours.
 */
export class Crowd<T> {
  readonly #entries = new Map<T, Group<T>>();
  readonly #groups = new Map<string, Group<T>>();
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
    return this.#groups.get(network)?.entries.size ?? 0;
  }

  add(entry: T, network: string): void {
    let group = this.#groups.get(network);
    if (!group) {
      group = { network, entries: new Map(), bytes: 0 };
      this.#groups.set(network, group);
    }
    group.entries.set(entry, 0);
    this.#entries.set(entry, group);
  }

  /** `entry` takes so many bytes more. */
  grow(entry: T, bytes: number): void {
    const group = this.#entries.get(entry);
    if (!group) return;
    group.entries.set(entry, group.entries.get(entry)! + bytes);
    group.bytes += bytes;
    this.#bytes += bytes;
  }

  /** Returns whether it was there. */
  delete(entry: T): boolean {
    const group = this.#entries.get(entry);
    if (!group) return false;
    this.#entries.delete(entry);
    const bytes = group.entries.get(entry)!;
    group.bytes -= bytes;
    this.#bytes -= bytes;
    group.entries.delete(entry);
    if (group.entries.size === 0) this.#groups.delete(group.network);
    return true;
  }

  /** The oldest of `network`. */
  oldestOf(network: string): T | undefined {
    const group = this.#groups.get(network);
    return group && first(group.entries);
  }

  /** The oldest of the network that has most. Of several such networks, the one that has been here for longest. */
  crowded(): { readonly oldest: T; readonly count: number } | undefined {
    const group = this.#largest(({ entries }) => entries.size);
    return group && { oldest: first(group.entries)!, count: group.entries.size };
  }

  /** The oldest of the network whose entries take most bytes. */
  heaviest(): T | undefined {
    const group = this.#largest(({ bytes }) => bytes);
    return group && first(group.entries);
  }

  #largest(amount: (group: Group<T>) => number): Group<T> | undefined {
    let most: Group<T> | undefined;
    for (const group of this.#groups.values()) if (!most || amount(group) > amount(most)) most = group;
    return most;
  }
}

function first<T>(entries: ReadonlyMap<T, unknown>): T | undefined {
  return entries.keys().next().value;
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

interface Group<T> {
  readonly network: string;
  /** With the bytes of each, oldest first. */
  readonly entries: Map<T, number>;
  bytes: number;
}
