/**
 * What has no end of its own at a target: upgraded connections and event streams. While the target is one that requests go to,
 * they are left alone.
 */
export class Lasting {
  readonly #upgraded = new Set<() => void>();
  readonly #eventStreams = new Set<() => void>();
  #retired: { readonly at: number; ms: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Upgraded connections. */
  get size(): number {
    return this.#upgraded.size;
  }

  /** A connection was upgraded, and `cut` ends it. Call what this returns once it has ended. */
  upgraded(cut: () => void): () => void {
    this.#upgraded.add(cut);
    this.#cutInTime();
    return () => {
      this.#upgraded.delete(cut);
      this.#cutInTime();
    };
  }

  /** The same for an answer that is an event stream. */
  eventStream(cut: () => void): () => void {
    if (this.#retired) setImmediate(cut);
    this.#eventStreams.add(cut);
    return () => this.#eventStreams.delete(cut);
  }

  /**
   * Visitors are to go elsewhere. Event streams end, because their clients connect again; upgraded connections live on for `ms` at
   * most, from the first call on.
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
