import { isDeepStrictEqual } from 'node:util';
import type { LeaseChange } from './directory.js';
import { ByPlace } from './by-place.js';
import { displaces, publicPlaceOf, type LeaseRecord } from './record.js';

/** What one node knows of the directory, in memory: every engine answers `lookup` and `watch` from it. */
export class DirectoryView {
  readonly #known = new ByPlace<LeaseRecord>();
  readonly #listeners = new Set<(change: LeaseChange) => void>();

  /** Starts with these records, of which no listener hears. */
  load(records: Iterable<LeaseRecord>): void {
    for (const record of records) this.#known.set(record.place, record);
  }

  /** Takes these records instead of the known ones, and returns the changes that listeners heard. */
  replace(records: readonly LeaseRecord[]): LeaseChange[] {
    const places = new Set(records.map(({ place }) => place));
    const released = [...this.#known.values()].filter(({ place }) => !places.has(place));
    const changed = records.filter((record) => !isDeepStrictEqual(record, this.#known.get(record.place)));
    const changes = [
      ...released.map(({ place, epoch }) => ({ place, epoch, record: undefined })),
      ...changed.map((record) => ({ place: record.place, epoch: record.epoch, record })),
    ];
    for (const change of changes) this.hear(change);
    return changes;
  }

  /** The records of a node. */
  of(node: string): LeaseRecord[] {
    return [...this.#known.values()].filter((record) => record.node === node);
  }

  get size(): number {
    return this.#known.size;
  }

  all(): Iterable<LeaseRecord> {
    return this.#known.values();
  }

  lookup(place: string): LeaseRecord | undefined {
    return this.#known.get(place);
  }

  /** The records of a public place: one, or those of replicas. */
  at(publicPlace: string): LeaseRecord[] {
    return this.#known.at(publicPlace);
  }

  watch(listener: (change: LeaseChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a change of any node, in order. */
  hear(change: LeaseChange): void {
    const { place, record } = change;
    if (record) {
      // Every engine frees these with the claim, so there is no change for them.
      for (const present of this.at(publicPlaceOf(place)))
        if (displaces(record, present)) this.#known.delete(present.place);
      this.#known.set(place, record);
    } else this.#known.delete(place);
    for (const listener of this.#listeners) listener(change);
  }

  /** Ends every `watch`. */
  close(): void {
    this.#listeners.clear();
  }
}
