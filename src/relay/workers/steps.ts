/** Lets processes that shut down together take each step together. */
export class Steps<W> {
  readonly #proceed: (one: W) => void;
  /** How many steps each of them has come to. */
  readonly #arrived = new Map<W, number>();
  #passed = 0;

  /** Calls `proceed` for each process when all have come to a step. */
  constructor(proceed: (one: W) => void) {
    this.#proceed = proceed;
  }

  /** Call when `one` has come to its next step. `all` are the processes that run now. */
  arrive(one: W, all: readonly W[]): void {
    this.#arrived.set(one, (this.#arrived.get(one) ?? 0) + 1);
    this.check(all);
  }

  /** Call when a process has ended: the others may have waited for it. */
  check(all: readonly W[]): void {
    while (all.length > 0 && all.every((one) => (this.#arrived.get(one) ?? 0) > this.#passed)) {
      this.#passed++;
      for (const one of all) this.#proceed(one);
    }
  }
}
