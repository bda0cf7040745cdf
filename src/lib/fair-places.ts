import { Chain, type Linked } from './linked.js';

/**
 * A limited number of places that strangers share. While some are free, anybody may take them. When all are taken, a
 * newcomer gets the place of one of the group that holds most, if its own group holds fewer; so no group keeps the
 * others out, and one that is alone may have all. A group is what one stranger can be: the network that an address is in.
 */

/** One place, and who has it. `leave` gives it back. */
export interface Place<T> extends Linked<Place<T>> {
  readonly holder: T;
  /** Undefined once it was given back. */
  group: Group<T> | undefined;
}

interface Group<T> extends Linked<Group<T>> {
  readonly key: string;
  readonly places: Chain<Place<T>>;
}

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

/**
 * No table here has holders as keys: hashing an object that lives for one request costs more than the rest of that request's
 * work (20 µs of 90), so `enter` hands out what `leave` needs.
 */
export class FairPlaces<T> {
  readonly #options: FairPlacesOptions<T>;
  readonly #groups = new Map<string, Group<T>>();
  /** Groups by how many places they hold. */
  readonly #bySize: Chain<Group<T>>[] = [];
  #most = 0;
  #size = 0;

  constructor(options: FairPlacesOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** A place for `holder`, a free one or another's; undefined: there is none for its group. */
  enter(holder: T, key: string): Place<T> | undefined {
    const { max, drop } = this.#options;
    if (max > 0 && this.#size >= max) {
      const victim = this.#victim(holder, key);
      if (victim === undefined) return undefined;
      this.leave(victim);
      drop(victim.holder);
    }
    let group = this.#groups.get(key);
    if (!group) {
      group = { key, places: new Chain(), before: undefined, after: undefined };
      this.#groups.set(key, group);
    }
    const place: Place<T> = { holder, group, before: undefined, after: undefined };
    this.#leaveBucket(group);
    group.places.push(place);
    this.#enterBucket(group);
    this.#size++;
    return place;
  }

  /** Gives `place` back; the second time does nothing. */
  leave(place: Place<T>): void {
    const { group } = place;
    if (!group) return;
    place.group = undefined;
    this.#leaveBucket(group);
    group.places.remove(place);
    this.#enterBucket(group);
    this.#size--;
    if (group.places.size === 0) this.#groups.delete(group.key);
  }

  /** Makes the holder of `place` the last of its group to give way. */
  touch(place: Place<T>): void {
    place.group?.places.remove(place);
    place.group?.places.push(place);
  }

  /** Who gives way first, if anybody is here. */
  get first(): T | undefined {
    return this.#first?.holder;
  }

  get #first(): Place<T> | undefined {
    const largest = this.#bySize[this.#most]?.first;
    return largest && this.#pick(largest.places);
  }

  #leaveBucket(group: Group<T>): void {
    if (group.places.size > 0) this.#bySize[group.places.size]!.remove(group);
  }

  #enterBucket(group: Group<T>): void {
    const { size } = group.places;
    if (size > 0) (this.#bySize[size] ??= new Chain()).push(group);
    if (size > this.#most) this.#most = size;
    while (this.#most > 0 && !this.#bySize[this.#most]?.size) this.#most--;
  }

  #victim(newcomer: T, key: string): Place<T> | undefined {
    const own = this.#groups.get(key);
    // Equal shares change hands no more: the one that is dropped could take its place back at once.
    if ((own?.places.size ?? 0) + 2 <= this.#most) return this.#first;
    return own && this.#pick(own.places, newcomer);
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
