import { Groups, type Place } from './groups.js';

export type { Place } from './groups.js';

/**
 * A limited number of places that clients share. While places are free, any client gets one. When all are in use, a
 * new client replaces one of the group with the most places, if its own group has fewer. So no group can block the
 * others, and a single group may use all places. A group is usually a network.
 */

export interface FairPlacesOptions<T> {
  /** 0: unlimited. */
  readonly max: number;
  /** Ends the work of `holder`, whose place goes to another. */
  readonly drop: (holder: T) => void;
  /** Parts of a group share its places in the same way, for example connections of one address. */
  readonly partOf?: (holder: T) => unknown;
  /** Whether a holder makes room before others of its part. Otherwise the oldest makes room. */
  readonly evictFirst?: (holder: T) => boolean;
}

export class FairPlaces<T> {
  readonly #options: FairPlacesOptions<T>;
  readonly #groups = new Groups<T>();

  constructor(options: FairPlacesOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#groups.size;
  }

  /** A free place for `holder`, or the place of another holder. Undefined if its group gets no place. */
  enter(holder: T, key: string): Place<T> | undefined {
    const { max, drop } = this.#options;
    if (max > 0 && this.size >= max) {
      const victim = this.#victim(holder, key);
      if (victim === undefined) return undefined;
      this.leave(victim);
      drop(victim.holder);
    }
    return this.#groups.enter(holder, key);
  }

  /** Frees `place`. A second call does nothing. */
  leave(place: Place<T>): void {
    this.#groups.leave(place);
  }

  /** Makes the holder of `place` the last of its group to make room. */
  touch(place: Place<T>): void {
    this.#groups.touch(place);
  }

  /** The holder that makes room first, if there are any. */
  get first(): T | undefined {
    return this.#first?.holder;
  }

  get #first(): Place<T> | undefined {
    const { largest } = this.#groups;
    return largest && this.#pick(largest);
  }

  #victim(newcomer: T, key: string): Place<T> | undefined {
    const own = this.#groups.of(key);
    // Equal shares stay: otherwise the dropped holder could take its place back immediately.
    if ((own?.size ?? 0) + 2 <= this.#groups.most) return this.#first;
    return own && this.#pick(own, newcomer);
  }

  /** Among `places`, one of the part with the most; undefined if that is not more than the part of `newcomer` has. */
  #pick(places: Iterable<Place<T>>, newcomer?: T): Place<T> | undefined {
    const { partOf, evictFirst } = this.#options;
    if (!partOf) return newcomer === undefined ? choose(places, evictFirst) : undefined;
    const parts = new Map<unknown, Place<T>[]>();
    let largest: Place<T>[] = [];
    for (const place of places) {
      const key = partOf(place.holder);
      const part = parts.get(key) ?? [];
      if (part.push(place) === 1) parts.set(key, part);
      if (part.length > largest.length) largest = part;
    }
    if (newcomer !== undefined && (parts.get(partOf(newcomer))?.length ?? 0) + 2 > largest.length)
      return undefined;
    return choose(largest, evictFirst);
  }
}

/** The first place whose holder `matches`, or else the first of all. */
function choose<T>(
  places: Iterable<Place<T>>,
  matches: ((holder: T) => boolean) | undefined,
): Place<T> | undefined {
  if (matches) for (const place of places) if (matches(place.holder)) return place;
  for (const place of places) return place;
  return undefined;
}
