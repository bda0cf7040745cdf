/** Exchanges of a target without an end: upgraded connections and event streams. They continue while the target is in use. */
export class LongLivedExchanges {
  readonly #upgraded = new Set<() => void>();
  readonly #eventStreams = new Set<() => void>();
  #retired: { readonly at: number; ms: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Number of upgraded connections. */
  get size(): number {
    return this.#upgraded.size;
  }

  /** Adds an upgraded connection that `cut` ends. Call the returned function once it has ended. */
  upgraded(cut: () => void): () => void {
    this.#upgraded.add(cut);
    this.#cutInTime();
    return () => {
      this.#upgraded.delete(cut);
      this.#cutInTime();
    };
  }

  /** The same for a response that is an event stream. */
  eventStream(cut: () => void): () => void {
    if (this.#retired) setImmediate(cut);
    this.#eventStreams.add(cut);
    return () => this.#eventStreams.delete(cut);
  }

  /**
   * The target is no longer in use. Ends event streams, because their clients reconnect. Upgraded connections stay
   * open for at most `ms` after the first call.
   */
  retire(ms: number): void {
    this.#retired = { at: this.#retired?.at ?? performance.now(), ms };
    this.#cutInTime();
    for (const cut of this.#eventStreams) cut();
  }

  #cutInTime(): void {
    clearTimeout(this.#timer);
    if (!this.#retired || this.#upgraded.size === 0) return;
    const { at, ms } = this.#retired;
    const leftMs = at + ms - performance.now();
    this.#timer = setTimeout(() => this.#upgraded.forEach((cut) => cut()), leftMs).unref();
  }
}
