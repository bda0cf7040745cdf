import { Groups, type Place } from '../lib/groups.js';
import { networksAround } from '../net/cidr.js';

/**
 * A table of clients that have not proven an identity, by network. When it is full, the network with the most entries loses
 * its oldest: a client that opens many connections displaces its own, not those of its neighbours. If each network has one
 * entry, the larger networks around them count, so a client with a range of addresses displaces its own.
 */
export class Crowd<T> {
  readonly #entries = new Map<T, Entry<T>>();
  /** By network, then by the larger networks around it. */
  readonly #levels: Levels<Groups<T>> = [new Groups(), new Groups(), new Groups()];
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
    return this.#levels[0].of(network)?.size ?? 0;
  }

  add(entry: T, network: string): void {
    this.delete(entry);
    const keys = levelsOf(network);
    const places = this.#levels.map((groups, level) => groups.enter(entry, keys[level]!));
    this.#entries.set(entry, { places, network, bytes: 0 });
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
    for (const [level, groups] of this.#levels.entries()) groups.leave(found.places[level]!);
    if (found.bytes > 0) this.#count(found.network, -found.bytes);
    return true;
  }

  /** The oldest entry of `network`. */
  oldestOf(network: string): T | undefined {
    return this.#levels[0].of(network)?.first?.holder;
  }

  /**
   * The oldest entry of the network with the most entries. If each network has one, of the larger network with the most. If
   * several have the same number, of the network that reached it first.
   */
  crowded(): T | undefined {
    const groups = this.#levels.find(({ most }) => most > 1) ?? this.#levels[0];
    return groups.largest?.first?.holder;
  }

  /** The oldest entry that makes room for a newcomer of `network`: from a network, or larger network, with more entries. */
  crowdedFor(network: string): T | undefined {
    const keys = levelsOf(network);
    // Equal shares stay: otherwise agents that reconnect together would displace each other forever.
    const groups = this.#levels.find((one, level) => one.most >= (one.of(keys[level]!)?.size ?? 0) + 2);
    return groups?.largest?.first?.holder;
  }

  /** The oldest entry of the network with the most bytes. */
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

type Levels<T> = readonly [network: T, around: T, widest: T];

const levelsOf = (network: string): Levels<string> => [network, ...networksAround(network)];

interface Entry<T> {
  /** One at each level. */
  readonly places: readonly Place<T>[];
  readonly network: string;
  bytes: number;
}

/**
 * Whether `network` gets one of `max` places, and which entry it displaces; undefined if it gets none. No network has more
 * than half of the places.
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
  const crowded = crowd.crowdedFor(network);
  if (crowded !== undefined) return { displaces: crowded };
  const [oldest] = crowd;
  return late(oldest);
}
