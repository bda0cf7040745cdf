import { Groups, type Place } from '../lib/groups.js';
import { networksAround } from './cidr.js';

/**
 * A table of clients that have not proven an identity, by network. When it is full, the network with the most entries loses
 * its oldest: a client that opens many connections displaces its own, not those of its neighbours. If each network has one
 * entry, the larger networks around them count, so a client with a range of addresses displaces its own.
 */
export class NetworkTable<T> {
  readonly #entries = new Map<T, Entry<T>>();
  readonly #networks = new Groups<T>();
  /** By the larger networks. Counted only while someone asks for them: a connection costs less without. */
  #larger: Larger<T> | undefined;
  /** Bytes per network. */
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of all entries. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All entries, oldest first. */
  [Symbol.iterator](): Iterator<T> {
    return this.#entries.keys();
  }

  has(entry: T): boolean {
    return this.#entries.has(entry);
  }

  /** Number of entries of `network`. */
  countOf(network: string): number {
    return this.#networks.of(network)?.size ?? 0;
  }

  add(entry: T, network: string): void {
    this.delete(entry);
    const place = this.#networks.enter(entry, network);
    this.#entries.set(entry, { place, network, bytes: 0, larger: this.#larger?.enter(entry, network) });
  }

  /** Adds `bytes` to `entry`. */
  grow(entry: T, bytes: number): void {
    const found = this.#entries.get(entry);
    if (!found) return;
    found.bytes += bytes;
    this.#count(found.network, bytes);
  }

  /** Whether the entry existed. */
  delete(entry: T): boolean {
    const found = this.#entries.get(entry);
    if (!found) return false;
    this.#entries.delete(entry);
    this.#networks.leave(found.place);
    if (found.larger) this.#larger?.leave(found.larger);
    if (this.#larger && this.size < this.#larger.sizeAtFirst / 2) this.#larger = undefined;
    if (found.bytes > 0) this.#count(found.network, -found.bytes);
    return true;
  }

  /** The oldest entry of `network`. */
  oldestOf(network: string): T | undefined {
    return this.#networks.of(network)?.first?.holder;
  }

  /**
   * The oldest entry of the network with the most entries. If each network has one, of the larger network with the most. If
   * several have the same number, of the network that reached it first.
   */
  crowded(): T | undefined {
    if (this.#networks.most > 1) return this.#networks.largest?.first?.holder;
    const groups = this.#countLarger().levels.find(({ most }) => most > 1) ?? this.#networks;
    return groups.largest?.first?.holder;
  }

  /** The oldest entry that makes room for a newcomer of `network`: from a network, or larger network, with more entries. */
  crowdedFor(network: string): T | undefined {
    // Equal shares stay: otherwise agents that reconnect together would displace each other forever.
    const hasMore = (groups: Groups<T>, key: string): boolean =>
      groups.most >= (groups.of(key)?.size ?? 0) + 2;
    if (hasMore(this.#networks, network)) return this.#networks.largest?.first?.holder;
    const keys = networksAround(network);
    const groups = this.#countLarger().levels.find((one, level) => hasMore(one, keys[level]!));
    return groups?.largest?.first?.holder;
  }

  /** The oldest entry of the network with the most bytes. */
  heaviest(): T | undefined {
    let heaviest: string | undefined;
    let most = 0;
    for (const [network, bytes] of this.#bytesOf) if (bytes > most) [heaviest, most] = [network, bytes];
    return heaviest === undefined ? undefined : this.oldestOf(heaviest);
  }

  #countLarger(): Larger<T> {
    if (this.#larger) return this.#larger;
    const larger = new Larger<T>(this.size);
    for (const [holder, entry] of this.#entries) entry.larger = larger.enter(holder, entry.network);
    return (this.#larger = larger);
  }

  #count(network: string, bytes: number): void {
    const sum = (this.#bytesOf.get(network) ?? 0) + bytes;
    if (sum > 0) this.#bytesOf.set(network, sum);
    else this.#bytesOf.delete(network);
    this.#bytes += bytes;
  }
}

type Pair<T> = readonly [smaller: T, larger: T];

/** Entries by the larger networks around their own. */
class Larger<T> {
  readonly levels: Pair<Groups<T>> = [new Groups(), new Groups()];
  /** Number of entries when it was made. */
  readonly sizeAtFirst: number;

  constructor(sizeAtFirst: number) {
    this.sizeAtFirst = sizeAtFirst;
  }

  enter(entry: T, network: string): Pair<Place<T>> {
    const [smaller, larger] = networksAround(network);
    return [this.levels[0].enter(entry, smaller), this.levels[1].enter(entry, larger)];
  }

  leave([smaller, larger]: Pair<Place<T>>): void {
    this.levels[0].leave(smaller);
    this.levels[1].leave(larger);
  }
}

interface Entry<T> {
  readonly place: Place<T>;
  readonly network: string;
  bytes: number;
  /** Its places in `Larger`. A former `Larger` may have given them. */
  larger: Pair<Place<T>> | undefined;
}

/**
 * Whether `network` gets one of `max` places, and which entry it displaces; undefined if it gets none. No network has more
 * than half of the places.
 */
export function placeFor<T>(
  table: NetworkTable<T>,
  network: string,
  { max, isLate }: { readonly max: number; readonly isLate: (entry: T) => boolean },
): { readonly displaces?: T } | undefined {
  const own = table.countOf(network);
  const late = (entry: T | undefined) =>
    entry !== undefined && isLate(entry) ? { displaces: entry } : undefined;
  if (own >= Math.ceil(max / 2)) return late(table.oldestOf(network));
  if (table.size < max) return {};
  const crowded = table.crowdedFor(network);
  if (crowded !== undefined) return { displaces: crowded };
  const [oldest] = table;
  return late(oldest);
}
