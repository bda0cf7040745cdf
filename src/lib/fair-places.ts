import { Groups, type Place } from './groups.js';

export type { Place } from './groups.js';

/**
 * A limited number of places that strangers share. While some are free, anybody may take them. When all are taken, a
 * newcomer gets the place of one of the group that holds most, if its own group holds fewer; so no group keeps the
 * others out, and one that is alone may have all. A group is what one stranger can be: the network that an address is in.
 */

export interface FairPlacesOptions<T> {
  /** 0: unlimited. */
  readonly max: number;
  /** Ends what `holder` does; its place is another's now. */
  readonly drop: (holder: T) => void;
  /** Parts of a group, which share its places in the same way: connections of one address, say. */
  readonly partOf?: (holder: T) => unknown;
  /** Who gives way first in a part; the oldest otherwise. */
  readonly givesWay?: (holder: T) => boolean;
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

  /** A place for `holder`, a free one or another's; undefined: its group gets no place. */
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

  /** Gives `place` back; the second time does nothing. */
  leave(place: Place<T>): void {
    this.#groups.leave(place);
  }

  /** Makes the holder of `place` the last of its group to give way. */
  touch(place: Place<T>): void {
    this.#groups.touch(place);
  }

  /** Who gives way first, if anybody is here. */
  get first(): T | undefined {
    return this.#first?.holder;
  }

  get #first(): Place<T> | undefined {
    const { largest } = this.#groups;
    return largest && this.#pick(largest);
  }

  #victim(newcomer: T, key: string): Place<T> | undefined {
    const own = this.#groups.of(key);
    // Equal shares change hands no more: the one that is dropped could take its place back at once.
    if ((own?.size ?? 0) + 2 <= this.#groups.most) return this.#first;
    return own && this.#pick(own, newcomer);
  }

  /** Among `places`, one of the part that has most; undefined where that is no more than what `newcomer`'s has. */
  #pick(places: Iterable<Place<T>>, newcomer?: T): Place<T> | undefined {
    const { partOf, givesWay } = this.#options;
    if (!partOf) return newcomer === undefined ? choose(places, givesWay) : undefined;
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
    return choose(largest, givesWay);
  }
}

/** The first whose holder `matches`, else the first of all. */
function choose<T>(
  places: Iterable<Place<T>>,
  matches: ((holder: T) => boolean) | undefined,
): Place<T> | undefined {
  if (matches) for (const place of places) if (matches(place.holder)) return place;
  for (const place of places) return place;
  return undefined;
}
