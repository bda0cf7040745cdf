/** Counts events of a few kinds. */
export class Tally<K extends string> {
  readonly #counts = new Map<K, number>();

  add(what: K, count = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  get(what: K): number {
    return this.#counts.get(what) ?? 0;
  }

  /** The counts that are not zero. */
  counts(): Partial<Record<K, number>> {
    return Object.fromEntries(this.#counts) as Partial<Record<K, number>>;
  }
}
