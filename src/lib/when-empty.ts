/** Lets callers wait until something is empty. The owner of that thing calls `emptied`. */
export class WhenEmpty {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next `emptied`, or after `ms`. Default: without a limit. */
  wait(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  emptied(): void {
    for (const done of this.#waiting) done();
  }
}
