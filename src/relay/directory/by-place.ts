import { publicPlaceOf } from './record.js';

/** Values by place, which also finds all of a public place. */
export class ByPlace<T> {
  readonly #values = new Map<string, T>();
  /** The keys of replicas, by public place. */
  readonly #replicas = new Map<string, Set<string>>();

  get size(): number {
    return this.#values.size;
  }

  get(place: string): T | undefined {
    return this.#values.get(place);
  }

  /** All values. Removing some meanwhile is allowed. */
  values(): Iterable<T> {
    return this.#values.values();
  }

  /** The values of a public place: one, or those of replicas. */
  at(publicPlace: string): T[] {
    const places = [publicPlace, ...(this.#replicas.get(publicPlace) ?? [])];
    return places.flatMap((place) => this.#values.get(place) ?? []);
  }

  set(place: string, value: T): void {
    this.#values.set(place, value);
    const at = publicPlaceOf(place);
    if (at === place) return;
    const replicas = this.#replicas.get(at);
    if (replicas) replicas.add(place);
    else this.#replicas.set(at, new Set([place]));
  }

  delete(place: string): void {
    this.#values.delete(place);
    const at = publicPlaceOf(place);
    const replicas = this.#replicas.get(at);
    if (replicas?.delete(place) && replicas.size === 0) this.#replicas.delete(at);
  }

  clear(): void {
    this.#values.clear();
    this.#replicas.clear();
  }
}
