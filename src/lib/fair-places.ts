/**
 * A limited number of places that strangers share. While some are free, anybody may take them. When all are taken, a
 * newcomer gets the place of one of the group that holds most, if its own group holds fewer; so no group keeps the
 * others out, and one that is alone may have all. A group is what one stranger can be: the network that an address is in.
 */

interface Group<T> {
  readonly key: string;
  readonly holders: Set<T>;
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

export class FairPlaces<T> {
  readonly #options: FairPlacesOptions<T>;
  readonly #groupOf = new Map<T, Group<T>>();
  readonly #groups = new Map<string, Group<T>>();
  /** Groups by how many places they hold. */
  readonly #bySize: Set<Group<T>>[] = [];
  #most = 0;

  constructor(options: FairPlacesOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#groupOf.size;
  }

  /** Takes a place for `holder`, a free one or another's; false: there is none for its group. */
  take(holder: T, key: string): boolean {
    const { max, drop } = this.#options;
    if (max > 0 && this.size >= max) {
      const victim = this.#victim(holder, key);
      if (victim === undefined) return false;
      this.give(victim);
      drop(victim);
    }
    let group = this.#groups.get(key);
    if (!group) this.#groups.set(key, (group = { key, holders: new Set() }));
    this.#groupOf.set(holder, group);
    this.#resize(group, () => group.holders.add(holder));
    return true;
  }

  /** Gives the place of `holder` back, if it has one. */
  give(holder: T): void {
    const group = this.#groupOf.get(holder);
    if (!group) return;
    this.#groupOf.delete(holder);
    this.#resize(group, () => group.holders.delete(holder));
    if (group.holders.size === 0) this.#groups.delete(group.key);
  }

  /** Makes `holder` the last of its group to give way. */
  touch(holder: T): void {
    const holders = this.#groupOf.get(holder)?.holders;
    holders?.delete(holder);
    holders?.add(holder);
  }

  /** Who gives way first, if anybody is here. */
  get first(): T | undefined {
    const [largest] = this.#bySize[this.#most] ?? [];
    return largest && this.#pick(largest.holders);
  }

  #resize(group: Group<T>, change: () => unknown): void {
    const { holders } = group;
    this.#bySize[holders.size]?.delete(group);
    change();
    if (holders.size > 0) (this.#bySize[holders.size] ??= new Set()).add(group);
    this.#most = Math.max(this.#most, holders.size);
    while (this.#most > 0 && !this.#bySize[this.#most]?.size) this.#most--;
  }

  #victim(newcomer: T, key: string): T | undefined {
    const own = this.#groups.get(key);
    // Equal shares change hands no more: the one that is dropped could take its place back at once.
    if ((own?.holders.size ?? 0) + 2 <= this.#most) return this.first;
    return own && this.#pick(own.holders, newcomer);
  }

  /** Among `holders`, one of the part that has most; undefined where that is no more than what `newcomer`'s has. */
  #pick(holders: ReadonlySet<T>, newcomer?: T): T | undefined {
    const { partOf, givesWay } = this.#options;
    if (!partOf) return newcomer === undefined ? choose(holders, givesWay) : undefined;
    const parts = new Map<unknown, T[]>();
    let largest: T[] = [];
    for (const holder of holders) {
      const part = parts.get(partOf(holder)) ?? [];
      if (part.push(holder) === 1) parts.set(partOf(holder), part);
      if (part.length > largest.length) largest = part;
    }
    if (newcomer !== undefined && (parts.get(partOf(newcomer))?.length ?? 0) + 2 > largest.length)
      return undefined;
    return choose(largest, givesWay);
  }
}

/** The first that `matches`, else the first of all. */
function choose<T>(all: Iterable<T>, matches: ((one: T) => boolean) | undefined): T | undefined {
  if (matches) for (const one of all) if (matches(one)) return one;
  for (const one of all) return one;
  return undefined;
}
