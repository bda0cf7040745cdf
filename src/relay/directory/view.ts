import type { LeaseChange } from './directory.js';
import type { LeaseRecord } from './record.js';

/** What one node knows of the directory, in memory: every engine answers `lookup` and `watch` from it. */
export class DirectoryView {
  readonly #known = new Map<string, LeaseRecord>();
  readonly #listeners = new Set<(change: LeaseChange) => void>();

  /** Starts with these records, of which no listener hears. */
  load(records: Iterable<LeaseRecord>): void {
    for (const record of records) this.#known.set(record.place, record);
  }

  lookup(place: string): LeaseRecord | undefined {
    return this.#known.get(place);
  }

  watch(listener: (change: LeaseChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a change of any node, in order. */
  hear(change: LeaseChange): void {
    const { place, record } = change;
    if (record) this.#known.set(place, record);
    else this.#known.delete(place);
    for (const listener of this.#listeners) listener(change);
  }

  /** Ends every `watch`. */
  close(): void {
    this.#listeners.clear();
  }
}
