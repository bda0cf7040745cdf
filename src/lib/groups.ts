import { Chain, type Linked } from './linked.js';

/** One place and its holder. */
export interface Place<T> extends Linked<Place<T>> {
  readonly holder: T;
  /** Undefined once the place is free. */
  group: Group<T> | undefined;
}

interface Group<T> extends Linked<Group<T>> {
  readonly key: string;
  readonly places: Chain<Place<T>>;
}

/**
 * Places by group, and which group has the most. `FairPlaces` and `NetworkTable` decide what to do with it.
 *
 * No table has holders as keys: hashing an object that lives for one request costs more than the rest of the request (20 µs
 * of 90). So `enter` returns what `leave` needs.
 */
export class Groups<T> {
  readonly #groups = new Map<string, Group<T>>();
  /** Groups by number of places. */
  readonly #bySize: Chain<Group<T>>[] = [];
  #most = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Number of places of the largest group. */
  get most(): number {
    return this.#most;
  }

  /** The places of the largest group, oldest first. If several are equal, of the group that reached the size first. */
  get largest(): Chain<Place<T>> | undefined {
    return this.#bySize[this.#most]?.first?.places;
  }

  /** The places of `key`, oldest first. */
  of(key: string): Chain<Place<T>> | undefined {
    return this.#groups.get(key)?.places;
  }

  enter(holder: T, key: string): Place<T> {
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

  /** Frees `place`. A second call does nothing. */
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

  /** Makes `place` the newest of its group. */
  touch(place: Place<T>): void {
    place.group?.places.remove(place);
    place.group?.places.push(place);
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
}
